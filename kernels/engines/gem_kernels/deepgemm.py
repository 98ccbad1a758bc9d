"""DeepGEMM's grouped products, contiguous by expert, in fp8 with block scales and in bf16."""
from gem_kernels.base import cannot_be_told_apart, need, serve
from gem_kernels.torch_device import TorchEngine, device_option

BLOCK = 128


class DeepGemmEngine(TorchEngine):
    kernel = "DeepGEMM"
    dtypes = ("fp8", "bf16")
    most_prepared = 64  # each has its own rows and results

    def __init__(self, opening, arguments):
        self.package = need("deep_gemm", "install DeepGEMM from its repository, with your PyTorch and CUDA")
        super().__init__(opening, arguments)
        self.version = f"deep_gemm {getattr(self.package, '__version__', 'of unknown version')}, {self.version}"
        self.tiles = int(self.package.get_m_alignment_for_contiguous_layout())
        self.fp8 = opening["dtype"] == "fp8"
        self.kernel = f"DeepGEMM's m_grouped_{'fp8' if self.fp8 else 'bf16'}_gemm_nt_contiguous"
        self.product = getattr(self.package, self.kernel.split()[1])
        if self.fp8:
            self.gate_up, self.down = self.quantised(self.gate_up, True), self.quantised(self.down, True)

    def quantised(self, values, weights):
        """With a scale of 1 for each block: the time doesn't depend on values."""
        columns = -(-values.shape[-1] // BLOCK)
        lines = [*values.shape[:-2], -(-values.shape[-2] // BLOCK)] if weights else [values.shape[0]]
        scales = self.torch.ones((*lines, columns), dtype=self.torch.float32, device=self.device)
        return values.to(self.torch.float8_e4m3fn), scales

    def prepare(self, tokens):
        torch, tile = self.torch, self.tiles
        experts = []
        for expert, count in enumerate(tokens):
            experts += [expert] * count + [-1] * (-count % tile)
        places = self.tensor(experts)
        rows = self.input_rows(len(experts))
        gate_up, down = (w[0] if self.fp8 else w for w in (self.gate_up, self.down))
        both = torch.empty((len(experts), gate_up.shape[1]), dtype=torch.bfloat16, device=self.device)
        out = torch.empty((len(experts), down.shape[1]), dtype=torch.bfloat16, device=self.device)
        first = self.quantised(rows, False) if self.fp8 else rows

        def run():
            self.product(first, self.gate_up, both, places)
            activated = self.silu_and_multiply(both)
            self.product(self.quantised(activated, False) if self.fp8 else activated, self.down, out, places)

        return run


def make_engine(opening, arguments):
    if arguments.kernel == "mega_moe":
        cannot_be_told_apart("DeepGEMM's mega MoE")
    return DeepGemmEngine(opening, arguments)


def options(parser):
    device_option(parser)
    parser.add_argument("--kernel", default="grouped", choices=("grouped", "mega_moe"), help="of its kernels")


if __name__ == "__main__":
    serve(make_engine, __doc__, options)
