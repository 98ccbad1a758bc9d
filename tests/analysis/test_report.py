"""The page and the pictures as files: complete, self-contained, honest about what is missing."""

import csv
import io
import json
import math
import os
import re
import shutil
import unittest
from unittest import mock

import support

import h5py

from gem_analysis.csv_tables import csv_text
from gem_analysis.files import read_file
from gem_analysis.replays import _setting_and_workload
from gem_analysis.spread import rank_correlation

FIRST_BYTES = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Replays(support.TestCase):
    def test_one_table_of_all_reports_below_a_folder(self):
        for setting, workload, kind in (("even", "a", "simulated"), ("uneven", "b", "host")):
            os.makedirs(self.path(setting, workload))
            shutil.copy(support.result(kind, "report.h5"), self.path(setting, workload))
        code, out, err = self.run_program("replays", self.folder)
        self.assertEqual((code, err), (0, ""))
        rows = support.table_rows(support.printed("simulated", "verify.txt"), ("linear", "eplb", "gem"))
        for name, cells in rows.items():
            line = next(line for line in out.splitlines() if f" {name} |" in line)
            self.assertIn(f" {cells[2]}", line)
        self.assertRegex(out, r"\neven \(simulated.*spread 1\.2.*gem mean 0\.")
        self.assertRegex(out, r"\nuneven \(host emulated x1\.00, x1\.28")

    def test_mappings_of_one_name_have_figures_of_their_own(self):
        with h5py.File(self.copy("simulated", "report.h5"), "r+") as file:
            file["mappings"][1] = "gem"
        code, out, err = self.run_program("replays", self.folder)
        self.assertEqual((code, err), (0, ""))
        rows = support.table_rows(support.printed("simulated", "verify.txt"), ("eplb", "gem"))
        shown = [line.split("|")[7].split()[0] for line in out.splitlines() if " gem |" in line]
        self.assertEqual(shown, [rows["eplb"][2], rows["gem"][2]])

    def test_the_short_table_has_a_column_a_setting(self):
        for setting, workload in (("even", "a"), ("uneven", "a")):
            os.makedirs(self.path(setting, workload))
            shutil.copy(support.result("simulated", "report.h5"), self.path(setting, workload))
        code, out, err = self.run_program("replays", self.folder, "--short")
        self.assertEqual((code, err), (0, ""))
        head, _, row, mean = out.splitlines()[:4]
        self.assertRegex(head, r"even +\| +uneven \|$")
        rows = support.table_rows(support.printed("simulated", "verify.txt"), ("eplb", "gem"))
        cells = row.split("|")[3:5]
        self.assertEqual(cells[0].strip(), cells[1].strip())
        self.assertRegex(cells[0], rf"{rows['eplb'][2]}\b.*\*\*{rows['gem'][2]}\*\* ± 0\.")
        self.assertIn(f"**{rows['gem'][2]}**", mean)
        with h5py.File(self.path("uneven", "a", "report.h5"), "r+") as file:
            file["mappings"][1] = "another"
        code, _, err = self.run_program("replays", self.folder, "--short")
        self.assertEqual(code, 3)
        self.assertIn("--short", err)

    def test_csv_follows_the_rules_of_the_other_programs(self):
        record = {
            "output": "a, b",
            "verdict": {"faster": False, "speeds": [[1, 0.5], [2]]},
            "regimes": [{"tile": 16, "points": [{"s": [1, 2]}, {"s": None}]}, {"points": [{"s": 3}], "tile": 32}],
        }
        tables = (
            '# result\nname,value\noutput,"a, b"\nverdict_faster,false\nverdict_speeds,1; 0.5 | 2\n',
            "# regimes\ntile\n16\n32\n",
            "# regimes_points\nof_tile,s,of_row\n16,1; 2,\n16,,\n,3,2\n",
        )
        self.assertEqual(csv_text(record), "\n".join(tables))
        self.assertEqual(csv_text({"models": [{"a": 1}]}), "a\n1\n")

    def test_json_and_csv_say_what_the_table_says(self):
        os.makedirs(self.path("even", "a"))
        shutil.copy(support.result("host", "report.h5"), self.path("even", "a"))
        code, out, _ = self.run_program("replays", self.folder, "--json")
        self.assertEqual(code, 0)
        found = json.loads(out)["replays"]
        rows = support.table_rows(support.printed("host", "verify.txt"), ("linear", "eplb", "gem"))
        for row in found:
            self.assertEqual(f"{row['relative']:.3f}", rows[row["mapping"]][2])
            self.assertEqual(row["device_note"], "emulated x1.00, x1.28")
        code, out, _ = self.run_program("replays", self.folder, "--csv")
        lines = list(csv.DictReader(io.StringIO(out)))
        self.assertEqual([line["mapping"] for line in lines], [row["mapping"] for row in found])
        self.assertEqual(float(lines[-1]["relative"]), found[-1]["relative"])

    def test_a_terminal_gets_lines_of_80_columns_and_is_told_what_is_left_out(self):
        for setting in ("a-setting-with-a-long-name", "another-setting-with-a-long-name", "a-third"):
            os.makedirs(self.path(setting, "a"))
            shutil.copy(support.result("host", "report.h5"), self.path(setting, "a"))
        for arguments in (
            ["replays", self.folder],
            ["replays", self.folder, "--short"],
            ["replays", self.path("none")],
        ):
            with mock.patch.object(io, "StringIO", Terminal):
                _, out, err = self.run_program(*arguments)
            wide = [line for line in (out + err).splitlines() if len(line) > 80 and len(line.split()) > 1]
            self.assertEqual(wide, [])
            self.assertTrue("(no room for: " in out or err, out)

    def test_control_characters_of_names_are_shown_and_not_obeyed(self):
        os.makedirs(self.path("red\x1b[31m\x9b2J", "a"))
        shutil.copy(support.result("host", "report.h5"), self.path("red\x1b[31m\x9b2J", "a"))
        profile, page = support.result("simulated", "profile.h5"), self.path("page\x1b[2J.html")
        for arguments, code in (
            (["replays", self.folder], 0),
            (["report", profile, "--output", page], 0),
            (["replays", self.path("none\x1b[31m")], 3),
        ):
            found, out, err = self.run_program(*arguments)
            self.assertEqual((found, "\x1b" in out + err, "\x9b" in out + err), (code, False, False), out + err)
            self.assertIn("\\x1b[", out + err)

    def test_a_folder_without_a_report_is_named(self):
        code, _, err = self.run_program("replays", self.folder)
        self.assertEqual(code, 3)
        self.assertTrue(err.startswith(f"gem-analysis: {self.folder}"), err)


