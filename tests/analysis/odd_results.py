"""Results of odd sizes, for tests of the page: many or few devices, layers and points, long names, very small and very large
figures. The numbers are drawn, nothing was measured."""

import os
import shutil

import h5py
import numpy as np

import gem_analysis as gem

NAMES = ("m", "a-model-whose-name-goes-on-and-on-as-some-do-235b-a22b-instruct-2507", "gpt-oss-20b")


def odd_profile(random, devices, model):
    points = int(random.integers(2, 40))
    active = np.sort(random.integers(1, 9, points))
    tiles = active + np.sort(random.integers(0, 2000, points))
    speed = random.uniform(1.0, random.choice([1.0001, 1.3, 40.0]), devices)[:, None]
    latency = speed * 10.0 ** random.uniform(-9, 2) * (1 + tiles + active)
    return gem.make_profile(
        latency,
        tiles,
        active,
        tile_tokens=int(random.choice([1, 16, 128])),
        model=model,
        hidden_size=7,
        intermediate_size=5,
        names=[f"device number {d} of an odd machine" for d in range(devices)],
        hostnames=["host." + "x" * int(random.integers(1, 50))] * devices,
        slowdowns=speed[:, 0],
    )


def write_odd_results(folder, seed):
    """A profile, a trace and mappings of one run, whose sizes the seed draws."""
    os.makedirs(folder)
    random = np.random.default_rng(seed)
    devices, layers = int(random.choice([1, 2, 3, 16, 40])), int(random.choice([1, 2, 61]))
    experts, steps = devices * int(random.integers(1, 9)), int(random.choice([1, 2, 300]))
    model, task = random.choice(NAMES), random.choice(NAMES)
    gem.write(os.path.join(folder, "profile.h5"), odd_profile(random, devices, model))
    counts = random.poisson(10.0 ** random.uniform(-1, 4), (steps, layers, experts))
    counts[0, 0, 0] += 1
    ids = np.sort(random.choice(100_000, layers, replace=False))
    trace = gem.make_trace(counts, model=model, top_k=1, task=task, part="test", layer_ids=ids)
    gem.write(os.path.join(folder, "test.h5"), trace)
    for method in ("linear", "gem", "a-method-of-a-user-with-a-long-name"):
        homes = np.array([random.permutation(np.repeat(np.arange(devices), experts // devices)) for _ in range(layers)])
        mapping = gem.make_mapping(homes, devices, model=model, method=method, layer_ids=ids, train_steps=steps)
        gem.write(os.path.join(folder, f"{method}.h5"), mapping)


def make_odd_report(path, seed):
    """Makes the figures of a report that gem-verify wrote odd: each mapping's times scaled, names long."""
    random = np.random.default_rng(seed)
    with h5py.File(path, "r+") as file:
        scale = 10.0 ** random.uniform(-6, 6)
        for name in [name for name in file if name.endswith("_s") and file[name].ndim >= 1]:
            values = file[name][...]
            factors = random.uniform(0.5, 1.0 + 10.0 ** random.uniform(-4, 1), len(values))
            file[name][...] = values * scale * factors.reshape(-1, *[1] * (values.ndim - 1))
        names = [f"{name.decode()}-of-{seed}" + "-and-on" * int(random.integers(0, 8)) for name in file["mappings"]]
        attributes = dict(file["mappings"].attrs)
        del file["mappings"]
        file.create_dataset("mappings", data=names, dtype=h5py.string_dtype()).attrs.update(attributes)
        file.attrs["model"], file.attrs["task"] = str(random.choice(NAMES)), str(random.choice(NAMES))


def write_odd_batch(folder, seed, report):
    """Copies of a report that gem-verify wrote, made odd, in folders of settings: a batch."""
    random = np.random.default_rng(seed)
    for setting in range(int(random.integers(1, 5))):
        name = f"{random.choice(NAMES)}-{setting}"
        for run in range(int(random.integers(1, 4))):
            path = os.path.join(folder, name, *["x"] * int(random.integers(2)), f"{run}", "report.h5")
            os.makedirs(os.path.dirname(path))
            shutil.copy(report, path)
            make_odd_report(path, 100 * seed + 10 * setting + run)
