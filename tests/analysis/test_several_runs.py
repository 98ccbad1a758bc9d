"""Several runs: their pictures, their table, and the page that compares them."""

import dataclasses
import os
import shutil
import tarfile
import unittest

import support

import h5py
import numpy as np

from gem_analysis import batch
from gem_analysis.batch import PairResult
from gem_analysis.errors import DataError, NotDrawn
from gem_analysis.files import read_file
from gem_analysis.page import render
from gem_analysis.pictures import (
    all_replays,
    batch_matrix,
)
from gem_analysis.results import Results, collect
from gem_analysis.tables import batch_table
from gem_analysis.verdict import verdict_of

SUMMARY = """\
pair,state,method,predicted_s,predicted_vs_linear,above_bound,measured_vs_linear,low,high,in_sample,error
a/chat,done,linear,0.1,1,0.2,1,1,1,0,
a/chat,done,gem,0.1,0.88,0.02,0.9,0.89,0.91,0,
a/code,done,gem,0.1,0.95,0.02,,,,1,
b/chat,failed,,,,,,,,0,"trace.h5: there is no such file"
"""


class Batch(support.TestCase):
    def test_each_pair_is_in_its_cell(self):
        report = read_file(support.result("simulated", "report.h5"))
        other = dataclasses.replace(report, task="other", header=dataclasses.replace(report.header, model="big"))
        picture = batch_matrix.draw(Results("", batch=[batch.of_report(report), batch.of_report(other)]))
        heat = picture.frames[()]
        self.assertEqual((heat.row_labels, heat.column_labels), (["big", "gpt-oss-20b"], ["gpqa", "other"]))
        gain = 100 * (report.summary["relative"][2] - 1)
        np.testing.assert_allclose(heat.values, [[np.nan, gain], [gain, np.nan]])
        self.assertIn("−" if gain < 0 else "+", heat.cell_texts[0][1])

    def test_runs_of_other_settings_and_sizes_have_cells_of_their_own(self):
        one = batch.of_report(read_file(support.result("simulated", "report.h5")))
        runs = [
            dataclasses.replace(one, tokens=tokens, setting=setting, measured=0.9 + 1e-6 * tokens)
            for tokens in (256, 4096)
            for setting in ("spread-1.00", "spread-1.28")
        ]
        heat = batch_matrix.draw(Results("", batch=runs)).frames[()]
        self.assertEqual(np.isfinite(heat.values).sum(), 4)
        self.assertEqual(heat.column_labels, ["spread-1.00", "spread-1.28"])
        self.assertIn("4,096 tokens", heat.row_labels[1])

    def test_runs_of_the_same_workload_are_told_apart_by_what_they_were_scored_on(self):
        one = batch.of_report(read_file(support.result("simulated", "report.h5")))
        runs = [
            dataclasses.replace(one, tokens=tokens, setting=setting, note=note, measured=0.9 + 1e-6 * tokens)
            for tokens in (512, 16384)
            for setting in ("", "b")
            for note in ("held-out requests", "in-sample")
        ]
        runs.append(batch.PairResult("m", "chat", "", *[np.nan] * 4, "", failure=batch.NOT_RUN))
        picture = batch_matrix.draw(Results("", batch=runs))
        heat = picture.frames[()]
        self.assertEqual(heat.column_labels, ["512", "16,384"])
        self.assertEqual(np.isfinite(heat.values).sum(), 8)
        self.assertEqual(sum("in-sample" in label for label in heat.row_labels), 2)
        self.assertIn("Not here but in the table: 1 of the runs, which have no result.", picture.notes)
        groups = all_replays.draw(Results("", batch=runs)).frames[()].groups
        self.assertEqual(sum("in-sample" in title for title, _ in groups), 2)
        self.assertEqual([len(rows) for _, rows in groups], [2, 2, 2, 2])

        heat = batch_matrix.draw(Results("", batch=[runs[1], dataclasses.replace(one, task="other")])).frames[()]
        self.assertEqual([text.endswith("\nin-sample") for text in heat.cell_texts[0]], [True, False])

    def test_every_run_has_a_row_with_its_interval(self):
        report = read_file(support.result("simulated", "report.h5"))
        runs = [batch.of_report(report, setting) for setting in ("a", "b")]
        picture = all_replays.draw(Results("", batch=runs))
        for title, rows in picture.frames[()].groups:
            self.assertIn("simulated", title)
            row = rows[0]
            self.assertAlmostEqual(row.value, report.summary["relative"][2])
            self.assertAlmostEqual(row.low, report.summary["relative_low"][2])
            self.assertEqual([role for role, _ in row.others], ["eplb"])
        with self.assertRaises(NotDrawn):
            all_replays.draw(Results("", batch=runs[:1]))

    def test_summary_of_gem_batch(self):
        with open(self.path("summary.csv"), "w", encoding="utf-8") as file:
            file.write(SUMMARY)
        results = collect([self.folder])
        self.assertEqual([pair.method for pair in results.batch], ["gem", "gem", ""])
        heat = batch_matrix.draw(results).frames[()]
        self.assertEqual((heat.row_labels, heat.column_labels), (["a", "b"], ["chat", "code"]))
        np.testing.assert_allclose(heat.values, [[-10.0, -5.0], [np.nan, np.nan]])
        self.assertEqual(heat.cell_texts, [["−10.0\n−11.0 … −9.0", "(−5.0)\nin-sample"], ["failed", ""]])
        page = render(results)
        self.assertIn("b, chat: trace.h5: there is no such file", page)
        self.assertIn(">in-sample<", page)

    def test_a_bad_summary_is_said(self):
        with open(self.path("summary.csv"), "w", encoding="utf-8") as file:
            file.write(SUMMARY.replace("0.9,", "x,"))
        with self.assertRaises(DataError) as caught:
            batch.read_summary(self.path("summary.csv"))
        self.assertIn("'x'", str(caught.exception))


