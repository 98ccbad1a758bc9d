// Lines and dots: distributions, staircases, scatters, intervals.
"use strict";

function extent_of(values, axis) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (axis.log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = axis.log ? [1, 10] : [0, 1];
  if (axis.log) return low === high ? [low / 1.5, high * 1.5] : [low / 1.06, high * 1.06];
  if (axis.zero) return [Math.min(0, low), high === 0 ? 1 : high * 1.04];
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - pad, high + pad];
}

function lines_extents(picture, frame, hidden) {
  const shown = frame.series.filter(series => !hidden.has(series.name));
  const x = shown.flatMap(series => series.x);
  const y = shown.flatMap(series => [...series.y, ...(series.low || []), ...(series.high || [])]);
  for (const guide of frame.guides) {
    if (guide.x !== null) x.push(guide.x);
    if (guide.y !== null) y.push(guide.y);
  }
  if (frame.guides.some(guide => guide.x === null && guide.y === null)) {
    const both = extent_of([...x, ...y], picture.x);
    return [both, both];
  }
  const x_extent = picture.x.labels ? [-0.5, picture.x.labels.length - 0.5] : extent_of(x, picture.x);
  return [x_extent, extent_of(y, picture.y)];
}

function draw_lines(figure, whole, frame, state) {
  const picture = frame.y ? {...whole, y: frame.y} : whole;
  const width = figure.clientWidth, height = picture.height;
  const [[x_low, x_high], [y_low, y_high]] = lines_extents(picture, frame, state.hidden);
  const y_ticks = make_scale(y_low, y_high, 0, 1, picture.y.log, height / 45).ticks;
  const left = Math.max(34, label_width(tick_texts(y_ticks)) + 14), right = 16, bottom = 44;
  const titles = text_lines(axis_title(picture.y), width, "title");
  const top = 14 + LINE * (titles.length + (frame.guides.some(guide => guide.x !== null) ? 1 : 0));
  const x = make_scale(x_low, x_high, left, width - right, picture.x.log, (width - left) / 70);
  const y = make_scale(y_low, y_high, height - bottom, top, picture.y.log, height / 45);
  const root = svg("svg", {width, height, role: "img", "aria-label": picture.title});
  draw_axes(root, picture, x, y, {left, right, top, bottom, width, height}, titles);
  const placed = [], guide_labels = frame.guides.map(
    guide => place_label(draw_guide(root, guide, x, y, [x_low, x_high], [y_low, y_high]), placed)).filter(Boolean);
  const shown = frame.series.filter(series => !state.hidden.has(series.name));
  for (const series of shown) draw_series(root, series, x, y);
  root.append(...guide_labels);
  const halo = root.appendChild(svg("circle", {r: 7, class: "halo", visibility: "hidden"}));
  figure.replaceChildren(root);
  follow_pointer(root, (event, px, py) => {
    const found = nearest_point(shown, x, y, px, py, Boolean(picture.x.labels));
    if (!found) {
      tooltip.hide();
      return halo.setAttribute("visibility", "hidden");
    }
    halo.setAttribute("cx", x(found.series.x[found.index]));
    halo.setAttribute("cy", y(found.series.y[found.index]));
    halo.setAttribute("visibility", "visible");
    tooltip.show(event, point_texts(picture, shown, found));
  }, () => halo.setAttribute("visibility", "hidden"));
}

function draw_axes(root, picture, x, y, box, titles) {
  const floor = box.height - box.bottom;
  const y_texts = tick_texts(y.ticks);
  y.ticks.forEach((tick, i) => {
    root.append(svg("line", {class: "grid", x1: box.left, x2: box.width - box.right, y1: y(tick), y2: y(tick)}),
                svg("text", {class: "tick", x: box.left - 8, y: y(tick) + 4, "text-anchor": "end"}, y_texts[i]));
  });
  root.append(svg("line", {class: "axis", x1: box.left, x2: box.width - box.right, y1: floor, y2: floor}));
  const labels = picture.x.labels;
  // Names that don't fit beside each other stand on two lines by turns, if no title needs the second one.
  const needed = labels ? label_stride(labels, box.width - box.left - box.right) : 1;
  const lines = needed === 2 && axis_title(picture.x) === "" ? 2 : 1, stride = needed / lines;
  if (!labels) root.append(...tick_labels(x, floor + 17, box.width));
  (labels || []).forEach((label, i) => {
    if (i % stride === 0)
      root.append(tick_label(shortened(label, box.width), x(i), floor + 17 + LINE * (i % lines), box.width));
  });
  const start = Math.max(0, Math.min(box.left - 8, box.width - label_width(titles, "title")));
  titles.forEach((line, i) => root.append(svg("text", {class: "title", x: start, y: 14 + LINE * i}, line)));
  root.append(svg("text", {class: "title", x: box.width - box.right, y: box.height - 8, "text-anchor": "end"},
                  axis_title(picture.x)));
}

