"""GEM in the place of SGLang's algorithms of EPLB (SGLang 0.5.23), whose counts come step by step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from gem_policy.decision import Decider, Expert, load_decider, own_parts
from gem_policy.library import Integers, PolicyError

if TYPE_CHECKING:
    import torch
    from sglang.srt.eplb.eplb_algorithms import EplbAlgorithm
    from sglang.srt.eplb.eplb_manager import EPLBManager

    Maps: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # see location_maps

log = logging.getLogger("sglang.gem_policy")

TARGET = "sglang.srt.eplb.eplb_algorithms.rebalance_experts"
BEFORE = "sglang.srt.eplb.eplb_manager.EPLBManager._compute_expert_location_metadata"


def register() -> None:
    """sglang.srt.plugins: called in each process of the engine, before its hooks are applied."""
    is_on, decider = load_decider(log, "SGLang")
    if not is_on:
        return
    from sglang.srt.eplb import eplb_algorithms
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    policy = GemPolicy(decider, eplb_algorithms.rebalance_experts)
    HookRegistry.register(TARGET, policy.rebalance_experts, HookType.REPLACE)
    HookRegistry.register(BEFORE, policy.before_rebalance, HookType.BEFORE)


class GemPolicy:
    """`own` is what is asked where GEM can't place."""

    def __init__(self, decider: Decider | None, own: Callable[..., Maps]) -> None:
        self._decider = decider
        self._own = own
        self._together = decider is not None  # whether all ranks can place
        self._horizon = 1000
        self._expert = Expert(50e6, 25e6)  # until the model is there

    def before_rebalance(self, manager: EPLBManager, logical_count: torch.Tensor, *,
                         broadcast_over_world: bool) -> None:
        """On every rank, before a running engine places experts anew: what the placement needs to know of the ranks and
        of the model. `broadcast_over_world`: one rank alone places, so there is nothing to agree on."""
        self._horizon = manager._rebalance_num_iterations
        self._expert = Expert.of(next(iter(manager._get_model().routed_experts_weights_of_layer.values())))
        if broadcast_over_world:
            return
        parts, rank = self._sum_parts(logical_count.device)
        if self._decider is None:
            return
        try:
            self._decider.take_ranks(parts, rank)
            self._together = True
        except PolicyError as error:
            self._decider.say_once(f"{error}: SGLang's own algorithm places experts")
            self._together = False

    def _sum_parts(self, device: torch.device) -> tuple[list[list[float]], int]:
        import torch

        rank = torch.distributed.get_rank()
        parts = own_parts(self._decider, rank, torch.distributed.get_world_size(), device)
        torch.distributed.all_reduce(parts, op=torch.distributed.ReduceOp.SUM)
        return parts.cpu().tolist(), rank

    def rebalance_experts(self, tokens_per_expert: torch.Tensor, num_physical_experts: int,
                          num_local_physical_experts: int, num_groups: int | None, num_nodes: int,
                          algorithm: EplbAlgorithm) -> Maps:
        import torch

        # Before the engine serves, before_rebalance wasn't called yet.
        if self._decider is not None and torch.distributed.is_initialized():
            self._decider.speak_as(torch.distributed.get_rank())
        # Where ranks may be missing (elasticity_aware), only the engine knows which.
        if self._decider is not None and self._together and not algorithm.name.startswith("elasticity_aware"):
            try:
                placed = self._decider.place(
                    tokens_per_expert.cpu().numpy(), present_map(tokens_per_expert.shape[1], num_physical_experts),
                    num_local_physical_experts, num_physical_experts // num_local_physical_experts, self._horizon,
                    self._expert)
                return location_maps(placed, tokens_per_expert.shape[2])
            except PolicyError as error:
                self._decider.say_once(f"{error}: SGLang's own algorithm places experts")
        return self._own(tokens_per_expert=tokens_per_expert, num_physical_experts=num_physical_experts,
                         num_local_physical_experts=num_local_physical_experts, num_groups=num_groups,
                         num_nodes=num_nodes, algorithm=algorithm)


def present_map(layers: int, slots: int) -> Integers | None:
    """[layer, slot] as the engine serves now; None before it does."""
    from sglang.srt.eplb.expert_location import get_global_expert_location_metadata

    metadata = get_global_expert_location_metadata()
    if metadata is None or tuple(metadata.physical_to_logical_map_cpu.shape) != (layers, slots):
        return None
    present: Integers = metadata.physical_to_logical_map_cpu.numpy()
    return present


def location_maps(placed: Integers, experts: int) -> Maps:
    """The three maps that SGLang wants: of slots, of experts ([layer, expert, copy], -1 where there are fewer copies),
    and the number of copies."""
    import torch

    physical = torch.from_numpy(placed).to(torch.int64)
    layers, slots = physical.shape
    copies = torch.zeros((layers, experts), dtype=torch.int64)
    copies.scatter_add_(1, physical, torch.ones_like(physical))
    order = torch.argsort(physical, dim=1, stable=True)  # slots, expert by expert
    owner = physical.gather(1, order)
    first = copies.cumsum(1) - copies
    place = torch.arange(slots).expand(layers, -1) - first.gather(1, owner)
    logical = torch.full((layers, experts, int(copies.max())), -1, dtype=torch.int64)
    logical[torch.arange(layers).unsqueeze(1), owner, place] = order
    return physical, logical, copies
