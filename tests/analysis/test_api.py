"""The Python API: what it writes is read by the programs and by itself, and calls that make no sense are refused."""

import os
import unittest
from unittest import mock

import support

import h5py
import numpy as np

import gem_analysis as gem
from gem_analysis.latency import throttle_text, throttled

SMALL = {"model": "small", "hidden_size": 128, "intermediate_size": 64}


def small_profile(devices=2, **options):
    tiles, active = np.array([1, 2, 4, 8, 2, 4, 8]), np.array([1, 1, 1, 1, 2, 2, 2])
    speeds = np.linspace(1.0, 1.2, devices)[:, None]
    return gem.make_profile(speeds * 1e-5 * (tiles + active), tiles, active, tile_tokens=16, **SMALL, **options)


def small_trace(part="all"):
    counts = np.random.default_rng(5).integers(0, 40, (12, 3, 4))
    return gem.make_trace(counts, model="small", top_k=2, task="chat", part=part)


def names_in(file):
    names = set()
    file.visit(names.add)
    return names


class Files(support.TestCase):
    def test_each_format_is_read_as_it_was_written(self):
        routing = gem.make_routing(
            np.random.default_rng(1).integers(0, 4, (20, 3, 2)), [0, 5, 20], model="small", task="chat", num_experts=4
        )
        uneven = gem.make_mapping([[1, 0, 0]], 2, model="small", method="mine")
        self.assertEqual(uneven.slots.tolist(), [[[1, 2], [0, -1]]])
        pruned = gem.make_mapping([[1, 0, 1, 0], [0, 1, 0, -1]], 2, model="small", method="mine")
        self.assertEqual(pruned.slots.tolist(), [[[1, 3], [0, 2]], [[0, 2], [1, -1]]])
        counts = small_trace("test").counts.copy()
        counts[:, 1, 3] = 0
        layers = gem.make_trace(counts, model="small", top_k=2, task="chat", experts_of_layer=[4, 3, 4])
        with self.assertRaises(gem.GemError):
            gem.make_trace(counts, model="small", top_k=2, task="chat", experts_of_layer=[4, 2, 4])
        mapping = gem.make_mapping([[0, 1, 1, 0]] * 3, 2, model="small", method="mine")
        sampled = gem.make_profile(
            np.full((2, 3, 5), 1e-4), [1, 2, 3], [1, 1, 1], tile_tokens=16, **SMALL, slowdowns=[1.0, 1.28]
        )
        for number, noun in enumerate(
            (small_profile(), sampled, small_trace("test"), mapping, routing, pruned, layers)
        ):
            with self.subTest(kind=type(noun).__name__):
                gem.write(self.path(f"{number}.h5"), noun)
                again = gem.read(self.path(f"{number}.h5"))
                self.assertIs(type(again), type(noun))
                for name, value in vars(noun).items():
                    if name not in ("header", "telemetry", "name", "course"):
                        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
                self.assertEqual(again.header.model, "small")
        self.assertEqual([name for name in os.listdir(self.folder) if name.endswith((".partial", ".tmp"))], [])

    def test_a_link_is_written_through_and_nothing_but_a_file_is_replaced(self):
        far, near = self.path("far.h5"), self.path("near.h5")
        with open(far, "w", encoding="ascii"):
            pass
        os.chmod(far, 0o640)
        os.symlink("far.h5", near)
        # What a killed run left, which nobody holds any more; and what only looks like it.
        left, other = far + ".gem-0123456789ab.tmp", far + ".gem-mine.tmp"
        for path in (left, other):
            with open(path, "w", encoding="ascii"):
                pass
        gem.write(near, small_trace("test"))
        self.assertTrue(os.path.islink(near))
        self.assertEqual(os.stat(far).st_mode & 0o777, 0o640)
        self.assertEqual(gem.read(far).part, "test")
        self.assertFalse(os.path.exists(left))
        self.assertTrue(os.path.exists(other))
        os.mkfifo(self.path("pipe.h5"))
        with self.assertRaises(gem.GemError) as refused:
            gem.write(self.path("pipe.h5"), small_trace("test"))
        self.assertIn("not a regular file", str(refused.exception))

    def test_the_exchange_and_the_pace_of_a_profile_are_kept(self):
        profile = small_profile()
        law = {
            "tokens": [64, 256],
            "mean_s": [6e-5, 9e-5],
            "fixed_s": [5e-5, 5e-5],
            "row_s": [1e-9, 2e-8],
            "explained": [0.1, 0.9],
        }
        profile.exchange_law = {name: np.array(values) for name, values in law.items()}
        profile.pace, profile.serving_clock_hz = "serving", np.array([1.9e9, np.nan])
        profile.shared_tokens = np.array([16, 64])
        profile.shared_s = np.full((profile.device_count, 2), 2e-5)
        profile.throttle_reasons[:] = 4
        profile.telemetry["sm_clock_hz"][0] = 1.89e9
        profile.telemetry["sm_clock_hz"][0, 2] = 1.7e9
        gem.write(self.path("served.h5"), profile)
        again = gem.read(self.path("served.h5"))
        for name, values in law.items():
            np.testing.assert_array_equal(again.exchange_law[name], values)
        self.assertEqual(again.pace, "serving")
        self.assertEqual(again.shared_tokens.tolist(), [16, 64])
        np.testing.assert_array_equal(again.shared_s, profile.shared_s)
        held_down = throttled(again)
        self.assertEqual(held_down[0].tolist(), [False, False, True] + [False] * 4)
        self.assertTrue(held_down[1].all(), "unknown clocks: what the GPU says")
        self.assertIn("below that of serving (1.90 GHz", throttle_text(again))
        profile.exchange_law["tokens"] = np.array([256, 64])
        gem.write(self.path("served.h5"), profile)
        with self.assertRaisesRegex(gem.GemError, "/exchange/law/tokens"):
            gem.read(self.path("served.h5"))

    def test_files_of_the_programs_are_written_back_unchanged(self):
        for name in ("profile.h5", "train.h5", "gem.h5"):
            noun = gem.read(support.result("simulated", name))
            gem.write(self.path(name), noun)
            with h5py.File(support.result("simulated", name)) as first, h5py.File(self.path(name)) as second:
                for part in second:
                    second.visititems(
                        lambda path, node, first=first: (
                            isinstance(node, h5py.Dataset)
                            and np.testing.assert_array_equal(node[()], first[path][()], err_msg=path)
                        )
                    )
                self.assertEqual(first.attrs["format"], second.attrs["format"])
                self.assertTrue(part)
                if name == "gem.h5":  # devices and the search's course, too, which no mapping of arrays has
                    self.assertEqual(names_in(second), names_in(first))
                    self.assertEqual(second.attrs["device_kind"], first.attrs["device_kind"])

    def test_moves_of_a_mapping_are_kept(self):
        mapping = gem.make_mapping([[1, 0, 0, 1]], 2, model="small", method="mine")
        mapping.others = {"moved_from": "before.h5"} | {
            f"/moves/{name}": np.array([number]) for name, number in (("layer", 0), ("expert", 3), ("to_device", 1))
        }
        gem.write(self.path("m.h5"), mapping)
        again = gem.read(self.path("m.h5"))
        self.assertEqual(again.others, mapping.others)

    def test_what_makes_no_sense_is_refused(self):
        one = np.full((2, 2), 1e-4)
        for call, said in (
            (lambda: gem.make_profile(one, [1, 2, 3], [1, 1], tile_tokens=16, **SMALL), "tiles"),
            (lambda: gem.make_profile(-one, [1, 2], [1, 1], tile_tokens=16, **SMALL), "positive"),
            (lambda: gem.make_profile(one, [1, 2], [1, 4], tile_tokens=16, **SMALL), "one tile or more"),
            (lambda: gem.make_trace([[[0.5]]], model="m", top_k=1, task="t"), "whole tokens"),
            (lambda: gem.make_mapping([[0, 0, 0, 1]], 2, model="m", method="x"), "must hold 2 experts"),
            (lambda: gem.make_mapping([[0, 1, 1]], 2, model="m", method="x"), "the first 1 one more"),
            (lambda: gem.make_routing([[[9]]], [0, 1], model="m", task="t", num_experts=4), "experts, 0 to 3"),
            (lambda: gem.make_routing([[[1]]], [0, 2], model="m", task="t", num_experts=4), "request_offsets"),
            (lambda: gem.write(self.path("r.h5"), gem.read(support.result("host", "report.h5"))), "cannot be written"),
            (lambda: gem.write(self.path("p.h5"), gem.read(support.result("regimes", "profile.h5"))), "several tiles"),
        ):
            with self.subTest(said=said), self.assertRaisesRegex(gem.UsageError, said):
                call()
        with self.assertRaises(gem.SystemFailure):
            gem.write(self.path("no", "such", "folder.h5"), small_trace())

    def test_damaged_routing_is_refused(self):
        routing = gem.make_routing([[[1]], [[2]]], [0, 2], model="m", task="t", num_experts=4)
        for name, values in (("topk_ids", [[[7]], [[2]]]), ("request_offsets", [0, 3])):
            gem.write(self.path("r.h5"), routing)
            with h5py.File(self.path("r.h5"), "r+") as file:
                file[name][...] = values
            with self.assertRaises(gem.DataError):
                gem.read(self.path("r.h5"))


