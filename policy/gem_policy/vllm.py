"""GEM in the place of vLLM's default policy of EPLB (vLLM 0.33). The engine hands its policy the sum of the load window;
what GEM needs is its steps, so EplbState.rearrange leaves some of them here before it asks the policy."""

from __future__ import annotations

import collections
import functools
import logging
import threading
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gem_policy.decision import Decider, Expert, load_decider, own_parts, sampled_steps
from gem_policy.library import Integers, PolicyError
from gem_policy.settings import Settings

if TYPE_CHECKING:
    import torch
    from vllm.distributed.eplb.eplb_state import EplbModelState, EplbState

    class EnginePolicy:
        """What GEM's policy is derived from: a class that only the running engine knows."""

        @classmethod
        def rebalance_experts(cls, weight: torch.Tensor, num_replicas: int, num_groups: int, num_nodes: int,
                              num_ranks: int, old_global_expert_indices: torch.Tensor | None = None) -> torch.Tensor:
            raise NotImplementedError

log = logging.getLogger("vllm.gem_policy")


class Load(NamedTuple):
    """What the policy needs to place one model's experts anew."""

    counts: Integers  # [step, layer, expert]
    horizon: int
    expert: Expert


class Loads:
    """What rearrange() left for each model, in the order in which the policy will be asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the asynchronous worker asks in a thread of its own
        self._left: collections.deque[Load] = collections.deque()

    def leave(self, loads: Iterable[Load]) -> None:
        with self._lock:
            self._left = collections.deque(loads)

    def take(self, layers: int, experts: int) -> Load | None:
        """None where there is none of this shape."""
        with self._lock:
            if self._left and self._left[0].counts.shape[1:] == (layers, experts):
                return self._left.popleft()
            return None


def register() -> None:
    """vllm.general_plugins: called in each process of the engine."""
    is_on, decider = load_decider(log, "vLLM")
    if not is_on:
        return
    from vllm.distributed.eplb import eplb_state

    install(eplb_state, decider)


def install(eplb_state: types.ModuleType, decider: Decider | None) -> None:
    """Puts GEM into vLLM's module; once is enough, and twice does no harm."""
    policies = eplb_state.EPLB_POLICIES
    if getattr(policies["default"], "is_gem", False):
        return
    loads = Loads()
    policies["default"] = make_policy(policies["default"], decider, loads)
    eplb_state.EplbState.rearrange = leaving_loads(eplb_state, decider, loads)


def make_policy(own: type[EnginePolicy], decider: Decider | None, loads: Loads) -> type[EnginePolicy]:
    """The policy class; `own` is what it stands for, and what is asked where GEM has no load or can't place."""
    import torch

    if TYPE_CHECKING:
        Own: TypeAlias = EnginePolicy
    else:
        Own = own

    class GemEplbPolicy(Own):
        is_gem = True

        @classmethod
        def rebalance_experts(cls, weight: torch.Tensor, num_replicas: int, num_groups: int, num_nodes: int,
                              num_ranks: int, old_global_expert_indices: torch.Tensor | None = None) -> torch.Tensor:
            old = old_global_expert_indices
            load = loads.take(*weight.shape)
            if load is not None and decider is not None and old is not None:
                try:
                    if old.shape != (weight.shape[0], num_replicas) or bool((old < 0).any()):
                        raise PolicyError("the number of ranks is about to change")
                    placed = decider.place(load.counts, old.cpu().numpy(), num_replicas // num_ranks, num_ranks,
                                           load.horizon, load.expert)
                    return torch.from_numpy(placed).to(dtype=old.dtype)
                except PolicyError as error:
                    decider.say_once(f"{error}: vLLM's own policy places experts")
            return super().rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_ranks, old)

    return GemEplbPolicy


def leaving_loads(eplb_state: types.ModuleType, decider: Decider | None,
                  loads: Loads) -> Callable[..., torch.Tensor | None]:
    """EplbState.rearrange that first leaves the load window's steps for the policy."""
    own_rearrange: Callable[..., torch.Tensor | None] = eplb_state.EplbState.rearrange

    @functools.wraps(own_rearrange)
    def rearrange(self: EplbState, is_profile: bool = False, rank_mapping: dict[int, int] | None = None,
                  use_last_expert_load: bool = False) -> torch.Tensor | None:
        loads.leave([])
        if not is_profile and rank_mapping is None and not use_last_expert_load:
            loads.leave(collect(eplb_state, self, decider))
        return own_rearrange(self, is_profile, rank_mapping, use_last_expert_load)

    return rearrange


def collect(eplb_state: types.ModuleType, state: EplbState, decider: Decider | None) -> list[Load]:
    """Loads of all models, the same on all ranks; none if the ranks can't work together. A rank without a decider takes
    part in the first sum, too, by which all know of it."""
    group = eplb_state.get_ep_group().device_group
    parts = own_parts(decider, group.rank(), group.size(), state.device)
    with eplb_state.gpu_sync_allowed():
        all_parts: list[list[float]] = state._allreduce_list([parts])[0].cpu().tolist()
    if decider is None:
        return []
    try:
        decider.take_ranks(all_parts, group.rank())
    except PolicyError as error:
        decider.say_once(f"{error}: vLLM's own policy places experts")
        return []
    loads = []
    for model in state.model_states.values():
        steps = logical_steps(model, decider.settings)
        with eplb_state.gpu_sync_allowed():
            counts = state._allreduce_list([steps])[0].cpu().numpy()
        counts = counts.reshape(-1, model.physical_to_logical_map.shape[0], counts.shape[1])
        loads.append(Load(counts, state.expert_rearrangement_step_interval, Expert.of(model.model.expert_weights[0])))
    return loads


def logical_steps(model: EplbModelState, settings: Settings) -> torch.Tensor:
    """Of a model's window, the steps to look at, by logical expert: [step * layer, expert]. A slot that holds nothing
    counts nowhere."""
    import torch

    window, physical = model.expert_load_window, model.physical_to_logical_map
    steps = sampled_steps(window.shape[0], settings)
    experts = model.model.num_logical_experts
    rows = window[steps][..., : physical.shape[1]]
    logical = torch.zeros((len(steps), physical.shape[0], experts + 1), dtype=window.dtype, device=window.device)
    index = physical.masked_fill(physical < 0, experts).long().unsqueeze(0).expand_as(rows)
    logical.scatter_add_(2, index, rows)
    return logical[..., :experts].reshape(-1, experts).contiguous()
