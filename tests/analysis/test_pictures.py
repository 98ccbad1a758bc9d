"""The pictures' data against the files' numbers and against what the programs print."""

import dataclasses
import time
import unittest

import support

import h5py
import numpy as np

from gem_analysis import batch, latency, palette
from gem_analysis.errors import NotDrawn
from gem_analysis.files import read_file
from gem_analysis.page import draw_all, render
from gem_analysis.pictures import (
    SECTIONS,
    adaptation_moves,
    adaptation_speeds,
    adaptation_steps,
    gain_over_spread,
    gain_over_steps,
    held_out,
    latency_over_tiles,
    latency_surface,
    layer_gain,
    layer_timeline,
    mapping_ratio,
    name_of,
    placement,
    predicted_measured,
    search_gap,
    search_progress,
    step_shares,
    step_times,
    waiting,
    whole_step_shares,
)
from gem_analysis.results import Results, collect


class Verification(support.TestCase):
    def setUp(self):
        super().setUp()
        self.results = collect([support.result("simulated")])
        self.report = self.results.report
        with h5py.File(support.result("simulated", "report.h5")) as file:
            self.measured_s = file["/measured_s"][:]
            self.summary = {name: values[:] for name, values in file["/summary"].items()}

    def test_mapping_ratio_is_the_summary(self):
        verdict, predicted, raw = mapping_ratio.draw(self.results).frames[()].series
        np.testing.assert_allclose(verdict.y, 100 * (self.summary["relative"][1:] - 1))
        np.testing.assert_allclose(verdict.low, 100 * (self.summary["relative_low"][1:] - 1))
        np.testing.assert_allclose(
            predicted.y, 100 * (self.summary["predicted_s"][1:] / self.summary["predicted_s"][0] - 1)
        )
        np.testing.assert_allclose(raw.y, 100 * (self.summary["raw_relative"][1:] - 1))

    def test_whole_layers_are_shown_where_tokens_were_exchanged(self):
        results = collect([support.result("host")])
        names = [series.name for series in mapping_ratio.draw(results).frames[()].series]
        self.assertTrue(any("dispatch" in name for name in names))

    def test_step_times(self):
        steps_s = self.measured_s.max(axis=3).sum(axis=2)
        np.testing.assert_allclose(steps_s.mean(axis=1), self.summary["straggler_s"])
        series = step_times.draw(self.results).frames[()].series
        for m in range(len(steps_s)):
            curve, dots = series[m], series[m + len(steps_s)]
            unit = steps_s[m].max() / curve.x[-1]
            np.testing.assert_allclose(curve.x * unit, np.sort(steps_s[m]))
            self.assertEqual(curve.y[-1], 100.0)
            np.testing.assert_allclose(dots.x * unit, [self.summary[f"p{q}_s"][m] for q in (50, 90)])

    def test_one_step_in_a_hundred_needs_a_hundred_steps(self):
        few = step_times.draw(self.results)
        self.assertIn("the slowest of 16 takes", few.sentence)
        self.assertNotIn("in a hundred", few.sentence)
        self.assertNotIn("p99", few.sentence)
        self.results.report = dataclasses.replace(self.report, measured_s=np.repeat(self.measured_s, 7, axis=1))
        many = step_times.draw(self.results)
        self.assertIn("one step in a hundred", many.sentence)
        self.assertEqual(len(many.frames[()].series[-1].x), 3)

    def test_timeline_shows_every_device_to_the_end_of_the_slowest(self):
        picture = layer_timeline.draw(self.results)
        unit_s = {"ms": 1e-3, "µs": 1e-6}[picture.x.unit]
        _, steps, layers = (choice.labels for choice in picture.choices)
        step, layer = steps.index("3"), layers.index("7")
        for m, (_, rows) in zip((0, 2), picture.frames[0, step, layer].groups):
            times_s = self.measured_s[m, 3, 7]
            for d, row in enumerate(rows):
                self.assertAlmostEqual(row.spans[0].end * unit_s, times_s[d])
                self.assertAlmostEqual(row.spans[-1].end * unit_s, times_s.max())

    def test_timeline_always_shows_the_slowest_device(self):
        random = np.random.default_rng(3)
        times_s = random.gamma(50, 2e-5, (3, 4, 5, 40))
        report = dataclasses.replace(
            self.report,
            measured_s=times_s,
            dispatch_s=np.full_like(times_s, np.nan),
            combine_s=np.full_like(times_s, np.nan),
            layer_ids=np.arange(5),
        )
        picture = layer_timeline.draw(Results("", report=report))
        _, steps, layers = (choice.labels for choice in picture.choices)
        for index, frame in picture.frames.items():
            step, layer = int(steps[index[1]]) - report.first_step, int(layers[index[2]])
            for m, (_, rows) in zip((0, 2), frame.groups):
                slowest = [row.label for row in rows if row.label.endswith("slowest")]
                self.assertEqual(slowest, [f"device {times_s[m, step, layer].argmax()}, slowest"])
                self.assertLessEqual(len(rows), layer_timeline.MOST_DEVICES + 1)

    def test_shares_add_up_to_the_step(self):
        results = collect([support.result("host")])
        (_, rows), summary = step_shares.draw(results).frames[()].groups[0], results.report.summary
        total = sum(summary[f"{part}_s"][1] for part in ("dispatch", "compute", "waiting", "combine"))
        ratio = rows[1].spans[-1].end / rows[0].spans[-1].end
        self.assertAlmostEqual(
            ratio, total / sum(summary[f"{part}_s"][0] for part in ("dispatch", "compute", "waiting", "combine"))
        )
        self.assertIn("not timed", step_shares.draw(self.results).notes[0])

    def test_whole_steps_are_what_their_parts_add_up_to(self):
        results = collect([support.result("whole")])
        steps = results.report.whole_steps
        self.assertEqual(steps.names, ["linear", "eplb", "gem", "force-balanced"])
        picture = whole_step_shares.draw(results)
        (_, rows) = picture.frames[()].groups[0]
        for m, row in enumerate(rows):
            self.assertAlmostEqual(row.spans[-1].end / rows[0].spans[-1].end, steps.summary["relative"][m])
        np.testing.assert_allclose(sum(steps.shares_s.values()), steps.step_s.mean(axis=1))
        self.assertIn("composed from stated times", picture.notes[0])
        self.assertIn("not the latency of serving", picture.notes[0])
        with self.assertRaises(NotDrawn):
            whole_step_shares.draw(self.results)

    def test_timeline_of_whole_layers(self):
        results = collect([support.result("host")])
        picture = layer_timeline.draw(results)
        report = results.report
        spans = picture.frames[1, 0, 0].groups[0][1][1].spans
        unit_s = {"ms": 1e-3, "µs": 1e-6}[picture.x.unit]
        total = report.dispatch_s[0, 0, 0, 1] + report.measured_s[0, 0, 0, 1] + report.combine_s[0, 0, 0, 1]
        self.assertAlmostEqual(spans[-1].end * unit_s, total)

    def test_waiting(self):
        picture = waiting.draw(self.results)
        for m, times_s in enumerate(self.measured_s):
            slowest_s = times_s.max(axis=2).sum(axis=0)
            for layer, device in ((0, 0), (7, 3), (23, 1)):
                expected = 100 * (1 - times_s[:, layer, device].sum() / slowest_s[layer])
                self.assertAlmostEqual(picture.frames[(m,)].values[layer, device], expected)
        self.assertEqual(picture.choices[0].labels, self.report.names)

    def test_layer_gain(self):
        layers_s = self.measured_s.max(axis=3).sum(axis=1)
        series = layer_gain.draw(self.results).frames[()].series
        np.testing.assert_allclose(series[-1].y, 100 * (layers_s[-1] / layers_s[0] - 1))
        self.assertTrue((series[-1].low <= series[-1].y).all() and (series[-1].y <= series[-1].high).all())

    def test_bootstrap_of_equal_steps_has_no_width(self):
        low, high = layer_gain.bootstrap(np.full((20, 3), 2.0), np.full((20, 3), 4.0), 1)
        np.testing.assert_allclose((low, high), 0.5)

    def test_predicted_measured(self):
        with h5py.File(support.result("simulated", "report.h5")) as file:
            predicted_s = file["/predicted_s"][:].max(axis=3)
        series = predicted_measured.draw(self.results).frames[()].series[1]
        ratio = self.measured_s[1].max(axis=2).ravel() / predicted_s[1].ravel()
        np.testing.assert_allclose(series.x / series.y, ratio)


