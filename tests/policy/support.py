"""What the tests of gem_policy share: made-up loads that drift, the library, and a log that is kept."""

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import pathlib
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


def install_entry_points(folder):
    """Makes the package's entry points those of an installed one, as pip would from policy/pyproject.toml, unless it is
    installed."""
    try:
        importlib.metadata.distribution("gem-policy")
        return
    except importlib.metadata.PackageNotFoundError:
        pass
    import tomllib

    with open(pathlib.Path(__file__).resolve().parents[2] / "policy" / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    described = pathlib.Path(folder) / "gem_policy.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]"] + [f"{name} = {value}" for name, value in points.items()]
    (described / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.path.append(str(folder))
    importlib.invalidate_caches()


class Log(logging.Logger):
    """Keeps what is said."""

    def __init__(self):
        super().__init__("test")
        self.lines = []

    def handle(self, record):
        self.lines.append(record.getMessage())

    def text(self):
        return "\n".join(self.lines)
