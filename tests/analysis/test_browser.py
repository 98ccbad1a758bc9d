"""The page in a headless Chromium: no console error, no request, controls that work, nothing cut off."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from urllib.parse import unquote

import support

from gem_analysis.files import read_file
from odd_results import make_odd_report, write_odd_batch, write_odd_results

BROWSER = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))), None
)

# Runs inside a copy of the page; what `check` returns is what the test looks at.
DRIVER = """
<script>
const test_errors = [], test_violations = [];
addEventListener("error", event => test_errors.push(String(event.message)));
addEventListener("securitypolicyviolation", event => test_violations.push(event.blockedURI));
</script>
"""
RUNNER = """
<script>
const pointer = (node, x, y) => {
  const box = node.getBoundingClientRect();
  node.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: box.left + x, clientY: box.top + y}));
};
const card = name => document.getElementById(name);
const check = () => { %s };
addEventListener("load", () => {
  let result;
  try { result = check(); } catch (error) { test_errors.push(String(error.stack)); }
  const found = {result, errors: test_errors, violations: test_violations,
                 resources: performance.getEntriesByType("resource").map(entry => entry.name)};
  const text = btoa(encodeURIComponent(JSON.stringify(found)));
  document.body.append(Object.assign(document.createElement("pre"), {id: "found", textContent: text}));
});
</script>
"""


# How far the page is wider than the screen, and the labels of pictures that are cut off or stand on each other.
CUT_LABELS = """
const bad = [];
for (const root of document.querySelectorAll(".figure svg")) {
  const box = root.getBoundingClientRect(), name = root.closest("article").id;
  const texts = [...root.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  texts.forEach(([text, own], i) => {
    if (own.left < box.left - 1 || own.right > box.right + 1 ||
        own.top < box.top - 1 || own.bottom > box.bottom + 1)
      bad.push(`${name}: ${text} is cut`);
    for (const [other, its] of texts.slice(i + 1))
      if (Math.min(own.right, its.right) > Math.max(own.left, its.left) &&
          Math.min(own.bottom, its.bottom) > Math.max(own.top, its.top) + 3)
        bad.push(`${name}: ${text} stands on ${other}`);
  });
}
return [document.documentElement.scrollWidth - innerWidth, bad];"""


# Axes of numbers, two of whose labels read alike or whose labels don't stand on one line.
BAD_TICKS = """
const bad = [];
for (const picture of REPORT.pictures) {
  for (const root of picture.figure.querySelectorAll("svg")) {
    for (const [anchor, place] of [["middle", "y"], ["end", "x"]]) {
      const labels = [...root.querySelectorAll(`text.tick[text-anchor=${anchor}]`)];
      if (labels.some(label => !/^[−0-9.e+]+$/.test(label.textContent))) continue;
      const texts = new Set(labels.map(label => label.textContent));
      const places = new Set(labels.map(label => label.getAttribute(place)));
      if (labels.length && (texts.size < labels.length || places.size > 1))
        bad.push(`${picture.name}: ${labels.map(label => label.textContent)}`);
    }
  }
}
return [bad, tick_texts([159, 159.05, 159.1]), tick_texts([0, 0.5, 1]), tick_texts([-3, -2])];"""


@unittest.skipUnless(BROWSER, "no Chromium; install chromium-headless-shell (Debian)")
class Browser(support.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pages = {}

    def in_browser(self, run, script, width=1280, height=1000, extra=""):
        if run not in self.pages:
            self.assertEqual(self.run_program("report", support.result(run), "-o", self.path("page.html"))[0], 0)
            with open(self.path("page.html"), encoding="utf-8") as file:
                self.pages[run] = file.read()
        page = (
            self.pages[run]
            .replace("<style>", DRIVER + "<style>", 1)
            .replace("</body>", extra + RUNNER % script + "</body>")
        )
        with open(self.path("driven.html"), "w", encoding="utf-8") as file:
            file.write(page)
        command = [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={self.path('profile')}",
            f"--window-size={width},{height}",
            "--virtual-time-budget=4000",
            "--dump-dom",
            "file://" + os.path.abspath(self.path("driven.html")),
        ]
        match, errors = None, ""
        for _ in range(2):  # on a busy machine the browser may give up
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
            except subprocess.TimeoutExpired:
                errors = "the browser took longer than 90 s"
                continue
            errors = done.stderr
            match = re.search(r'<pre id="found">([^<]*)</pre>', done.stdout)
            if match:
                break
        self.assertTrue(match, errors[-2000:])
        found = json.loads(unquote(base64.b64decode(match[1]).decode()))
        found["console"] = [line for line in errors.splitlines() if ":CONSOLE" in line]
        return found

    def clean(self, found):
        for name in ("errors", "violations", "resources", "console"):
            self.assertEqual(found[name], [], name)
        return found["result"]

    def test_every_picture_is_drawn_and_nothing_is_requested(self):
        for run in ("simulated", "host", ""):
            result = self.clean(
                self.in_browser(
                    run,
                    """
              return REPORT.pictures.map(p => [p.name, p.figure.querySelectorAll("svg *").length]);""",
                )
            )
            self.assertGreaterEqual(len(result), 16 if run else 3)
            for name, parts in result:
                self.assertGreater(parts, 5, name)

    def test_ticks_read_differently_and_stand_in_line(self):
        bad, narrow, wide, negative = self.clean(self.in_browser("simulated", BAD_TICKS))
        self.assertEqual(bad, [])
        self.assertEqual(narrow, ["159.00", "159.05", "159.10"])
        self.assertEqual((wide, negative), (["0", "0.5", "1"], ["−3", "−2"]))

    def test_a_request_would_be_noticed(self):
        found = self.in_browser("host", "return 1;", extra='<img src="http://127.0.0.1:9/x.png">')
        self.assertTrue(found["violations"] or found["resources"])

    def test_each_choice_changes_its_picture(self):
        result = self.clean(
            self.in_browser(
                "simulated",
                """
          const outcomes = [];
          for (const picture of REPORT.pictures)
            picture.choices.forEach((choice, which) => {
              const look = () => picture.figure.innerHTML +
                [...picture.figure.querySelectorAll("canvas")].map(canvas => canvas.toDataURL()).join();
              const before = look();
              const seen = choice.labels.map((_, value) => { choose(picture, which, value, true); return look(); });
              const different = new Set(seen).size;
              outcomes.push([picture.name, choice.name, choice.labels.length, different, seen.includes(before)]);
            });
          return outcomes;""",
            )
        )
        self.assertGreater(len(result), 6)
        for name, choice, count, different, first_came_back in result:
            self.assertTrue(different > count / 2 or count == 1, f"{name} {choice}: {different} of {count}")
            self.assertTrue(first_came_back, name)

    def test_slider_buttons_and_following(self):
        result = self.clean(
            self.in_browser(
                "simulated",
                """
          const slider = card("expert-loads").querySelector("input[type=range]");
          slider.value = 4;
          slider.dispatchEvent(new Event("input", {bubbles: true}));
          const shown = ["expert-loads", "placement", "expert-correlation"].map(
            name => card(name).querySelector("output").textContent);
          card("placement").querySelectorAll("button.step")[1].click();
          return [...shown, card("placement").querySelector("output").textContent,
                  card("expert-loads").querySelector("output").textContent];""",
            )
        )
        self.assertEqual(result, ["4", "4", "4", "5", "5"])

    def test_tooltip_says_what_the_file_holds(self):
        trace = read_file(support.result("simulated", "train.h5"))
        text = self.clean(
            self.in_browser(
                "simulated",
                """
          const picture = REPORT.pictures.find(p => p.name === "expert-loads");
          choose(picture, 0, 6, false);
          const canvas = picture.figure.querySelector("canvas");
          const cell = parseFloat(canvas.style.width) / canvas.width;
          const left = parseFloat(canvas.style.left), top = parseFloat(canvas.style.top);
          pointer(picture.figure.querySelector("svg"), left + 2.5 * cell, top + 2);
          return document.querySelector(".tooltip").textContent;""",
            )
        )
        expert = int(trace.counts[:, 6].mean(axis=0).argmax())
        self.assertIn(f"expert {expert} ", text)
        self.assertIn("step 2", text)
        self.assertIn(f"load: {trace.counts[2, 6, expert]} tokens", text)

    def test_hover_over_points_and_spans(self):
        lines, spans = self.clean(
            self.in_browser(
                "simulated",
                r"""
          const root = card("device-speed").querySelector("svg"), dot = root.querySelector("path.point");
          const [x, y] = dot.getAttribute("transform").match(/[\d.]+/g).map(Number);
          pointer(root, x, y);
          const first = document.querySelector(".tooltip").textContent;
          const bar = card("placement").querySelector("rect[data-note]");
          bar.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: 5, clientY: 5}));
          return [first, document.querySelector(".tooltip").textContent];""",
            )
        )
        self.assertRegex(lines, r"device 0 .*1\.000, noise")
        self.assertRegex(spans, r"expert \d+: [\d.]+ tokens a step")

    def test_legend_hides_and_shows(self):
        before, hidden, after = self.clean(
            self.in_browser(
                "simulated",
                """
          const paths = () => card("step-times").querySelectorAll(".figure path:not(.point)").length;
          const entry = () => card("step-times").querySelector("button.entry");
          const before = paths();
          entry().click();
          const hidden = paths();
          entry().click();
          return [before, hidden, paths()];""",
            )
        )
        self.assertEqual((hidden, after), (before - 1, before))

    def test_theme(self):
        result = self.clean(
            self.in_browser(
                "simulated",
                """
          const ground = () => getComputedStyle(document.body).backgroundColor;
          const canvas = () => card("expert-loads").querySelector("canvas").toDataURL();
          const look = () => [ground(), canvas(), document.getElementById("theme").textContent];
          const light = look();
          document.getElementById("theme").click();
          const dark = look();
          document.getElementById("theme").click();
          return [light, dark, look()];""",
            )
        )
        light, dark, again = result
        for one, other in zip(light, dark):
            self.assertNotEqual(one, other)
        self.assertEqual(light, again)

    def test_copy(self):
        self.assertEqual(
            self.clean(
                self.in_browser(
                    "simulated",
                    """
          const button = document.querySelector("button.copy");
          button.click();
          return button.textContent;""",
                )
            ),
            "Copied",
        )

    def test_nothing_is_cut_off_on_any_screen(self):
        for run in ("simulated", "host", "whole", "drift", "regimes", ""):  # the last: all as a batch
            for width in (360, 768, 1280):
                with self.subTest(run=run, width=width):
                    overflow, cut = self.clean(
                        self.in_browser(
                            run,
                            CUT_LABELS,
                            width,
                        )
                    )
                    self.assertLessEqual(overflow, 0)
                    self.assertEqual(cut, [])

    def test_a_tick_at_the_end_of_an_axis_stays_on_the_picture(self):
        cut = self.clean(
            self.in_browser(
                "simulated",
                """
          const figure = document.querySelector(".figure"), cut = [], axis = {label: "time", unit: ""};
          for (let i = 0; i < 40; ++i) {
            const row = ["gem", "gem", 0.85 + 0.001 * i, 0.85 + 0.001 * i, 0.95 + 0.0005 * i, [], ""];
            draw_forest(figure, {title: "", x: axis}, {reference: 0.9, groups: [["", [row]]]});
            const box = figure.querySelector("svg").getBoundingClientRect();
            for (const tick of figure.querySelectorAll("text[text-anchor=middle]"))
              if (tick.getBoundingClientRect().left < box.left - 1 || tick.getBoundingClientRect().right > box.right + 1)
                cut.push(`${i}: ${tick.textContent}`);
          }
          return cut;""",
                360,
            )
        )
        self.assertEqual(cut, [])

    def test_a_table_of_runs_fits_the_page(self):
        hidden = self.clean(
            self.in_browser(
                "",
                """
          return [...document.querySelectorAll(".table-wrap")].map(wrap => wrap.scrollWidth - wrap.clientWidth);""",
                1280,
            )
        )
        self.assertLessEqual(max(hidden), 0)

    def test_nothing_is_cut_off_where_sizes_are_odd(self):
        for seed in range(int(os.environ.get("GEM_ODD_RESULTS", "4"))):
            folder = self.path(f"odd-{seed}")
            write_odd_results(folder, seed)
            if seed % 2:
                for name in ("profile.h5", "test.h5"):
                    os.remove(os.path.join(folder, name))
                shutil.copy(support.result("host", "report.h5"), folder)
                make_odd_report(os.path.join(folder, "report.h5"), seed)
            write_odd_batch(self.path(f"batch-{seed}"), seed, support.result("host", "report.h5"))
            for run in (folder, self.path(f"batch-{seed}")):
                for width in (400, 1280):
                    with self.subTest(run=os.path.basename(run), width=width):
                        overflow, cut = self.clean(self.in_browser(run, CUT_LABELS, width))
                        self.assertLessEqual(overflow, 0)
                        self.assertEqual(cut, [])

    def test_ticks_with_long_numbers_stand_apart(self):
        counts = self.clean(
            self.in_browser(
                "host",
                """
          return [60, 200, 800].map(to => {
            const scale = make_scale(1.0000001, 1.0000002, 40, to, false, (to - 40) / 20);
            const root = document.querySelector(".figure svg");
            root.replaceChildren(...tick_labels(scale, 20, to + 10));
            const boxes = [...root.children].map(text => text.getBoundingClientRect());
            return [boxes.length, boxes.filter((box, i) => i && box.left < boxes[i - 1].right).length];
          });""",
            )
        )
        self.assertEqual([touching for _, touching in counts], [0, 0, 0])
        self.assertGreater(counts[2][0], 3)

    def test_what_scrolls_sideways_says_so(self):
        for width, is_narrow in ((400, True), (1280, False)):
            with self.subTest(width=width):
                differ, start, end, touch = self.clean(
                    self.in_browser(
                        "",
                        """
          const picture = REPORT.pictures.find(p => p.name === "batch-matrix"), frame = picture.frames[0];
          const columns = 6, rows = frame.row_labels.length;
          frame.column_labels = Array.from({length: columns}, (_, i) => `setting-${i}`);
          frame.cell_texts = Array.from({length: rows}, () => Array(columns).fill("−10.0\\n−10.5 … −9.5"));
          frame.values = Array(rows * columns).fill(-10);
          draw(picture);
          const look = box => [getComputedStyle(box.previousElementSibling).display !== "none",
                               box.classList.contains("more-left"), box.classList.contains("more-right")];
          const boxes = [...document.querySelectorAll(".figure, .table-wrap")];
          const differ = boxes.filter(box => look(box)[0] !== box.scrollWidth > box.clientWidth + 1).length;
          const start = look(picture.figure);
          picture.figure.scrollLeft = 1e6;
          show_scrolling(picture.figure);
          return [differ, start, look(picture.figure),
                  getComputedStyle(picture.figure.querySelector("svg")).touchAction];""",
                        width,
                    )
                )
                self.assertEqual(differ, 0)
                self.assertEqual(start, [is_narrow, False, is_narrow])
                self.assertEqual(end, [is_narrow, is_narrow, False])
                self.assertEqual(touch, "auto" if is_narrow else "pan-y")

    def test_on_a_narrow_screen_a_matrix_begins_with_its_cells(self):
        lefts = self.clean(
            self.in_browser(
                "",
                """
          const box = node => node.tagName === "rect" ? node.getBoundingClientRect() : box(node.previousElementSibling);
          return [...document.querySelectorAll("text.cell")].map(cell => box(cell).left);""",
                360,
            )
        )
        self.assertLess(min(lefts), 180)  # in the left half


if __name__ == "__main__":
    if not BROWSER:
        print("skipped: no Chromium; install chromium-headless-shell (Debian)")
        sys.exit(support.SKIPPED)
    unittest.main()
