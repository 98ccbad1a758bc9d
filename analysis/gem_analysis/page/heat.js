// Heat maps: few cells as rectangles with gaps, many as one image.
"use strict";

const MOST_RECTANGLES = 700;

function parse_hex(text) {
  return [1, 3, 5].map(at => parseInt(text.slice(at, at + 2), 16));
}

// 256 colours of the scale for the present theme.
function heat_colours(scale) {
  const stops = REPORT.scales[scale === "diverging" ? "diverging" : "sequential"][is_dark() ? 1 : 0].map(parse_hex);
  return Array.from({length: 256}, (_, i) => {
    const at = i / 255 * (stops.length - 1), index = Math.min(stops.length - 2, Math.floor(at)), weight = at - index;
    return stops[index].map((part, c) => Math.round(part + weight * (stops[index + 1][c] - part)));
  });
}

// 0 to 255, or -1 for no cell.
function heat_level(frame, value) {
  if (!Number.isFinite(value)) return -1;
  const on_scale = frame.scale === "logarithmic" ? Math.log(value / frame.low) / Math.log(frame.high / frame.low)
                                                 : (value - frame.low) / (frame.high - frame.low);
  return Math.round(255 * Math.min(1, Math.max(0, on_scale || 0)));
}

function css_colour([red, green, blue]) {
  return `rgb(${red},${green},${blue})`;
}

