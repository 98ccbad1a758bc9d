"""The one reader of GEM's file formats (written by src/files/); `readers/` has one each, `nouns.py` what they return.

Each reader checks format, version and all that is indexed with, and raises DataError with one sentence otherwise.
"""

import os
from collections.abc import Callable, Container

from .hdf5_file import Hdf5File
from .nouns import Adaptation, Arrays, Header, Mapping, Profile, Report, Routing, Trace, WholeSteps
from .readers.mapping import read_mapping
from .readers.profile import read_profile
from .readers.results import read_adaptation, read_report
from .readers.workload import read_routing, read_trace

__all__ = [
    "Adaptation",
    "Arrays",
    "Header",
    "Mapping",
    "Noun",
    "Profile",
    "READERS",
    "Report",
    "Routing",
    "Trace",
    "WholeSteps",
    "read_file",
]

Noun = Profile | Trace | Mapping | Report | Routing | Adaptation

READERS: dict[str, Callable[[Hdf5File], Noun]] = {
    "gem.profile": read_profile,
    "gem.trace": read_trace,
    "gem.mapping": read_mapping,
    "gem.report": read_report,
    "gem.routing": read_routing,
    "gem.adaptation": read_adaptation,
}


def read_file(path: str | os.PathLike[str], kinds: Container[str] = READERS) -> Noun | None:
    """Reads a file of any format of GEM; None if it is not one of `kinds`."""
    with Hdf5File(path) as file:
        found = file.text_attribute("format", default="")
        if not found:
            file.reject("attribute 'format' is missing, so this is no file of GEM; give a file that GEM wrote")
        if found not in READERS:
            file.reject(f"attribute 'format' is {found!r}, so this is no file of GEM; give one of {', '.join(READERS)}")
        version = file.text_or_number_attribute("format_version")
        if version.split(".")[0] != "1":
            file.reject(
                f"attribute 'format_version' is '{version}', but this program reads 1.x; make the file again or "
                "use the GEM that wrote it"
            )
        return READERS[found](file) if found in kinds else None