class Spread(support.TestCase):
    def test_a_profile_agrees_with_itself_and_a_reversed_one_does_not(self):
        profile = support.result("simulated", "profile.h5")
        code, out, err = self.run_program("spread", profile, profile)
        self.assertEqual((code, err), (0, ""))
        speeds = [line.split("|")[3:5] for line in out.splitlines() if "|" in line and "simulated" in line]
        self.assertEqual(len(speeds), 4)
        self.assertTrue(all(first == second for first, second in speeds), speeds)
        self.assertIn("moved by 0.0 % in the median", out)
        self.assertIn("1.00 at heavy loads", out)
        shutil.copy(profile, self.path("reversed.h5"))
        with h5py.File(self.path("reversed.h5"), "r+") as file:
            file["latency/median"][...] = 1e-3 / file["latency/median"][...]
        code, out, err = self.run_program("spread", profile, self.path("reversed.h5"))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("-1.00 at heavy loads, -1.00 in", out)

    def test_it_ends_with_the_verdict_of_gem_profile(self):
        profile = support.result("simulated", "profile.h5")
        for paths in ((profile,), (profile, profile)):
            code, out, err = self.run_program("spread", *paths)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("VERDICT: DISTINGUISHABLE", out)
            self.assertIn("simulated", out)
            self.assertIn("At most", out)
            code, out, _ = self.run_program("spread", *paths, "--json")
            found = json.loads(out)
            self.assertEqual((code, found["distinguishable"]), (0, True))
            self.assertEqual(found["program"], "gem-analysis")
            self.assertEqual("speeds" in found, len(paths) == 2)
            code, out, _ = self.run_program("spread", *paths, "--csv")
            values = dict(row for row in csv.reader(io.StringIO(out)) if len(row) == 2)
            self.assertEqual((code, values["distinguishable"]), (0, "true"))
            self.assertEqual(float(values["spread"]), found["spread"])
        with mock.patch.dict(os.environ, {"GEM_PROGRAMS": self.folder, "PATH": self.folder}):
            code, out, _ = self.run_program("spread", profile, profile)
        self.assertEqual(code, 0)
        self.assertIn("No verdict: gem-profile is not on the PATH", out)

    def test_only_two_profiles_of_the_same_sweep_are_compared(self):
        profile = support.result("simulated", "profile.h5")
        for other in (support.result("host", "profile.h5"), support.result("simulated", "train.h5")):
            code, _, err = self.run_program("spread", profile, other)
            self.assertEqual(code, 3)
            self.assertIn(os.path.basename(other), err)

    def test_two_devices_have_no_ranks_but_a_ratio(self):
        shutil.copy(support.result("host", "profile.h5"), self.path("first.h5"))
        with h5py.File(self.path("first.h5"), "r+") as file:
            file["latency/median"][1] = 1.1 * file["latency/median"][0]
        shutil.copy(self.path("first.h5"), self.path("again.h5"))
        with h5py.File(self.path("again.h5"), "r+") as file:
            file["latency/median"][1] = 0.99 * file["latency/median"][0]
        code, out, err = self.run_program("spread", self.path("first.h5"), self.path("again.h5"))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("Device 1 takes +10.00 % against device 0 at heavy loads, again -1.00 %", out)
        self.assertIn("at 100 % of the points, again 0 %", out)
        self.assertIn("moved by 10.00 % in the median", out)
        self.assertNotIn("Rank correlation", out)

    def test_other_devices_of_the_same_kind_are_refused(self):
        shutil.copy(support.result("host", "profile.h5"), self.path("other.h5"))
        with h5py.File(self.path("other.h5"), "r+") as file:
            del file["devices/uuid"]
            file["devices/uuid"] = ["GPU-1", "GPU-2"]
        code, _, err = self.run_program("spread", support.result("host", "profile.h5"), self.path("other.h5"))
        self.assertEqual(code, 3)
        self.assertRegex(err, "other.h5: was measured on other devices")

    def test_an_early_profile_has_one_bend(self):
        shutil.copy(support.result("simulated", "profile.h5"), self.path("early.h5"))
        with h5py.File(self.path("early.h5"), "r+") as file:
            file.attrs["bend_tiles"] = 3
            file["rule/surplus_tile"] = [2e-6]
        profile = read_file(self.path("early.h5"))
        self.assertEqual((profile.bend_tiles.tolist(), profile.surplus_tile_s.tolist()), ([3], [2e-6]))

    def test_rank_correlation(self):
        self.assertAlmostEqual(rank_correlation([1.0, 2.0, 4.0, 3.0], [0.1, 0.2, 0.4, 0.3]), 1.0)
        self.assertAlmostEqual(rank_correlation([1, 2, 3], [9, 5, 1]), -1.0)
        self.assertAlmostEqual(rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]), 1.0)
        self.assertAlmostEqual(rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]), 0.6)
        self.assertTrue(math.isnan(rank_correlation([1, 1], [1, 2])))


