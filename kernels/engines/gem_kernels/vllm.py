"""vLLM's Triton experts: fused_experts of an installed vLLM with its tuned configurations, in bf16 and fp8; or, where
only its files are, the kernel and launcher of its fused_moe.py (--kernel-file, or GEM_VLLM_KERNEL_FILE) in bf16 and f32."""
import os

from gem_kernels.base import Refusal, cannot_be_told_apart, check_fits, need, place_of, serve, steps_of
from gem_kernels.torch_device import DTYPES, TorchEngine

FUSED = ("deep_gemm_mega_moe", "flashinfer_moe_ep")
PACKAGE = "vllm.model_executor.layers.fused_moe"


class TritonEngine(TorchEngine):
    """What both ways share. By default each row is a token of its own, as where an engine passes a device its own rows;
    with --gathered the call has all tokens of the step, those of other devices masked."""

    def __init__(self, opening, arguments):
        super().__init__(opening, arguments)
        self.token_count = opening["tokens_per_step"] if arguments.gathered else 0
        self.top_k = opening["top_k"] if arguments.gathered else 1
        if arguments.gathered and not (self.token_count and self.top_k):
            raise Refusal("--gathered needs the tokens of a step and the model's top-k; profile --for-trace TRACE")

    def size_of_call(self, tokens):
        return self.token_count or sum(tokens)

    def rule(self, config_of_tokens):
        """The steps of tiles by rows; one where the call always has all tokens of the step."""
        if self.token_count:
            return config_of_tokens(self.token_count)["BLOCK_SIZE_M"]
        return steps_of(config_of_tokens)