class Predictions(support.TestCase):
    """The surface in Python is the one that gem-map and gem-verify use."""

    def setUp(self):
        super().setUp()
        self.results = collect([support.result("simulated")])

    def test_as_gem_verify_predicts(self):
        results = self.results
        surfaces, report, trace = latency.surfaces_of(results.profile), results.report, results.scored
        counts = trace.counts[report.first_step : report.first_step + report.predicted_s.shape[1]]
        homes = {
            "linear": latency.linear_homes(24, 32, 4),
            **{m.name: latency.homes_for(m, trace) for m in results.mappings},
        }
        for name, predicted_s in zip(report.names, report.predicted_s):
            found = latency.predict(counts, homes[name], surfaces, results.profile)
            np.testing.assert_allclose(found, predicted_s, rtol=1e-12)

    def test_as_gem_map_predicts(self):
        results = self.results
        surfaces = latency.surfaces_of(results.profile)
        for mapping in results.mappings:
            homes = latency.homes_for(mapping, results.train)
            found = latency.predict(results.train.counts, homes, surfaces, results.profile)
            np.testing.assert_allclose(found.max(axis=2).mean(axis=0), mapping.predicted_s, rtol=1e-4)  # whole ns there

    def test_copies_share_tokens(self):
        held = np.zeros((1, 2, 3), bool)
        held[0, 0] = True
        held[0, 1, 1] = True
        homes = latency.Homes(np.array([[1, 1]]), held)
        counts = np.array([[8, 5], [1, 0]])
        shares = [homes.tokens_on(0, device, counts).tolist() for device in range(3)]
        self.assertEqual(shares, [[[3, 0], [0, 0]], [[3, 5], [1, 0]], [[2, 0], [0, 0]]])
        self.assertEqual([homes.experts_of(0, device).tolist() for device in range(3)], [[0], [0, 1], [0]])

    def test_held_out_as_in_the_table_of_gem_map(self):
        rows = support.table_rows(support.printed("simulated", "gem.txt"), ("linear", "eplb", "gem"))
        for name, (searched, scored, _) in held_out.ratios(self.results):
            self.assertAlmostEqual(searched, float(rows[name][2]), delta=6e-4)
            self.assertAlmostEqual(scored, float(rows[name][5]), delta=6e-4)

    def test_of_a_kernel_with_several_tiles_the_main_one_is_shown_and_nothing_predicted(self):
        profile = read_file(support.result("regimes", "profile.h5"))
        self.assertEqual(profile.regime_tiles.tolist(), [16, 64])
        several = collect([support.result("regimes")])
        for module in (latency_surface, latency_over_tiles):
            self.assertIn("(16, 64)", " ".join(module.draw(several).notes))
            self.assertNotIn("changes its tile", " ".join(module.draw(self.results).notes))
        run = dataclasses.replace(self.results, profile=profile)
        with self.assertRaisesRegex(NotDrawn, "several tiles"):
            held_out.draw(run)
        self.assertTrue(held_out.draw(self.results).frames)

    def test_equal_devices_are_equal(self):
        surfaces = latency.surfaces_of(self.results.profile, equal_devices=True)
        times = [surface.seconds([5, 40], [3, 8]) for surface in surfaces]
        for other in times[1:]:
            np.testing.assert_array_equal(times[0], other)

    def test_search_gap(self):
        gem = next(mapping for mapping in self.results.mappings if mapping.method == "gem")
        series = search_gap.draw(self.results).frames[()].series[-1]
        np.testing.assert_allclose(series.y, 100 * (gem.predicted_s / gem.lower_bound_s - 1))
        self.assertTrue((series.y >= -1e-6).all())

    def test_search_progress(self):
        path = self.copy("simulated", "gem.h5")
        with h5py.File(path, "r+") as file:
            if "/search" in file:
                del file["/search"]
            for name, values in (
                ("layer", [0, 0, 0, 5]),
                ("start", [0, 0, 1, 0]),
                ("elapsed_s", [0.01, 0.03, 0.02, 0.01]),
                ("predicted_s", [3.0, 1.0, 2.0, 1.0]),
            ):
                file[f"/search/{name}"] = values
        picture = search_progress.draw(collect([path]))
        self.assertEqual(picture.choices[0].labels, ["0", "5"])
        other, best = picture.frames[(0,)].series
        scale = {"ms": 1e3, "s": 1.0}[picture.x.unit]
        np.testing.assert_allclose(best.x, scale * np.array([0.01, 0.03, 0.03, 0.03]))
        np.testing.assert_allclose(best.y, [3.0, 3.0, 1.0, 1.0])
        np.testing.assert_allclose(other.y, [2.0, 2.0])

    def test_placement_shows_each_expert_once_with_its_load(self):
        picture = placement.draw(self.results)
        loads = self.results.train.counts.mean(axis=0)
        layer = picture.choices[0].labels.index("5")
        for _, rows in picture.frames[(layer,)].groups:
            spans = [span for row in rows for span in row.spans]
            self.assertEqual(sorted(int(span.note.split()[1][:-1]) for span in spans), list(range(32)))
            self.assertAlmostEqual(sum(span.end - span.start for span in spans), loads[5].sum())
            self.assertAlmostEqual(sum(row.mark for row in rows), loads[5].sum())


