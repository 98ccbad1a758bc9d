"""Which device of the profile each rank has, and how fast its clock is now. A rank tells its part in a few numbers; the
engine sums those of all ranks, and every rank draws the same conclusions from the sum."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import types
import zlib
from collections.abc import Iterable, Sequence

SLOTS = 3  # numbers of a rank: digest of what it was given, its device of the profile, its clock


def digest(parts: Iterable[str | bytes]) -> int:
    """A number above 0 that a float keeps whole, of texts and bytes: ranks that were given other ones differ."""
    value = 0
    for part in parts:
        value = zlib.crc32(part.encode() if isinstance(part, str) else part, value)
    return value % ((1 << 23) - 1) + 1


def own_part(rank: int, given: int, uuid: str, profile_uuids: Sequence[str], clock_hz: float | None) -> list[float]:
    """The numbers of this rank. Device: its position in the profile from 1 on; 0: not in it; -1: can't be told."""
    device = -1
    if uuid and any(profile_uuids):
        same = [d for d, other in enumerate(profile_uuids) if other == uuid]
        # Several profiled devices may share one GPU, in parts: then the order must be that of the ranks.
        device = 0 if not same else rank + 1 if rank in same else same[0] + 1
    return [float(given), float(device), clock_hz if clock_hz and math.isfinite(clock_hz) else 0.0]


@dataclasses.dataclass(frozen=True)
class Fit:
    """How ranks and profile fit. `devices` [rank] is a position in the profile, or None if they don't; `why` says it
    then. `clocks_hz` [rank], 0 where unknown."""

    devices: list[int] | None
    why: str
    clocks_hz: list[float]


def fit_of(parts: Sequence[Sequence[float]], profile_count: int) -> Fit | None:
    """From all ranks' parts, [rank][SLOTS]; None where ranks were given different things or one has no library."""
    given = {part[0] for part in parts}
    if len(given) != 1 or 0.0 in given:
        return None
    clocks = [part[2] for part in parts]
    count = len(parts)
    if profile_count != count:
        return Fit(None, f"the profile has {profile_count} devices, but there are {count} ranks", clocks)
    devices = [round(part[1]) for part in parts]
    if all(device < 0 for device in devices):
        return Fit(list(range(count)), "", clocks)
    if any(device <= 0 for device in devices):
        rank = next(rank for rank, device in enumerate(devices) if device <= 0)
        return Fit(None, f"the GPU of rank {rank} isn't one of those that were profiled", clocks)
    if len(set(devices)) != count:
        return Fit(None, "several ranks have the same GPU of the profile", clocks)
    return Fit([device - 1 for device in devices], "", clocks)


def slowdowns(fit: Fit, profile_clocks_hz: Sequence[float]) -> list[float | None]:
    """[rank] factor of its latencies: clock when it was measured over clock now; None where either is unknown. A factor
    beyond 1/2 to 4 is taken for a reading of an idle GPU, and counts as unknown."""
    assert fit.devices is not None, "asked of ranks that fit the profile"
    factors: list[float | None] = []
    for device, clock_hz in zip(fit.devices, fit.clocks_hz):
        factor = profile_clocks_hz[device] / clock_hz if clock_hz > 0.0 else math.nan
        factors.append(factor if 0.5 <= factor <= 4.0 else None)
    return factors


def sm_clock_hz(uuid: str) -> float | None:
    """Of a GPU by NVML, now; None where NVML can't tell."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    try:
        handle, megahertz = ctypes.c_void_p(), ctypes.c_uint()
        if nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) != 0:
            return None
        sm = 1  # NVML_CLOCK_SM
        if nvml.nvmlDeviceGetClockInfo(handle, sm, ctypes.byref(megahertz)) != 0:
            return None
        return megahertz.value * 1e6
    finally:
        nvml.nvmlShutdown()


def gpu_uuid(torch: types.ModuleType, index: int) -> str:
    """"GPU-8a56..." of the GPU that torch calls `index`; empty where there is none."""
    try:
        uuid = str(torch.cuda.get_device_properties(index).uuid)
    except Exception:  # no GPU, or a torch that doesn't tell
        return ""
    return uuid if uuid.startswith(("GPU-", "MIG-")) else "GPU-" + uuid