class Programs(support.TestCase):
    def test_a_profile_of_arrays_is_mapped_for(self):
        gem.write(self.path("p.h5"), small_profile())
        gem.write(self.path("t.h5"), small_trace())
        done = gem.run("gem-map", profile=self.path("p.h5"), trace=self.path("t.h5"), output=self.path("m.h5"))
        self.assertEqual(done.code, 0)
        self.assertEqual(gem.read(self.path("m.h5")).method, "gem")
        described = gem.run("gem-trace", "describe", trace=self.path("t.h5"))
        self.assertIn("chat", described.output)

    def test_codes_become_errors_in_the_programs_own_words(self):
        gem.write(self.path("t.h5"), small_trace())
        with self.assertRaisesRegex(gem.UsageError, "--nonsense"):
            gem.run("gem-map", nonsense=3)
        with self.assertRaisesRegex(gem.DataError, "t.h5"):
            gem.run("gem-map", profile=self.path("t.h5"), trace=self.path("t.h5"), output=self.path("m.h5"))
        with self.assertRaisesRegex(gem.SystemFailure, "gem-nothing is not on the PATH"):
            gem.run("gem-nothing")

    def test_a_verdict_is_a_result_whatever_it_says(self):
        done = gem.run(
            "gem-verify",
            profile=support.result("simulated", "profile.h5"),
            trace=support.result("simulated", "test.h5"),
            mapping=[support.result("simulated", "eplb.h5"), support.result("simulated", "gem.h5")],
            steps=4,
            output=self.path("r.h5"),
            quiet=False,
        )
        self.assertIn(done.code, (0, 1))
        self.assertTrue(done.verdict)
        self.assertEqual(gem.summary(gem.read(self.path("r.h5")))["mapping"].tolist(), ["linear", "eplb", "gem"])