class Adaptation(support.TestCase):
    def setUp(self):
        super().setUp()
        self.results = collect([support.result("drift", "adaptation.h5")])
        with h5py.File(support.result("drift", "adaptation.h5")) as file:
            self.numbers = {name: file[name][:] for name in file}

    def test_step_times_are_those_of_each_policy(self):
        frame = adaptation_steps.draw(self.results).frames[()]
        self.assertEqual([line.name for line in frame.series], self.results.adaptation.policies)
        step_s = self.numbers["step_s"]
        self.assertLessEqual(step_s.shape[1], adaptation_steps.MOST_BLOCKS, "so that each step is a point")
        for line, steps_s in zip(frame.series, step_s):
            np.testing.assert_allclose(line.y / line.y[0], steps_s / steps_s[0])
        self.assertEqual([guide.x for guide in frame.guides], list(self.numbers["changes"]))

    def test_blocks_of_steps_keep_their_mean(self):
        x, means = adaptation_steps.block_means(np.arange(10.0), 4)
        np.testing.assert_allclose(x, [1, 4, 7, 9])
        np.testing.assert_allclose(means, [1, 4, 7, 9])

    def test_moves_add_up(self):
        for line in adaptation_moves.draw(self.results).frames[()].series:
            moved = self.numbers["moved"][self.results.adaptation.policies.index(line.name)]
            self.assertEqual(line.y[-1], moved.sum())
            np.testing.assert_array_equal(line.y, np.cumsum(moved)[line.x])

    def test_speeds_are_what_was_set_and_what_was_believed(self):
        picture = adaptation_speeds.draw(self.results)
        lines = {line.name: line for line in picture.frames[()].series}
        self.assertAlmostEqual(lines["device 0, is"].y[-1], 1.28)
        self.assertAlmostEqual(lines["device 0, believed"].y[-1], self.numbers["believed_slowdown"][-1, 0])
        self.assertEqual(list(adaptation_speeds.drifting(np.array([[1, 1, 1], [1, 2, 1.5]]), 2)), [1, 2])

    def test_a_page_of_it_alone_says_what_is_simulated(self):
        page = render(self.results)
        self.assertIn("simulated devices, moves are priced", page)
        self.assertIn("triggered gem", page)


