"""SGLang's fused_experts in Triton, with its tuned configurations, in bf16."""
from gem_kernels.base import need, serve, steps_of
from gem_kernels.torch_device import TorchEngine

PACKAGE = "sglang.srt.layers.moe"


class SglangEngine(TorchEngine):
    kernel = "SGLang's fused_experts"

    def __init__(self, opening, arguments):
        sglang = need("sglang", "pip install sglang")
        super().__init__(opening, arguments)
        remedy = "this SGLang has no such file; version 0.5.23 has"
        arguments_of_server = need("sglang.srt.server_args", remedy)
        arguments_of_server.set_global_server_args_for_scheduler(arguments_of_server.ServerArgs(model_path="dummy"))
        triton = need(PACKAGE + ".moe_runner.triton_utils.fused_moe", remedy)
        configs = need(PACKAGE + ".moe_runner.triton_utils.fused_moe_triton_config", remedy)
        self.runner = need(PACKAGE + ".moe_runner", remedy).MoeRunnerConfig(inplace=False)
        self.output = need(PACKAGE + ".topk", remedy).StandardTopKOutput
        self.fused_experts = triton.fused_experts
        self.version = f"sglang {sglang.__version__}, {self.version}"
        self.tiles = steps_of(
            lambda m: configs.try_get_optimal_moe_config(self.gate_up.shape, self.down.shape, 1, None, m)
        )

    def prepare(self, tokens):
        count = sum(tokens)
        ids = self.made_up_topk(tokens, count, 1)
        weights = self.torch.ones(ids.shape, dtype=self.torch.float32, device=self.device)
        rows = self.input_rows(count).contiguous()
        chosen = self.output(weights, ids, weights)
        return lambda: self.fused_experts(rows, self.gate_up, self.down, chosen, self.runner)


if __name__ == "__main__":
    serve(SglangEngine, __doc__)