// Black or white, whichever reads better on the colour (WCAG relative luminance).
function ink_on(parts) {
  const [red, green, blue] = parts.map(part => {
    const linear = part / 255;
    return linear <= 0.04045 ? linear / 12.92 : Math.pow((linear + 0.055) / 1.055, 2.4);
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#10151c" : "#ffffff";
}

function draw_heat(figure, picture, frame) {
  const rows = frame.row_labels.length, columns = frame.column_labels.length;
  const strip = frame.row_roles ? 8 : 0, strip_top = frame.column_roles ? 8 : 0;
  // Where labels would take most of a narrow page, each stands above its row.
  const needed = label_width(frame.row_labels) + 12;
  const head = frame.cell_texts && figure.clientWidth < NARROW && 2.5 * needed > figure.clientWidth ? 18 : 0;
  const beside = Math.max(30, Math.min(0.45 * figure.clientWidth, needed));
  const label_rows = Math.max(...frame.column_labels.map(label => column_label_lines(frame, label).length));
  const foot = LINE * (label_rows - 1);
  const height = picture.height + head * rows + foot;
  const left = (head ? 0 : beside) + strip;
  const width = Math.max(figure.clientWidth, left + 12 + columns * least_cell_width(frame));  // the figure scrolls
  const box = {left, top: 26 + strip_top, width: width - left - 12, height: height - 70 - strip_top - foot};
  const cell = {width: box.width / columns, height: box.height / rows, head};
  const root = svg("svg", {width, height, role: "img", "aria-label": picture.title});
  const colours = heat_colours(frame.scale);
  const children = [root];
  if (rows * columns <= MOST_RECTANGLES) draw_cells(root, frame, box, cell, colours);
  else children.unshift(draw_image(frame, box, colours));
  draw_strips(root, frame, box, cell);
  draw_heat_labels(root, picture, frame, box, cell, width, height);
  const cross = root.appendChild(svg("rect", {class: "cross", visibility: "hidden", width: Math.max(2, cell.width),
                                              height: Math.max(2, cell.height)}));
  figure.replaceChildren(...children, colour_bar(picture, frame, colours));
  follow_pointer(root, (event, px, py) => {
    const column = Math.floor((px - box.left) / cell.width), row = Math.floor((py - box.top) / cell.height);
    const inside = column >= 0 && column < columns && row >= 0 && row < rows;
    const value = inside ? frame.values[row * columns + column] : NaN;
    cross.setAttribute("visibility", Number.isFinite(value) ? "visible" : "hidden");
    if (!Number.isFinite(value)) return tooltip.hide();
    cross.setAttribute("x", box.left + column * cell.width);
    cross.setAttribute("y", box.top + row * cell.height);
    const role = frame.row_roles ? ` (${frame.row_roles[row]})` : "";
    const origin = frame.measured ? frame.measured[row * columns + column] ? ", measured" : ", interpolated" : "";
    tooltip.show(event, [{text: `${picture.y.label} ${frame.row_labels[row]}${role}, ${picture.x.label} ` +
                                frame.column_labels[column]},
                         {text: `${picture.value.label}: ${with_unit(value, picture.value)}${origin}`}]);
  }, () => cross.setAttribute("visibility", "hidden"));
}

// What the texts in the cells and below the columns need; of cells without texts, next to nothing.
function least_cell_width(frame) {
  if (!frame.cell_texts) return 1;
  const lines = frame.cell_texts.flat().map(text => text.split("\n"));
  const labels = frame.column_labels.flatMap(label => column_label_lines(frame, label));
  return Math.max(label_width(lines.map(([first]) => first), "cell"), label_width(labels),
                  label_width(lines.flatMap(([, ...rest]) => rest), "cell-detail")) + LABEL_GAP;
}

const WIDEST_COLUMN_LABEL = 160;

// A setting of two parts, "both-ends/spread-1.28", takes two lines below cells that hold texts.
function column_label_lines(frame, label) {
  return frame.cell_texts ? label.split(/(?<=\/)/).map(line => shortened(line, WIDEST_COLUMN_LABEL)) : [label];
}

function draw_cells(root, frame, box, cell, colours) {
  const columns = frame.column_labels.length, gap = Math.min(2, cell.width / 8, cell.height / 8);
  frame.values.forEach((value, index) => {
    const level = heat_level(frame, value);
    if (level < 0) return;
    const column = index % columns, row = Math.floor(index / columns);
    const x = box.left + column * cell.width, y = box.top + row * cell.height + cell.head;
    const cell_height = cell.height - cell.head;
    root.append(svg("rect", {x: x + gap / 2, y: y + gap / 2, width: Math.max(1, cell.width - gap),
                             height: Math.max(1, cell_height - gap), rx: Math.min(3, gap * 1.5),
                             fill: css_colour(colours[level])}));
    if (frame.measured && frame.measured[index])
      root.append(svg("circle", {cx: x + cell.width / 2, cy: y + cell_height / 2, r: Math.min(2.6, cell.width / 4),
                                 style: `fill:${ink_on(colours[level])}`, opacity: 0.7}));
    if (!frame.cell_texts) return;
    const lines = frame.cell_texts[row][column].split("\n");
    const first_line_y = y + cell_height / 2 + 5 - (lines.length - 1) / 2 * 15;
    lines.forEach((line, i) => root.append(
      svg("text", {class: i ? "cell-detail" : "cell", x: x + cell.width / 2, y: first_line_y + 15 * i,
                   "text-anchor": "middle", style: `fill:${ink_on(colours[level])}`}, line)));
  });
}

function draw_image(frame, box, colours) {
  const rows = frame.row_labels.length, columns = frame.column_labels.length;
  const canvas = html("canvas", {width: columns, height: rows, "aria-hidden": "true"});
  Object.assign(canvas.style, {left: box.left + "px", top: box.top + "px", width: box.width + "px",
                               height: box.height + "px"});
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  frame.values.forEach((value, index) => {
    const level = heat_level(frame, value);
    if (level >= 0) image.data.set([...colours[level], 255], 4 * index);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

function draw_strips(root, frame, box, cell) {
  (frame.row_roles || []).forEach((role, row) => root.append(
    svg("rect", {x: box.left - 7, y: box.top + row * cell.height, width: 5, height: cell.height,
                 style: `fill:${colour(role)}`})));
  (frame.column_roles || []).forEach((role, column) => root.append(
    svg("rect", {x: box.left + column * cell.width, y: box.top - 7, width: cell.width, height: 5,
                 style: `fill:${colour(role)}`})));
}

function draw_heat_labels(root, picture, frame, box, cell, width, height) {
  const row_stride = Math.ceil(14 / cell.height), column_stride = frame.cell_texts ? 1 : label_stride(frame.column_labels, box.width);
  const gap = frame.row_roles ? 12 : 8;
  frame.row_labels.forEach((label, row) => {
    if (row % row_stride) return;
    const top = box.top + row * cell.height;
    root.append(cell.head ? svg("text", {class: "tick", x: box.left, y: top + cell.head - 5},
                                shortened(label, width - box.left))
                          : svg("text", {class: "tick", x: box.left - gap, y: top + 0.5 * cell.height + 4,
                                         "text-anchor": "end"}, shortened(label, box.left - gap)));
  });
  frame.column_labels.forEach((label, column) => {
    if (column % column_stride) return;
    column_label_lines(frame, label).forEach((line, i) => root.append(
      tick_label(line, box.left + (column + 0.5) * cell.width, box.top + box.height + 16 + LINE * i, width)));
  });
  root.append(svg("text", {class: "title", x: 0, y: 14}, axis_title(picture.y)),
              svg("text", {class: "title", x: width - 12, y: height - 8, "text-anchor": "end"}, axis_title(picture.x)));
}

function colour_bar(picture, frame, colours) {
  const stops = [0, 51, 102, 153, 204, 255].map(level => css_colour(colours[level])).join(",");
  const end_text = value => number_text(Number(value.toPrecision(3)));
  return html("div", {class: "colour-bar"}, html("span", {}, end_text(frame.low)),
              html("i", {style: `background:linear-gradient(90deg,${stops})`}),
              html("span", {}, `${end_text(frame.high)} ${picture.value.unit}`.trim()),
              html("span", {}, picture.value.label + (frame.scale === "logarithmic" ? ", logarithmic" : "")));
}
