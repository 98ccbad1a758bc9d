"""gpt-oss's own Triton kernels (matmul_ogs with the fused swiglu), as vLLM ships them: triton_kernels, in bf16."""
import sys

from gem_kernels.base import need, serve, steps_of
from gem_kernels.torch_device import TorchEngine, device_option


def triton_kernels():
    """The package by itself, or the one within vLLM, which must then be found under its own name."""
    remedy = "pip install vllm, or put its folder third_party/triton_kernels on PYTHONPATH"
    try:
        import triton_kernels as package
    except ImportError:
        package = need("vllm.third_party.triton_kernels", remedy)
        sys.modules["triton_kernels"] = package
    return {name: need(f"triton_kernels.{name}", remedy) for name in ("matmul_ogs", "routing", "swiglu")}


class GptOssEngine(TorchEngine):
    kernel = "triton_kernels.matmul_ogs"
    graphed = True

    def __init__(self, opening, arguments):
        super().__init__(opening, arguments)
        triton = need("triton", "pip install triton")
        self.modules = triton_kernels()
        self.version = f"triton {triton.__version__}, {self.version}"
        # Its kernels read [expert, in, out].
        self.gate_up, self.down = (weights.transpose(1, 2).contiguous() for weights in (self.gate_up, self.down))
        self.tiles = steps_of(self.config_of_rows(triton))
        ogs = self.modules["matmul_ogs"]
        swiglu = ogs.FnSpecs("swiglu", self.modules["swiglu"].swiglu_fn, ("alpha", "limit"))
        self.activation = ogs.FusedActivation(swiglu, (1.702, 7.0), 2)

    def config_of_rows(self, triton):
        """Of both products: the tile, into how many parts the depth is split, and whether the kernel stays on its
        multiprocessors; all follow from the rows."""
        ogs, experts, dtype = self.modules["matmul_ogs"], len(self.gate_up), self.rows.dtype
        routes, precision = self.modules["routing"].RoutingData(None, None, experts, 1), ogs.PrecisionConfig()

        def config(rows):
            flags = [
                ogs.make_opt_flags(
                    dtype, dtype, dtype, precision, rows, w.shape[2], w.shape[1], routes, True, False, None
                )
                for w in (self.gate_up, self.down)
            ]
            return {"BLOCK_SIZE_M": flags[0].block_m, "rest": [(f.split_k, f.is_persistent) for f in flags]}

        try:
            config(1)
            return config
        except (AttributeError, TypeError, AssertionError):  # of another version: the tile alone is known
            return lambda rows: {"BLOCK_SIZE_M": max(16, min(128, triton.next_power_of_2(max(1, rows // experts))))}

    def prepare(self, tokens):
        ogs, routing = self.modules["matmul_ogs"], self.modules["routing"]
        rows, experts = self.input_rows(sum(tokens)), len(self.gate_up)
        counts = self.tensor(tokens)
        data = routing.compute_expt_data(counts, experts, len(rows))
        routes = routing.RoutingData(None, counts, experts, 1, data)

        def run():
            both = ogs.matmul_ogs(rows, self.gate_up, None, routes, fused_activation=self.activation)
            return ogs.matmul_ogs(both, self.down, None, routes)

        return run


if __name__ == "__main__":
    serve(GptOssEngine, __doc__, device_option)
