// Rows of spans along one axis: timelines, stacked bars.
"use strict";

// Roles that are hatched or dotted beside their colour, for grey print.
const PATTERNS = new Set(["wait", "temporal", "combine"]);
const ROW_HEIGHT = 22, GROUP_TITLE_HEIGHT = 30;

function draw_spans(figure, picture, frame) {
  const width = figure.clientWidth;
  const labels = frame.groups.flatMap(([, rows]) => rows.map(([label]) => label));
  const left = Math.min(width * 0.4, label_width(labels) + 14), right = 16, bottom = 44;
  // Titles stand above the bars where they fit there.
  const names = frame.groups.map(([title]) => title), aside = left + label_width(names, "group") > width ? 0 : left;
  const titles = names.map(title => title_lines(title, width - aside));
  const height = labels.length * ROW_HEIGHT + titles.reduce((sum, lines) => sum + title_height(lines), 0) + bottom;
  let high = 0;
  for (const [, rows] of frame.groups)
    for (const [, mark, spans] of rows) {
      high = Math.max(high, mark || 0);
      for (const [, end] of spans) high = Math.max(high, end);
    }
  const x = make_scale(0, high * 1.02 || 1, left, width - right, false, (width - left) / 70);
  const root = svg("svg", {width, height, role: "img", "aria-label": picture.title});
  for (const tick of x.ticks)
    root.append(svg("line", {class: "grid", x1: x(tick), x2: x(tick), y1: title_height(titles[0]) - 6,
                             y2: height - bottom}));
  root.append(...tick_labels(x, height - bottom + 17, width),
              svg("text", {class: "title", x: width - right, y: height - 8, "text-anchor": "end"},
                  axis_title(picture.x)));
  let y = 0;
  for (const [group, [, rows]] of frame.groups.entries()) {
    draw_title(root, titles[group], aside, y);
    y += title_height(titles[group]);
    for (const row of rows) {
      draw_row(root, picture, row, x, y, left);
      y += ROW_HEIGHT;
    }
  }
  figure.replaceChildren(root);
  follow_pointer(root, event => {
    const note = event.target.dataset && event.target.dataset.note;
    if (note) tooltip.show(event, [{role: event.target.dataset.role, text: note}]);
    else tooltip.hide();
  });
}

// The parts of a title, each on a line of its own where all don't fit on one.
function title_lines(title, width) {
  if (text_width(title, "group") <= width) return [title];
  return title.split(" · ").flatMap(part => text_lines(part, width, "group"));
}

function title_height(lines) {
  return GROUP_TITLE_HEIGHT + 17 * (lines.length - 1);
}

function draw_title(root, lines, x, y) {
  lines.forEach((line, i) => root.append(svg("text", {class: "group", x, y: y + 20 + 17 * i}, line)));
}

function draw_row(root, picture, [label, mark, spans], x, y, left) {
  root.append(svg("text", {class: "tick", x: left - 8, y: y + ROW_HEIGHT / 2 + 4, "text-anchor": "end"},
                  shortened(label, left - 9)));
  for (const [start, end, role, note] of spans) {
    const length = x(end) - x(start), gap = length > 4 ? 1 : 0;
    const bar = svg("rect", {x: x(start), y: y + 3, width: Math.max(0.5, length - gap), height: ROW_HEIGHT - 6, rx: 2,
                             style: `fill:${PATTERNS.has(role) ? `url(#pattern-${role})` : colour(role)}`});
    bar.dataset.note = `${label}: ${note}`;
    bar.dataset.role = role;
    root.append(bar);
  }
  if (mark === null) return;
  root.append(svg("line", {class: "mark", x1: x(mark), x2: x(mark), y1: y, y2: y + ROW_HEIGHT}));
}