class Gains(support.TestCase):
    def test_what_speeds_bring_at_most(self):
        self.assertEqual(latency.most_from_speeds([1.0, 1.0, 1.0]), 1.0)
        # Equal loads end after 2, shares of 1/3 and 2/3 after 2 * 2/3.
        self.assertAlmostEqual(latency.most_from_speeds([0.5, 1.0]), 2 / 3)
        results = collect([support.result("simulated")])
        curve, own = gain_over_spread.draw(results).frames[()].series
        speeds = latency.relative_speeds(results.profile)
        self.assertAlmostEqual(own.x[0], 100 * (speeds.max() / speeds.min() - 1))
        self.assertAlmostEqual(curve.y[0], 0.0)
        self.assertTrue((np.diff(curve.y) < 0).all())
        guides = gain_over_spread.draw(results).frames[()].guides
        self.assertIn("you are here", [guide.label for guide in guides])

    def test_predicted_runs_look_like_no_method(self):
        measured = batch.of_report(read_file(support.result("simulated", "report.h5")))
        predicted = dataclasses.replace(measured, measured=np.nan)
        picture = gain_over_spread.draw(Results("", batch=[measured, predicted]))
        roles = {series.name: series.role for series in picture.frames[()].series}
        self.assertEqual(roles["runs, measured"], "gem")
        own = roles["runs, predicted"]
        for kind in (palette.MARKERS, palette.ROLES):
            self.assertNotIn(kind[own], [other for role, other in kind.items() if role != own])

    def test_how_long_to_record(self):
        results = collect([support.result("simulated")])
        with self.assertRaises(NotDrawn):
            gain_over_steps.draw(results)
        gem = results.mappings[-1]
        short = dataclasses.replace(
            gem,
            train_steps=4,
            name="gem (4)",
            expert_to_device=results.mappings[0].expert_to_device,
            slots=results.mappings[0].slots,
        )
        results.mappings.append(short)
        held = gain_over_steps.draw(results).frames[()].series[0]
        worth = dict(held_out.ratios(results))
        self.assertEqual(held.x.tolist(), [4, 24])
        np.testing.assert_allclose(held.y, [100 * (worth[name][1] - 1) for name in ("gem (4)", "gem")])


