"""Devices by PyTorch's own word: cuda (NVIDIA, and AMD by its HIP build), xpu, npu and cpu; timed by their events."""
import math
import sys
import time

from gem_kernels.base import Engine, Refusal, check_fits, need, place_of
from gem_kernels.processor import FLUSHED_BYTES, pin, processor_name

BUSY_S = 1e-3  # of the load itself before its samples, so that clocks are as at work
CYCLES_PER_S = 2e9  # at most, so that a device waits at least as long as it is told
MOST_LATE = 5  # samples that are taken anew because the host was busy elsewhere
DTYPES = {"bf16": "bfloat16", "f32": "float32"}


class TorchEngine(Engine):
    """An engine whose experts are tensors of PyTorch. A subclass prepares a load: prepare(tokens) gives a function that
    enqueues it. [expert, 2 * intermediate, hidden] and [expert, hidden, intermediate] are gate_up and down."""

    dtypes = ("bf16",)
    graphed = False  # each load as a CUDA graph: for engines whose launches take the host longer than the device
    most_prepared = 2048  # loads that are kept: GEM goes round several hundred, and each sample of another is prepared anew

    def __init__(self, opening, arguments):
        if opening["dtype"] not in self.dtypes:
            raise Refusal(f"{self.kernel} runs in {' and '.join(self.dtypes)}; give --dtype {self.dtypes[0]}")
        word = getattr(arguments, "device", None)
        if word == "cpu":
            pin(opening["node_rank"])  # before PyTorch counts its threads
        self.torch = torch = need("torch", "install PyTorch for your device: pip install torch")
        if word == "npu":
            need("torch_npu", "install it for your Ascend devices: pip install torch-npu")
        if word is None:
            words = [w for w in ("cuda", "xpu", "npu") if hasattr(torch, w) and getattr(torch, w).is_available()]
            word = words[0] if words else "cpu"
        self.word, self.opening = word, opening
        self.version = f"torch {torch.__version__}"
        if word == "cpu":
            pin(opening["node_rank"])
            torch.set_num_threads(1)
            self.device, self.name = torch.device("cpu"), processor_name()
            flush_bytes = FLUSHED_BYTES
        else:
            self.backend = getattr(torch, word)
            if not self.backend.is_available():
                raise Refusal(f"PyTorch sees no {word} device here; look at its installation, or give --device cpu")
            self.device = torch.device(word, opening["node_rank"] % self.backend.device_count())
            self.backend.set_device(self.device)
            properties = self.backend.get_device_properties(self.device)
            self.name = properties.name
            uuid = getattr(properties, "uuid", None)
            self.uuid = f"GPU-{uuid}" if uuid is not None else ""
            flush_bytes = 2 * getattr(properties, "L2_cache_size", 32_000_000)
        self.flush = torch.zeros(flush_bytes // 4, dtype=torch.int32, device=self.device)
        torch.manual_seed(opening["seed"])
        hidden, intermediate, experts = (opening[key] for key in ("hidden_size", "intermediate_size", "experts"))
        self.gate_up = self.random(experts, 2 * intermediate, hidden)
        self.down = self.random(experts, hidden, intermediate)
        self.rows = self.random(1, hidden)
        self.prepared, self.rooms = {}, {}
        self.graph_room = self.first_graph = None

    def random(self, *shape):
        dtype = getattr(self.torch, DTYPES.get(self.opening["dtype"], "bfloat16"))
        scale = shape[-1] ** -0.5 if len(shape) == 3 else 1.0
        values = self.torch.empty(shape, dtype=dtype, device=self.device)
        for part in values if len(shape) == 3 else [values]:  # expert by expert: little memory on the way
            part.copy_(self.torch.randn(part.shape, dtype=self.torch.float32, device=self.device) * scale)
        return values

    def input_rows(self, count):
        """The first so many random rows."""
        if count > len(self.rows):
            self.prepared.clear()  # they hold the old rows
            self.rows = self.random(2 * count, self.rows.shape[1])
        return self.rows[:count]

    def tensor(self, values, dtype=None):
        return self.torch.tensor(values, dtype=dtype or self.torch.int32, device=self.device)

    def scratch(self, name, *shape):
        """Room for results, [shape], the same for all loads; it grows."""
        size = math.prod(shape)
        if size > len(self.rooms.get(name, ())):
            self.prepared.clear()  # they hold the old room
            self.rooms[name] = self.torch.zeros(size + size // 2, dtype=self.rows.dtype, device=self.device)
        return self.rooms[name][:size].view(shape)

    def made_up_topk(self, tokens, token_count, top_k):
        """[token, top_k] expert ids that make this histogram, -1 for experts elsewhere."""
        check_fits(tokens, token_count, top_k)
        torch = self.torch
        ids = torch.full((token_count * top_k,), -1, dtype=torch.int32)
        experts = torch.arange(len(tokens), dtype=torch.int32).repeat_interleave(torch.tensor(tokens))
        ids[place_of(torch.arange(len(experts)), token_count, top_k)] = experts
        return ids.view(token_count, top_k).to(self.device)

    def silu_and_multiply(self, both):
        gate, up = both.chunk(2, dim=-1)
        return self.torch.nn.functional.silu(gate) * up

    def prepare(self, tokens):
        raise NotImplementedError

    def seconds(self, tokens, samples, cold):
        if tokens not in self.prepared:
            if len(self.prepared) >= self.most_prepared:
                self.prepared.clear()
            self.input_rows(sum(tokens))
            run = self.prepare(tokens)
            run()  # compiles, allocates
            self.synchronize()
            if self.graphed and self.word == "cuda":
                run = self.as_graph(run)
            begin = time.perf_counter()
            run()
            enqueue_s = time.perf_counter() - begin
            self.synchronize()
            self.prepared[tokens] = run, enqueue_s, time.perf_counter() - begin
        run, enqueue_s, whole_s = self.prepared[tokens]
        if self.word == "cpu":
            return [self.processor_sample(run, cold) for _ in range(samples)]
        for _ in range(min(32, 1 + int(BUSY_S / whole_s))):
            run()
        events = [self.punctual_sample(run, 3.0 * enqueue_s + 1e-4, cold) for _ in range(samples)]
        self.synchronize()
        return [1e-3 * begin.elapsed_time(end) for begin, end in events]

    def punctual_sample(self, run, held_s, cold):
        """Events of a sample during which no launch was late; after a few that were, of one that may have been."""
        for _ in range(MOST_LATE):
            events, late = self.enqueue_sample(run, held_s, cold)
            if not late:
                break
            held_s *= 2.0
        return events

    def as_graph(self, run):
        """The same as one launch; as it is, for good, where it can't be captured. Graphs share the room for results."""
        torch = self.torch
        if self.graph_room is None:
            self.graph_room, self.graph_stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        self.first_graph = self.first_graph or graph  # the room ends with the last graph in it
        self.graph_stream.wait_stream(here)
        try:
            with torch.cuda.stream(self.graph_stream):
                graph.capture_begin(pool=self.graph_room, capture_error_mode="thread_local")
                try:
                    run()
                finally:
                    graph.capture_end()
        except RuntimeError as error:
            print(f"without CUDA graphs: {error}", file=sys.stderr)
            self.graphed = False
            return run
        here.wait_stream(self.graph_stream)

        def replay(_inputs=run):  # which hold what it reads
            graph.replay()

        return replay

    def processor_sample(self, run, cold):
        if cold:
            self.flush.add_(1)
        begin = time.thread_time()
        run()
        return time.thread_time() - begin

    def enqueue_sample(self, run, held_s, cold):
        """Events before and behind, and whether something was enqueued after the device had waited for held_s."""
        begin, end = (self.backend.Event(enable_timing=True) for _ in range(2))
        if cold:
            self.flush.add_(1)
        held = hasattr(self.backend, "_sleep")
        asked_s = time.perf_counter()
        if held:
            # The device waits while all is enqueued, so that no launch is late between the two events.
            self.backend._sleep(int(CYCLES_PER_S * held_s))
        begin.record()
        run()
        end.record()
        return (begin, end), held and time.perf_counter() - asked_s > held_s

    def synchronize(self):
        if self.word != "cpu":
            self.backend.synchronize()

    def state(self):
        if self.word != "cuda" or self.torch.version.hip:
            return {}
        try:
            clock_mhz = self.torch.cuda.clock_rate(self.device)
            return {"clock_hz": 1e6 * clock_mhz, "power_w": 1e-3 * self.torch.cuda.power_draw(self.device)}
        except Exception:  # the library that reads them isn't there
            self.state = dict
            return {}


def device_option(parser):
    parser.add_argument("--device", choices=("cuda", "xpu", "npu", "cpu"), help="without it the first that is there")
