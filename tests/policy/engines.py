"""The engines' own files for the tests, as their wheels have them: from an installation, or from the folder
GEM_TEST_ENGINES with `vllm` and `sglang` in it (pip download --no-deps, unpacked). Of an engine only the files that place
and move experts are run; all else of it is a stand-in, so that neither a GPU nor its other packages are needed."""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os
import sys
import types
import typing

from support import skip


def need_torch():
    try:
        import torch
    except ImportError as error:
        skip(f"no PyTorch: {error}")
    return torch


def folder_of(engine):
    """Of an engine's package; ends the test as skipped where there is none."""
    folder = os.environ.get("GEM_TEST_ENGINES", "")
    if folder and os.path.isdir(os.path.join(folder, engine)):
        return os.path.join(folder, engine)
    try:
        return os.path.dirname(importlib.metadata.distribution(engine).locate_file(f"{engine}/__init__.py"))
    except importlib.metadata.PackageNotFoundError:
        skip(f"{engine} isn't installed, and GEM_TEST_ENGINES has no folder of that name")


class StandIn:
    """Stands for whatever a test doesn't run: a class, a function, a decorator."""

    def __init__(self, *arguments, **named):
        pass

    def __call__(self, *arguments, **named):
        return StandIn()

    def __class_getitem__(cls, item):
        return cls


class StandInModule(types.ModuleType):
    _real = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self.__name__}.{name}" in self._real:
            return importlib.import_module(f"{self.__name__}.{name}")
        value = type(name, (StandIn,), {})
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a package's modules below `real` as they are, all others of it as stand-ins with what `given` has."""

    def __init__(self, package, folder, real, given):
        self._package, self._folder, self._real, self._given = package, folder, real, given

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != self._package:
            return None
        parts = name.split(".")[1:]
        base = os.path.join(self._folder, *parts)
        if name in self._real or any(name.startswith(part + ".") for part in self._real):
            is_package = os.path.isdir(base)
            file = os.path.join(base, "__init__.py") if is_package else base + ".py"
            if os.path.exists(file):
                return importlib.util.spec_from_file_location(
                    name, file, submodule_search_locations=[base] if is_package else None)
        spec = importlib.machinery.ModuleSpec(name, self, is_package=True)
        spec.submodule_search_locations = []
        return spec

    def create_module(self, spec):
        module = StandInModule(spec.name)
        module._real = self._real
        for name, value in self._given.get(spec.name, {}).items():
            setattr(module, name, value)
        return module

    def exec_module(self, module):
        pass


def load_vllm(group=None):
    """vllm.distributed.eplb and vllm.plugins, real; `group` is what it takes for its group of expert parallelism."""
    need_torch()
    given = {
        "vllm.envs": {"VLLM_PLUGINS": None},
        "vllm.config.parallel": {"EPLBPolicyOption": typing.Literal["default"]},
        "vllm.logger": {"init_logger": logging.getLogger},
        "vllm.utils.gpu_sync_debug": {"gpu_sync_allowed": contextlib.nullcontext},
        "vllm.utils.torch_utils": {"PIN_MEMORY": False},
        "vllm.platforms": {"current_platform": types.SimpleNamespace(is_rocm=lambda: False)},
        "vllm.distributed.parallel_state": {
            "get_ep_group": lambda: group, "get_eplb_group": lambda: group, "get_node_count": lambda: 1,
            "in_the_same_node_as": StandIn(), "is_local_first_rank": lambda: False},
    }
    sys.meta_path.insert(0, Finder("vllm", folder_of("vllm"), ["vllm.distributed.eplb", "vllm.plugins"], given))
    from vllm.distributed.eplb import eplb_state

    return eplb_state


def load_sglang(given=None):
    """sglang.srt.eplb and sglang.srt.plugins, real."""
    need_torch()
    manager = types.SimpleNamespace(instance=lambda: None)
    given = {"sglang.srt.elastic_ep.elastic_ep": {"ElasticEPStateManager": manager},
             "sglang.srt.environ": {"envs": Environment()},
             "sglang.srt.utils": {"get_bool_env_var": lambda name, *default: False}} | (given or {})
    real = ["sglang.srt.eplb.eplb_algorithms", "sglang.srt.eplb.expert_location", "sglang.srt.eplb.eplb_manager",
            "sglang.srt.eplb.expert_location_updater", "sglang.srt.plugins"]
    if "einops" not in sys.modules and importlib.util.find_spec("einops") is None:  # for logs alone
        sys.modules["einops"] = StandInModule("einops")
    sys.meta_path.insert(0, Finder("sglang", folder_of("sglang"), real, given))
    from sglang.srt.eplb import eplb_algorithms

    return eplb_algorithms


class Environment:
    """sglang's environment variables: none is set."""

    def __getattr__(self, name):
        value = 32 if name == "SGLANG_EPLB_P2P_BATCH_CHUNK_SIZE" else None
        return types.SimpleNamespace(get=lambda: value)
