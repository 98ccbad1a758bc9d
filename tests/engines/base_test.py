"""What the adapters share: made-up top-k ids, tile rules, and answers to requests (gem_kernels/base.py)."""
import unittest

from gem_kernels import base


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


if __name__ == "__main__":
    unittest.main()
