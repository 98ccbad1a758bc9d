// The page: each picture with its choices and legend, the theme, copying of the table.
"use strict";

const REPORT = JSON.parse(document.getElementById("data").textContent);
const DRAW = {lines: draw_lines, heat: draw_heat, spans: draw_spans, forest: draw_forest};
const ARRAYS = {u1: Uint8Array, u2: Uint16Array, f4: Float32Array};

// Choices of the same name in other pictures follow, so that one layer can be looked at everywhere.
const FOLLOWED = new Set(["layer", "device"]);
const pictures = [];

function decode_values(packed) {
  const bytes = Uint8Array.from(atob(packed.data), letter => letter.charCodeAt(0));
  const codes = Array.from(new ARRAYS[packed.type](bytes.buffer));
  if (!packed.step) return codes;
  return codes.map(code => code === 65535 ? NaN : packed.low + packed.step * code);
}

// Frames leave out what they have in common with the first.
function frame_of(picture) {
  const frame = {...picture.frames[0], ...picture.frames[index_of(picture)]};
  for (const name of ["values", "measured"])
    if (frame[name] && frame[name].type) frame[name] = decode_values(frame[name]);
  return frame;
}

function index_of(picture) {
  return picture.choices.reduce((index, choice, i) => index * choice.labels.length + picture.state.chosen[i], 0);
}

function draw(picture) {
  if (!picture.figure.clientWidth) return;
  tooltip.hide();
  const frame = frame_of(picture);
  DRAW[frame.kind](picture.figure, picture, frame, picture.state);
  draw_legend(picture, frame);
  show_scrolling(picture.figure);
}

// Says of what is wider than its place that it scrolls, and fades the edges behind which there is more.
function show_scrolling(box) {
  const hidden = box.scrollWidth - box.clientWidth;
  box.previousElementSibling.hidden = hidden <= 1;
  box.classList.toggle("more-left", hidden > 1 && box.scrollLeft > 1);
  box.classList.toggle("more-right", hidden > 1 && box.scrollLeft < hidden - 1);
  if (hidden > 1) box.tabIndex = 0;  // for the arrow keys
  else box.removeAttribute("tabindex");
}

function choose(picture, which, value, leading) {
  picture.state.chosen[which] = value;
  picture.controls[which](value);
  draw(picture);
  const {name, labels} = picture.choices[which];
  if (!leading || !FOLLOWED.has(name)) return;
  for (const other of pictures) {
    const same = other.choices.findIndex(choice => choice.name === name);
    const position = same < 0 ? -1 : other.choices[same].labels.indexOf(labels[value]);
    if (other !== picture && position >= 0) choose(other, same, position, false);
  }
}

// A control and a function that shows a value in it: a slider for an ordered choice, buttons for a few names, else a
// list.
function make_control(picture, which) {
  const {name, labels, ordered} = picture.choices[which];
  const box = html("div", {class: "choice"}), caption = html("span", {class: "choice-name"}, name);
  if (ordered && labels.length > 2) {
    const slider = html("input", {type: "range", min: 0, max: labels.length - 1, step: 1, "aria-label": name});
    const shown = html("output", {}, "");
    slider.addEventListener("input", () => choose(picture, which, Number(slider.value), true));
    const step_by = amount => () => choose(
      picture, which, Math.min(labels.length - 1, Math.max(0, picture.state.chosen[which] + amount)), true);
    const buttons = [["‹", -1, "previous"], ["›", 1, "next"]].map(([text, amount, word]) => {
      const button = html("button", {type: "button", class: "step", "aria-label": `${word} ${name}`}, text);
      button.addEventListener("click", step_by(amount));
      return button;
    });
    box.append(caption, buttons[0], slider, buttons[1], shown);
    return [box, value => {
      slider.value = value;
      slider.setAttribute("aria-valuetext", `${name} ${labels[value]}`);
      shown.textContent = labels[value];
    }];
  }
  if (labels.length <= 8) {
    const buttons = labels.map((label, value) => {
      const button = html("button", {type: "button"}, label);
      button.addEventListener("click", () => choose(picture, which, value, true));
      return button;
    });
    box.append(caption, html("div", {class: "segments", role: "group", "aria-label": name}, ...buttons));
    return [box, value => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === value)))];
  }
  const list = html("select", {"aria-label": name}, ...labels.map((label, value) => html("option", {value}, label)));
  list.addEventListener("change", () => choose(picture, which, Number(list.value), true));
  box.append(caption, list);
  return [box, value => { list.value = value; }];
}

