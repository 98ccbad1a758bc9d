"""GEM in the place of vLLM's default policy of EPLB (vLLM 0.33). The engine hands its policy the sum of the load window;
what GEM needs is its steps, so EplbState.rearrange leaves some of them here before it asks the policy."""

import collections
import functools
import logging
import threading

from gem_policy.decision import Expert, load_decider, own_parts, sampled_steps
from gem_policy.library import PolicyError

log = logging.getLogger("vllm.gem_policy")

Load = collections.namedtuple("Load", "counts horizon expert")  # counts [step, layer, expert]


class Loads:
    """What rearrange() left for each model, in the order in which the policy will be asked."""

    def __init__(self):
        self._lock = threading.Lock()  # the asynchronous worker asks in a thread of its own
        self._left = collections.deque()

    def leave(self, loads):
        with self._lock:
            self._left = collections.deque(loads)

    def take(self, layers, experts):
        """None where there is none of this shape."""
        with self._lock:
            if self._left and self._left[0].counts.shape[1:] == (layers, experts):
                return self._left.popleft()
            return None


def register():
    """vllm.general_plugins: called in each process of the engine."""
    is_on, decider = load_decider(log, "vLLM")
    if not is_on:
        return
    from vllm.distributed.eplb import eplb_state

    install(eplb_state, decider)


def install(eplb_state, decider):
    """Puts GEM into vLLM's module; once is enough, and twice does no harm."""
    policies = eplb_state.EPLB_POLICIES
    if getattr(policies["default"], "is_gem", False):
        return
    loads = Loads()
    policies["default"] = make_policy(policies["default"], decider, loads)
    eplb_state.EplbState.rearrange = leaving_loads(eplb_state, decider, loads)


def make_policy(own, decider, loads):
    """The policy class; `own` is what it stands for, and what is asked where GEM has no load or can't place."""
    import torch

    class GemEplbPolicy(own):
        is_gem = True

        @classmethod
        def rebalance_experts(cls, weight, num_replicas, num_groups, num_nodes, num_ranks,
                              old_global_expert_indices=None):
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


def leaving_loads(eplb_state, decider, loads):
    """EplbState.rearrange that first leaves the load window's steps for the policy."""
    own_rearrange = eplb_state.EplbState.rearrange

    @functools.wraps(own_rearrange)
    def rearrange(self, is_profile=False, rank_mapping=None, use_last_expert_load=False):
        loads.leave([])
        if not is_profile and rank_mapping is None and not use_last_expert_load:
            loads.leave(collect(eplb_state, self, decider))
        return own_rearrange(self, is_profile, rank_mapping, use_last_expert_load)

    return rearrange


def collect(eplb_state, state, decider):
    """Loads of all models, the same on all ranks; none if the ranks can't work together. A rank without a decider takes
    part in the first sum, too, by which all know of it."""
    import torch

    group = eplb_state.get_ep_group().device_group
    parts = own_parts(decider, group.rank(), group.size(), state.device)
    with eplb_state.gpu_sync_allowed():
        parts = state._allreduce_list([parts])[0].cpu().tolist()
    if decider is None:
        return []
    try:
        decider.take_ranks(parts, group.rank())
    except PolicyError as error:
        decider.say_once(f"{error}: vLLM's own policy places experts")
        return []
    loads = []
    for model in state.model_states.values():
        steps = logical_steps(torch, model, decider.settings)
        with eplb_state.gpu_sync_allowed():
            counts = state._allreduce_list([steps])[0].cpu().numpy()
        counts = counts.reshape(-1, model.physical_to_logical_map.shape[0], counts.shape[1])
        loads.append(Load(counts, state.expert_rearrangement_step_interval, Expert.of(model.model.expert_weights[0])))
    return loads


def logical_steps(torch, model, settings):
    """Of a model's window, the steps to look at, by logical expert: [step * layer, expert]. A slot that holds nothing
    counts nowhere."""
    window, physical = model.expert_load_window, model.physical_to_logical_map
    steps = sampled_steps(window.shape[0], settings)
    experts = model.model.num_logical_experts
    rows = window[steps][..., : physical.shape[1]]
    logical = torch.zeros((len(steps), physical.shape[0], experts + 1), dtype=window.dtype, device=window.device)
    index = physical.masked_fill(physical < 0, experts).long().unsqueeze(0).expand_as(rows)
    logical.scatter_add_(2, index, rows)
    return logical[..., :experts].reshape(-1, experts).contiguous()
