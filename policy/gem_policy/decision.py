"""Whether and how to move experts, for any engine: a window of loads and today's map in, tomorrow's map out."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy

from gem_policy import ranks
from gem_policy.library import Devices, Integers, Library, Placing, PolicyError
from gem_policy.settings import SettingError, Settings

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class Expert:
    """One routed expert's weights."""

    bytes: float
    parameters: float

    @staticmethod
    def of(weights: Iterable[torch.Tensor]) -> Expert:
        """From the weights of one layer on one rank, tensors [expert, ...]."""
        return Expert(float(sum(weight[0].numel() * weight.element_size() for weight in weights)),
                      float(sum(weight[0].numel() for weight in weights)))


def sampled_steps(window_steps: int, settings: Settings) -> list[int]:
    """Positions in a load window of what is looked at: evenly spread, as many as are searched on and judged by."""
    wanted = min(window_steps, settings.steps + settings.judged_steps)
    return [step * window_steps // wanted for step in range(wanted)]


def without_repeats(counts: Integers, rank_count: int) -> Integers:
    """Where every rank counts the tokens of all (tensor parallelism), all numbers are multiples: once is enough."""
    common = int(numpy.gcd.reduce(counts, axis=None))  # 0 where there are no tokens
    repeats = math.gcd(common, rank_count) if common else 1
    return counts // repeats if repeats > 1 else counts


def own_parts(decider: Decider | None, rank: int, rank_count: int, device: torch.device) -> torch.Tensor:
    """[rank][SLOTS], a tensor that is zero but for this rank's part, for the engine to sum over ranks; all zero without a
    decider, by which the others know of it."""
    import torch

    parts = torch.zeros((rank_count, ranks.SLOTS), dtype=torch.float32, device=device)
    if decider is not None:
        uuid = ranks.gpu_uuid(torch, device.index) if device.type == "cuda" else ""
        parts[rank] = torch.tensor(decider.own_part(rank, uuid), dtype=torch.float32)
    return parts


def load_decider(log: logging.Logger, engine: str) -> tuple[bool, Decider | None]:
    """Whether GEM is switched on, and a Decider by the settings; none where it can't be had, which is said. Such a rank
    has to tell the others, which would wait for it otherwise."""
    try:
        settings = Settings.load()
        return settings.enabled, Decider(settings, log) if settings.enabled else None
    except (SettingError, PolicyError) as error:
        log.error("GEM: %s; %s's own policy places experts", error, engine)
        return True, None


class Decider:
    """Holds library and devices; remembers what it said once."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self.settings = settings
        self._log = log
        self._said: set[str] = set()
        self._library = Library(settings.library)
        self._measured = Devices.measured(self._library, settings.profile) if settings.profile else None
        self._given = self._digest()  # now: a file that is gone later would stop one rank before a sum of all
        self._alike: dict[int, Devices] = {}
        self._fit: ranks.Fit | None = None
        self._speaks = True

    def _digest(self) -> int:
        parts: list[str | bytes] = [self._library.version(),
                                    repr(dataclasses.replace(self.settings, profile="", library=""))]
        if self.settings.profile:
            try:
                with open(self.settings.profile, "rb") as file:
                    parts.append(file.read())
            except OSError as error:
                raise PolicyError(f"cannot read {self.settings.profile}: {error}") from error
        return ranks.digest(parts)

    def given(self) -> int:
        """A number that is the same on all ranks that were given the same."""
        return self._given

    def own_part(self, rank: int, uuid: str) -> list[float]:
        """What this rank tells the others, SLOTS numbers; `uuid` of its GPU, empty where there is none."""
        clock_hz = ranks.sm_clock_hz(uuid) if self.settings.clocks and uuid else None
        return ranks.own_part(rank, self._given, uuid, self._measured.uuids() if self._measured else [], clock_hz)

    def take_ranks(self, parts: Sequence[Sequence[float]], rank: int) -> None:
        """Parts of all ranks, [rank][SLOTS], as the engine summed them; PolicyError if they can't work
        together."""
        self.speak_as(rank)
        fit = ranks.fit_of(parts, len(self._measured) if self._measured else len(parts))
        if fit is None:
            raise PolicyError("ranks have different settings, profiles or libraries of the policy, or none")
        if fit.devices is None:
            self.say_once(f"{fit.why}: all devices are taken to be equal")
        self._fit = fit

    def speak_as(self, rank: int) -> None:
        """Only rank 0 tells what it does; until this is called, any does."""
        self._speaks = rank == 0

    def say_once(self, text: str) -> None:
        if self._speaks and text not in self._said:
            self._said.add(text)
            self._log.warning("GEM: %s", text)

    def place(self, counts: Integers, present: Integers | None, slots_per_device: int, rank_count: int,
              horizon_steps: float, expert: Expert) -> Integers:
        """The map to go on with, [layer, slot]; `present` itself where nothing pays. `present` None: nothing is placed
        yet. PolicyError for what can't be placed."""
        begin = time.perf_counter()
        counts = without_repeats(numpy.asarray(counts), rank_count)
        counts = counts[counts.sum(axis=(1, 2)) > 0]
        if len(counts) < 2:
            raise PolicyError("the load window has fewer than two steps with tokens")
        counts = counts[sampled_steps(len(counts), self.settings)]
        # In turn, so that both parts are of the whole window.
        judged = min(self.settings.judged_steps, len(counts) // 2)
        is_judged = numpy.zeros(len(counts), dtype=bool)
        if judged:
            is_judged[[(2 * i + 1) * len(counts) // (2 * judged) for i in range(judged)]] = True
        counts = numpy.concatenate([counts[~is_judged], counts[is_judged]])
        devices, order, factors = self._devices(rank_count, expert)
        placing = devices.place(
            counts, present, slots_per_device, rank_count, judged_steps=int(is_judged.sum()), devices=order,
            slowdowns=factors, max_moves=self.settings.max_moves, max_total_moves=self.settings.max_total_moves,
            move_s=expert.bytes / (self.settings.move_gbps * 1e9), horizon_steps=self.settings.horizon or horizon_steps,
            iterations=self.settings.iterations)
        if self._speaks:
            self._report(placing, counts, present, rank_count, self.settings.horizon or horizon_steps,
                         time.perf_counter() - begin)
        return placing.map

    def _devices(self, rank_count: int, expert: Expert) -> tuple[Devices, list[int] | None, list[float] | None]:
        fit = self._fit or ranks.Fit(list(range(rank_count)), "", [0.0] * rank_count)
        if self._measured and fit.devices is not None and len(fit.devices) == len(self._measured) == rank_count:
            return self._measured, fit.devices, self._slowdowns(fit, self._measured) if self.settings.clocks else None
        if self._measured and fit.devices is not None:
            self.say_once(f"the profile doesn't fit {rank_count} ranks: all devices are taken to be equal")
        if not self._measured:
            self.say_once("no profile is given (GEM_POLICY_PROFILE), so nothing is measured: all devices are taken to be "
                          "equal")
        if rank_count not in self._alike:
            self._alike[rank_count] = self._measured.mean(rank_count) if self._measured else Devices.equal(
                self._library, rank_count, self.settings.tile_tokens,
                2.0 * expert.parameters * self.settings.tile_tokens / (self.settings.tflops * 1e12),
                expert.bytes / (self.settings.memory_gbps * 1e9))
        return self._alike[rank_count], None, None

    def _slowdowns(self, fit: ranks.Fit, measured: Devices) -> list[float]:
        told = ranks.slowdowns(fit, measured.clocks_hz())
        unknown = [rank for rank, factor in enumerate(told) if factor is None]
        if unknown:
            self.say_once(f"the clock of the GPU of rank {', '.join(map(str, unknown))} can't be told, or wasn't when it was "
                          "profiled: its latencies are those of the profile")
        factors = [factor or 1.0 for factor in told]
        if self._speaks and any(factor != 1.0 for factor in factors):
            self._log.info("GEM: by their clocks now, ranks take %s times as long as their profile says",
                           ", ".join(f"{factor:.2f}" for factor in factors))
        return factors

    def _report(self, placing: Placing, counts: Integers, present: Integers | None, rank_count: int,
                horizon_steps: float, seconds: float) -> None:
        head = (f"GEM: {counts.shape[1]} layers on {rank_count} devices, {counts.shape[0]} steps looked at "
                f"in {seconds * 1e3:.0f} ms: ")
        if present is None:
            self._log.info("%spredicted step of the experts %.3f ms instead of %.3f ms by linear placement", head,
                           placing.placed_s * 1e3, placing.present_s * 1e3)
        elif placing.moves == 0:
            self._log.info("%skeeps the map: nothing gains more in %d steps than its moves take (predicted step of the "
                           "experts %.3f ms)", head, horizon_steps, placing.present_s * 1e3)
        else:
            gain_s = placing.present_s - placing.placed_s
            self._log.info("%smoves %d experts in %d layers, for %.3f s: predicted step of the experts %.3f ms instead "
                           "of %.3f ms, paid back after %d of %d steps", head, placing.moves, placing.changed_layers,
                           placing.moves_s, placing.placed_s * 1e3, placing.present_s * 1e3,
                           math.ceil(placing.moves_s / gain_s), horizon_steps)