function plain_swatch(entry) {
  const swatch = html("i", {class: "swatch", style: `--swatch:${colour(entry.role)}`});
  swatch.classList.toggle("tick", Boolean(entry.tick));
  if (PATTERNS.has(entry.role)) swatch.classList.add("pattern", entry.role);
  return swatch;
}

// The line and the point of a series as they are drawn.
function series_swatch({role, mark, dashed}) {
  const root = svg("svg", {width: mark.includes("line") ? 26 : 12, height: 12, class: "sample", "aria-hidden": "true"});
  if (mark.includes("line"))
    root.append(svg("path", {d: "M0 6H26", fill: "none", style: `stroke:${colour(role)}`, "stroke-width": 2,
                             "stroke-dasharray": dash_of(role, dashed)}));
  if (mark.includes("dots")) root.append(marker(role, mark.includes("line") ? 13 : 6, 6, 4, mark.includes("hollow"), 1));
  return root;
}

function draw_legend(picture, frame) {
  const marks = {forest: "dots"}[frame.kind];
  const entries = picture.legend.map(([name, role]) => ({name, role, still: true, mark: marks}));
  if (frame.kind === "lines") {
    const seen = new Set();
    for (const {name, role, mark, dashed} of frame.series)
      if (!seen.has(name) && seen.add(name)) entries.push({name, role, mark, dashed});
  }
  if (frame.mark_label) entries.push({name: frame.mark_label, role: "ink", still: true, tick: true});
  if (frame.kind === "lines" && entries.length < 2) return picture.legend_box.replaceChildren();
  picture.legend_box.replaceChildren(...entries.map(entry => {
    const swatch = entry.mark ? series_swatch(entry) : plain_swatch(entry);
    if (entry.still) return html("span", {class: "entry"}, swatch, entry.name);
    const button = html("button", {type: "button", class: "entry",
                                   "aria-pressed": String(!picture.state.hidden.has(entry.name)),
                                   title: "show or hide"}, swatch, entry.name);
    button.addEventListener("click", () => {
      const {hidden} = picture.state;
      if (!hidden.delete(entry.name)) hidden.add(entry.name);
      draw(picture);
    });
    return button;
  }));
}

function set_up(picture) {
  const card = document.getElementById(picture.name);
  picture.figure = card.querySelector(".figure");
  picture.legend_box = card.querySelector(".legend");
  picture.state = {chosen: picture.choices.map(choice => choice.start), hidden: new Set()};
  picture.controls = picture.choices.map((_, which) => {
    const [box, show] = make_control(picture, which);
    card.querySelector(".choices").append(box);
    show(picture.state.chosen[which]);
    return show;
  });
  pictures.push(picture);
}

function set_up_theme() {
  const button = document.getElementById("theme");
  const show = () => {
    button.textContent = is_dark() ? "Light" : "Dark";
    pictures.forEach(draw);
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = is_dark() ? "light" : "dark";
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

function set_up_copying() {
  for (const button of document.querySelectorAll("button.copy"))
    button.addEventListener("click", () => {
      const area = html("textarea", {class: "off-screen"});
      area.value = document.getElementById(button.dataset.copies).textContent;
      document.body.append(area);
      area.select();
      document.execCommand("copy");  // works in files opened from a disk, where the newer interface may not
      area.remove();
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
}

function redraw_when_resized() {
  let width = innerWidth;
  new ResizeObserver(() => {
    if (width === innerWidth) return;
    width = innerWidth;
    pictures.forEach(draw);
    document.querySelectorAll(".table-wrap").forEach(show_scrolling);
  }).observe(document.documentElement);
}

function set_up_scrolling() {
  for (const box of document.querySelectorAll(".figure, .table-wrap")) {
    show_scrolling(box);
    box.addEventListener("scroll", () => show_scrolling(box), {passive: true});
  }
}

REPORT.pictures.forEach(set_up);
set_up_theme();
set_up_copying();
set_up_scrolling();
redraw_when_resized();
document.documentElement.dataset.ready = "yes";
