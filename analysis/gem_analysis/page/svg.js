// What all pictures share: SVG elements, scales, ticks, numbers, the tooltip.
"use strict";

function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function html(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Outline of a point's shape around (0, 0) with radius r; all look about equally large.
const SHAPES = {
  circle: r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  square: r => `M${-0.9 * r} ${-0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  diamond: r => `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0z`,
  triangle: r => `M0 ${-1.2 * r}L${1.15 * r} ${0.9 * r}H${-1.15 * r}z`,
  "triangle-down": r => `M0 ${1.2 * r}L${1.15 * r} ${-0.9 * r}H${-1.15 * r}z`,
  cross: r => `M${-0.9 * r} ${-0.9 * r}l${1.8 * r} ${1.8 * r}M${-0.9 * r} ${0.9 * r}l${1.8 * r} ${-1.8 * r}`,
  star: r => "M" + Array.from({length: 10}, (_, i) => {
    const reach = (i % 2 ? 0.6 : 1.4) * r, angle = (i / 5 - 0.5) * Math.PI;
    return `${(reach * Math.cos(angle)).toFixed(2)} ${(reach * Math.sin(angle)).toFixed(2)}`;
  }).join("L") + "z",
  plus: r => `M${-1.1 * r} 0h${2.2 * r}M0 ${-1.1 * r}v${2.2 * r}`,
};

function marker(role, x, y, radius, hollow, opacity) {
  const shape = SHAPES[REPORT.markers[role] || "circle"];
  return svg("path", {d: shape(radius), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: "point",
                      style: `fill:${hollow ? "var(--card)" : colour(role)};stroke:${colour(role)}`,
                      "stroke-width": 1.6, opacity});
}

// Dashes of a role's line, times the line's width; `again` is for a second line of the same role.
function dash_of(role, again) {
  const dashes = REPORT.dashes[role] || [];
  return again ? "6 4" : dashes.map(length => 2 * length).join(" ") || "none";
}

const colour = role => `var(--${role})`;

function is_dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// Four significant digits, with a real minus sign.
function number_text(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

// Of ticks, ascending: as other numbers, with more digits where two would read alike.
function tick_texts(ticks) {
  const texts = ticks.map(number_text);
  if (new Set(texts).size === texts.length) return texts;
  const step = Math.min(...ticks.slice(1).map((tick, i) => tick - ticks[i]));
  const digits = Math.min(20, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  return ticks.map(tick => tick.toFixed(digits).replace("-", "−"));
}

function with_unit(value, axis) {
  return number_text(value) + (axis && axis.unit ? " " + axis.unit.split(" a ")[0] : "");
}

function axis_title(axis) {
  return axis.label + (axis.unit ? ` (${axis.unit})` : "");
}

// A scale maps values to pixels; `invert` is its reverse; `ticks` are round values inside it.
function make_scale(low, high, from, to, log, most_ticks) {
  const value_of = log ? Math.log : x => x;
  const begin = value_of(low), length = value_of(high) - begin || 1;
  const scale = value => from + (value_of(value) - begin) / length * (to - from);
  scale.range_end = Math.max(from, to);
  scale.ticks = log ? log_ticks(low, high, most_ticks) : linear_ticks(low, high, most_ticks);
  return scale;
}

function linear_ticks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = Math.pow(10, Math.floor(Math.log10(rough || 1)));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough * 0.999) || power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i) ticks.push(i * step);
  return ticks;
}

function log_ticks(low, high, most) {
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); ++power)
      for (const factor of factors) {
        const tick = factor * Math.pow(10, power);
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    if (ticks.length > Math.max(3, most)) continue;
    return ticks.length > 2 ? ticks : linear_ticks(low, high, most);
  }
  return [low, high];
}

const tooltip = {
  node: null,
  show(event, lines) {
    this.node = this.node || document.body.appendChild(html("div", {class: "tooltip", role: "status"}));
    this.node.replaceChildren(...lines.map(line => {
      const row = html("div", {});
      if (line.role) row.append(html("i", {class: "swatch", style: `background:${colour(line.role)}`}));
      row.append(line.text);
      return row;
    }));
    this.node.style.display = "block";
    const box = this.node.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 14 : event.clientX + 14;
    this.node.style.left = Math.max(4, left) + "px";
    this.node.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 4)) + "px";
  },
  hide() {
    if (this.node) this.node.style.display = "none";
  }
};

// Calls `on_move(event, x, y)` with the pointer's place in the picture, by mouse, pen or finger.
function follow_pointer(node, on_move, on_leave) {
  const place = event => {
    const box = node.getBoundingClientRect();
    on_move(event, event.clientX - box.left, event.clientY - box.top);
  };
  node.addEventListener("pointermove", place);
  node.addEventListener("pointerdown", place);
  node.addEventListener("pointerleave", () => {
    tooltip.hide();
    if (on_leave) on_leave();
  });
}
