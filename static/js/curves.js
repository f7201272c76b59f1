/* Training curves: uPlot over the server's first paint, then the socket's points.
   Seeds are thin threads with the middle half as a band and the median on top. */
(function () {
  "use strict";
  const block = document.getElementById("curves-data");
  if (!block || !window.uPlot) return;
  let doc = JSON.parse(block.textContent);
  const KEEP = 4000, THREADS = 16, DRAW_EVERY = 100;
  /* A custom property may be light-dark(…): only a real property gives the colour in use. */
  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;
  const colours = new Map();
  const css = (name) => {
    if (!colours.has(name)) {
      probe.style.color = "var(" + name + ")";
      colours.set(name, getComputedStyle(probe).color);
    }
    return colours.get(name);
  };
  const font = getComputedStyle(document.body).fontFamily;
  const wide = matchMedia("(min-width: 721px)");
  const charts = new Map();
  let queued = false, drawn = 0;

  const short = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const scaled = size >= 1e6 ? [value / 1e6, "M"] : size >= 1e4 ? [value / 1e3, "k"] : [value, ""];
    const text = size !== 0 && size < 0.001 ? value.toExponential(1) : Number(scaled[0].toPrecision(3)).toLocaleString("en") + scaled[1];
    return text.replace("-", "−");
  };

  /* 1, 2 and 5 of each power of ten between two values above zero. */
  function decades(min, max) {
    const splits = [];
    for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power += 1) {
      [1, 2, 5].forEach((lead) => { const value = lead * 10 ** power; if (value >= min && value <= max) splits.push(value); });
    }
    return splits;
  }

  function quantile(sorted, share) {
    const at = (sorted.length - 1) * share, low = Math.floor(at);
    return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
  }

  class Curve {
    constructor(figure, spec) {
      this.figure = figure;
      this.place = figure.querySelector("[data-plot]");
      this.spec = spec;
      this.small = figure.dataset.small !== undefined;
      this.load(spec.seeds);
      new ResizeObserver(() => this.resize()).observe(this.place);
    }

    load(seeds) {
      this.seeds = new Map(seeds.map((one) => [one.seed, { x: one.x.slice(), y: one.y.slice() }]));
      this.dirty = true;
    }

    add(seed, x, y) {
      if (!this.seeds.has(seed)) this.seeds.set(seed, { x: [], y: [] });
      const one = this.seeds.get(seed);
      one.x.push(x); one.y.push(y);
      if (one.x.length > KEEP) {
        /* Thin the older three quarters: the whole run stays in sight, memory stays bounded. */
        const old = Math.floor(KEEP * 0.75), keep = (_, index) => index >= old || index % 2 === 0;
        one.x = one.x.filter(keep); one.y = one.y.filter(keep);
      }
      this.dirty = true;
    }

    rewind(step) {
      this.seeds.forEach((one) => {
        let size = one.x.length;
        while (size && one.x[size - 1] > step) size -= 1;
        one.x.length = size; one.y.length = size;
      });
      this.dirty = true;
    }

    table() {
      const members = [...this.seeds.values()].filter((one) => one.x.length);
      const clean = (y) => this.spec.log ? y.map((value) => (value > 0 ? value : null)) : y;
      if (!members.length) return null;
      if (members.length === 1) return [members[0].x, clean(members[0].y)];
      const joined = uPlot.join(members.map((one) => [one.x, clean(one.y)]));
      const [x, ...rows] = joined, low = [], mid = [], high = [];
      const held = rows.map(() => null);
      x.forEach((_, at) => {
        rows.forEach((row, seed) => { if (row[at] !== null && row[at] !== undefined) held[seed] = row[at]; });
        const sorted = held.filter((value) => value !== null).sort((a, b) => a - b);
        const known = sorted.length > 0;
        low.push(known ? quantile(sorted, 0.25) : null);
        mid.push(known ? quantile(sorted, 0.5) : null);
        high.push(known ? quantile(sorted, 0.75) : null);
      });
      return [x, ...rows.slice(0, THREADS), low, high, mid];
    }

    lines(columns) {
      const own = { stroke: () => css("--accent"), width: 1.5, points: { show: false }, spanGaps: true };
      if (columns === 2) return { series: [{}, own], bands: [] };
      const thread = { stroke: () => css("--seed"), width: 0.75, points: { show: false }, spanGaps: true };
      const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
      const threads = columns - 4;
      return {
        series: [{}, ...Array(threads).fill(thread), edge, edge, own],
        bands: [{ series: [threads + 2, threads + 1], fill: () => css("--band") }],
      };
    }

    options(columns) {
      const lines = this.lines(columns), small = this.small;
      const axis = { stroke: () => css("--ink-3"), font: "11px " + font, ticks: { show: false } };
      const right = small ? 4 : wide.matches && this.spec.baselines.length ? 112 : 64;
      return {
        width: Math.max(this.place.clientWidth, 120), height: small ? 48 : 168,
        padding: [small ? 4 : 12, right, small ? 2 : 0, small ? 2 : 0],
        legend: { show: false }, cursor: { show: false }, series: lines.series, bands: lines.bands,
        scales: {
          x: { time: false, range: (u, min, max) => [0, Math.max(max, doc.end || 0, 1)] },
          y: { distr: this.spec.log ? 3 : 1, range: (u, min, max) => this.range(min, max) },
        },
        axes: small ? [{ show: false }, { show: false }] : [
          Object.assign({ grid: { show: false }, size: 22, values: (u, at) => at.map(short) }, axis),
          Object.assign(this.spec.log ? { splits: (u, axis, min, max) => decades(min, max) } : {}, { grid: { stroke: () => css("--grid"), width: 1 }, size: 44, values: (u, at) => at.map((v) => (v === null ? "" : short(v))) }, axis),
        ],
        hooks: { draw: [(u) => this.labels(u)] },
      };
    }

    range(min, max) {
      const known = this.spec.baselines.map((one) => one.value).filter((value) => !this.spec.log || value > 0);
      let low = Math.min(min, ...known), high = Math.max(max, ...known);
      if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
      if (this.spec.log) return [low / 1.25, high * 1.25];
      const air = (high - low || Math.abs(high) || 1) * 0.08;
      return [low - air, high + air];
    }

    /* Baselines, "now" and the value at the line's end, as in the server's drawing. */
    labels(u) {
      const ctx = u.ctx, ratio = devicePixelRatio || 1, right = u.bbox.left + u.bbox.width;
      const at = (value) => u.valToPos(value, "y", true);
      ctx.save();
      ctx.lineWidth = ratio;
      this.spec.baselines.forEach((one, index) => {
        if (this.spec.log && one.value <= 0) return;
        const y = at(one.value);
        ctx.strokeStyle = css("--bench");
        ctx.setLineDash(index ? [3 * ratio, 3 * ratio] : []);
        ctx.beginPath(); ctx.moveTo(u.bbox.left, y); ctx.lineTo(right, y); ctx.stroke();
        if (!this.small) this.write(ctx, one.label + " " + short(one.value), right + 4 * ratio, y, css("--ink-2"), "");
      });
      const xs = u.data[0], last = u.data[u.data.length - 1];
      let end = last.length - 1;
      while (end >= 0 && (last[end] === null || last[end] === undefined)) end -= 1;
      if (end >= 0) {
        const x = u.valToPos(xs[end], "x", true), y = at(last[end]);
        if (!this.small) { this.now(ctx, u, y); this.behind(ctx, u, x, y); }
        ctx.setLineDash([]);
        ctx.fillStyle = css("--accent");
        ctx.beginPath(); ctx.arc(x, y, (this.small ? 2 : 3) * ratio, 0, 7); ctx.fill();
        if (!this.small) this.write(ctx, short(last[end]) + this.spec.unit, x + 8 * ratio, y, css("--accent"), "600 ");
      }
      ctx.restore();
    }

    /* Where the run stands on its way to the planned end, the same on every chart; its word keeps clear of a value
       at the height y. */
    now(ctx, u, y) {
      const ratio = devicePixelRatio || 1, right = u.bbox.left + u.bbox.width;
      const x = u.valToPos(newest(), "x", true), top = u.bbox.top + 7 * ratio;
      if (doc.final || x > right - 2 * ratio) return;
      ctx.strokeStyle = css("--ink-3");
      ctx.setLineDash([2 * ratio, 3 * ratio]);
      ctx.beginPath(); ctx.moveTo(x, u.bbox.top); ctx.lineTo(x, u.bbox.top + u.bbox.height); ctx.stroke();
      this.write(ctx, doc.now, x + 5 * ratio, y - top < 14 * ratio ? top + u.bbox.height - 14 * ratio : top, css("--ink-2"), "");
    }

    /* The seed that is furthest behind, by name, where its word has room beside the median's value. */
    behind(ctx, u, x, y) {
      const members = [...this.seeds].filter(([seed, one]) => seed !== null && one.y.length);
      if (members.length < 3) return;
      const sign = this.spec.good === "up" ? 1 : -1;
      const [seed, one] = members.reduce((worst, next) => (sign * next[1].y.at(-1) < sign * worst[1].y.at(-1) ? next : worst));
      const ratio = devicePixelRatio || 1, at = u.valToPos(one.y.at(-1), "y", true);
      if (Math.abs(at - y) < 14 * ratio || at < u.bbox.top + 18 * ratio || !Number.isFinite(at)) return;
      this.write(ctx, this.spec.words[seed] || "", x + 8 * ratio, at, css("--ink-2"), "");
    }

    write(ctx, text, x, y, colour, weight) {
      const ratio = devicePixelRatio || 1;
      ctx.font = weight + 11 * ratio + "px " + font;
      ctx.textBaseline = "middle";
      /* A label too long for the margin ends at the edge instead of being cut off. */
      const over = x + ctx.measureText(text).width > ctx.canvas.width;
      ctx.textAlign = over ? "right" : "left";
      if (over) x = ctx.canvas.width - 2 * ratio;
      ctx.setLineDash([]);
      ctx.lineWidth = 3 * ratio;
      ctx.lineJoin = "round";
      ctx.strokeStyle = css("--bg");
      ctx.strokeText(text, x, y);
      ctx.fillStyle = colour;
      ctx.fillText(text, x, y);
    }

    draw() {
      if (!this.dirty || !this.place.clientWidth) return;
      const table = this.table();
      this.dirty = false;
      if (!table) return;
      this.figure.dataset.points = table[0].length;
      if (this.plot && this.columns === table.length) { this.plot.setData(table); } else this.build(table);
      const box = this.figure.querySelector("[data-last]"), last = table[table.length - 1];
      if (box) box.textContent = short(last[last.length - 1]) + this.spec.unit;
    }

    build(table) {
      if (this.plot) this.plot.destroy();
      this.place.replaceChildren();
      this.columns = table.length;
      this.plot = new uPlot(this.options(table.length), table, this.place);
    }

    resize() {
      if (this.plot && this.place.clientWidth) this.plot.setSize({ width: this.place.clientWidth, height: this.small ? 48 : 168 });
      else schedule();
    }
  }

  /* The last step that any curve has reached. */
  function newest() {
    let step = 0;
    charts.forEach((chart) => chart.seeds.forEach((one) => { if (one.x.length) step = Math.max(step, one.x[one.x.length - 1]); }));
    return step;
  }

  function schedule() {
    if (queued) return;
    queued = true;
    setTimeout(() => requestAnimationFrame((now) => {
      queued = false; drawn = now;
      charts.forEach((chart) => chart.draw());
    }), Math.max(0, DRAW_EVERY - (performance.now() - drawn)));
  }

  function points(frame) {
    if (frame.session !== doc.session || frame.seq <= doc.seq) return;
    doc.seq = frame.seq;
    if ("rewind" in frame) charts.forEach((chart) => chart.rewind(frame.rewind));
    (frame.points || []).forEach((point) => {
      Object.entries(point.values).forEach(([name, value]) => {
        const chart = charts.get(name);
        if (chart && value !== null) chart.add(point.seed === undefined ? null : point.seed, point.step, value);
      });
    });
    schedule();
  }

  /* All curves anew from the server: after a void cursor, and when sockets are blocked. */
  async function reload() {
    const response = await fetch(doc.url, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    doc = await response.json();
    doc.figures.forEach((spec) => { const chart = charts.get(spec.name); if (chart) { chart.spec = spec; chart.load(spec.seeds); } });
    document.dispatchEvent(new CustomEvent("live:seen", { detail: { session: doc.session, seq: doc.seq } }));
    schedule();
  }

  doc.figures.forEach((spec) => {
    const figure = document.querySelector('[data-curve="' + spec.name + '"]');
    if (figure) charts.set(spec.name, new Curve(figure, spec));
  });
  document.addEventListener("live:points", (event) => points(event.detail));
  document.addEventListener("live:reset", (event) => { if (event.detail.session === doc.session) reload(); });
  document.addEventListener("live:poll", () => { if (!doc.final) reload(); });
  const repaint = () => colours.clear() || charts.forEach((chart) => { if (chart.plot) chart.plot.redraw(false, true); });
  new MutationObserver(repaint).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "data-up"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  wide.addEventListener("change", () => charts.forEach((chart) => { if (chart.plot) chart.build(chart.table()); }));
  schedule();
})();
