// Makes the static charts of a page interactive: values under the cursor, zoom, linear and logarithmic axes, curves shown or hidden.
// The data stand in the page as JSON. Without this script the page shows the same charts as SVG.
"use strict";
const gptkitCharts = (() => {
  const { COLORS, css, drawReference, element, formatNumber, formatSeconds, formatTicks, logTicks, nearest, shorten, swatch, toggle } = gptkitElements;
  const DASHES = [[], [6, 3], [2, 2]], MAX_TIP_ROWS = 12, FONT = "11px system-ui, sans-serif";
  const charts = [];
  const hiddenRuns = new Set(); // by the shared legend
  let filteredRuns = null; // the runs that a table's filter leaves; null: all
  const page = { axis: null, logX: false };

  class InteractiveChart {
    constructor(figure, data, container, isShared) {
      Object.assign(this, { figure, data, container, isShared, log: data.logarithmic, full: false, view: null, plot: null, hidden: new Set() });
      const values = data.series.flatMap(series => series.y);
      this.canLog = values.length > 0 && values.every(value => value > 0);
      this.note = [...figure.querySelectorAll(":scope > .remark")].find(node => node.textContent.startsWith("Outside"));
      this.addTools();
      if (!isShared) this.addLegend(figure.querySelector(".legend"));
    }

    addTools() {
      const tools = element("div", { className: "tools" });
      if (this.canLog) tools.append(toggle("Log", this.log, on => { this.log = on; this.view = null; this.build(); }));
      if (this.data.clipped) tools.append(toggle("Full range", false, on => { this.full = on; if (this.note) this.note.hidden = on; this.view = null; this.build(); }));
      const closer = element("button", { type: "button", textContent: "Zoom in", className: "coarse" }); // fingers scroll instead of dragging
      closer.addEventListener("click", () => this.zoomIn());
      tools.append(closer);
      this.reset = element("button", { type: "button", textContent: "Reset zoom", hidden: true });
      this.reset.addEventListener("click", () => { this.zoom(null); this.host.focus(); });
      tools.append(this.reset);
      for (const button of tools.children) button.setAttribute("aria-label", `${button.textContent}: ${this.data.title}`);
      this.host = element("div", { className: "plot", tabIndex: 0 });
      this.host.setAttribute("role", "group");
      this.host.setAttribute("aria-label", `${this.data.title}, interactive chart. Arrow keys read values, plus and minus zoom, Escape resets.`);
      this.host.addEventListener("keydown", event => this.onKey(event));
      this.tip = element("div", { className: "tip", hidden: true });
      this.tip.setAttribute("role", "status");
      this.figure.prepend(tools);
      this.figure.querySelector(".static").before(this.host);
      this.figure.querySelector(".static").hidden = true;
    }

    addLegend(legend) {
      if (!legend) return;
      makeLegend(legend, this.hidden, () => this.build());
    }

    isVisible(series) {
      if (series.faint) {
        const main = this.data.series.find(other => !other.faint && other.color === series.color);
        return !main || this.isVisible(main);
      }
      if (!this.isShared) return !this.hidden.has(series.label);
      return !hiddenRuns.has(series.label) && (filteredRuns === null || filteredRuns.has(series.label));
    }

    // Puts the curves on a common axis. Each has one column, or three with the bounds of its interval.
    tables(visible, axis, logX) {
      return visible.map(series => {
        const keep = series.x[axis].map((x, i) => [x, i]).filter(([x, i]) => !logX || x > 0).map(([, i]) => i);
        const column = values => keep.map(i => values[i]);
        return [column(series.x[axis]), column(series.y), ...(series.band ?? []).map(column)];
      });
    }

    build() {
      this.plot?.destroy();
      this.plot = null;
      this.tip.hidden = true;
      this.reset.hidden = this.view === null;
      const { data } = this;
      const axis = Math.max(0, data.axes.findIndex(each => each.name === page.axis));
      const isTime = data.axes[axis].name === "wall_seconds", isLine = data.series.some(series => series.line);
      const logX = data.log_x || (isLine && page.logX && !data.categories.length);
      const visible = data.series.filter(series => this.isVisible(series));
      const options = [{}], bands = [], columns = [];
      this.shown = [];
      for (const series of visible) {
        const color = css(`--series-${series.color % COLORS}`), at = options.length;
        const points = { show: series.few || !series.line, size: series.line ? 5 : 9, fill: color, stroke: color };
        const stroke = series.faint ? `${color}55` : color;
        options.push({ stroke, width: series.faint ? 1 : 1.6, dash: DASHES[Math.floor(series.color / COLORS) % 3], spanGaps: true, points, ...(series.line ? {} : { paths: () => null }) });
        this.shown.push({ series, at });
        if (series.band) {
          options.push({ stroke: "transparent", spanGaps: true, points: { show: false } }, { stroke: "transparent", spanGaps: true, points: { show: false } });
          bands.push({ series: [at + 2, at + 1], fill: `${color}33` });
        }
      }
      const joined = visible.length ? uPlot.join(this.tables(visible, axis, logX)) : [[]];
      this.values = joined;
      const ink = css("--muted"), grid = { stroke: css("--grid"), width: 1 };
      const common = { stroke: ink, grid, ticks: { show: false }, font: FONT, labelFont: FONT };
      const xValues = data.categories.length
        ? { splits: () => data.categories.map((_, i) => i), values: (u, splits) => splits.map(i => shorten(data.categories[i], 16)) }
        : { values: (u, splits) => (isTime ? splits.map(value => (value === null ? "" : formatSeconds(value))) : formatTicks(splits)) };
      const { width, height } = this.size();
      const logAxis = most => ({ splits: (u, index, low, high) => logTicks(low, high, most), filter: (u, splits) => splits });
      this.formatX = value => (data.categories.length ? data.categories[Math.round(value)] : isTime ? formatSeconds(value) : formatNumber(value, 6));
      this.xLabel = data.axes[axis].label;
      this.plot = new uPlot({
        ...this.size(),
        legend: { show: false },
        padding: [8, 14, 0, 0],
        series: options,
        bands,
        scales: {
          x: { time: false, distr: logX ? 3 : 1, range: (u, low, high) => this.rangeX(low, high, logX) },
          y: { distr: this.log ? 3 : 1, range: (u, low, high) => this.rangeY(low, high) },
        },
        axes: [
          { ...common, ...xValues, ...(logX ? logAxis(Math.floor((width - 60) / 64)) : {}), size: 30, labelSize: 18, label: this.xLabel, space: 60 },
          { ...common, ...(this.log ? logAxis(Math.floor((height - 50) / 26)) : {}), size: 52, space: 32, values: (u, splits) => formatTicks(splits) },
        ],
        cursor: {
          drag: { x: true, y: true, uni: 30, setScale: false },
          points: { size: 7 },
          dataIdx: (u, series, index) => nearest(this.values[0], this.values[series], index),
          bind: { dblclick: () => () => this.zoom(null) },
        },
        hooks: {
          setSelect: [u => this.onSelect(u)],
          setCursor: [u => this.showTip(u)],
          draw: [u => data.reference && drawReference(u, ...data.reference)],
        },
      }, joined, this.host);
      this.host.append(this.tip);
    }

    size() {
      return { width: Math.max(this.host.clientWidth, 120), height: this.host.clientHeight || 210 };
    }

    rangeX(low, high, logX) {
      if (this.view) return this.view.x;
      if (low === null) return [0, 1];
      if (this.data.categories.length) return [-0.5, this.data.categories.length - 0.5];
      const isLine = this.data.series.some(series => series.line);
      if (logX) return isLine && low < high && !this.data.log_x ? [low, high] : [low / 1.5, high * 1.5];
      const isFew = this.data.series.every(series => series.few);
      const margin = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * (isLine ? (isFew ? 0.02 : 0) : 0.08);
      return [low - margin, high + margin];
    }

    rangeY(low, high) {
      if (this.view?.y) return this.view.y;
      if (low === null) return [this.log ? 0.1 : 0, 1];
      if (this.log) return [low / 1.15, high * 1.15];
      const all = this.data.series.every(series => this.isVisible(series));
      if (!this.view && this.data.limits && !this.full && (all || this.data.clipped)) return this.data.limits;
      const margin = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.1;
      return [low - margin, high + margin];
    }

    zoom(view) {
      this.view = view;
      this.reset.hidden = view === null;
      if (this.plot) this.plot.setData(this.values); // asks for all ranges again
    }

    onSelect(u) {
      const { left, top, width, height } = u.select;
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      if (width < 4 && height < 4) return;
      const whole = { x: [u.scales.x.min, u.scales.x.max], y: [u.scales.y.min, u.scales.y.max] };
      const isTall = height < u.over.clientHeight - 1 && height > 4, isLong = width < u.over.clientWidth - 1 && width > 4;
      const x = isLong ? [u.posToVal(left, "x"), u.posToVal(left + width, "x")] : whole.x;
      const y = isTall ? [u.posToVal(top + height, "y"), u.posToVal(top, "y")] : null;
      this.zoom({ x, y });
    }

    onKey(event) {
      const u = this.plot;
      if (!u || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.step(event.key === "ArrowRight" ? 1 : -1);
      else if (event.key === "+" || event.key === "=") this.zoomIn();
      else if (event.key === "-") this.zoomOut();
      else if (event.key === "Escape" || event.key === "0") { this.zoom(null); u.setCursor({ left: -10, top: -10 }); }
      else return;
      event.preventDefault();
    }

    // The range of the horizontal axis made longer or shorter around the cursor, or around its middle.
    scaled(factor) {
      const u = this.plot, { min, max } = u.scales.x, center = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : (min + max) / 2;
      return [center - (center - min) * factor, center + (max - center) * factor];
    }

    zoomIn() {
      if (this.plot) this.zoom({ x: this.scaled(0.5), y: null });
    }

    zoomOut() {
      const [low, high] = [this.values[0][0], this.values[0][this.values[0].length - 1]], [left, right] = this.scaled(2);
      this.zoom(left <= low && right >= high ? null : { x: [Math.max(low, left), Math.min(high, right)], y: null });
    }

    step(direction) {
      const u = this.plot, xs = this.values[0], { min, max } = u.scales.x;
      if (!xs.length) return;
      const stride = Math.max(1, Math.floor(xs.length / 50));
      let index = u.cursor.left >= 0 && u.cursor.idx !== null ? u.cursor.idx + direction * stride : direction > 0 ? 0 : xs.length - 1;
      index = Math.min(Math.max(index, 0), xs.length - 1);
      while (xs[index] < min && index < xs.length - 1) index++;
      while (xs[index] > max && index > 0) index--;
      u.setCursor({ left: u.valToPos(xs[index], "x"), top: u.over.clientHeight / 2 });
    }

    showTip(u) {
      const { left, top, idx } = u.cursor;
      if (left < 0 || idx === null || idx === undefined) { this.tip.hidden = true; return; }
      const rows = [];
      for (const { series, at } of this.shown) {
        const index = u.cursor.idxs[at];
        if (series.faint || index === null || index === undefined) continue;
        if (!series.line && Math.abs(u.valToPos(this.values[0][index], "x") - left) > 12) continue;
        const value = this.values[at][index];
        const band = series.band ? ` (${formatNumber(this.values[at + 1][index])} to ${formatNumber(this.values[at + 2][index])})` : "";
        rows.push({ series, text: formatNumber(value, 5) + band, distance: Math.abs(u.valToPos(value, "y") - top) });
      }
      if (!rows.length) { this.tip.hidden = true; return; }
      const near = [...rows].sort((a, b) => a.distance - b.distance).slice(0, MAX_TIP_ROWS);
      const kept = rows.filter(row => near.includes(row));
      const lines = kept.map(({ series, text }) => element("div", {}, swatch(series.color), element("span", { textContent: series.label }), element("b", { textContent: text })));
      const more = rows.length > kept.length ? [element("div", { textContent: `and ${rows.length - kept.length} more` })] : [];
      this.tip.replaceChildren(element("div", { textContent: `${this.xLabel} ${this.formatX(this.values[0][idx])}` }), ...lines, ...more);
      this.tip.hidden = false;
      const x = left + u.over.offsetLeft, width = this.tip.offsetWidth, room = this.host.clientWidth;
      this.tip.style.left = `${Math.max(0, Math.min(x + 14 + width > room ? x - width - 14 : x + 14, room - width))}px`;
      this.tip.style.top = `${Math.max(0, Math.min(top, this.host.clientHeight - this.tip.offsetHeight))}px`;
    }
  }

  function makeLegend(legend, hidden, onchange) {
    for (const item of legend.children) {
      const label = item.dataset.series;
      const button = element("button", { type: "button", title: "Show or hide" });
      button.append(...item.childNodes);
      button.setAttribute("aria-pressed", !hidden.has(label));
      button.dataset.series = label;
      button.addEventListener("click", () => {
        hidden.has(label) ? hidden.delete(label) : hidden.add(label);
        for (const other of document.querySelectorAll(".legend button"))
          if (legend.contains(other) || (hidden === hiddenRuns && other.closest("[data-shared]")))
            if (other.dataset.series === label) other.setAttribute("aria-pressed", !hidden.has(label));
        onchange();
      });
      item.append(button);
    }
  }

  const rebuild = () => charts.forEach(chart => chart.plot && chart.build());

  function addControls(container, data) {
    const controls = container.querySelector(".controls");
    const axes = [...new Map(data.filter(chart => chart.axes.length > 1).flatMap(chart => chart.axes).map(axis => [axis.name, axis.label]))];
    if (!axes.length) return;
    const select = element("select", {}, ...axes.map(([name, label]) => element("option", { value: name, textContent: label })));
    select.setAttribute("aria-label", "Horizontal axis");
    select.addEventListener("change", () => { page.axis = select.value; charts.forEach(chart => { chart.view = null; }); rebuild(); });
    const log = toggle("Log", false, on => { page.logX = on; charts.forEach(chart => { chart.view = null; }); rebuild(); });
    log.setAttribute("aria-label", "Log: horizontal axis");
    controls.append(element("label", {}, "Horizontal axis ", select), log, element("span", { textContent: "Drag to zoom, double-click to reset.", className: "remark" }));
    controls.hidden = false;
  }

  function start() {
    const observer = new IntersectionObserver(entries => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) { observer.unobserve(target); charts.find(chart => chart.host === target).build(); }
    }, { rootMargin: "300px" });
    const resized = new ResizeObserver(entries => {
      for (const { target } of entries) { const chart = charts.find(each => each.host === target); if (chart.plot) chart.plot.setSize(chart.size()); }
    });
    for (const container of document.querySelectorAll(".charts")) {
      const data = JSON.parse(container.querySelector(".chart-data").textContent);
      const legend = container.querySelector(":scope > .legend");
      addControls(container, data);
      if (legend) { legend.dataset.shared = ""; makeLegend(legend, hiddenRuns, rebuild); }
      for (const figure of container.querySelectorAll("figure.chart")) {
        const chart = new InteractiveChart(figure, data[figure.dataset.chart], container, legend !== null);
        charts.push(chart);
        observer.observe(chart.host);
        resized.observe(chart.host);
      }
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
    addEventListener("beforeprint", () => charts.forEach(chart => chart.plot || chart.build()));
  }

  start();
  return { charts, showOnly(runs) { filteredRuns = runs; rebuild(); } };
})();