// Draws the line and returns its label, which goes on top of all else.
function draw_guide(root, guide, x, y, [x_low, x_high], [y_low, y_high]) {
  let from = [x_low, guide.y], to = [x_high, guide.y];
  if (guide.x !== null) [from, to] = [[guide.x, y_low], [guide.x, y_high]];
  if (guide.x === null && guide.y === null) {
    const low = Math.max(x_low, y_low), high = Math.min(x_high, y_high);
    [from, to] = [[low, low], [high, high]];
  }
  root.append(svg("line", {class: "guide", x1: x(from[0]), y1: y(from[1]), x2: x(to[0]), y2: y(to[1])}));
  const label = shortened(guide.label, Math.abs(x.range_end - x(x_low)), "guide-label");
  // The label goes to the side that has room: devices that hardly differ put "you are here" beside the left axis.
  const left = x(to[0]) < (x(x_low) + x(x_high)) / 2;
  return svg("text", {class: "guide-label", x: x(to[0]) + (left ? 4 : -4), y: y(to[1]) - 5,
                      "text-anchor": left ? "start" : "end"}, label);
}

function draw_series(root, series, x, y) {
  const stroke = colour(series.role);
  if (series.mark.includes("line")) {
    let path = "", pen = "M";
    series.x.forEach((value, index) => {
      if (!Number.isFinite(series.y[index])) return pen = "M";
      path += `${pen}${x(value).toFixed(1)} ${y(series.y[index]).toFixed(1)}`;
      pen = "L";
    });
    root.append(svg("path", {d: path, fill: "none", style: `stroke:${stroke}`, "stroke-width": 2,
                             "stroke-linejoin": "round", "stroke-dasharray": dash_of(series.role, series.dashed)}));
  }
  if (series.low)
    series.x.forEach((value, index) => {
      const low = y(series.low[index]), high = y(series.high[index]);
      root.append(svg("path", {d: `M${x(value)} ${low}V${high}M${x(value) - 4} ${low}h8M${x(value) - 4} ${high}h8`,
                               fill: "none", style: `stroke:${stroke}`, "stroke-width": 1.5}));
    });
  if (!series.mark.includes("dots")) return;
  const radius = series.x.length > 150 ? 2.2 : series.x.length > 60 ? 3 : 4;
  const hollow = new Set(series.hollow || []);
  series.x.forEach((value, index) => {
    if (!Number.isFinite(series.y[index])) return;
    root.append(marker(series.role, x(value), y(series.y[index]), radius, hollow.has(index),
                       series.x.length > 150 ? 0.55 : 1));
  });
}

// The point under the pointer: the nearest one, or on an axis of categories the nearest in this category.
function nearest_point(shown, x, y, px, py, by_category) {
  let best = null, least = 60 * 60;
  for (const series of shown)
    series.x.forEach((value, index) => {
      if (!Number.isFinite(series.y[index])) return;
      const dx = x(value) - px, dy = y(series.y[index]) - py;
      const distance = by_category ? dx * dx + 0.02 * dy * dy : dx * dx + dy * dy;
      if (distance < least) [best, least] = [{series, index}, distance];
    });
  return best;
}

function point_texts(picture, shown, {series, index}) {
  const name_of = s => shown.length > 1 || s.name !== "devices" ? s.name + ": " : "";
  if (series.notes) return [{role: series.role, text: series.notes[index]}];
  if (!picture.x.labels)
    return [{role: series.role, text: `${name_of(series)}${with_unit(series.x[index], picture.x)}, ` +
                                      with_unit(series.y[index], picture.y)}];
  const category = Math.round(series.x[index]);
  const lines = [{text: `${picture.x.label} ${picture.x.labels[category]}`.trim()}];
  for (const other of shown)
    other.x.forEach((value, i) => {
      if (Math.round(value) !== category || !Number.isFinite(other.y[i])) return;
      const range = other.low ? ` (${number_text(other.low[i])} to ${number_text(other.high[i])})` : "";
      lines.push({role: other.role, text: `${name_of(other)}${with_unit(other.y[i], picture.y)}${range}`});
    });
  return lines;
}
