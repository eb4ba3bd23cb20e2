// What charts are made of: elements, numbers as texts, ticks, and the point of a curve that is nearest to the cursor.
"use strict";
const gptkitElements = (() => {
  const COLORS = 10; // --series-0 and so on in the style sheet

  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function element(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  function toggle(text, pressed, onchange) {
    const button = element("button", { type: "button", textContent: text });
    button.setAttribute("aria-pressed", pressed);
    button.addEventListener("click", () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", now);
      onchange(now);
    });
    return button;
  }

  function swatch(color) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [name, value] of Object.entries({ width: 18, height: 8, "aria-hidden": "true" })) svg.setAttribute(name, value);
    for (const [name, value] of Object.entries({ x1: 0, x2: 18, y1: 4, y2: 4 })) line.setAttribute(name, value);
    svg.classList.add("swatch", `dash-${Math.floor(color / COLORS) % 3}`);
    svg.style.color = `var(--series-${color % COLORS})`;
    svg.append(line);
    return svg;
  }

  function formatNumber(value, digits = 4) {
    const size = Math.abs(value);
    if (!Number.isFinite(value)) return "";
    if (size !== 0 && (size < 1e-3 || size >= 1e15)) return value.toExponential(Math.max(digits - 2, 0)).replace(/\.?0*e/, "e").replace("e+", "e");
    for (const [limit, unit] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e4, "k"]])
      if (size >= limit) return `${+(value / (unit === "k" ? 1e3 : limit)).toPrecision(digits)}${unit}`;
    return `${+value.toPrecision(digits)}`;
  }

  // Numbers with as few digits as keep them distinct.
  function formatTicks(values) {
    const known = values.filter(value => value !== null);
    for (let digits = 3; digits < 9; digits++) {
      const texts = known.map(value => formatNumber(value, digits));
      if (new Set(texts).size === new Set(known).size) return values.map(value => (value === null ? "" : formatNumber(value, digits)));
    }
    return values.map(value => (value === null ? "" : formatNumber(value, 9)));
  }

  function formatSeconds(value) {
    if (value < 120) return `${formatNumber(value, 3)} s`;
    return value < 7200 ? `${+(value / 60).toPrecision(3)} min` : `${+(value / 3600).toPrecision(3)} h`;
  }

  // At most `most` ticks of a logarithmic axis. uPlot's own take seconds where the ends of the axis are no powers of ten.
  function logTicks(low, high, most) {
    const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    const choices = [[[1, 2, 5], 1], [[1, 3], 1]];
    for (let stride = 1; stride <= last - first; stride++) choices.push([[1], stride]);
    for (const [steps, stride] of choices) {
      const ticks = [];
      for (let power = first; power <= last; power += stride) ticks.push(...steps.map(step => +(step * 10 ** power).toPrecision(3)));
      const inside = ticks.filter(tick => tick >= low && tick <= high);
      if (inside.length <= 1) break;
      if (inside.length <= most) return inside;
    }
    const parts = Math.max(1, Math.min(most, 5) - 1);
    return Array.from({ length: parts + 1 }, (_, i) => +(low * (high / low) ** (i / parts)).toPrecision(3));
  }

  const shorten = (text, longest) => (text.length > longest ? `${text.slice(0, longest - 1)}…` : text);

  // The index nearest to `index` at which a curve has a value: the curves of several runs have values at different steps.
  function nearest(xs, ys, index) {
    if (index === null || !ys || (ys[index] !== null && ys[index] !== undefined)) return index;
    let low = index, high = index;
    const missing = i => ys[i] === null || ys[i] === undefined;
    while (low >= 0 && missing(low)) low--;
    while (high < ys.length && missing(high)) high++;
    if (low < 0 || high >= ys.length) return null; // beyond the end of this curve
    return xs[index] - xs[low] <= xs[high] - xs[index] ? low : high;
  }

  // A horizontal line with a label, drawn on the canvas of a chart.
  function drawReference(u, label, value) {
    const { ctx, bbox } = u, y = u.valToPos(value, "y", true);
    if (!(y > bbox.top && y < bbox.top + bbox.height)) return;
    const ratio = devicePixelRatio;
    ctx.save();
    Object.assign(ctx, { strokeStyle: css("--muted"), fillStyle: css("--muted"), lineWidth: ratio, textAlign: "right", textBaseline: "top" });
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillText(label, bbox.left + bbox.width - 4 * ratio, y + 3 * ratio);
    ctx.restore();
  }

  return { COLORS, css, drawReference, element, formatNumber, formatSeconds, formatTicks, logTicks, nearest, shorten, swatch, toggle };
})();
