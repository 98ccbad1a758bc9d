"""whole_step.py: the rows of a log, and the page that they are put into."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

LOG = """Replay: Mixtral-8x7B, task synthetic (later steps of the same requests),
    steps 128 to 143, 2 layers, 128 tokens a step, 3 rounds
on 2 cuda devices
mappings: linear, eplb, speed-aware, paper, gem, gem-layer

mapping      straggler  vs linear  95 % interval  predicted  error      p99
               ms/step      ratio          ratio    ms/step      %  ms/step
linear           1.123      1.000              -      1.126    0.2    1.212
gem-layer        0.985      0.877  0.862 - 0.892      0.986    0.2    1.059

mapping          p50      p90    imbal.    raw  layer  #wrong  error
             ms/step  ms/step  max/mean  ratio  ratio  values    out
linear         1.130    1.163     1.275  1.000  1.000       -      -
gem-layer      0.986    1.018     1.226  0.868  0.925       0      -

Whole decoder steps: 128 tokens a step, 2048 tokens in each sequence's cache;
exchange: measured; 2 of 32 MoE layers replayed, the others in proportion.
mapping          TPOT  vs linear  95 % interval    p50    p90    p99  over bal.
                   ms      ratio          ratio     ms     ms     ms          %
linear          24.59      1.000              -  24.69  25.00  26.00       11.3
eplb            23.06      0.938  0.924 - 0.954  22.83  24.17  24.34        4.4
speed-aware     23.07      0.900  0.894 - 0.904  22.85  24.16  24.31        4.4
paper           23.36      0.950  0.936 - 0.964  23.26  24.31  24.32        5.7
gem             22.37      0.909  0.899 - 0.921  22.36  22.93  23.51        1.3
gem-layer       22.37      0.910  0.899 - 0.922  22.38  22.50  23.55        1.3
force-balanced  22.09      0.898  0.889 - 0.909  22.09  22.68  22.71        0.0

A token of a request's 8 (steps in order):
mapping          TPOT  vs linear  95 % interval    p50    p90    p99
                   ms      ratio          ratio     ms     ms     ms
gem-layer       22.36      0.999  0.907 - 0.911  22.36  22.64  22.64

mapping         experts  exchange  attention  waiting  shared  rest  error
                      %         %          %        %       %     %      %
linear             57.5       8.0       18.5     15.6     0.0   0.4    0.1
gem-layer          57.6       8.8       20.3     12.9     0.0   0.5    2.5

Prediction per device: median error 0.4 %; all loads have +0.4 % in common,
beside that it is 0.4 %
Clocks: 1.98 GHz in the replay, 1.95 GHz in the profile (means)
VERDICT: FASTER - gem-layer takes 0.910 (cuda devices, emulated x1.00, x1.28)
"""

PROFILE = """exchange   mean  fixed  a row  explained
tokens       us     us     ns          %
128        53.0   48.1     17          9
2048      192.2   84.5   16.3         92  counted
"""


class Rows(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "two")
        for place, name, text in (("reports", "mixtral-128.1.28", LOG), ("profiles", "mixtral-128", PROFILE)):
            os.makedirs(os.path.join(self.folder, place))
            with open(os.path.join(self.folder, place, f"{name}.txt"), "w") as file:
                file.write(text)

    def run_script(self, *words):
        script = os.path.join(HERE, "whole_step.py")
        return subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)

    def test_a_log_becomes_a_row(self):
        text = self.run_script(self.folder).stdout
        self.assertIn("`two`: 2 cuda devices, speeds emulated, exchange measured, 1 rows", text)
        row = next(line for line in text.splitlines() if line.startswith("| mixtral-128 | 2 of 32 | 1.28 | 24.59 |"))
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        self.assertEqual(cells[4], "0.938 (0.924-0.954)")
        self.assertEqual(cells[8:], [
            "0.910 (0.899-0.922)", "0.898 (0.889-0.909)", "0.925, 0.877", "57.5, 8.0, 18.5, 15.6", "2.5", "+0.4", "1.98, 1.95",
        ])
        self.assertIn("| decode, 1.28 | 1 | 0.938 | 0.900 | 0.950 | 0.909 | 0.910 | 0.898 | 9.0, 9.0 | 10.0 |", text)
        self.assertIn("behind the best rival in 1 of 1 rows: mixtral-128 1.28 by 0.010.", text)
        self.assertIn("| mixtral-128 | 2048 | 192.2 | 84.5 | 16.3 | 92 | counted |", text)
        self.assertIn("| mixtral-128 | 128 | 53.0 | 48.1 | 17 | 9 | no |", text)

    def test_what_counts_shared_experts_is_gem_by_itself_where_it_was_replayed(self):
        lines = []
        for line in LOG.splitlines():
            lines.append(line)
            if line.startswith("gem-layer"):
                lines.append(line.replace("gem-layer ", "gem-step  ").replace("0.910  0.899", "0.897  0.899"))
        with open(os.path.join(self.folder, "reports", "lite-128.1.28.txt"), "w") as file:
            file.write("\n".join(lines))
        text = self.run_script(self.folder).stdout
        row = next(line for line in text.splitlines() if line.startswith("| lite-128 "))
        self.assertIn("| 0.910 (0.899-0.922) | 0.897 (0.899-0.922) | 0.898 (0.889-0.909) |", row)
        other = next(line for line in text.splitlines() if line.startswith("| mixtral-128 | 2 of 32"))
        self.assertIn("| 0.910 (0.899-0.922) | - | 0.898 (0.889-0.909) |", other)
        self.assertIn("| decode, 1.28 | 2 | 0.938 | 0.900 | 0.950 | 0.909 | 0.910 | 0.903 | 0.898 | 9.7, 10.3 | 10.0 |", text)
        self.assertIn("and shared experts counted is behind the best rival in 1 of 2 rows: mixtral-128 1.28 by 0.010.", text)

    def test_a_page_keeps_what_stands_around_its_rows(self):
        page = os.path.join(self.folder, "page.md")
        with open(page, "w") as file:
            file.write("before\n<!-- rows of whole_step.py -->\nold\n<!-- end of rows -->\nafter\n")
        for _ in range(2):  # again: the same
            self.assertEqual(self.run_script("--page", page, self.folder).returncode, 0)
            with open(page) as file:
                text = file.read()
            self.assertTrue(text.startswith("before\n<!-- rows") and text.endswith("<!-- end of rows -->\nafter\n"))
            self.assertEqual(text.count("| mixtral-128 | 2 of 32"), 1)
            self.assertNotIn("old", text)
        with open(page, "w") as file:
            file.write("no marks")
        self.assertIn("lacks the marks", self.run_script("--page", page, self.folder).stderr)


if __name__ == "__main__":
    unittest.main()
