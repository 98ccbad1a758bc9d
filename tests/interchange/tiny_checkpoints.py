"""Tiny checkpoints in three layouts, a tensor for each expert (Mixtral), fused with biases (gpt-oss) and with routing
limited to groups (DeepSeek-V3), with a forward pass in NumPy. Needs NumPy alone."""

import json
import os
import struct

import numpy as np

EXPERTS, TOP_K, HIDDEN, INNER, LAYERS = 12, 3, 16, 8, (1, 2)  # layer 0 is dense; two digits in the names of experts
GROUPS, TOP_GROUPS = 6, 3


DTYPES = {"float64": "F64", "float32": "F32", "uint8": "U8", "int8": "I8", "int32": "I32", "int64": "I64",
          "uint16": "U16"}


def write_safetensors(path, tensors):
    """As the safetensors library writes it: compact JSON, padded with spaces to a multiple of 8."""
    header, offset = {"__metadata__": {"format": "np"}}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": DTYPES[tensor.dtype.name], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    names = {word: name for name, word in DTYPES.items()}
    return {name: np.frombuffer(data[entry["data_offsets"][0]:entry["data_offsets"][1]],
                                names[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items()}


def load(directory):
    tensors = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".safetensors"):
            tensors |= read_safetensors(os.path.join(directory, name))
    return tensors


def save(directory, tensors, config, shard_count):
    os.makedirs(directory)
    names = list(tensors)
    weight_map = {}
    for shard in range(shard_count):
        file_name = f"model-{shard + 1:05}-of-{shard_count:05}.safetensors"
        part = names[shard * len(names) // shard_count:(shard + 1) * len(names) // shard_count]
        write_safetensors(os.path.join(directory, file_name), {name: tensors[name] for name in part})
        weight_map |= {name: file_name for name in part}
    with open(os.path.join(directory, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
                   "weight_map": dict(sorted(weight_map.items()))}, file, indent=2)
        file.write("\n")
    for name, content in {"config.json": config, "tokenizer.json": {"kept": "as it is"}}.items():
        with open(os.path.join(directory, name), "w") as file:
            json.dump(content, file)


def make_separate(directory, rng):
    tensors = {"model.layers.0.mlp.gate_proj.weight": rng.normal(size=(EXPERTS, HIDDEN))}
    for layer in LAYERS:
        block = f"model.layers.{layer}.block_sparse_moe."
        tensors[block + "gate.weight"] = rng.normal(size=(EXPERTS, HIDDEN))
        for expert in range(EXPERTS):
            for name, shape in (("w1", (INNER, HIDDEN)), ("w2", (HIDDEN, INNER)), ("w3", (INNER, HIDDEN))):
                tensors[f"{block}experts.{expert}.{name}.weight"] = rng.normal(size=shape)
    save(directory, tensors, {"model_type": "mixtral", "num_local_experts": EXPERTS}, 3)


def make_fused(directory, rng):
    tensors = {}
    for layer in LAYERS:
        block = f"model.layers.{layer}.mlp."
        shapes = {"router.weight": (EXPERTS, HIDDEN), "router.bias": (EXPERTS,),
                  "experts.gate_up_proj": (EXPERTS, HIDDEN, 2 * INNER), "experts.gate_up_proj_bias": (EXPERTS, 2 * INNER),
                  "experts.down_proj": (EXPERTS, INNER, HIDDEN), "experts.down_proj_bias": (EXPERTS, HIDDEN)}
        tensors |= {block + name: rng.normal(size=shape) for name, shape in shapes.items()}
        tensors[block + "experts.down_proj_scales"] = rng.integers(0, 256, (EXPERTS, 3), np.uint8)
    save(directory, tensors, {"model_type": "gpt_oss", "num_local_experts": EXPERTS}, 2)


def make_grouped(directory, rng):
    tensors = {}
    for layer in LAYERS:
        block = f"model.layers.{layer}.mlp."
        tensors[block + "gate.weight"] = rng.normal(size=(EXPERTS, HIDDEN))
        tensors[block + "gate.e_score_correction_bias"] = 0.1 * rng.normal(size=EXPERTS)
        tensors[block + "shared_experts.up_proj.weight"] = rng.normal(size=(EXPERTS, HIDDEN))  # no routed expert's
        for expert in range(EXPERTS):
            for name, shape in (("gate_proj", (INNER, HIDDEN)), ("down_proj", (HIDDEN, INNER)), ("up_proj", (INNER, HIDDEN))):
                tensors[f"{block}experts.{expert}.{name}.weight"] = rng.normal(size=shape)
    save(directory, tensors, {"model_type": "deepseek_v3", "n_routed_experts": EXPERTS, "n_group": GROUPS,
                              "topk_group": TOP_GROUPS}, 2)


def silu(x):
    return x / (1.0 + np.exp(-x))


def expert_output(tensors, layer, expert, x):
    block = f"model.layers.{layer}."
    if block + "mlp.experts.gate_up_proj" in tensors:
        block += "mlp.experts."
        both = x @ tensors[block + "gate_up_proj"][expert] + tensors[block + "gate_up_proj_bias"][expert]
        inner = silu(both[0::2]) * both[1::2]
        scale = 1.0 + tensors[block + "down_proj_scales"][expert].mean() / 256.0
        return scale * (inner @ tensors[block + "down_proj"][expert]) + tensors[block + "down_proj_bias"][expert]
    if block + "mlp.gate.weight" in tensors:
        weights = [tensors[f"{block}mlp.experts.{expert}.{name}_proj.weight"] for name in ("gate", "down", "up")]
    else:
        weights = [tensors[f"{block}block_sparse_moe.experts.{expert}.{name}.weight"] for name in ("w1", "w2", "w3")]
    return weights[1] @ (silu(weights[0] @ x) * (weights[2] @ x))


def route(tensors, layer, x):
    """The experts chosen for a token, and their shares."""
    block = f"model.layers.{layer}."
    if block + "mlp.gate.weight" in tensors:  # the best of the best groups, a group as good as its best two experts
        shares = 1.0 / (1.0 + np.exp(-tensors[block + "mlp.gate.weight"] @ x))
        scores = shares + tensors[block + "mlp.gate.e_score_correction_bias"]
        by_group = scores.reshape(GROUPS, -1)
        kept = np.argsort(-np.sort(by_group, axis=1)[:, -2:].sum(axis=1))[:TOP_GROUPS]
        limited = np.full_like(by_group, -np.inf)
        limited[kept] = by_group[kept]
        chosen = np.argsort(-limited.ravel())[:TOP_K]
        return chosen, shares[chosen] / shares[chosen].sum()
    if block + "block_sparse_moe.gate.weight" in tensors:
        scores = tensors[block + "block_sparse_moe.gate.weight"] @ x
    else:
        scores = tensors[block + "mlp.router.weight"] @ x + tensors[block + "mlp.router.bias"]
    chosen = np.argsort(-scores)[:TOP_K]
    shares = np.exp(scores[chosen] - scores[chosen].max())
    return chosen, shares / shares.sum()


def forward(tensors, tokens):
    """Outputs [token, hidden] of the MoE layers, one after the other."""
    outputs = []
    for x in tokens:
        for layer in LAYERS:
            chosen, shares = route(tensors, layer, x)
            x = x + sum(share * expert_output(tensors, layer, expert, x) for share, expert in zip(shares, chosen))
            x = x / np.sqrt(np.mean(x * x))
        outputs.append(x)
    return np.array(outputs)
