#!/usr/bin/python3
"""GEM in SGLang's own EPLB: its hooks replace the algorithm, and four processes move weights by SGLang's own code. No GPU;
skipped where there is no SGLang or no PyTorch."""

import os
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

from engines import load_sglang, need_torch
from support import Log, expect_servable, install_entry_points, linear_map, made_up_counts, settings

import numpy

torch = need_torch()

RANKS, LAYERS, EXPERTS, SLOTS = 4, 3, 16, 20


class Metadata:
    """What GEM and the updater read of SGLang's ExpertLocationMetadata."""

    def __init__(self, placed):
        self.physical_to_logical_map_cpu = torch.as_tensor(placed)
        self.num_local_physical_experts = SLOTS // RANKS


def weight_of(layer, expert, part):
    """Which expert's it is can be read off."""
    return torch.full((3 + part,), float(1000 * layer + expert + 0.25 * part))


def install(algorithms, decider):
    """As register() does, with this decider."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    from gem_policy import sglang

    policy = sglang.GemPolicy(decider, algorithms.rebalance_experts)
    HookRegistry.reset()
    HookRegistry.register(sglang.TARGET, policy.rebalance_experts, HookType.REPLACE)
    HookRegistry.register(sglang.BEFORE, policy.before_rebalance, HookType.BEFORE)
    HookRegistry.apply_hooks()
    return policy


def rebalance(algorithms, counts, algorithm="deepseek", slots=SLOTS, ranks=RANKS):
    return algorithms.rebalance_experts(
        tokens_per_expert=torch.from_numpy(counts), num_physical_experts=slots, num_local_physical_experts=slots // ranks,
        num_groups=None, num_nodes=1, algorithm=algorithms.EplbAlgorithm[algorithm])


def serve(address, rank, output):
    """One rank: placed anew after each window, its weights moved by SGLang's own code; writes its maps to `output`."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=RANKS)
    algorithms = load_sglang()
    from sglang.srt.eplb import eplb_manager, expert_location, expert_location_updater

    from gem_policy.decision import Decider

    log = Log()
    install(algorithms, Decider(settings(max_moves=4, move_gbps=1e-3, memory_gbps=1e-3, tflops=1e-6), log))
    current = Metadata(linear_map(LAYERS, EXPERTS, SLOTS))
    expert_location.get_global_expert_location_metadata = lambda: current
    held = current.physical_to_logical_map_cpu[:, rank * SLOTS // RANKS : (rank + 1) * SLOTS // RANKS]
    weights = {layer: [torch.stack([weight_of(layer, expert, part) for expert in held[layer].tolist()])
                       for part in (0, 1)] for layer in range(LAYERS)}

    class Manager(eplb_manager.EPLBManager):
        def __init__(self):
            self._rebalance_num_iterations = 100
            self._get_model = lambda: types.SimpleNamespace(routed_experts_weights_of_layer=weights)
            self._model_config = None

    # The engine's next step after the hook: it asks its algorithm.
    expert_location.ExpertLocationMetadata.init_by_eplb = staticmethod(
        lambda config, counts, **named: Metadata(rebalance(algorithms, counts.numpy())[0]))
    maps = [current.physical_to_logical_map_cpu.clone()]
    for window in range(4):
        counts = torch.from_numpy(made_up_counts(32, LAYERS, EXPERTS, seed=1 + window // 2))
        placed = Manager()._compute_expert_location_metadata(counts, broadcast_over_world=False)
        expert_location_updater._update_expert_weights(
            routed_experts_weights_of_layer=weights, old_expert_location_metadata=current,
            new_expert_location_metadata=placed, update_layer_ids=list(range(LAYERS)), nnodes=1, rank=rank)
        current = placed
        held = current.physical_to_logical_map_cpu[:, rank * SLOTS // RANKS : (rank + 1) * SLOTS // RANKS]
        for layer in range(LAYERS):
            for part in (0, 1):
                for slot, expert in enumerate(held[layer].tolist()):
                    assert torch.equal(weights[layer][part][slot], weight_of(layer, expert, part)), (
                        f"after window {window}, rank {rank} hasn't got expert {expert} of layer {layer} in slot {slot}")
        maps.append(current.physical_to_logical_map_cpu.clone())
    numpy.save(output, numpy.stack(maps))
    with open(output + ".log", "w", encoding="utf-8") as file:
        file.write(log.text())
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


class EngineLoopTest(unittest.TestCase):
    def test_every_expert_s_weights_are_where_the_map_says(self):
        with tempfile.TemporaryDirectory() as folder:
            address = os.path.join(folder, "address")
            outputs = [os.path.join(folder, f"maps{rank}.npy") for rank in range(RANKS)]
            children = [subprocess.Popen([sys.executable, __file__, "serve", address, str(rank), outputs[rank]],
                                         env=os.environ | {"OMP_NUM_THREADS": "1"}) for rank in range(RANKS)]
            self.assertEqual([child.wait(timeout=280) for child in children], [0] * RANKS)
            maps = [numpy.load(output) for output in outputs]
            logs = []
            for output in outputs:
                with open(output + ".log", encoding="utf-8") as file:
                    logs.append(file.read())
        for other in maps[1:]:
            self.assertTrue((other == maps[0]).all(), "ranks have different maps")
        for before, after in zip(maps[0], maps[0][1:]):
            expect_servable(self, after, LAYERS, EXPERTS, SLOTS, RANKS)
            self.assertLessEqual(int((before != after).sum(axis=1).max()), 4)
        self.assertGreater(int((maps[0][0] != maps[0][-1]).sum()), 4)
        self.assertIn("moves", logs[0])
        self.assertEqual(logs[1], "")


class HookTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.algorithms = load_sglang()
        cls.own = staticmethod(cls.algorithms.rebalance_experts)
        from sglang.srt.eplb import expert_location

        cls.location = expert_location

    def setUp(self):
        self.algorithms.rebalance_experts = self.own
        self.location.get_global_expert_location_metadata = lambda: None

    def install(self, **values):
        from gem_policy.decision import Decider

        self.log = Log()
        return install(self.algorithms, Decider(settings(**values), self.log))

    def own_maps(self, counts, *arguments):
        replaced, self.algorithms.rebalance_experts = self.algorithms.rebalance_experts, self.own
        maps = rebalance(self.algorithms, counts, *arguments)
        self.algorithms.rebalance_experts = replaced
        return maps

    def test_the_three_maps_are_like_the_engine_s(self):
        self.install()
        for experts, slots, ranks in ((16, 16, 4), (16, 20, 4), (64, 72, 8)):
            counts = made_up_counts(64, 4, experts)
            present = Metadata(linear_map(4, experts, slots))
            for metadata in (None, present):  # before it serves, and then
                self.location.get_global_expert_location_metadata = lambda found=metadata: found
                physical, logical, copies = rebalance(self.algorithms, counts, "deepseek", slots, ranks)
                expected = self.own_maps(counts, "deepseek", slots, ranks)
                self.assertEqual([part.dtype for part in (physical, logical, copies)], [part.dtype for part in expected])
                self.assertEqual((physical.shape, copies.shape), (expected[0].shape, expected[2].shape))
                expect_servable(self, physical.numpy(), 4, experts, slots, ranks)
                self.assertEqual(logical.shape, (4, experts, int(copies.max())))
                for layer in range(4):
                    for expert in range(experts):
                        found = [slot for slot in logical[layer, expert].tolist() if slot >= 0]
                        self.assertEqual(found, (physical[layer] == expert).nonzero().flatten().tolist())
                        self.assertEqual(int(copies[layer, expert]), len(found))

    def test_only_rank_0_tells_before_the_engine_serves(self):
        counts = made_up_counts(64, 4, 16)
        for rank in (0, 1):
            self.install()
            with unittest.mock.patch.multiple(torch.distributed, is_initialized=lambda: True,
                                              get_rank=lambda rank=rank: rank):
                rebalance(self.algorithms, counts)
            self.assertEqual("by linear placement" in self.log.text(), rank == 0)
            self.setUp()

    def test_what_gem_cannot_place_the_engine_does(self):
        self.install()
        counts = made_up_counts(1, 4, 16)  # without a time axis
        for found, expected in zip(rebalance(self.algorithms, counts), self.own_maps(counts)):
            self.assertTrue(torch.equal(found, expected))
        self.assertIn("fewer than two steps", self.log.text())

    def test_the_map_stays_where_nothing_is_won(self):
        self.install(move_gbps=1e-6)
        present = Metadata(linear_map(4, 16, 20))
        self.location.get_global_expert_location_metadata = lambda: present
        found = rebalance(self.algorithms, made_up_counts(64, 4, 16))[0]
        self.assertTrue(torch.equal(found, present.physical_to_logical_map_cpu))

    def test_registering_hooks_the_engine(self):
        from sglang.srt.plugins.hook_registry import HookRegistry

        from gem_policy import sglang

        HookRegistry.reset()
        sglang.register()
        self.assertEqual(set(HookRegistry._hooks), {sglang.TARGET, sglang.BEFORE})
        HookRegistry.apply_hooks()
        self.assertEqual(HookRegistry._patched, {sglang.TARGET, sglang.BEFORE})
        HookRegistry.reset()

    def test_the_engine_s_loader_of_plug_ins_finds_it(self):
        from sglang.srt import plugins
        from sglang.srt.plugins.hook_registry import HookRegistry

        from gem_policy import sglang

        HookRegistry.reset()
        with tempfile.TemporaryDirectory() as folder:
            install_entry_points(folder)
            self.assertIn("gem_policy", plugins.load_plugins_by_group("sglang.srt.plugins"))
            plugins.load_plugins()
        self.assertEqual(HookRegistry._patched, {sglang.TARGET, sglang.BEFORE})
        self.assertIsNot(self.algorithms.rebalance_experts, self.own)
        HookRegistry.reset()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        unittest.main()
