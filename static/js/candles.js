// Candles that can be moved and zoomed, in place of the server's drawing; the drawing stays where
// the library or the data is missing. The figure: <figure data-candles="/data/1/bars.json?symbol=AAPL">
// with [data-fallback] (the drawing), [data-plot] (empty, hidden) and [data-notice] (hidden).
// The document: {"bars": [{"time": "2011-01-03" | seconds, "open", "high", "low", "close", "volume"}],
// "events": findings [{"time", "text"}], "actions": splits and payouts [{"time", "text" | ""}],
// "subtitle": measure and unit}.
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
    timeScale: { borderColor: colour("rule-2"), minBarSpacing: 0.05 },
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

  const NEAR = 300; // bars in view

  const draw = async (figure) => {
    const [drawing, plot, notice] = ["fallback", "plot", "notice"].map((n) => figure.querySelector(`[data-${n}]`));
    const answer = await fetch(figure.dataset.candles, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { bars = [], events = [], actions = [], subtitle } = await answer.json();
    if (!bars.length) return;
    const says = figure.querySelector("[data-subtitle]");
    if (subtitle && says) says.textContent = subtitle; // how many bars a candle joins differs from the drawing's
    drawing.hidden = true;
    plot.hidden = notice.hidden = false;
    const chart = library.createChart(plot, { autoSize: true, ...look() });
    const candles = chart.addSeries(library.CandlestickSeries, candleLook());
    candles.setData(bars);
    const volume = chart.addSeries(library.HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false, color: colour("rule-2") }, 1);
    volume.setData(bars.map(({ time, volume: value }) => ({ time, value: value || 0 })));
    chart.panes()[1]?.setHeight(56);
    // Payouts of decades would hide the candles: those without words are drawn once there is room between them.
    let near = false;
    const marks = () =>
      [
        ...events.map(({ time, text }) => ({ time, text, position: "aboveBar", shape: "square", color: colour("warn") })),
        ...actions.filter(({ text }) => near || text).map(({ time, text }) => ({ time, text, position: "belowBar", shape: "circle", size: text ? 0.8 : 0.4, color: colour("ink-3") })),
      ].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    const markers = library.createSeriesMarkers(candles, marks());
    chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (!range || near === (range.to - range.from <= NEAR)) return;
      near = !near;
      markers.setMarkers(marks());
    });
    chart.timeScale().fitContent();
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
