"""What the adapters share: made-up top-k ids, tile rules, and answers to requests (gem_kernels/base.py)."""
import unittest
from unittest import mock

from gem_kernels import base, torch_device


class Recorded(base.Engine):
    name, kernel, version, tiles = "stated", "a law", "1", 8

    def __init__(self, opening):
        self.opening = opening

    def seconds(self, tokens, samples, cold):
        if sum(tokens) > 100:
            raise base.Refusal("too many rows; ask for less")
        return [1e-6 * sum(tokens)] * samples


def answers(*requests):
    import json

    numbered = [json.dumps({"id": i, **request}) for i, request in enumerate(requests)]
    return list(base._answers(numbered, Recorded))


OPEN = {"request": "open", "protocol": 1}
LOAD = {"request": "load", "tokens": [3, 0, 4], "samples": 2, "cold": True}


class Protocol(unittest.TestCase):
    def test_answers_in_turn_until_close(self):
        opened, loaded = answers(OPEN, LOAD, {"request": "close"}, LOAD)
        self.assertEqual(opened["tiles"], 8)
        self.assertEqual(loaded, {"id": 1, "seconds": [7e-6, 7e-6]})

    def test_a_refusal_is_an_error_and_an_exception_too(self):
        self.assertIn("ask for less", answers(OPEN, {**LOAD, "tokens": [101]})[1]["error"])
        self.assertIn("speaks protocol 1", answers({**OPEN, "protocol": 2})[0]["error"])
        self.assertIn("knows no request", answers({"request": "dance"})[0]["error"])


class TopK(unittest.TestCase):
    def test_rows_go_round_the_tokens_with_no_expert_twice(self):
        tokens = (5, 0, 9, 1, 9)
        experts = [expert for expert, count in enumerate(tokens) for _ in range(count)]
        for count, top_k in ((24, 1), (12, 2), (9, 3), (60, 4)):
            base.check_fits(tokens, count, top_k)
            of_token = {}
            places = [base.place_of(row, count, top_k) for row in range(24)]
            self.assertEqual(len(set(places)), 24)
            self.assertLess(max(places), count * top_k)
            for place, expert in zip(places, experts):
                of_token.setdefault(place // top_k, []).append(expert)
            for mine in of_token.values():
                self.assertEqual(len(set(mine)), len(mine))

    def test_refuses_what_does_not_fit(self):
        self.assertRaises(base.Refusal, base.check_fits, (5, 5), 4, 4)
        self.assertRaises(base.Refusal, base.check_fits, (4, 4), 4, 1)


class Tiles(unittest.TestCase):
    def test_a_step_for_each_stretch_of_one_configuration(self):
        def config(rows):
            return {"BLOCK_SIZE_M": 16 if rows <= 32 else 64, "warps": 4 if rows <= 128 else 8}

        self.assertEqual(
            base.steps_of(config, 500),
            [{"tile_tokens": 16, "up_to_rows": 32}, {"tile_tokens": 64, "up_to_rows": 128}, {"tile_tokens": 64}],
        )


class Packages(unittest.TestCase):
    def test_what_is_absent_says_what_to_install(self):
        with self.assertRaisesRegex(base.Refusal, "no_such_engine can't be imported .*; pip install it"):
            base.need("no_such_engine", "pip install it")

    def test_a_fused_exchange_is_refused(self):
        with self.assertRaisesRegex(base.Refusal, "can't be told apart"):
            base.cannot_be_told_apart("a mega kernel")


class Backend:
    """Of a device whose host is busy elsewhere during the first `late` samples, by a clock of its own."""

    def __init__(self, late):
        self.late, self.held_s, self.now_s = late, [], 0.0

    def Event(self, enable_timing):
        return self

    def record(self):
        pass

    def _sleep(self, cycles):
        self.held_s.append(cycles / torch_device.CYCLES_PER_S)

    def run(self):
        self.now_s += 0.02 if len(self.held_s) <= self.late else 0.001


class Samples(unittest.TestCase):
    def holds_of(self, late):
        engine = torch_device.TorchEngine.__new__(torch_device.TorchEngine)
        engine.backend = backend = Backend(late)
        with mock.patch.object(torch_device.time, "perf_counter", lambda: backend.now_s):
            engine.punctual_sample(backend.run, 0.01, False)
        return backend.held_s

    def test_a_late_one_is_taken_anew_and_held_longer(self):
        self.assertEqual(len(self.holds_of(0)), 1)
        self.assertEqual([round(held, 3) for held in self.holds_of(1)], [0.01, 0.02])

    def test_not_for_ever(self):
        self.assertLessEqual(len(self.holds_of(99)), torch_device.MOST_LATE)


class Gate(unittest.TestCase):
    def run_at(self, then):
        import os
        import subprocess
        import sys
        import tempfile

        here = os.path.dirname(os.path.abspath(__file__))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "gate")
            child = subprocess.Popen(
                [sys.executable, os.path.join(here, "../benchmark/gated.py"), "gem_kernels.numpy"],
                env={**os.environ, "GEM_GATE": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            with self.assertRaises(subprocess.TimeoutExpired):
                child.wait(0.5)
            with open(path, "w") as file:
                file.write(then)
            return child.communicate('{"request": "close", "id": 1}\n', timeout=60), child.returncode

    def test_opens_once_the_file_is_there(self):
        self.assertEqual(self.run_at("")[1], 0)

    def test_stays_shut_if_the_file_says_so(self):
        (_, error), code = self.run_at("stop")
        self.assertNotEqual(code, 0)
        self.assertIn("time is up", error)


if __name__ == "__main__":
    unittest.main()
