"""PyTorch alone: torch._grouped_mm where the device has it, else a product an expert; on cuda, ROCm, xpu, npu, cpu."""
from gem_kernels.base import serve
from gem_kernels.torch_device import TorchEngine, device_option


class PlainTorchEngine(TorchEngine):
    kernel = "PyTorch"
    dtypes = ("bf16", "f32")

    def __init__(self, opening, arguments):
        super().__init__(opening, arguments)
        self.grouped = not arguments.loop and self.word == "cuda" and self.grouped_works()
        self.kernel = "torch._grouped_mm" if self.grouped else "a product of PyTorch an expert"
        self.tiles = self.grouped_tiles() if self.grouped else 16

    def grouped_tiles(self):
        """Clusters of two tiles work on neighbouring rows of one expert, so that an expert's rows count in whole clusters: on
        Hopper of tiles of 64 rows while the mean expert has up to 128 (rounded down), beyond of 128. Others: not known."""
        major = 0 if self.torch.version.hip else self.torch.cuda.get_device_capability(self.device)[0]
        few = 129 * len(self.gate_up) - 1
        return {9: [{"up_to_rows": few, "tile_tokens": 128}, {"tile_tokens": 256}], 10: 128}.get(major)

    def grouped_works(self):
        try:
            self.prepare_grouped((1,) * len(self.gate_up))()
            self.synchronize()
            return True
        except (AttributeError, RuntimeError, ValueError, NotImplementedError):
            return False

    def prepare_grouped(self, tokens):
        rows = self.input_rows(sum(tokens))
        ends = self.tensor(tokens).cumsum(0).to(self.torch.int32)
        gate_up, down = self.gate_up.transpose(1, 2), self.down.transpose(1, 2)

        def run():
            both = self.torch._grouped_mm(rows, gate_up, offs=ends)
            return self.torch._grouped_mm(self.silu_and_multiply(both), down, offs=ends)

        return run

    def prepare(self, tokens):
        if self.grouped:
            return self.prepare_grouped(tokens)
        rows = self.input_rows(sum(tokens)).split([count for count in tokens if count])
        experts = [expert for expert, count in enumerate(tokens) if count]

        def run():
            for part, expert in zip(rows, experts):
                self.silu_and_multiply(part @ self.gate_up[expert].T) @ self.down[expert].T

        return run


def options(parser):
    device_option(parser)
    parser.add_argument("--loop", action="store_true", help="a product an expert even where there is a grouped one")


if __name__ == "__main__":
    serve(PlainTorchEngine, __doc__, options)