class InstalledEngine(TritonEngine):
    kernel = "vLLM's fused_experts"
    dtypes = ("bf16", "fp8")

    def __init__(self, opening, arguments):
        vllm = need("vllm", "pip install vllm, or give --kernel-file with a copy of its fused_moe.py")
        super().__init__(opening, arguments)
        self.module = need(PACKAGE + ".fused_moe", "this vLLM has no fused_moe.py; another version may")
        self.version = f"vllm {vllm.__version__}, {self.version}"
        self.fp8, self.quantised, block = opening["dtype"] == "fp8", None, None
        if self.fp8:
            block = [128, 128]
            self.quantise(block)
        name = "fp8_w8a8" if self.fp8 else None
        self.tiles = self.rule(
            lambda m: self.module.try_get_optimal_moe_config(
                self.gate_up.shape, self.down.shape, self.top_k, name, m, block_shape=block
            )
        )

    def quantise(self, block):
        config = need(PACKAGE + ".config", "this vLLM has no such file; another version may")
        torch, scales = self.torch, []
        for name in ("gate_up", "down"):
            weights = getattr(self, name)
            setattr(self, name, weights.to(torch.float8_e4m3fn))
            blocks = [-(-size // part) for size, part in zip(weights.shape[1:], block)]
            scales.append(torch.ones((len(weights), *blocks), dtype=torch.float32, device=self.device))
        self.quantised = config.fp8_w8a8_moe_quant_config(w1_scale=scales[0], w2_scale=scales[1], block_shape=block)

    def prepare(self, tokens):
        count = self.size_of_call(tokens)
        ids = self.made_up_topk(tokens, count, self.top_k)
        weights = self.torch.full(ids.shape, 1.0 / self.top_k, dtype=self.torch.float32, device=self.device)
        rows = self.input_rows(count).contiguous()
        experts = len(self.gate_up)
        # Ids of -1 are nobody's here: of as many experts again, which the map has on other devices.
        ids = self.torch.where(ids < 0, experts, ids)
        local = self.tensor([*range(experts), *[-1] * experts]) if self.token_count else None
        options = {"quant_config": self.quantised, "global_num_experts": 2 * experts if self.token_count else experts}
        return lambda: self.module.fused_experts(
            rows, self.gate_up, self.down, weights, ids, expert_map=local, **options
        )


class FileEngine(TritonEngine):
    """The kernel and its launcher from the file alone. Rows are sorted by expert before the time begins, as no Triton
    does that; what stands between the two products is this adapter's."""

    kernel = "vLLM's fused_moe_kernel from its file"
    dtypes = ("bf16", "f32")

    def __init__(self, opening, arguments):
        super().__init__(opening, arguments)
        from gem_kernels.vllm_file import load

        self.triton = need("triton", "pip install triton")
        self.module = load(arguments.kernel_file, self.torch, self.triton)
        self.version = f"triton {self.triton.__version__}, {self.version}"
        self.tiles = self.rule(self.config)

    def config(self, token_count):
        return self.module.try_get_optimal_moe_config(
            self.gate_up.shape, self.down.shape, self.top_k, None, token_count
        )

    def aligned(self, tokens, token_count, tile):
        """Places of the call's ids sorted by expert, each expert's padded to whole tiles; each tile's expert; and how many
        places these are."""
        check_fits(tokens, token_count, self.top_k)
        torch = self.torch
        tiles = [-(-count // tile) for count in tokens]
        places = torch.full((sum(tiles) * tile,), token_count * self.top_k, dtype=torch.int32)
        row = at = 0
        for count, tiles_of_expert in zip(tokens, tiles):
            places[at : at + count] = place_of(torch.arange(row, row + count), token_count, self.top_k)
            row, at = row + count, at + tiles_of_expert * tile
        experts = torch.arange(len(tokens), dtype=torch.int32).repeat_interleave(torch.tensor(tiles))
        return places.to(self.device), experts.to(self.device), self.tensor([len(places)])

    def prepare(self, tokens):
        torch = self.torch
        compute_type = getattr(self.triton.language, DTYPES[self.opening["dtype"]])
        count = self.size_of_call(tokens)
        config = self.config(count)
        places, experts, padded = self.aligned(tokens, count, config["BLOCK_SIZE_M"])
        rows = self.input_rows(count)
        weights = torch.full((count, self.top_k), 1.0 / self.top_k, dtype=torch.float32, device=self.device)
        both = self.scratch("both", count, self.top_k, self.gate_up.shape[1])
        down = self.scratch("down", count, self.top_k, self.down.shape[1])

        def product(a, b, c, weigh, top_k):
            self.module.invoke_fused_moe_triton_kernel(
                a, b, c, None, None, weights, places, experts, padded, weigh, top_k, config,
                compute_type=compute_type, use_fp8_w8a8=False, use_int8_w8a8=False, use_int8_w8a16=False,
                use_int4_w4a16=False, per_channel_quant=False,
            )  # fmt: skip

        def run():
            product(rows, self.gate_up, both, False, self.top_k)
            activated = self.module.silu_and_multiply(both.view(-1, both.shape[-1]))
            if self.token_count:
                down.zero_()  # as vLLM does where experts are elsewhere
            product(activated, self.down, down, True, 1)
            return down.sum(1) if self.top_k > 1 else down

        return run


def make_engine(opening, arguments):
    if arguments.kernel in FUSED:
        cannot_be_told_apart(f"vLLM's {arguments.kernel}")
    return (FileEngine if arguments.kernel_file else InstalledEngine)(opening, arguments)


def options(parser):
    parser.add_argument("--kernel", default="triton", choices=("triton", *FUSED), help="of the engine's kernels")
    parser.add_argument("--kernel-file", default=os.environ.get("GEM_VLLM_KERNEL_FILE"), metavar="FILE",
                        help="a copy of vLLM's fused_moe.py, where vLLM isn't installed")  # fmt: skip
    parser.add_argument("--gathered", action="store_true",
                        help="calls have all tokens of the step, as with vLLM's default exchange")  # fmt: skip


if __name__ == "__main__":
    serve(make_engine, __doc__, options)
