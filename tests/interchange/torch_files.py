"""Writes .pt files as torch.save does, without PyTorch: a ZIP archive with a pickle, in which tensors refer to entries
that hold their numbers."""

import pickle
import sys
import types
import zipfile

import numpy as np

STORAGES = {"int64": "LongStorage", "int32": "IntStorage", "float32": "FloatStorage", "float64": "DoubleStorage"}


class Tensor:
    """An array that is to be saved as a tensor."""

    def __init__(self, array):
        self.array = np.ascontiguousarray(array)


def _modules():
    """Stand-ins of PyTorch's modules, whose names the pickle refers to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_):
        raise NotImplementedError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    torch._utils = utils
    return {"torch": torch, "torch._utils": utils}


class _Storage:
    def __init__(self, kind, key, count):
        self.identity = ("storage", kind, key, "cpu", count)


class _Pickler(pickle.Pickler):
    def __init__(self, file, modules):
        super().__init__(file, protocol=2)
        self.modules, self.storages = modules, []

    def persistent_id(self, value):
        return value.identity if isinstance(value, _Storage) else None

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        array = value.array
        kind = getattr(self.modules["torch"], STORAGES[str(array.dtype)])
        storage = _Storage(kind, str(len(self.storages)), array.size)
        self.storages.append(array)
        strides = tuple(stride // array.itemsize for stride in array.strides)
        rebuild = self.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (storage, 0, array.shape, strides, False, None)


def save(path, value):
    """Saves tensors, numbers, texts, lists and dictionaries as torch.save does."""
    modules = _modules()
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open("archive/data.pkl", "w") as file:
                pickler = _Pickler(file, modules)
                pickler.dump(value)
            for key, array in enumerate(pickler.storages):
                archive.writestr(f"archive/data/{key}", array.tobytes())
            archive.writestr("archive/version", "3\n")
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
