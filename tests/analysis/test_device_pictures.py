"""The pictures of devices and of routing against the files' numbers and against what the programs print."""

import dataclasses
import unittest

import support

import numpy as np

from gem_analysis import latency, routing
from gem_analysis.errors import NotDrawn
from gem_analysis.pictures import (
    device_speed,
    expert_correlation,
    expert_loads,
    latency_lines,
    latency_over_tiles,
    latency_surface,
    layer_skew,
    load_drift,
    pair_exchange,
    task_similarity,
    telemetry,
)
from gem_analysis.results import Results, collect


class Devices(support.TestCase):
    def setUp(self):
        super().setUp()
        self.results = collect([support.result("simulated")])
        self.profile = self.results.profile

    def test_speed_and_noise_as_gem_profile_prints_them(self):
        rows = support.table_rows(
            support.printed("simulated", "profile.txt").split("spread")[0].split("device  rank")[-1], "0123"
        )
        speeds, noise = latency.relative_speeds(self.profile), latency.noise(self.profile)
        for d in range(4):
            numbers = [float(cell) for cell in rows[str(d)][-6:] if cell.replace(".", "").lstrip("+-").isdigit()]
            self.assertIn(round(speeds[d], 3), numbers)
            self.assertIn(round(100 * noise[d], 2), numbers)
        np.testing.assert_allclose(device_speed.draw(self.results).frames[()].series[0].y, speeds)

    def test_latency_over_tiles(self):
        picture = latency_over_tiles.draw(self.results)
        level = int(picture.choices[1].labels[0])
        points = np.flatnonzero(self.profile.active_experts == level)
        frame = picture.frames[(1, 0)]
        self.assertEqual(sorted(frame.series[2].x), sorted(self.profile.tiles[points]))
        unit_s = {"ms": 1e-3, "µs": 1e-6}[frame.y.unit]
        np.testing.assert_allclose(sorted(frame.series[2].y * unit_s), sorted(self.profile.median_s[2, points]))

    def test_latency_as_a_ratio_to_the_fastest_comes_first(self):
        picture = latency_over_tiles.draw(self.results)
        self.assertEqual((picture.choices[0].labels[0], picture.y.unit), ("against the fastest", "%"))
        frame = picture.frames[(0, 0)]
        fastest = np.min([series.y for series in frame.series], axis=0)
        np.testing.assert_allclose(fastest, 0.0)
        point = np.flatnonzero(
            (self.profile.active_experts == int(picture.choices[1].labels[0]))
            & (self.profile.tiles == frame.series[3].x[-1])
        )[0]
        column = self.profile.median_s[:, point]
        self.assertAlmostEqual(frame.series[3].y[-1], 100 * (column[3] / column.min() - 1))

    def test_throttled_says_what_it_means(self):
        self.assertEqual(latency.throttle_text(self.profile), "")
        self.profile.throttle_reasons[:] = 0x4
        points = self.profile.throttle_reasons.size
        note = " ".join(latency_over_tiles.draw(self.results).notes)
        self.assertIn(f"power limit held the clock down at {points} of {points} points", note)
        self.assertIn("usual state", note)
        self.assertNotIn("Hollow", note)  # all points alike: marking them would tell nothing
        self.assertFalse(latency_lines.hindered(self.profile).any())
        self.profile.throttle_reasons[:] = 0
        self.profile.throttle_reasons[0, :3] = 0x40
        note = latency.throttle_text(self.profile)
        self.assertIn(f"heat or a hardware limit held it down at 3 of {points} points", note.replace("Heat", "heat"))

    def test_unsettled_and_throttled_points_are_hollow(self):
        self.profile.settled[1, self.profile.tiles.argmax()] = False
        self.profile.throttle_reasons[3, :] = 0x40
        picture = latency_over_tiles.draw(self.results)
        frames = [frame for (view, _), frame in picture.frames.items() if view == 0]
        hollow = np.array([[series.hollow.sum() for series in frame.series] for frame in frames]).sum(axis=0)
        self.assertEqual(hollow[0], 0)
        self.assertEqual(hollow[1], 1)
        self.assertEqual(hollow[3], sum(len(frame.series[3].x) for frame in frames))

    def test_what_experts_add_beside(self):
        rule = latency.LoadRule(16, 8, 0.5, [3], [2.0])
        np.testing.assert_array_equal(rule.extra_s(np.array([0, 16, 70])), [0.0, 4.0, 3.0])
        np.testing.assert_array_equal(rule.even_surplus_s(np.array([10, 5]), np.array([2, 2])), [8.0, 0.0])
        twice = latency.LoadRule(16, 16, 0.0, [3, 5], [2.0, 10.0])
        np.testing.assert_array_equal(twice.extra_s(np.array([80, 112])), [4.0, 28.0])
        np.testing.assert_array_equal(latency.LoadRule(16, 16, 0.0, [], []).extra_s(np.array([80, 0])), [0.0, 0.0])

    def test_exchange_of_pairs_only_where_it_was_measured(self):
        with self.assertRaises(NotDrawn):
            pair_exchange.draw(self.results)
        profile = self.profile
        profile.exchange_transport = "nccl"
        profile.exchange_s = np.full((4, 4), 1e-5) + np.diag(np.full(4, np.nan))
        profile.exchange_bytes_per_s = np.full((4, 4), 2e11) + np.diag(np.full(4, np.nan))
        profile.exchange_s[0, 3] = profile.exchange_s[3, 0] = 4e-5
        profile.exchange_bytes_per_s[1, 2] = profile.exchange_bytes_per_s[2, 1] = 5e10
        picture = pair_exchange.draw(self.results)
        self.assertIn("50 GB/s between devices 1 and 2", picture.sentence)
        self.assertIn("40 µs between devices 0 and 3", picture.sentence)
        self.assertEqual(picture.frames[(0,)].cell_texts[1], ["200", "", "50", "200"])
        self.assertEqual(picture.frames[(1,)].values[0, 3], 40.0)
        profile.exchange_s[:] = np.nan
        with self.assertRaises(NotDrawn):
            pair_exchange.draw(self.results)

    def test_surface_passes_through_the_measured_points(self):
        profile = self.profile
        found = latency.surfaces_of(profile)[0].seconds(profile.tiles, profile.active_experts)
        np.testing.assert_allclose(found, profile.median_s[0])
        heat = latency_surface.draw(self.results).frames[(0,)]
        self.assertTrue(np.isfinite(heat.values[heat.measured > 0]).mean() > 0.9)

    def test_noise_of_the_last_points_does_not_turn_what_is_beyond_them(self):
        surface = latency.Surface(np.array([10, 60, 100, 101]), np.ones(4), np.array([10.0, 60.0, 101.0, 99.0]))
        found = surface.seconds([5.0, 100.5, 201.0], np.ones(3))
        np.testing.assert_allclose(found, [5.0, 100.0, 99.0 + 100.0 * 39.0 / 41.0])
        falling = latency.Surface(np.array([10, 11]), np.ones(2), np.array([10.0, 9.0]))
        np.testing.assert_allclose(falling.seconds([1000.0], np.ones(1)), [9.0])

    def test_telemetry_only_where_there_is_any(self):
        with self.assertRaises(NotDrawn):
            telemetry.draw(self.results)
        self.profile.telemetry["power_w"] = np.full(self.profile.median_s.shape, 500.0)
        picture = telemetry.draw(self.results)
        self.assertEqual(picture.choices[0].labels, ["power (W)"])
        self.assertTrue((picture.frames[(0,)].series[0].y == 500.0).all())

    def test_of_many_devices_the_fastest_and_the_slowest_are_among_those_shown(self):
        profile = dataclasses.replace(
            self.profile,
            **{
                field: np.repeat(getattr(self.profile, field), 16, axis=0)
                for field in (
                    "median_s",
                    "p95_s",
                    "samples_s",
                    "settled",
                    "throttle_reasons",
                    "drift",
                    "ranks",
                    "slowdowns",
                )
            },
            names=self.profile.names * 16,
            hostnames=self.profile.hostnames * 16,
        )
        profile.median_s = profile.median_s * np.linspace(1, 1.3, 64)[:, None]
        picture = latency_over_tiles.draw(Results("", profile=profile))
        names = [series.name for series in picture.frames[(0, 0)].series]
        speeds = latency.relative_speeds(profile)
        self.assertIn(f"device {speeds.argmin()} ({speeds.min():.2f})", names)
        self.assertIn(f"device {speeds.argmax()} (1.00)", names)
        self.assertTrue(any("of 64 devices" in note for note in picture.notes))


