#!/usr/bin/env python3
"""Records the routing of small random models of each architecture and compares it with what their experts were given;
then the whole way from a saved model and prompts to a step trace. Exit code 77 (skipped) without torch and transformers.

    record_routing_check.py GEM_TRACE [--device cuda]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
import h5py
import numpy as np

from small_models import configurations, make_model

ANALYSIS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "analysis")
sys.path.insert(0, ANALYSIS)
from routing_recorder import RoutingRecorder  # noqa: E402


def ids_given_to_experts(model, recorder, tokens):
    """[token, layer, k]: the integer argument that each layer's experts get; Llama-4's get every token, those that are
    not theirs multiplied by 0."""
    given = []

    def note(module, arguments, keywords):
        for argument in [*arguments, *keywords.values()]:
            if torch.is_tensor(argument) and not argument.is_floating_point():
                given.append(argument.reshape(-1, recorder.top_k).cpu())
                return
        rows = arguments[0].reshape(recorder.num_experts, -1, arguments[0].shape[-1]).abs().sum(dim=-1)
        given.append(rows.T.topk(recorder.top_k, dim=-1).indices.cpu())

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for name, module in model.named_modules()
             if name.endswith(".experts")]
    with torch.no_grad():
        model(tokens)
    for hook in hooks:
        hook.remove()
    return torch.stack(given, dim=1).numpy()


def check_model(name, configuration, layers, device):
    model = make_model(configuration).to(device)
    tokens = torch.from_numpy(np.random.default_rng(2).integers(3, 128, (2, 30))).to(device)
    with RoutingRecorder(model) as recorder:
        with torch.no_grad():
            model(tokens)
        recorded = recorder.take()
    assert recorder.layer_ids == layers, (name, recorder.layer_ids)
    assert recorded.shape == (60, len(layers), recorder.top_k), (name, recorded.shape)
    given = ids_given_to_experts(model, recorder, tokens)
    assert (np.sort(recorded, axis=-1) == np.sort(given, axis=-1)).all(), f"{name}: other experts than the model's own"
    used = len(np.unique(recorded))
    assert used > recorder.num_experts // 2, (name, used)
    print(f"{name:18} {len(layers)} layers, {recorder.num_experts} experts, top-{recorder.top_k}: 60 tokens as the model's "
          f"own, {used} experts used", flush=True)


def check_program(gem_trace, device):
    """A saved model, prompts as token ids, both phases, and on to a step trace."""
    configuration, layers = configurations()["qwen3_moe"]
    with tempfile.TemporaryDirectory() as folder:
        model_folder, prompts, routing, trace = (os.path.join(folder, name)
                                                 for name in ("small", "prompts.jsonl", "small.prompts.h5", "trace.h5"))
        make_model(configuration).save_pretrained(model_folder)
        lengths = [5, 17, 9]
        with open(prompts, "w") as file:
            for length in lengths:
                file.write(json.dumps(list(range(3, 3 + length))) + "\n")
        for phase, options, tokens in (("prefill", [], lengths), ("decode", ["--generate", "6"], None)):
            subprocess.run([sys.executable, os.path.join(ANALYSIS, "record_routing.py"), model_folder, prompts,
                            "--device", device, "--dtype", "float32", *options], check=True, capture_output=True,
                           cwd=folder)
            with h5py.File(routing) as file:
                assert file.attrs["phase"] == phase and file.attrs["num_experts"] == 16 and file.attrs["model"] == "small"
                found = np.diff(file["request_offsets"][:]).tolist()
                assert found == tokens if tokens else all(1 <= count <= 6 for count in found), found
                assert list(file["layer_ids"][:]) == layers
            size = ["--batch-size", "2"] if phase == "decode" else ["--chunk-tokens", "8"]
            done = subprocess.run([gem_trace, "batch", "--routing", routing, "--output", trace, *size],
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    print("recorded, batched into a trace")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gem_trace")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for name, (configuration, layers) in configurations().items():
        check_model(name, configuration, layers, options.device)
    check_program(options.gem_trace, options.device)


if __name__ == "__main__":
    main()
