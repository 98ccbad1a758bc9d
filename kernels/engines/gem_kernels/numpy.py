"""NumPy, one product an expert, on one core: the reference adapter, for trials where nothing else is installed."""
import time

from gem_kernels.base import Engine, Refusal, need, serve
from gem_kernels.processor import FLUSHED_BYTES, pin, processor_name


class NumpyEngine(Engine):
    kernel = "numpy.matmul"
    tiles = 16

    def __init__(self, opening, _arguments):
        pin(opening["node_rank"])
        self.np = need("numpy", "install it with: pip install numpy")
        if opening["dtype"] != "f32":
            raise Refusal("gem_kernels.numpy computes in f32 alone; give --dtype f32")
        self.name = processor_name()
        self.version = f"numpy {self.np.__version__}"
        random = self.np.random.default_rng(opening["seed"])
        hidden, intermediate, experts = (opening[key] for key in ("hidden_size", "intermediate_size", "experts"))
        shapes = ((experts, hidden, 2 * intermediate), (experts, intermediate, hidden))
        self.gate_up, self.down = (random.standard_normal(shape, dtype=self.np.float32) for shape in shapes)
        self.rows = random.standard_normal((1, hidden), dtype=self.np.float32)
        self.flushed = self.np.zeros(FLUSHED_BYTES, self.np.uint8)

    def run(self, tokens):
        """The FFN of each expert on as many rows."""
        begin = 0
        for expert, count in enumerate(tokens):
            if not count:
                continue
            both = self.rows[begin : begin + count] @ self.gate_up[expert]
            gate, up = self.np.split(both, 2, axis=1)
            (gate / (1.0 + self.np.exp(-gate)) * up) @ self.down[expert]
            begin += count

    def seconds(self, tokens, samples, cold):
        missing = sum(tokens) - len(self.rows)
        if missing > 0:
            self.rows = self.np.concatenate([self.rows, self.np.ones((missing, self.rows.shape[1]), self.np.float32)])
        taken = []
        for _ in range(samples):
            if cold:
                self.flushed += 1
            begin = time.thread_time()
            self.run(tokens)
            taken.append(time.thread_time() - begin)
        return taken


if __name__ == "__main__":
    serve(NumpyEngine, __doc__)