class Routing(support.TestCase):
    def setUp(self):
        super().setUp()
        self.results = collect([support.result("simulated")])
        self.counts = self.results.train.counts

    def test_as_gem_trace_describe_prints(self):
        rows = support.table_rows(support.printed("simulated", "describe.txt"), [str(layer) for layer in range(24)])
        kinds, step_skew = routing.expert_kinds(self.counts), routing.step_skew(self.counts)
        for layer in range(24):
            cells = rows[str(layer)]
            self.assertAlmostEqual(routing.skew(self.counts)[layer], float(cells[1]), delta=0.0051)
            self.assertAlmostEqual(np.median(step_skew[:, layer]), float(cells[2]), delta=0.0051)
            self.assertAlmostEqual(step_skew[:, layer].max(), float(cells[3]), delta=0.0051)
            self.assertEqual((kinds[layer] == routing.CONSISTENT).sum(), int(cells[6]))
            self.assertEqual((kinds[layer] == routing.TEMPORAL).sum(), int(cells[7]))
        np.testing.assert_allclose(layer_skew.draw(self.results).frames[()].series[2].y, routing.skew(self.counts))

    def test_temporal_experts(self):
        counts = np.full((40, 1, 8), 10)
        counts[:, 0, 0] = 0
        counts[:4, 0, 0] = 60
        counts[:, 0, 1] = 30
        self.assertEqual(
            list(routing.expert_kinds(counts)[0, :3]), [routing.TEMPORAL, routing.CONSISTENT, routing.OTHER]
        )

    def test_layers_of_different_expert_counts_are_described_by_their_own(self):
        own = np.array([8, 5])
        counts = np.random.default_rng(3).integers(0, 40, (30, 2, 8))
        counts[:, 1, 5:] = 0
        homes = latency.linear_homes(2, 8, 2, own)
        self.assertEqual([list(homes.experts_of(1, device)) for device in (0, 1)], [[0, 1, 2], [3, 4]])
        self.assertEqual(homes.tokens_on(1, 1, counts[:, 1]).sum(), counts[:, 1, 3:].sum())
        for layer, count in enumerate(own):
            alone = counts[:, layer : layer + 1, :count]
            self.assertAlmostEqual(routing.skew(counts, own)[layer], routing.skew(alone)[0])
            np.testing.assert_allclose(routing.step_skew(counts, own)[:, layer], routing.step_skew(alone)[:, 0])
            shares = routing.busy_shares(counts, own)[layer, :count]
            np.testing.assert_allclose(shares, routing.busy_shares(alone)[0])
            kinds = routing.expert_kinds(counts, own)[layer, :count]
            np.testing.assert_array_equal(kinds, routing.expert_kinds(alone)[0])

    def test_loads_conserve_every_token(self):
        picture = expert_loads.draw(self.results)
        for frame in picture.frames.values():
            np.testing.assert_array_equal(frame.values.sum(axis=0), 64 * 4)
            self.assertEqual(sorted(map(int, frame.row_labels)), list(range(32)))

    def test_correlation_as_numpy_has_it(self):
        loads = self.counts[:, 3].astype(float)
        varying = loads.std(axis=0) > 0
        found = routing.correlations(loads)[np.ix_(varying, varying)]
        np.testing.assert_allclose(found, np.corrcoef(loads[:, varying].T), atol=1e-12)
        heat = expert_correlation.draw(self.results).frames[(3,)]
        self.assertTrue(np.isnan(np.diag(heat.values)).all())

    def test_drift_of_a_trace_that_never_changes_is_none(self):
        even = np.repeat(self.counts[:1], 24, axis=0)
        np.testing.assert_allclose(load_drift.drift(even, even, 4), 0.0, atol=1e-12)
        shifted = np.zeros((4, 1, 2), int)
        shifted[..., 0] = 8
        np.testing.assert_allclose(load_drift.drift(shifted, shifted[..., ::-1], 2), 1.0)

    def test_similarity(self):
        values = task_similarity.draw(self.results).frames[()].values
        np.testing.assert_allclose(np.diag(values), 100.0)
        np.testing.assert_allclose(values, values.T)
        self.assertLess(values[0, 1], 100.0)


if __name__ == "__main__":
    unittest.main()
