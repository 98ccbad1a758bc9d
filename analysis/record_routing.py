#!/usr/bin/env python3
"""Records the routing of a Hugging Face MoE model on prompts, token by token, as a gem.routing file.

Any model whose decoder has routers named gate or router: Mixtral, Qwen2/3-MoE, OLMoE, DeepSeek-V2/V3, GLM-4.5, gpt-oss,
Llama-4, Phi-MoE and their kin. Needs torch, transformers (5 or later for models with group-limited routing), h5py.

    analysis/record_routing.py Qwen/Qwen3-30B-A3B prompts.txt
    analysis/record_routing.py ./my-model prompts.jsonl --generate 256 --output routing.h5

PROMPTS has one prompt a line: text, or JSON with "prompt" (or "text"), or a JSON list of token ids. Every prompt is one
request. Without --generate the tokens of the prompts are recorded (prefill); with it, those generated after (decode).
"""

import argparse
import json
import os
import sys

try:
    import numpy as np
    import torch
    import transformers

    from gem_routing import write_routing
    from routing_recorder import RoutingRecorder
except ImportError as missing:
    if not {"-h", "--help"} & set(sys.argv[1:]):
        sys.exit(f"{sys.executable} has no {missing.name}; install torch, transformers and h5py, or use another Python")


def read_prompts(path):
    """Texts, or lists of token ids."""
    prompts = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line:
                continue
            if not path.endswith((".jsonl", ".json")):
                prompts.append(line)
                continue
            try:
                record = json.loads(line)
                prompts.append(record if isinstance(record, (list, str)) else record.get("prompt") or record["text"])
            except (ValueError, KeyError, TypeError) as error:
                sys.exit(f"{path}, line {number}: is no JSON with a prompt ({error})")
    if not prompts:
        sys.exit(f"{path}: holds no prompt")
    return prompts


def token_ids_of(prompt, tokenizer, longest):
    ids = prompt if isinstance(prompt, list) else tokenizer(prompt)["input_ids"]
    return torch.tensor([ids[:longest]], dtype=torch.long)


def record_request(model, recorder, ids, generated_tokens):
    """[token, layer, k] of the prompt's tokens, or of those generated after it."""
    with torch.inference_mode():
        if generated_tokens == 0:
            model(ids, use_cache=False)
            return recorder.take()
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=generated_tokens, do_sample=False,
                       use_cache=True)
    return recorder.take()[ids.shape[1]:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="name or directory of the model")
    parser.add_argument("prompts", help="file of prompts, one a line (.txt) or JSON lines (.jsonl)")
    parser.add_argument("--output", metavar="FILE", help="gem.routing file to write (default: MODEL.TASK.h5, here)")
    parser.add_argument("--generate", type=int, default=0, metavar="N",
                        help="record N generated tokens a prompt, decode (default: the tokens of the prompt, prefill)")
    parser.add_argument("--max-tokens", type=int, default=4096, metavar="N",
                        help="use the first N tokens of a prompt (default: 4096)")
    parser.add_argument("--task", default="", help="what the prompts are, for the file (default: the file's name)")
    parser.add_argument("--device", help="cuda, cpu or auto (default: cuda where it is there, else cpu)")
    parser.add_argument("--dtype", default="auto", help="auto, bfloat16, float16 or float32 (default: auto)")
    options = parser.parse_args()
    options.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")

    prompts = read_prompts(options.prompts)
    name = os.path.basename(os.path.normpath(options.model))
    task = options.task or os.path.splitext(os.path.basename(options.prompts))[0]
    output = options.output or f"{name}.{task}.h5"
    placement = {"device_map": "auto"} if options.device == "auto" else {}
    dtype = options.dtype if options.dtype == "auto" else getattr(torch, options.dtype)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, **placement).eval()
    if options.device != "auto":
        model.to(options.device)
    tokenizer = None
    if any(isinstance(prompt, str) for prompt in prompts):
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)

    requests = []
    with RoutingRecorder(model) as recorder:
        for number, prompt in enumerate(prompts, 1):
            ids = token_ids_of(prompt, tokenizer, options.max_tokens).to(model.device)
            if ids.shape[1] == 0:
                continue
            requests.append(record_request(model, recorder, ids, options.generate))
            if sys.stderr.isatty():
                print(f"\rrecorded {number} of {len(prompts)}", end="", file=sys.stderr)
    requests = [request for request in requests if len(request) > 0]
    if not requests:
        sys.exit(f"{options.prompts}: no prompt has a token to record")
    write_routing(output, np.concatenate(requests), np.cumsum([0] + [len(r) for r in requests]),
                  recorder.layer_ids, recorder.num_experts, model=name, phase="decode" if options.generate else "prefill",
                  task=task)
    print(f"{output}: {len(requests)} requests, {sum(map(len, requests))} tokens, {len(recorder.layer_ids)} MoE "
          f"layers, {recorder.num_experts} experts, top-{recorder.top_k}")
    print(f"Next: gem-trace batch --routing {output} --output TRACE")


if __name__ == "__main__":
    main()
