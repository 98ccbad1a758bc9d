#!/usr/bin/python3
"""GEM in vLLM's own EPLB: its policy is replaced, and four processes serve windows of a drifting trace while vLLM's own
code moves the weights. No GPU; skipped where there is no vLLM or no PyTorch."""

import os
import subprocess
import sys
import tempfile
import threading
import types
import unittest

from engines import load_vllm, need_torch
from support import Log, expect_servable, install_entry_points, linear_map, made_up_counts, settings

import numpy

torch = need_torch()

RANKS, LAYERS, EXPERTS, REDUNDANT = 4, 3, 16, 4
SLOTS = EXPERTS + REDUNDANT
WINDOW, INTERVAL = 16, 16


class Event:
    """torch's events need an accelerator."""

    def __init__(self, enable_timing=False):
        pass

    def record(self, stream=None):
        pass

    def synchronize(self):
        pass

    def wait(self, stream=None):
        pass

    def elapsed_time(self, other):
        return 0.0


def weight_of(layer, expert, part):
    """Which expert's it is can be read off."""
    return torch.full((3 + part,), float(1000 * layer + expert + 0.25 * part))


class Model:
    num_moe_layers, num_expert_groups, num_shared_experts = LAYERS, 1, 0
    num_routed_experts = num_logical_experts = EXPERTS
    num_redundant_experts, num_physical_experts = REDUNDANT, SLOTS
    num_local_physical_experts = SLOTS // RANKS
    moe_layers = []

    def __init__(self, rank):
        held = [(rank * SLOTS // RANKS + slot) % EXPERTS for slot in range(SLOTS // RANKS)]
        self.expert_weights = [[torch.stack([weight_of(layer, expert, part) for expert in held]) for part in (0, 1)]
                               for layer in range(LAYERS)]

    def set_eplb_state(self, *state):
        pass


def serve(address, rank, output, own_policy):
    """One rank of the engine: steps with counts, rearrangements by vLLM's own code; writes its maps to `output`."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=RANKS)
    world = torch.distributed.group.WORLD
    group = types.SimpleNamespace(device_group=world, cpu_group=world, world_size=RANKS)
    eplb_state = load_vllm(group)
    torch.Event = Event
    log = Log()
    if not own_policy:
        from gem_policy import vllm
        from gem_policy.decision import Decider

        steps = int(os.environ.get("GEM_TEST_STEPS", 32))
        # Experts are tiny here, so devices are slow.
        slow = settings(max_moves=4, steps=steps, move_gbps=1e-3, memory_gbps=1e-3, tflops=1e-6)
        vllm.install(eplb_state, Decider(slow, log))
    eplb_state.create_eplb_communicator = lambda **named: sys.modules[
        "vllm.distributed.eplb.eplb_communicator"].TorchDistNcclEplbCommunicator(world)
    config = types.SimpleNamespace(
        enable_elastic_ep=False, num_ubatches=0, eplb_config=types.SimpleNamespace(
            window_size=WINDOW, step_interval=INTERVAL, policy="default", use_async=False, communicator="torch_nccl",
            log_balancedness_interval=1))
    state = eplb_state.EplbState(config, torch.device("cpu"))
    model = Model(rank)
    state.add_model(model, types.SimpleNamespace(compute_hash=lambda: "model", model="made-up"))
    state.step(is_profile=True)
    layer_states = state.model_states["model"]
    tasks = [made_up_counts(2 * INTERVAL, LAYERS, EXPERTS, seed) for seed in (1, 2)]
    maps = []
    for step in range(4 * INTERVAL):
        counts = tasks[step // (2 * INTERVAL)][step % (2 * INTERVAL)]
        own = counts // RANKS + (numpy.arange(EXPERTS) % RANKS < 1) * (rank == 0)  # of this rank's tokens
        physical = layer_states.physical_to_logical_map
        copies = layer_states.logical_replica_count
        loads = torch.from_numpy(own.astype(numpy.int64))
        for layer in range(LAYERS):
            seen = {}
            for slot, expert in enumerate(physical[layer].tolist()):
                turn = seen[expert] = seen.get(expert, -1) + 1
                share = int(loads[layer, expert]) // int(copies[layer, expert])
                share += turn < int(loads[layer, expert]) % int(copies[layer, expert])
                layer_states.expert_load_pass[layer, slot] = share
        state.step()
        held = physical[:, rank * SLOTS // RANKS : (rank + 1) * SLOTS // RANKS].tolist()
        for layer in range(LAYERS):
            for part in (0, 1):
                for slot, expert in enumerate(held[layer]):
                    assert torch.equal(model.expert_weights[layer][part][slot], weight_of(layer, expert, part)), (
                        f"after step {step}, rank {rank} hasn't got expert {expert} of layer {layer} in slot {slot}")
        maps.append(physical.clone().numpy())
    numpy.save(output, numpy.stack(maps))
    with open(output + ".log", "w", encoding="utf-8") as file:
        file.write(log.text())
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


class EngineLoopTest(unittest.TestCase):
    def serve_on_all_ranks(self, own_policy, environment=lambda rank: {}):
        with tempfile.TemporaryDirectory() as folder:
            address = os.path.join(folder, "address")
            outputs = [os.path.join(folder, f"maps{rank}.npy") for rank in range(RANKS)]
            children = []
            for rank in range(RANKS):
                call = [sys.executable, __file__, "serve", address, str(rank), outputs[rank], str(int(own_policy))]
                children.append(subprocess.Popen(call, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment(rank)))
            codes = [child.wait(timeout=280) for child in children]
            self.assertEqual(codes, [0] * RANKS)
            logs = []
            for output in outputs:
                with open(output + ".log", encoding="utf-8") as file:
                    logs.append(file.read())
            return [numpy.load(output) for output in outputs], logs

    def test_every_expert_s_weights_are_where_the_map_says(self):
        maps, logs = self.serve_on_all_ranks(own_policy=False)
        for other in maps[1:]:
            self.assertTrue((other == maps[0]).all(), "ranks have different maps")
        changes = [step for step in range(1, len(maps[0])) if (maps[0][step] != maps[0][step - 1]).any()]
        self.assertGreaterEqual(len(changes), 2)
        for placed in maps[0]:
            expect_servable(self, placed, LAYERS, EXPERTS, SLOTS, RANKS)
        for before, after in zip(maps[0], maps[0][1:]):
            moved = (before != after).sum(axis=1)
            self.assertLessEqual(int(moved.max()), 4, "more moves in a layer than allowed")
        self.assertIn("moves", logs[0])
        self.assertEqual(logs[1], "")

    def test_ranks_with_other_settings_use_the_engine_s_policy(self):
        own, _ = self.serve_on_all_ranks(own_policy=True)
        maps, logs = self.serve_on_all_ranks(False, lambda rank: {"GEM_TEST_STEPS": "8"} if rank == 2 else {})
        for found, expected in zip(maps, own):
            self.assertTrue((found == expected).all())
        self.assertIn("different settings", logs[0])


class PolicyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = load_vllm()
        cls.own = cls.state.EPLB_POLICIES["default"]

    def policy(self, counts, log=None, **values):
        from gem_policy import vllm
        from gem_policy.decision import Decider, Expert

        loads = vllm.Loads()
        if counts is not None:
            loads.leave([vllm.Load(counts, 3000, Expert(50e6, 25e6))])
        return vllm.make_policy(self.own, Decider(settings(**values), log or Log()), loads)

    def test_maps_are_like_the_engine_s(self):
        for experts, slots, ranks in ((16, 16, 4), (16, 20, 4), (64, 72, 8), (32, 32, 8)):
            counts = made_up_counts(64, 4, experts)
            old = torch.from_numpy(linear_map(4, experts, slots))
            weight = torch.from_numpy(counts.sum(axis=0))
            expected = self.own.rebalance_experts(weight, slots, 1, 1, ranks, old)
            found = self.policy(counts).rebalance_experts(weight, slots, 1, 1, ranks, old)
            self.assertEqual((found.shape, found.dtype, found.device), (expected.shape, expected.dtype, expected.device))
            expect_servable(self, found.numpy(), 4, experts, slots, ranks)

    def test_the_asynchronous_worker_gets_the_same_map(self):
        from vllm.distributed.eplb.async_worker import run_rebalance_experts

        counts = made_up_counts(64, 4, 16)
        old, weight = torch.from_numpy(linear_map(4, 16, 20)), torch.from_numpy(counts.sum(axis=0))
        expected = self.policy(counts).rebalance_experts(weight, 20, 1, 1, 4, old)
        self.assertFalse(torch.equal(expected, self.own.rebalance_experts(weight, 20, 1, 1, 4, old)))
        model = types.SimpleNamespace(eplb_stats=self.state.EplbStats(weight, 20, 1, 1, 4))
        engine = types.SimpleNamespace(policy=self.policy(counts))
        found = []
        worker = threading.Thread(target=lambda: found.append(run_rebalance_experts(model, engine, old, None)))
        worker.start()
        worker.join()
        self.assertTrue(torch.equal(found[0], expected))

    def test_without_steps_the_engine_s_policy_decides(self):
        counts = made_up_counts(64, 4, 16)
        old, weight = torch.from_numpy(linear_map(4, 16, 16)), torch.from_numpy(counts.sum(axis=0))
        expected = self.own.rebalance_experts(weight, 16, 1, 1, 4, old)
        for policy in (self.policy(None), self.policy(counts[:, :2])):
            self.assertTrue(torch.equal(policy.rebalance_experts(weight, 16, 1, 1, 4, old), expected))
        # The number of ranks changes: 20 slots are asked for, of which 4 hold nothing.
        grown = torch.nn.functional.pad(old, (0, 4), value=-1)
        log = Log()
        found = self.policy(counts, log).rebalance_experts(weight, 20, 1, 1, 5, grown)
        self.assertTrue(torch.equal(found, self.own.rebalance_experts(weight, 20, 1, 1, 5, grown)))
        self.assertIn("number of ranks", log.text())

    def test_the_old_map_stays_where_nothing_is_won(self):
        counts = made_up_counts(64, 4, 16)
        old, weight = torch.from_numpy(linear_map(4, 16, 16)), torch.from_numpy(counts.sum(axis=0))
        policy = self.policy(counts, move_gbps=1e-6)
        self.assertTrue(torch.equal(policy.rebalance_experts(weight, 16, 1, 1, 4, old), old))

    def test_registering_replaces_the_default_once(self):
        from gem_policy import vllm

        rearrange = self.state.EplbState.rearrange
        try:
            os.environ["GEM_POLICY_ENABLED"] = "0"
            vllm.register()
            self.assertIs(self.state.EPLB_POLICIES["default"], self.own)
            del os.environ["GEM_POLICY_ENABLED"]
            vllm.register()
            replaced = self.state.EPLB_POLICIES["default"]
            self.assertTrue(issubclass(replaced, self.own) and replaced.is_gem)
            vllm.register()
            self.assertIs(self.state.EPLB_POLICIES["default"], replaced)
            self.assertIs(self.state.EplbState.rearrange.__wrapped__, rearrange)
        finally:
            self.state.EPLB_POLICIES["default"], self.state.EplbState.rearrange = self.own, rearrange

    def test_the_engine_s_loader_of_plug_ins_finds_it(self):
        from vllm import plugins

        rearrange = self.state.EplbState.rearrange
        with tempfile.TemporaryDirectory() as folder:
            install_entry_points(folder)
            try:
                self.assertIn("gem_policy", plugins.load_plugins_by_group("vllm.general_plugins"))
                plugins.load_general_plugins()
                self.assertTrue(self.state.EPLB_POLICIES["default"].is_gem)
            finally:
                self.state.EPLB_POLICIES["default"], self.state.EplbState.rearrange = self.own, rearrange


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "1")
    else:
        unittest.main()