class Frames(support.TestCase):
    def test_columns_hold_what_the_file_holds(self):
        report = gem.read(support.result("host", "report.h5"))
        table = gem.columns(report)
        self.assertEqual({len(values) for values in table.values()}, {report.measured_s.size})
        row = np.flatnonzero(
            (table["mapping"] == "gem") & (table["layer"] == report.layer_ids[2]) & (table["device"] == 1)
        )[0]
        self.assertEqual(table["measured_s"][row], report.measured_s[1, 0, 2, 1])
        mapping = gem.read(support.result("simulated", "gem.h5"))
        held = gem.columns(mapping)
        np.testing.assert_array_equal(
            held["device"], mapping.expert_to_device[np.searchsorted(mapping.layer_ids, held["layer"]), held["expert"]]
        )
        trace = gem.read(support.result("simulated", "train.h5"))
        self.assertEqual(gem.columns(trace)["tokens"].sum(), trace.counts.sum())
        profile = gem.read(support.result("simulated", "profile.h5"))
        self.assertEqual(len(gem.columns(profile)["median_s"]), profile.median_s.size)

    def test_a_frame_needs_pandas(self):
        trace = small_trace()
        with mock.patch.dict("sys.modules", {"pandas": None}), self.assertRaisesRegex(gem.SystemFailure, "pandas"):
            gem.frame(trace)
        made = mock.Mock()
        with mock.patch.dict("sys.modules", {"pandas": made}):
            gem.frame(trace)
        made.DataFrame.assert_called_once()


class Interruption(support.TestCase):
    def test_ctrl_c_says_what_is_kept_and_is_no_verdict(self):
        with mock.patch("gem_analysis.__main__.run", side_effect=KeyboardInterrupt):
            code, _, errors = self.run_program("report", "nowhere")
        self.assertEqual(code, 4)
        self.assertIn("ended from outside", errors)


class Names(unittest.TestCase):
    def test_everything_promised_is_there(self):
        for name in gem.__all__:
            self.assertTrue(callable(getattr(gem, name)), name)
        with self.assertRaises(AttributeError):
            gem.nothing  # noqa: B018


if __name__ == "__main__":
    unittest.main()
