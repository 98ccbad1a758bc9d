#!/usr/bin/python3
"""gem_policy by itself: settings, ranks, decisions; no engine and no torch."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

from support import LIBRARY, Log, expect_servable, linear_map, made_up_counts, settings

import numpy

from gem_policy import ranks
from gem_policy.decision import Decider, Expert, load_decider, sampled_steps, without_repeats
from gem_policy.library import Devices, Library, PolicyError
from gem_policy.settings import SettingError, Settings

EXPERT = Expert(50e6, 25e6)


def write_profile(folder, uuids, clock_hz=1.5e9, slowdowns=None):
    """A profile's text, as gem-deploy writes it."""
    points = [(tiles, active) for active in (1, 2, 4, 8) for tiles in range(active, active + 60, 6)]
    slowdowns = slowdowns or [1.0 + 0.1 * device for device in range(len(uuids))]
    latency = [[slow * (5e-6 + 3e-6 * tiles + 8e-6 * active) for tiles, active in points] for slow in slowdowns]
    text = {
        "format": "gem.policy_profile", "format_version": 1, "model": "made-up", "tile_tokens": 16,
        "/devices/name": ["made-up"] * len(uuids), "/devices/uuid": uuids,
        "/points/tiles": [tiles for tiles, _ in points], "/points/active_experts": [active for _, active in points],
        "/points/tokens": [16 * tiles for tiles, _ in points], "/latency/median": latency, "/latency/p95": latency,
        "/telemetry/sm_clock_hz": [[clock_hz] * len(points)] * len(uuids)}
    path = os.path.join(folder, "profile.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(text, file)
    return path


class SettingsTest(unittest.TestCase):
    def test_environment_wins_over_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "policy.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write("# of this cluster\nsteps = 16\nmax_moves = 2   # few\nclocks = yes\n")
            found = Settings.load({"GEM_POLICY_CONFIG": path, "GEM_POLICY_STEPS": "8", "OTHER": "x"})
        self.assertEqual((found.steps, found.max_moves, found.clocks), (8, 2, True))
        self.assertEqual(Settings.load({}), Settings())

    def test_what_is_wrong_is_named(self):
        for name, value, part in (("STEPS", "many", "whole number"), ("STEP", "1", "is no setting; there are clocks"),
                                  ("STEPS", "0", "is 0, but must be 1 to"), ("CLOCKS", "perhaps", "0 or 1"),
                                  ("MOVE_GBPS", "nan", "above 0"), ("CONFIG", "/nowhere", "/nowhere")):
            with self.assertRaisesRegex(SettingError, f"^GEM_POLICY_{name}.*{part}"):
                Settings.load({"GEM_POLICY_" + name: value})
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            print("# two lines\nhorizon = -2", file=file, flush=True)
            with self.assertRaisesRegex(SettingError, f"^{file.name}:2: horizon is -2, but must be"):
                Settings.load({"GEM_POLICY_CONFIG": file.name})


class RanksTest(unittest.TestCase):
    def parts(self, uuids, profiled, given=5, clock_hz=0.0):
        return [ranks.own_part(rank, given, uuid, profiled, clock_hz) for rank, uuid in enumerate(uuids)]

    def test_ranks_are_found_in_the_profile_by_their_gpus(self):
        fit = ranks.fit_of(self.parts(["c", "a", "b"], ["a", "b", "c"]), 3)
        self.assertEqual(fit.devices, [2, 0, 1])

    def test_without_numbers_the_order_counts(self):
        self.assertEqual(ranks.fit_of(self.parts(["", ""], ["a", "b"]), 2).devices, [0, 1])
        self.assertEqual(ranks.fit_of(self.parts(["x", "y"], ["", ""]), 2).devices, [0, 1])

    def test_parts_of_one_gpu_keep_the_order_of_ranks(self):
        self.assertEqual(ranks.fit_of(self.parts(["a", "a"], ["a", "a"]), 2).devices, [0, 1])

    def test_others_do_not_fit(self):
        self.assertIsNone(ranks.fit_of(self.parts(["a", "x"], ["a", "b"]), 2).devices)
        self.assertIn("rank 1", ranks.fit_of(self.parts(["a", "x"], ["a", "b"]), 2).why)
        self.assertIn("3 devices", ranks.fit_of(self.parts(["a", "b"], ["a", "b", "c"]), 3).why)
        self.assertIsNone(ranks.fit_of(self.parts(["a", "a"], ["a", "b"]), 2).devices)

    def test_ranks_that_were_given_other_things_do_not_work_together(self):
        parts = self.parts(["", ""], [])
        self.assertIsNotNone(ranks.fit_of(parts, 2))
        self.assertIsNone(ranks.fit_of([parts[0], [0.0] * ranks.SLOTS], 2))
        self.assertIsNone(ranks.fit_of([parts[0], self.parts(["", ""], [], given=6)[1]], 2))

    def test_a_lower_clock_is_a_slowdown_and_an_idle_one_is_not(self):
        fit = ranks.Fit([1, 0, 2, 3], "", [1.0e9, 1.5e9, 0.0, 0.1e9])
        self.assertEqual(ranks.slowdowns(fit, [1.5e9, 1.5e9, 1.5e9, 1.5e9]), [1.5, 1.0, None, None])
        self.assertEqual(ranks.slowdowns(fit, [float("nan")] * 4), [None] * 4)


    def test_the_clock_is_what_nvml_says(self):
        def nvml(init=0, handle=0, clock=0):
            def clock_info(device, kind, megahertz):
                megahertz._obj.value = 1410 if kind == 1 else 1  # 1: NVML_CLOCK_SM
                return clock

            return types.SimpleNamespace(
                nvmlInit_v2=lambda: init, nvmlShutdown=lambda: 0, nvmlDeviceGetClockInfo=clock_info,
                nvmlDeviceGetHandleByUUID=lambda uuid, device: handle if uuid == b"GPU-1" else 6)

        def clock_of(uuid, library):
            with unittest.mock.patch("ctypes.CDLL", return_value=library):
                return ranks.sm_clock_hz(uuid)

        self.assertEqual(clock_of("GPU-1", nvml()), 1.41e9)
        self.assertIsNone(clock_of("GPU-2", nvml()))
        for failure in ("init", "handle", "clock"):
            self.assertIsNone(clock_of("GPU-1", nvml(**{failure: 3})))
        with unittest.mock.patch("ctypes.CDLL", side_effect=OSError):
            self.assertIsNone(ranks.sm_clock_hz("GPU-1"))

    def test_no_clock_is_read_unless_it_is_asked_for(self):
        with unittest.mock.patch.object(ranks, "sm_clock_hz", return_value=1.2e9) as read:
            self.assertEqual(Decider(settings(), Log()).own_part(0, "GPU-1")[2], 0.0)
            read.assert_not_called()
            self.assertEqual(Decider(settings(clocks=1), Log()).own_part(0, "GPU-1")[2], 1.2e9)


class DecisionTest(unittest.TestCase):
    def decide(self, counts, present, slots, devices, horizon=3000, log=None, decider=None, **values):
        decider = decider or Decider(settings(**values), log or Log())
        return decider.place(counts, present, slots // devices, devices, horizon, EXPERT)

    def test_maps_are_servable_and_the_same_again(self):
        for experts, slots, devices in ((16, 16, 4), (16, 20, 4), (6, 8, 2), (32, 48, 8), (8, 16, 4)):
            counts, present = made_up_counts(40, 3, experts), linear_map(3, experts, slots)
            placed = self.decide(counts, present, slots, devices)
            expect_servable(self, placed, 3, experts, slots, devices)
            self.assertFalse((placed == present).all())
            self.assertTrue((placed == self.decide(counts, present, slots, devices)).all())

    def test_few_moves(self):
        counts, present = made_up_counts(40, 3, 32), linear_map(3, 32, 32)
        placed = self.decide(counts, present, 32, 8, max_moves=2)
        self.assertLessEqual(int((placed != present).sum()), 6)

    def test_the_map_stays_where_moves_do_not_pay(self):
        log = Log()
        counts, present = made_up_counts(40, 3, 16), linear_map(3, 16, 16)
        placed = self.decide(counts, present, 16, 4, horizon=1, move_gbps=0.001, log=log)
        self.assertTrue((placed == present).all())
        self.assertIn("keeps the map", log.text())
        self.assertIn("no profile is given (GEM_POLICY_PROFILE)", log.text())

    def test_the_log_says_what_it_brings(self):
        log = Log()
        self.decide(made_up_counts(40, 3, 16), linear_map(3, 16, 16), 16, 4, log=log)
        self.assertRegex(log.text(), r"moves \d+ experts in 3 layers, for .* paid back after \d+ of 3000 steps")

    def test_repeats_and_empty_steps_change_nothing(self):
        counts, present = made_up_counts(40, 2, 16), linear_map(2, 16, 16)
        expected = self.decide(counts, present, 16, 4)
        with_gaps = numpy.concatenate([counts, numpy.zeros_like(counts[:7])])
        self.assertTrue((expected == self.decide(4 * with_gaps, present, 16, 4)).all())
        self.assertEqual(int(without_repeats(3 * counts, 4).max()), 3 * int(counts.max()))  # 4 ranks don't count thrice

    def test_too_little_is_refused(self):
        with self.assertRaisesRegex(PolicyError, "fewer than two steps"):
            self.decide(made_up_counts(1, 2, 16), linear_map(2, 16, 16), 16, 4)

    def test_steps_are_spread_over_the_window(self):
        self.assertEqual(sampled_steps(1000, settings(steps=3, judged_steps=1)), [0, 250, 500, 750])
        self.assertEqual(sampled_steps(5, settings()), [0, 1, 2, 3, 4])

    def test_a_profile_that_fits_is_used_and_another_is_not(self):
        counts, present = made_up_counts(40, 2, 16), linear_map(2, 16, 16)
        with tempfile.TemporaryDirectory() as folder:
            path = write_profile(folder, ["a", "b", "c", "d"], slowdowns=[1.0, 1.0, 1.0, 1.5])
            log = Log()
            decider = Decider(settings(profile=path, max_moves=-1), log)
            given = decider.given()
            uuids = ["d", "a", "b", "c"]
            decider.take_ranks([ranks.own_part(rank, given, uuid, ["a", "b", "c", "d"], 0.0)
                                for rank, uuid in enumerate(uuids)], 0)
            placed = self.decide(counts, present, 16, 4, decider=decider)
            tokens = counts.sum(axis=0)
            first = sum(tokens[layer, placed[layer, :4]].sum() for layer in range(2))
            self.assertLess(first, 0.22 * tokens.sum())  # rank 0 has the slow one
            decider.take_ranks([ranks.own_part(rank, given, uuid, ["a", "b", "c", "d"], 0.0)
                                for rank, uuid in enumerate(["d", "a", "b", "x"])], 0)
            for _ in range(2):
                placed = self.decide(counts, present, 16, 4, decider=decider)
            first = sum(tokens[layer, placed[layer, :4]].sum() for layer in range(2))
            self.assertGreater(first, 0.22 * tokens.sum())
            self.assertEqual(log.text().count("isn't one of those that were profiled"), 1)
            decider = Decider(settings(profile=path), log)
            for _ in range(2):
                decider.take_ranks([ranks.own_part(rank, decider.given(), "", list("abcd"), 0.0) for rank in range(8)], 0)
                self.decide(counts, present, 16, 8, decider=decider)
            self.assertEqual(log.text().count("the profile has 4 devices, but there are 8 ranks"), 1)
            log = Log()
            self.decide(made_up_counts(40, 2, 16), linear_map(2, 16, 16), 16, 8, log=log, profile=path)
            self.assertIn("doesn't fit 8 ranks", log.text())

    def test_a_profile_that_is_gone_later_stops_no_rank(self):
        with tempfile.TemporaryDirectory() as folder:
            decider = Decider(settings(profile=write_profile(folder, ["a", "b"])), Log())
            before = decider.own_part(0, "a")
        self.assertEqual(decider.own_part(0, "a"), before)

    def test_a_rank_without_a_library_is_on_but_cannot_decide(self):
        log = Log()
        with unittest.mock.patch.dict(os.environ, {"GEM_POLICY_LIBRARY": "/nowhere/libgem_policy.so.1"}):
            self.assertEqual(load_decider(log, "vLLM"), (True, None))
            self.assertIn("vLLM's own policy", log.text())
            with unittest.mock.patch.dict(os.environ, {"GEM_POLICY_ENABLED": "0"}):
                self.assertEqual(load_decider(log, "vLLM"), (False, None))

    def test_clocks_count_where_they_are_asked_for(self):
        counts, present = made_up_counts(40, 2, 16), linear_map(2, 16, 16)
        shares = []
        with tempfile.TemporaryDirectory() as folder:
            path = write_profile(folder, ["a", "b", "c", "d"], slowdowns=[1.0] * 4)
            for clocks in (0, 1):
                log = Log()
                decider = Decider(settings(profile=path, max_moves=-1, clocks=clocks), log)
                decider.take_ranks([ranks.own_part(rank, decider.given(), uuid, ["a", "b", "c", "d"], clock_hz)
                                    for rank, (uuid, clock_hz) in enumerate(zip("abcd", (1.5e9, 1.5e9, 1.5e9, 0.9e9)))], 0)
                placed = self.decide(counts, present, 16, 4, decider=decider)
                tokens = counts.sum(axis=0)
                shares.append(sum(tokens[layer, placed[layer, 12:]].sum() for layer in range(2)) / tokens.sum())
            self.assertIn("ranks take 1.00, 1.00, 1.00, 1.67 times as long", log.text())
            decider.take_ranks([ranks.own_part(rank, decider.given(), "abcd"[rank], list("abcd"), None)
                                for rank in range(4)], 0)
            self.decide(counts, present, 16, 4, decider=decider)
            self.assertIn("rank 0, 1, 2, 3 can't be told", log.text())
        self.assertLess(shares[1], 0.85 * shares[0])

    def test_four_processes_give_the_same_bytes(self):
        program = ("import sys; from support import *; from gem_policy.decision import *\n"
                   "p = Decider(settings(), Log()).place(made_up_counts(64, 4, 32), linear_map(4, 32, 40), 5, 8, 3000,"
                   " Expert(50e6, 25e6))\nsys.stdout.buffer.write(p.tobytes())")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        children = [subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
                    for _ in range(4)]
        answers = [child.communicate()[0] for child in children]
        self.assertEqual(len(answers[0]), 4 * 40 * 4)
        self.assertEqual(len(set(answers)), 1)


class PageTest(unittest.TestCase):
    """src/policy/README.md shows each line that the log may have, and no other."""

    def setUp(self):
        self.log = Log()
        self.counts, self.present = made_up_counts(40, 2, 16), linear_map(2, 16, 16)

    def place(self, present, counts=None, uuids=None, clocks_hz=None, rank_count=4, **values):
        """Places as rank 0 of an engine; what the engine's module says of a refusal is said, too."""
        decider = Decider(settings(**values), self.log)
        try:
            if uuids is not None:
                clocks_hz = clocks_hz or [0.0] * len(uuids)
                decider.take_ranks([ranks.own_part(rank, decider.given(), uuid, list("abcd"), clock_hz)
                                    for rank, (uuid, clock_hz) in enumerate(zip(uuids, clocks_hz))], 0)
            decider.place(self.counts if counts is None else counts, present, 16 // rank_count, rank_count, 3000, EXPERT)
        except PolicyError as error:
            decider.say_once(f"{error}: vLLM's own policy places experts")

    def say_all(self, profile):
        self.place(self.present)
        self.place(self.present, move_gbps=1e-6, profile=profile)
        self.place(None, profile=profile)
        for uuids in ("abcdabcd", "abcx", "abcc"):
            self.place(self.present, uuids=uuids, profile=profile, rank_count=len(uuids))
        self.place(self.present, rank_count=8, profile=profile)
        self.place(self.present, uuids="abcd", clocks_hz=[1.5e9, 1.5e9, 1.5e9, 0.9e9], clocks=1, profile=profile)
        self.place(self.present, uuids="abcd", clocks_hz=[1.5e9, 0.0, 1.5e9, 1.5e9], clocks=1, profile=profile)
        self.place(self.present, counts=self.counts[:1], profile=profile)
        decider = Decider(settings(), self.log)
        with self.assertRaises(PolicyError) as refused:
            decider.take_ranks([[0.0] * ranks.SLOTS] * 2, 0)
        decider.say_once(f"{refused.exception}: vLLM's own policy places experts")
        with unittest.mock.patch.dict(os.environ, {"GEM_POLICY_STEPS": "0"}):
            load_decider(self.log, "vLLM")

    def test_the_page_has_the_lines_of_the_log(self):
        with tempfile.TemporaryDirectory() as folder:
            self.say_all(write_profile(folder, list("abcd")))
        page = pathlib.Path(__file__).resolve().parents[2] / "src" / "policy" / "README.md"
        shown, block = [], []
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("    GEM: "):
                shown.append(line.strip())
                block = shown
            elif line.startswith("    ") and block:
                block[-1] += " " + line.strip()
            else:
                block = []

        def without_numbers(lines):
            return {re.sub(r"\d[\d.]*", "N", line) for line in lines}

        of_vllm_alone = "GEM: the number of ranks is about to change: vLLM's own policy places experts"  # test_vllm.py
        self.assertEqual(without_numbers(self.log.lines) | {of_vllm_alone}, without_numbers(shown))


class LibraryTest(unittest.TestCase):
    def test_errors_are_the_library_s(self):
        library = Library(LIBRARY)
        with self.assertRaisesRegex(PolicyError, "/nowhere.json"):
            Devices.measured(library, "/nowhere.json")
        with self.assertRaisesRegex(PolicyError, "shape"):
            Devices.equal(library, 4, 16, 1e-6, 1e-6).place(made_up_counts(4, 2, 16), numpy.zeros((2, 3)), 4, 4)
        for other in ("/nowhere/libgem_policy.so.1", "libc.so.6"):
            with self.assertRaisesRegex(PolicyError, "GEM_POLICY_LIBRARY"):
                Library(other)

    def test_the_profile_itself_is_no_text(self):
        with tempfile.NamedTemporaryFile(suffix=".h5") as file:
            file.write(b"\x89HDF\r\n\x1a\n" + bytes(100))
            file.flush()
            with self.assertRaisesRegex(PolicyError, "HDF5 file, but .* gem-deploy profile"):
                Devices.measured(Library(LIBRARY), file.name)

    def test_the_bundled_profile_is_read(self):
        data, programs = os.environ.get("GEM_DATA"), os.environ.get("GEM_PROGRAMS")
        if not data or not os.path.exists(os.path.join(programs, "gem-deploy")):
            self.skipTest("gem-deploy isn't built")
        with tempfile.TemporaryDirectory() as folder:
            text = os.path.join(folder, "profile.json")
            subprocess.run([os.path.join(programs, "gem-deploy"), "profile", "--output", text, "--quiet", "--profile",
                            os.path.join(data, "profiles", "h100-four-shares.gpt-oss-20b.tile128.h5")], check=True,
                           stdout=subprocess.DEVNULL)
            devices = Devices.measured(Library(LIBRARY), text)
            self.assertEqual(len(devices), 4)
            self.assertTrue(all(uuid.startswith("GPU-") for uuid in devices.uuids()))
            self.assertTrue(all("H100" in name for name in devices.names()))

    def test_no_torch_and_no_engine_is_imported(self):
        program = ("import sys, gem_policy.vllm, gem_policy.sglang, gem_policy.decision\n"
                   "print([name for name in ('torch', 'vllm', 'sglang') if name in sys.modules])")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.decode().strip(), "[]")


if __name__ == "__main__":
    unittest.main()
