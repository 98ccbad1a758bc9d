"""Reads and writes GEM's files, runs its programs, and draws what they wrote.

    import gem_analysis as gem

    profile = gem.make_profile(latency_s, tiles, active_experts, tile_tokens=16, model="gpt-oss-20b",
                               hidden_size=2880, intermediate_size=2880)
    gem.write("profile.h5", profile)
    gem.run("gem-map", profile="profile.h5", trace="train.h5", output="gem.h5")
    gem.frame(gem.read("gem.h5"))              # a pandas data frame; gem.columns(...) for arrays alone

Files are read as dataclasses of numpy arrays (`nouns.py` has their fields, shapes and units). What is wrong with a file, a
call or a machine is a DataError, UsageError or SystemFailure, each one sentence.
"""

from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .errors import DataError, GemError, SystemFailure, UsageError
    from .files import Header, Mapping, Profile, Report, Routing, Trace
    from .frames import columns, frame, summary
    from .programs import Run, run
    from .writing import make_mapping, make_profile, make_routing, make_trace, read, write

# name: module. Loaded when first used, so that the command line can say what is missing where numpy or h5py are.
_MODULES = {
    **dict.fromkeys(("DataError", "GemError", "SystemFailure", "UsageError"), "errors"),
    **dict.fromkeys(("Header", "Mapping", "Profile", "Report", "Routing", "Trace"), "files"),
    **dict.fromkeys(("columns", "frame", "summary"), "frames"),
    **dict.fromkeys(("Run", "run"), "programs"),
    **dict.fromkeys(("make_mapping", "make_profile", "make_routing", "make_trace", "read", "write"), "writing"),
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "DataError",
    "GemError",
    "Header",
    "Mapping",
    "Profile",
    "Report",
    "Routing",
    "Run",
    "SystemFailure",
    "Trace",
    "UsageError",
    "columns",
    "frame",
    "make_mapping",
    "make_profile",
    "make_routing",
    "make_trace",
    "read",
    "run",
    "summary",
    "write",
]