class Page(support.TestCase):
    def test_verdict_first_then_the_pictures_then_the_tables(self):
        page = self.page_of(support.result("simulated"))
        verdict = support.printed("simulated", "verify.txt").split("VERDICT: ")[1].split(" - ")[0]
        places = [
            page.index(text)
            for text in (
                f">{verdict}<",
                'id="step-times"',
                'id="device-speed"',
                'id="expert-loads"',
                'id="table"',
                'id="files"',
            )
        ]
        self.assertEqual(places, sorted(places))

    def test_the_table_has_the_numbers_that_gem_verify_printed(self):
        page = self.page_of(support.result("simulated"))
        rows = support.table_rows(support.printed("simulated", "verify.txt"), ("linear", "eplb", "gem"))
        text = page.split('<pre id="text-verification">')[1].split("</pre>")[0]
        for name, cells in rows.items():
            line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
            for cell in (cells[1], cells[2]):
                self.assertIn(f" {cell} ", line)

    def test_it_loads_nothing(self):
        page = self.page_of(support.result("simulated"))
        self.assertNotRegex(page, r"""(?:src|href)\s*=\s*["'](?!#|data:)""")
        self.assertNotRegex(page, r"url\((?!#)|@import")
        self.assertIn("default-src 'none'", page)
        outside = set(re.findall(r"https?://[^\s\"'<>)]+", page)) - {"http://www.w3.org/2000/svg"}
        self.assertEqual(outside, set())

    def test_simulated_and_emulated_are_called_so(self):
        simulated, emulated = self.page_of(support.result("simulated")), self.page_of(support.result("host"))
        self.assertIn("Devices are simulated", simulated)
        self.assertIn('<span class="tag">simulated devices</span>', simulated)
        self.assertIn("emulated (×1.00, ×1.28)", emulated)
        self.assertIn('<span class="tag">emulated speeds</span>', emulated)
        self.assertIn("simulated by batching", simulated)
        self.assertIn("synthetic", emulated)

    def test_in_sample_is_a_warning(self):
        shutil.copytree(support.result("host"), self.path("run"))
        with h5py.File(self.path("run", "report.h5"), "r+") as file:
            file.attrs["sample_note"] = "in-sample"
        self.assertIn('<span class="badge warn">in-sample</span>', self.page_of(self.path("run")))

    def test_other_devices_than_the_profiles_are_a_warning(self):
        shutil.copytree(support.result("host"), self.path("run"))
        with h5py.File(self.path("run", "report.h5"), "r+") as file:
            file.attrs["device_difference"] = "device 1 was 'a' on node1, but is 'a' on node2"
        page = self.page_of(self.path("run"))
        self.assertIn('<span class="badge warn">not the profile&#39;s devices</span>', page)
        self.assertRegex(page, "device 1 was .* on node1, but is .* on node2")

    def test_wrong_data_is_the_verdict(self):
        shutil.copytree(support.result("host"), self.path("run"))
        with h5py.File(self.path("run", "report.h5"), "r+") as file:
            file["/checks/wrong_values"][1] = 3
        self.assertIn(">WRONG<", self.page_of(self.path("run")))

    def test_each_file_alone(self):
        for name, said in (
            ("profile.h5", "DEVICES MEASURED"),
            ("train.h5", "ROUTING"),
            ("gem.h5", "MAPPING"),
            ("report.h5", "The table"),
        ):
            with self.subTest(name=name):
                page = self.page_of(support.result("simulated", name))
                self.assertIn(said, page)
                self.assertIn("What is not shown", page)

    def test_predicted_only(self):
        page = self.page_of(
            *(support.result("simulated", name) for name in ("profile.h5", "train.h5", "test.h5", "gem.h5"))
        )
        self.assertIn("PREDICTED, NOT MEASURED", page)

    def test_text_of_files_is_text_in_the_page(self):
        path = self.copy("simulated", "report.h5")
        with h5py.File(path, "r+") as file:
            file.attrs["task"] = "</script><script>alert(1)</script>"
        page = self.page_of(path)
        self.assertNotIn("<script>alert", page)

    def test_whole_layers_stand_beside_the_straggler_time(self):
        page = self.page_of(support.result("host"))
        report = read_file(support.result("host", "report.h5"))
        m = report.judged_index
        self.assertEqual(report.judged_by, "layer", "where whole layers were timed")
        self.assertRegex(page, r"<h1>[^<]*(less|more) time for whole layers|may be no faster")
        self.assertIn("whole layers, dispatch and combine included (the verdict)", page)
        layers = 100 * (report.summary["layer_relative"][m] - 1)
        self.assertRegex(page, rf">Whole layers</span><b>[+−-]{abs(layers):.1f}\s?%</b>")
        self.assertNotIn(">Whole layers<", self.page_of(support.result("simulated")))

        path = self.copy("host", "report.h5")
        with h5py.File(path, "r+") as file:
            file.attrs["judged_by"] = "layer"
            for name, value in (("", 0.5), ("_low", 0.4), ("_high", 0.6)):
                file[f"summary/layer_relative{name}"][m] = value
        self.assertRegex(self.page_of(path), r"<h1>[^<]*50\.0\s?% less time for whole layers")

    def test_whole_steps_are_judged_where_they_were_replayed(self):
        page = self.page_of(support.result("whole"))
        report = read_file(support.result("whole", "report.h5"))
        change = abs(100 * (report.whole_steps.summary["relative"][report.judged_index] - 1))
        self.assertEqual(report.judged_by, "step")
        self.assertRegex(page, r"<h1>[^<]*time for an output token|may be no faster")
        self.assertRegex(page, rf">Whole steps</span><b>[+−-]{change:.1f}\s?%</b>")
        self.assertIn("What a whole step is made of", page)

    def test_devices_wait_as_long_as_in_the_table(self):
        page = self.page_of(support.result("host"))
        table = page.split("dispatch (ms/step)")[1]
        row = next(line for line in table.splitlines() if line.startswith("| gem "))
        self.assertIn(f">Devices wait</span><b>{row.split('|')[6].strip()} %</b>", page)

    def test_what_is_for_files_alone_is_refused_for_the_page(self):
        code, _, err = self.run_program("report", support.result("host"), "--layer", 1, "-o", self.path("page.html"))
        self.assertEqual(code, 2)
        self.assertIn("--layer", err)
        self.assertFalse(os.path.exists(self.path("page.html")))

    def test_page_goes_beside_the_results_by_default(self):
        shutil.copytree(support.result("host"), self.path("run"))
        self.assertEqual(self.run_program("report", self.path("run"))[0], 0)
        self.assertTrue(os.path.exists(self.path("run", "report.html")))
        self.assertEqual([name for name in os.listdir(self.path("run")) if name.endswith((".partial", ".tmp"))], [])

    def test_the_page_is_written_through_a_link(self):
        with open(self.path("far.html"), "w", encoding="ascii"):
            pass
        os.symlink("far.html", self.path("near.html"))
        self.assertEqual(self.run_program("report", support.result("host"), "-o", self.path("near.html"))[0], 0)
        self.assertTrue(os.path.islink(self.path("near.html")))
        self.assertGreater(os.path.getsize(self.path("far.html")), 1000)


