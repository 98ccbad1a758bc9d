// Times decode attention on random data with a cold L2 against a device copy, and prints a table.
//
//   attention_roofline [--samples N]
//
// The cache rotates over two sets, and L2 is flushed before each sample. "/ copy" is bytes of the cache per second over
// the bytes per second, read plus written, of a device copy of 2 GB.
#include <cstring>

#include "benchmark/cuda_instrument.hpp"
#include "kernels/decode_attention.hpp"

namespace {

using namespace gem::kernels;
using namespace gem::benchmark;

struct Model {
  const char* name;
  DecodeAttentionShape shape;
};

// Layers of public models, all heads on each device (data-parallel attention).
constexpr Model kModels[] = {{"gpt-oss-20b (layers without window)", {64, 8, 64, 64}},
                             {"Qwen3-30B-A3B", {32, 4, 128, 128}},
                             {"Mixtral-8x7B, Hunyuan-A13B", {32, 8, 128, 128}},
                             {"Mixtral-8x22B", {48, 8, 128, 128}},
                             {"Llama-4-Scout", {40, 8, 128, 128}},
                             {"DeepSeek-V2-Lite (latent)", {16, 1, 576, 512, true}}};
constexpr int kSequences[] = {8, 16, 32, 64};
constexpr int kContext = 2048;
constexpr int kSets = 2;

double copy_bytes_per_s(Instrument* instrument) {
  constexpr std::size_t bytes = std::size_t{1} << 30;
  auto* source = allocate<unsigned char>(bytes);
  auto* target = allocate<unsigned char>(bytes);
  check(launch_random_bf16(source, bytes / 2, 1.0f, 9, nullptr), "fill");
  const double time_s = instrument->median_s(
      [&](int) { return cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, nullptr); });
  check(cudaFree(source), "free");
  check(cudaFree(target), "free");
  return 2.0 * static_cast<double>(bytes) / time_s;
}

void* random_values(std::int64_t count, std::uint32_t seed) {
  auto* values = allocate<std::uint16_t>(static_cast<std::size_t>(count));
  check(launch_random_bf16(values, static_cast<std::size_t>(count), 1.0f, seed, nullptr), "fill");
  return values;
}

void measure(const Model& model, int sequences, double copy, Instrument* instrument) {
  const DecodeAttentionShape& shape = model.shape;
  const std::int64_t tokens = std::int64_t{1} * sequences * kContext * shape.kv_heads;
  std::vector<std::int32_t> contexts(static_cast<std::size_t>(sequences), kContext);
  auto* device_contexts = allocate<std::int32_t>(contexts.size());
  check(cudaMemcpy(device_contexts, contexts.data(), contexts.size() * 4, cudaMemcpyHostToDevice), "copy contexts");
  std::vector<DecodeAttentionPlan> plans(kSets);
  std::vector<void*> owned{device_contexts};
  for (std::uint32_t s = 0; s < kSets; ++s) {
    void* query = random_values(std::int64_t{1} * sequences * shape.query_heads * shape.key_size, 1);
    void* keys = random_values(tokens * shape.key_size, 10 + s);
    void* values = shape.latent ? nullptr : random_values(tokens * shape.value_size, 20 + s);
    void* output = random_values(std::int64_t{1} * sequences * shape.query_heads * shape.value_size, 2);
    void* workspace = allocate<unsigned char>(decode_attention_workspace_bytes(shape, sequences));
    owned.insert(owned.end(), {query, keys, values, output, workspace});
    check(make_decode_attention_plan(
              {shape, sequences, kContext, query, keys, values, device_contexts, output, workspace, 0.1f}, &plans[s],
              nullptr),
          "make a plan");
  }
  const auto launch = [&](int i) {
    return launch_decode_attention(plans[static_cast<std::size_t>(i % kSets)], nullptr);
  };
  instrument->median_s(launch);
  const double time_s = instrument->median_s(launch);
  const double bytes = static_cast<double>(decode_attention_cache_bytes(shape, sequences, kContext));
  std::printf("| %s | %d x %d | %d | %.1f | %.1f | %.0f | %.2f |\n", model.name, sequences, kContext, plans[0].splits,
              bytes * 1e-6, time_s * 1e6, bytes / time_s * 1e-9, bytes / time_s / copy);
  std::fflush(stdout);
  for (void* pointer : owned) check(cudaFree(pointer), "free");
}

}  // namespace

int main(int argc, char** argv) {
  int samples = 15;
  if (argc == 3 && std::strcmp(argv[1], "--samples") == 0) {
    samples = std::max(1, std::atoi(argv[2]));
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: attention_roofline [--samples N]\n");
    return 2;
  }
  Instrument instrument(samples);
  const double copy = copy_bytes_per_s(&instrument);
  std::printf("Device copy: %.2f TB/s (read plus written). Medians of %d samples.\n\n", copy * 1e-12, samples);
  std::puts("| layer | sequences x context | blocks a context | cache | time | cache | / copy |");
  std::puts("|---|---:|---:|---:|---:|---:|---:|");
  std::puts("| | tokens | | MB | us | GB/s | |");
  for (const Model& model : kModels)
    for (const int sequences : kSequences) measure(model, sequences, copy, &instrument);
  return 0;
}
