// Texts of pictures: how wide they are, and how they fit.
"use strict";

const text_context = document.createElement("canvas").getContext("2d");
const known_fonts = new Map(), known_widths = new Map();
const LABEL_GAP = 10;  // between labels beside each other, pixels
const LINE = 14;       // from one line of a label to the next

// The font of texts of a class, as the style sheet has it.
function font_of(kind) {
  if (!known_fonts.has(kind)) {
    const probe = document.querySelector("svg").appendChild(svg("text", {class: kind}));
    const {fontWeight, fontSize, fontFamily} = getComputedStyle(probe);
    known_fonts.set(kind, `${fontWeight} ${fontSize} ${fontFamily}`);
    probe.remove();
  }
  return known_fonts.get(kind);
}

// Pixels that a text of a class takes.
function text_width(text, kind = "tick") {
  const key = `${kind} ${text}`;
  if (!known_widths.has(key)) {
    text_context.font = font_of(kind);
    known_widths.set(key, text_context.measureText(text).width + 1);
  }
  return known_widths.get(key);
}

// Of the widest of some.
function label_width(labels, kind = "tick") {
  return labels.reduce((most, label) => Math.max(most, text_width(label, kind)), 0);
}

// The text without so much of its middle that it isn't wider than that.
function shortened(text, width, kind = "tick") {
  let letters = text.length, shown = text;
  while (letters > 3 && text_width(shown, kind) > width) {
    letters = Math.max(3, Math.min(letters - 1, Math.floor(letters * width / text_width(shown, kind)) + 1));
    const head = Math.floor((letters - 1) / 2);
    shown = `${text.slice(0, head)}…${text.slice(text.length - (letters - 1 - head))}`;
  }
  return shown;
}

// The text on as many lines as it needs; units stay with their number, words that are wider than a line lose their middle.
function text_lines(text, width, kind) {
  const lines = [];
  for (const word of text.split(/ (?!(?:ns|µs|ms|s|%)(?:\W|$))/)) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && text_width(longer, kind) > width) lines.push(word);
    else lines[Math.max(0, lines.length - 1)] = longer;
  }
  return lines.map(line => shortened(line, width, kind));
}

// Category labels that fit: each `every`-th.
function label_stride(labels, width) {
  return Math.max(1, Math.ceil((label_width(labels) + LABEL_GAP) * labels.length / Math.max(1, width)));
}

// Where the middle of a text at `x` may be: at an end it is moved so far that all of it stays on a picture of `width`.
function middle_on(text, x, width) {
  const half = text_width(text) / 2;
  return Math.max(half, Math.min(width - half, x));
}

// The text of a tick at `x` below a picture of `width`.
function tick_label(text, x, y, width) {
  return svg("text", {class: "tick", x: middle_on(text, x, width), y, "text-anchor": "middle"}, text);
}

// The texts of a scale's ticks; where two would touch, each second, third ... alone.
function tick_labels(scale, y, width) {
  const texts = tick_texts(scale.ticks);
  const boxes = texts.map((text, i) => [middle_on(text, scale(scale.ticks[i]), width), text_width(text) / 2]);
  const touch = (i, j) => j < boxes.length && boxes[j][0] - boxes[i][0] < boxes[i][1] + boxes[j][1] + 4;
  let stride = 1;
  while (stride < boxes.length && boxes.some((_, i) => i % stride === 0 && touch(i, i + stride))) ++stride;
  return texts.map((text, i) => i % stride ? null : tick_label(text, scale(scale.ticks[i]), y, width)).filter(Boolean);
}

// What makes a text that would stand on others go down, or go where it only says the same again; `boxes` are those placed.
function place_label(node, boxes) {
  const text = node.textContent, width = text_width(text, node.getAttribute("class"));
  const left = Number(node.getAttribute("x")) - (node.getAttribute("text-anchor") === "end" ? width : 0);
  const box = {text, left, right: left + width, y: Number(node.getAttribute("y"))};
  const under = () => boxes.find(other => other.left < box.right && box.left < other.right && Math.abs(other.y - box.y) < LINE);
  for (let other = under(); other; other = under()) {
    if (other.text === text) return null;
    box.y = other.y + LINE;
  }
  boxes.push(box);
  node.setAttribute("y", box.y);
  return node;
}