class ReplaySettings(support.TestCase):
    def test_settings_are_folders_above_a_batch_or_what_names_of_pairs_end_with(self):
        for path, setting in (
            ("spread-1.28/mmlu-256", "spread-1.28"),
            ("spread-1.28/pairs/gpt-oss-20b/mmlu-256", "spread-1.28"),
            ("pairs/gpt-oss-20b/mmlu-4-uneven", "4-uneven"),
            ("pairs/gpt-oss-20b/other", ""),
        ):
            self.assertEqual(_setting_and_workload(path, "mmlu"), (setting, path.split("/")[-1]))


class Files(support.TestCase):
    def test_each_kind(self):
        for kind, first in FIRST_BYTES.items():
            with self.subTest(kind=kind):
                code, out, err = self.run_program(
                    "report", support.result("simulated", "profile.h5"), "--format", kind, "-o", self.path(kind)
                )
                self.assertEqual((code, err), (0, ""))
                names = sorted(os.listdir(self.path(kind)))
                self.assertIn(f"Pictures: {len(names)} ", out)
                self.assertIn(f"latency-over-tiles.{kind}", names)
                for name in names:
                    with open(self.path(kind, name), "rb") as file:
                        self.assertTrue(file.read(8).startswith(first))

    def test_all_pictures_of_a_run(self):
        code, _, _ = self.run_program("report", support.result("host"), "--format", "svg", "-o", self.path("all"))
        self.assertEqual(code, 0)
        self.assertGreaterEqual(len(os.listdir(self.path("all"))), 16)

    def test_a_layer_that_is_not_there(self):
        code, _, err = self.run_program(
            "report", support.result("simulated", "train.h5"), "--format", "svg", "--layer", 77, "-o", self.path("x")
        )
        self.assertEqual(code, 2)
        self.assertIn("--layer 77", err)


if __name__ == "__main__":
    unittest.main()
