"""Records which experts a Hugging Face MoE model uses, with forward hooks on its routers."""

import re

import torch

# The decoder's routers: "model.layers.3.mlp.gate", "language_model.model.layers.3.feed_forward.router", ... Multi-token
# prediction and vision towers number their layers anew and are left out.
ROUTER_NAME = re.compile(r"^(?:model\.|language_model\.)*layers\.(\d+)\.(?:mlp|block_sparse_moe|feed_forward)\.(?:gate|router)$")


def text_config(model):
    """The configuration of the text part, where the model has other parts too."""
    return model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config


def first_of(config, *names):
    for name in names:
        if getattr(config, name, None):
            return int(getattr(config, name))
    raise SystemExit(f"the configuration ({type(config).__name__}) has none of {', '.join(names)}: is this an MoE model?")


class RoutingRecorder:
    """Hooks all routers of a model while in use (`with RoutingRecorder(model) as recorder:`). `take()` returns what was
    recorded since the last time: ids [token, layer, k], int32, in the order of the tokens that went through."""

    def __init__(self, model):
        config = text_config(model)
        self.num_experts = first_of(config, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
        self.top_k = first_of(config, "num_experts_per_tok", "moe_topk", "moe_top_k", "top_k")
        self.limited = (getattr(config, "n_group", 1) or 1) > 1
        routers = {}
        for name, module in model.named_modules():
            found = ROUTER_NAME.match(name)
            if found and self._is_router(module):
                routers[int(found.group(1))] = module
        if not routers:
            raise SystemExit("no router was found in the model; its modules are named otherwise than GEM knows")
        self.layer_ids = sorted(routers)
        self._routers = [routers[layer] for layer in self.layer_ids]
        self._recorded = [[] for _ in self.layer_ids]
        self._hooks = []

    def _is_router(self, module):
        return any(tensor.dim() == 2 and tensor.shape[0] == self.num_experts for tensor in module.parameters())

    def __enter__(self):
        for place, router in enumerate(self._routers):
            self._hooks.append(router.register_forward_hook(
                lambda module, inputs, output, place=place: self._recorded[place].append(self.ids_of(module, output))))
        return self

    def __exit__(self, *_):
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def ids_of(self, router, output):
        """The experts that a router chose, [token, k]."""
        parts = output if isinstance(output, (tuple, list)) else (output,)
        for part in parts:  # most routers return the ids
            if torch.is_tensor(part) and not part.is_floating_point() and part.shape[-1] == self.top_k:
                return part.detach().reshape(-1, self.top_k).to("cpu", torch.int32)
        # Llama-4's returns scores that are 0 but for the chosen ones; a plain linear layer (transformers before 5) returns
        # logits, and the block takes the largest: the same k experts, unless groups or a bias come between.
        scores = parts[0].detach().reshape(-1, self.num_experts)
        if type(router) is torch.nn.Linear and (self.limited or hasattr(router, "e_score_correction_bias")):
            raise SystemExit("this version of transformers chooses experts outside of the router; use 5 or later")
        return scores.topk(self.top_k, dim=-1).indices.to("cpu", torch.int32)

    def take(self):
        ids = torch.stack([torch.cat(layer) for layer in self._recorded], dim=1)
        self._recorded = [[] for _ in self.layer_ids]
        return ids.numpy()
