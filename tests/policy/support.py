"""What the tests of gem_policy share: made-up loads that drift, the library, and a log that is kept."""

import importlib.util
import logging
import os
import sys

SKIPPED = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


if importlib.util.find_spec("numpy") is None:
    skip("no NumPy")

import numpy

from gem_policy.settings import Settings

LIBRARY = os.environ.get("GEM_POLICY_LIBRARY", "")


def settings(**values):
    return Settings.load({"GEM_POLICY_LIBRARY": LIBRARY} | {f"GEM_POLICY_{k.upper()}": str(v) for k, v in values.items()})


def made_up_counts(steps, layers, experts, seed=1, tokens=512, top_k=4):
    """[step, layer, expert]: experts of unequal popularity, with bursts."""
    random = numpy.random.default_rng(seed)
    popularity = random.gamma(0.8, size=(layers, experts))
    popularity /= popularity.sum(axis=1, keepdims=True)
    bursts = random.gamma(2.0, 0.5, size=(steps, layers, experts))
    return random.poisson(popularity * tokens * top_k * bursts).astype(numpy.int32)


def linear_map(layers, experts, slots):
    return numpy.tile(numpy.arange(slots) % experts, (layers, 1)).astype(numpy.int64)


def expect_servable(case, placed, layers, experts, slots, devices):
    """Every expert is there, none twice on a device."""
    case.assertEqual(placed.shape, (layers, slots))
    for layer in range(layers):
        case.assertEqual(set(placed[layer].tolist()), set(range(experts)))
        for held in placed[layer].reshape(devices, -1):
            case.assertEqual(len(set(held.tolist())), len(held), "an expert is twice on a device")


class Log(logging.Logger):
    """Keeps what is said."""

    def __init__(self):
        super().__init__("test")
        self.lines = []

    def handle(self, record):
        self.lines.append(record.getMessage())

    def text(self):
        return "\n".join(self.lines)
