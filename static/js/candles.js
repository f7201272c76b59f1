// Candles that can be moved and zoomed, in place of the server's drawing; the drawing stays where
// the library or the data is missing. The figure: <figure data-candles="/data/1/bars.json?symbol=AAPL">
// with [data-fallback] (the drawing), [data-plot] (empty, hidden) and [data-notice] (hidden).
// The document: {"bars": [{"time": "2011-01-03" | seconds, "open", "high", "low", "close", "volume"}],
// "events": [{"time", "text"}]}.
(() => {
  "use strict";
  const library = window.LightweightCharts;
  if (!library) return;
  const colour = (name) => {
    // A custom property may be light-dark(…): only a real property gives the colour in use.
    const probe = document.createElement("span");
    probe.className = `tone-${name}`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  const look = () => ({
    layout: {
      background: { type: "solid", color: "transparent" },
      textColor: colour("ink-2"),
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: 11,
      attributionLogo: false,
      panes: { separatorColor: colour("rule") },
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colour("grid") } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderColor: colour("rule-2") },
    crosshair: { mode: 0, vertLine: { color: colour("ink-3") }, horzLine: { color: colour("ink-3") } },
    localization: { locale: document.documentElement.lang },
  });
  const candleLook = () => ({
    upColor: colour("bg"),
    borderUpColor: colour("up"),
    wickUpColor: colour("up"),
    downColor: colour("down"),
    borderDownColor: colour("down"),
    wickDownColor: colour("down"),
  });

  const draw = async (figure) => {
    const [drawing, plot, notice] = ["fallback", "plot", "notice"].map((n) => figure.querySelector(`[data-${n}]`));
    const answer = await fetch(figure.dataset.candles, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { bars = [], events = [] } = await answer.json();
    if (!bars.length) return;
    drawing.hidden = true;
    plot.hidden = notice.hidden = false;
    const chart = library.createChart(plot, { autoSize: true, ...look() });
    const candles = chart.addSeries(library.CandlestickSeries, candleLook());
    candles.setData(bars);
    const volume = chart.addSeries(library.HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false, color: colour("rule-2") }, 1);
    volume.setData(bars.map(({ time, volume: value }) => ({ time, value: value || 0 })));
    chart.panes()[1]?.setHeight(56);
    const marks = () => events.map(({ time, text }) => ({ time, text, position: "aboveBar", shape: "square", color: colour("warn") }));
    const markers = library.createSeriesMarkers(candles, marks());
    const last = bars.length - 1;
    chart.timeScale().setVisibleLogicalRange({ from: Math.max(0, last - 250), to: last + 5 });
    document.addEventListener("theme:changed", () => {
      chart.applyOptions(look());
      candles.applyOptions(candleLook());
      volume.applyOptions({ color: colour("rule-2") });
      markers.setMarkers(marks());
    });
  };

  for (const figure of document.querySelectorAll("[data-candles]")) {
    draw(figure).catch(() => {
      figure.querySelector("[data-fallback]").hidden = false;
      for (const part of figure.querySelectorAll("[data-plot], [data-notice]")) part.hidden = true;
    });
  }
})();