class Page(support.TestCase):
    def test_a_batch_of_folders(self):
        for model in ("one", "two"):
            shutil.copytree(support.result("simulated"), self.path("batch", model))
            with h5py.File(self.path("batch", model, "report.h5"), "r+") as file:
                file.attrs["model"] = model
        page = self.page_of(self.path("batch"))
        self.assertIn("of 2 runs", page)
        self.assertIn("2 of 2 runs are done", page)
        self.assertIn("All of 2 runs: simulated devices", page)
        self.assertIn('<span class="tag">simulated devices</span>', page)
        self.assertIn('id="batch-matrix"', page)
        self.assertNotIn('id="files"', page)

    def test_several_runs_say_what_is_emulated_and_leave_nothing_out_unnamed(self):
        for setting, workload, kind in (("even", "a", "simulated"), ("uneven", "b", "host"), ("uneven", "c", "host")):
            shutil.copytree(support.result(kind), self.path("runs", setting, workload))
        os.makedirs(self.path("runs", "alone"))
        shutil.copy(support.result("host", "profile.h5"), self.path("runs", "alone"))
        with h5py.File(self.path("runs", "uneven", "c", "report.h5"), "r+") as file:
            file.attrs["sample_note"] = "in-sample"
            file.attrs["tokens_per_step"] = 4096
        page = self.page_of(self.path("runs"))
        self.assertIn("2 of 3 runs: speeds emulated by more time", page)
        self.assertIn("1 of 3 runs: in-sample", page)
        self.assertIn(
            '<span class="tag">simulated devices in 1 of 3, emulated speeds in 2 of 3, in-sample in 1 of 3', page
        )
        self.assertRegex(page, r"alone: 1 profile and no report")
        text = page.split('<pre id="text-batch">')[1].split("</pre>")[0]
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "small" in line]
        self.assertEqual(
            [(row[0], row[3], row[6]) for row in rows],
            [("uneven", "64", "emulated, up to x1.28"), ("uneven", "4,096", "emulated, up to x1.28")],
        )
        self.assertIn("in-sample", rows[1][-1])

    def test_measured_predicted_and_missing_runs_of_a_page_are_told_apart(self):
        shutil.copytree(support.result("host"), self.path("runs", "host"))
        shutil.copy(support.result("simulated", "profile.h5"), self.path("runs"))
        os.makedirs(self.path("runs", "plan"))
        with open(self.path("runs", "plan", "summary.csv"), "w", encoding="utf-8") as file:
            file.write(
                "pair,state,method,predicted_s,predicted_vs_linear,above_bound,measured_vs_linear,low,high,"
                "in_sample,error\nm/chat,done,gem,1,0.9,,,,,0,\nm/code,missing,,,,,,,,0,\n"
            )
        results = collect([self.path("runs")])
        verdict = verdict_of(results)
        self.assertEqual(verdict.state, "BATCH, PARTLY PREDICTED")
        self.assertRegex(verdict.headline, "of 1 measured runs .*, 1 of 1 predicted ones should be")
        self.assertIn("1 of 3 runs have no result", verdict.sentence)
        self.assertIn("Of the files beside the runs: devices are simulated", results.device_note())
        self.assertEqual(
            results.tag_of("Mapping"), "emulated speeds in 1 of 2; files beside the runs: simulated devices"
        )
        self.assertEqual([row[-1] for row in batch_table(results).rows if "code" in row], ["not run"])

    def test_the_pairs_of_a_batch_below_the_folder_are_not_dropped(self):
        os.makedirs(self.path("results", "plan", "pairs", "m", "chat"))
        os.makedirs(self.path("results", "plan", "profiles"))
        shutil.copy(support.result("simulated", "profile.h5"), self.path("results", "plan", "profiles", "p.h5"))
        shutil.copy(support.result("simulated", "test.h5"), self.path("results", "plan", "pairs", "m", "chat"))
        with open(self.path("results", "plan", "summary.csv"), "w", encoding="utf-8") as file:
            file.write(
                "pair,state,method,predicted_s,predicted_vs_linear,above_bound,measured_vs_linear,low,high,"
                "in_sample,error\nm/chat,done,linear,1,1,,,,,0,\nm/chat,done,gem,1,0.9,,,,,0,\n"
            )
        shutil.copytree(support.result("host"), self.path("results", "run"))
        page = self.page_of(self.path("results"))
        self.assertIn("2 of 2 runs are done", page)
        self.assertIn("1 of 2 runs: predicted, not measured", page)
        self.assertIn("4 simulated", page)
        self.assertRegex(page, r"\| m +\| +chat \| +64 \| +24 \|")

    def test_linear_has_no_interval_against_itself(self):
        pair = PairResult("model", "task", "linear", 1.0, 1.0, 1.0, 1.0, "held-out")
        self.assertEqual(batch_table(Results("", batch=[pair])).rows[0][8], "–")


ARCHIVE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "benchmark", "four_gpus.tar.xz")


class FourGpus(support.TestCase):
    """The kept replays of four H100: what a page of many real runs has to say."""

    def test_forty_eight_replays_are_all_there_and_say_that_speeds_are_emulated(self):
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(self.folder)
        results = collect([self.folder])
        self.assertEqual(len(results.batch), 48)
        self.assertEqual(len({pair.setting for pair in results.batch}), 6)
        heat = batch_matrix.draw(results).frames[()]
        self.assertEqual(np.isfinite(heat.values).sum(), 48)
        self.assertIn("39 of 48 runs: speeds emulated", results.device_note())
        self.assertTrue(any("natural-spread: 8 profiles" in sentence for sentence in results.unused))
        rows = batch_table(results).rows
        self.assertIn(
            [
                "both-ends/spread-1.28",
                "deepseek-v2-lite",
                "intent",
                "8,192",
                "12",
                "4 cuda",
                "emulated, up to x1.28",
                "gem",
                "0.763",
            ],
            [row[:9] for row in rows],
        )


if __name__ == "__main__":
    unittest.main()
