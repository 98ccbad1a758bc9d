// Forest plots: a row an estimate, its interval as a bar, what it is compared with as hollow marks.
"use strict";

function forest_extent(frame) {
  const values = [frame.reference];
  for (const [, rows] of frame.groups)
    for (const [, , value, low, high, others] of rows) values.push(value, low, high, ...others.map(([, other]) => other));
  const known = values.filter(Number.isFinite), low = Math.min(...known), high = Math.max(...known);
  const pad = (high - low || 1) * 0.04;
  return [low - pad, high + pad];
}

const NARROW = 560;  // pixels; below, a row's label stands above its bar

function draw_forest(figure, picture, frame) {
  const width = figure.clientWidth, narrow = width < NARROW;
  const labels = frame.groups.flatMap(([, rows]) => rows.map(([label]) => label));
  const left = narrow ? 8 : Math.min(width * 0.42, label_width(labels) + 14), right = 16, bottom = 44;
  const row_height = narrow ? 36 : ROW_HEIGHT;
  const titles = frame.groups.map(([title]) => title_lines(title, width));
  const height = labels.length * row_height + titles.reduce((sum, lines) => sum + title_height(lines), 0) + bottom;
  const [low, high] = forest_extent(frame);
  const x = make_scale(low, high, left, width - right, false, (width - left) / 70);
  const root = svg("svg", {width, height, role: "img", "aria-label": picture.title});
  const top = title_height(titles[0]) - 6;
  for (const tick of x.ticks)
    root.append(svg("line", {class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: height - bottom}));
  root.append(...tick_labels(x, height - bottom + 17, width),
              svg("line", {class: "guide", x1: x(frame.reference), x2: x(frame.reference), y1: top, y2: height - bottom}),
              svg("text", {class: "title", x: width - right, y: height - 8, "text-anchor": "end"},
                  axis_title(picture.x)));
  let y = 0;
  frame.groups.forEach(([, rows], group) => {
    draw_title(root, titles[group], 0, y);
    y += title_height(titles[group]);
    for (const row of rows) {
      draw_estimate(root, row, x, y, row_height, narrow ? null : left);
      y += row_height;
    }
  });
  figure.replaceChildren(root);
  follow_pointer(root, event => {
    const note = event.target.dataset && event.target.dataset.note;
    if (note) tooltip.show(event, [{role: event.target.dataset.role, text: note}]);
    else tooltip.hide();
  });
}

// `left`: where the bars begin, with the label beside; null with the label above.
function draw_estimate(root, [label, role, value, low, high, others, note], x, top, height, left) {
  const y = left === null ? top + height - 11 : top + height / 2;
  root.append(left === null ? svg("text", {class: "tick", x: 0, y: top + 12}, shortened(label, x.range_end))
                            : svg("text", {class: "tick", x: left - 8, y: y + 4, "text-anchor": "end"},
                                  shortened(label, left - 9)));
  for (const [other, at] of others)
    if (Number.isFinite(at)) root.append(marker(other, x(at), y, 4, true, 0.8));
  if (Number.isFinite(low))
    root.append(svg("path", {d: `M${x(low)} ${y}H${x(high)}M${x(low)} ${y - 4}v8M${x(high)} ${y - 4}v8`, fill: "none",
                             style: `stroke:${colour(role)}`, "stroke-width": 2}));
  if (Number.isFinite(value)) root.append(marker(role, x(value), y, 5, !Number.isFinite(low), 1));
  const target = svg("rect", {x: 0, y: top, width: x.range_end, height, fill: "transparent"});
  target.dataset.note = note;
  target.dataset.role = role;
  root.append(target);
}