class Size(support.TestCase):
    def test_a_large_run_is_down_sampled(self):
        """58 layers x 256 experts, 1,000 steps, 32 devices."""
        small = collect([support.result("simulated")])
        random = np.random.default_rng(1)
        popularity = random.weibull(0.7, 256)
        counts = random.poisson(2048 * 8 * popularity / popularity.sum(), (1000, 58, 256))
        trace = dataclasses.replace(small.train, counts=counts, layer_ids=np.arange(58))
        homes = np.argsort(random.random((58, 256)), axis=1) % 32
        slots = np.stack([[np.flatnonzero(row == d) for d in range(32)] for row in homes])
        mapping = dataclasses.replace(
            small.mappings[-1],
            expert_to_device=homes,
            slots=slots,
            layer_ids=np.arange(58),
            predicted_s=np.ones(58),
            lower_bound_s=np.ones(58),
        )
        shape = (3, 128, 58, 32)
        times_s = random.gamma(50, 2e-5, shape)
        report = dataclasses.replace(
            small.report,
            measured_s=times_s,
            predicted_s=times_s,
            dispatch_s=times_s / 9,
            combine_s=times_s / 9,
            layer_ids=np.arange(58),
        )
        begin = time.monotonic()
        page = render(Results("", traces=[trace], mappings=[mapping], report=report))
        print(f"large run: {len(page) / 1e6:.2f} MB in {time.monotonic() - begin:.1f} s")
        self.assertLess(len(page.encode()), 5e6)
        self.assertIn("of 58 layers", page)


class Missing(support.TestCase):
    def test_every_picture_says_what_it_needs(self):
        for name in ("profile.h5", "train.h5", "gem.h5", "report.h5"):
            with self.subTest(name=name):
                sections, missing = draw_all(collect([support.result("simulated", name)]))
                drawn = [name.replace("-", " ") for _, pictures in sections for name, _ in pictures]
                absent = [name for sentence in missing for name in sentence.split(":")[0].lower().split(", ")]
                every = [
                    name_of(module).replace("-", " ")
                    for title, modules in SECTIONS.items()
                    for module in modules
                    if title not in ("Batch", "Adaptation")
                ]
                self.assertGreater(len(drawn), 0)
                self.assertEqual(sorted(drawn + absent), sorted(every))
                self.assertTrue(all(sentence.endswith(".") for sentence in missing))


if __name__ == "__main__":
    unittest.main()
