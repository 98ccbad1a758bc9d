// Times the grouped FFN on random data with a cold L2, and prints one CSV row a measurement. kernel_roofline.py runs
// this, measures the libraries in the same way and writes the table.
//
//   kernel_roofline [--sweep] [--samples N]
//
// Each sample: L2 flushed by reading 256 MB, event, launch, event; the weights rotate over several sets; a held stream
// lets the GPU run without waiting for the host. --sweep times every kernel variant, else the library's own choice.
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernels/grouped_ffn.hpp"
#include "kernels/pattern.hpp"
#include "kernels/spin.hpp"

namespace {

using namespace gem::kernels;

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "kernel_roofline: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(4);
}

template <class T>
T* allocate(std::size_t count) {
  void* pointer = nullptr;
  check(cudaMalloc(&pointer, count * sizeof(T)), "allocate device memory");
  return static_cast<T*>(pointer);
}

struct Shape {
  const char* name;
  int experts;
  int hidden;
  int intermediate;
};

constexpr Shape kShapes[] = {{"Mixtral-8x7B", 2, 4096, 14336},
                             {"gpt-oss-20b", 8, 2880, 2880},
                             {"DeepSeek-V2-Lite", 16, 2048, 1408},
                             {"Qwen3-30B-A3B", 16, 2048, 768}};
constexpr int kTokens[] = {1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};
constexpr int kMostTokens = 2048;
constexpr std::size_t kFlushBytes = std::size_t{256} << 20;

struct Instrument {
  int samples = 15;
  void* flush = nullptr;
  std::uint32_t* sink = nullptr;
  volatile std::int32_t* flag = nullptr;
  std::int32_t* device_flag = nullptr;
  std::vector<cudaEvent_t> events;

  explicit Instrument(int sample_count) : samples(sample_count) {
    flush = allocate<unsigned char>(kFlushBytes);
    sink = allocate<std::uint32_t>(1);
    check(launch_random_bf16(flush, kFlushBytes / 2, 1.0f, 1, nullptr), "fill");
    void* host = nullptr;
    void* mapped = nullptr;
    check(cudaHostAlloc(&host, sizeof(std::int32_t), cudaHostAllocMapped), "allocate mapped memory");
    check(cudaHostGetDevicePointer(&mapped, host, 0), "map memory");
    flag = static_cast<std::int32_t*>(host);
    device_flag = static_cast<std::int32_t*>(mapped);
    events.resize(static_cast<std::size_t>(samples) * 2);
    for (auto& event : events) check(cudaEventCreate(&event), "create an event");
  }

  // Median seconds of launch(i), i counting samples.
  template <class Launch>
  double median_s(Launch launch) {
    // Large products run at the power limit: a rest before each measurement lets all start alike.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    *flag = 0;
    check(launch_hold(device_flag, 1000000000, nullptr, nullptr), "hold the stream");
    for (int i = -2; i < samples; ++i) {
      check(launch_l2_flush(flush, kFlushBytes, sink, nullptr), "flush L2");
      if (i >= 0) check(cudaEventRecord(events[static_cast<std::size_t>(2 * i)], nullptr), "record");
      check(launch(i + 2), "launch");
      if (i >= 0) check(cudaEventRecord(events[static_cast<std::size_t>(2 * i + 1)], nullptr), "record");
    }
    *flag = 1;
    check(cudaDeviceSynchronize(), "run");
    std::vector<float> times_ms(static_cast<std::size_t>(samples));
    for (std::size_t i = 0; i < times_ms.size(); ++i)
      check(cudaEventElapsedTime(&times_ms[i], events[2 * i], events[2 * i + 1]), "elapsed time");
    std::nth_element(times_ms.begin(), times_ms.begin() + samples / 2, times_ms.end());
    return static_cast<double>(times_ms[static_cast<std::size_t>(samples) / 2]) * 1e-3;
  }
};

void measure_shape(const Shape& shape, bool sweep, Instrument* instrument) {
  const auto experts = static_cast<std::size_t>(shape.experts);
  const auto hidden = static_cast<std::size_t>(shape.hidden);
  const auto intermediate = static_cast<std::size_t>(shape.intermediate);
  const std::size_t gate_up_size = experts * 2 * intermediate * hidden;
  const std::size_t down_size = experts * hidden * intermediate;
  const int sets = 3;
  std::vector<void*> gate_up;
  std::vector<void*> down;
  for (int s = 0; s < sets; ++s) {
    gate_up.push_back(allocate<std::uint16_t>(gate_up_size));
    down.push_back(allocate<std::uint16_t>(down_size));
    check(launch_random_bf16(gate_up.back(), gate_up_size, 0.03f, 10u + static_cast<unsigned>(s), nullptr), "fill");
    check(launch_random_bf16(down.back(), down_size, 0.03f, 20u + static_cast<unsigned>(s), nullptr), "fill");
  }
  const std::int64_t max_rows = static_cast<std::int64_t>(shape.experts) * kMostTokens;
  const GroupedFfnShape ffn_shape{shape.experts, shape.hidden, shape.intermediate};
  auto* input = allocate<std::uint16_t>(static_cast<std::size_t>(max_rows) * hidden);
  auto* output = allocate<std::uint16_t>(static_cast<std::size_t>(max_rows) * hidden);
  auto* workspace = allocate<unsigned char>(grouped_ffn_workspace_bytes(ffn_shape, max_rows));
  auto* offsets = allocate<std::int32_t>(experts + 1);
  check(launch_random_bf16(input, static_cast<std::size_t>(max_rows) * hidden, 1.0f, 30, nullptr), "fill");

  bool warm = false;
  for (const int tokens : kTokens) {
    if (static_cast<std::size_t>(tokens) * experts > 16384) continue;
    std::vector<std::int32_t> host_offsets;
    for (int e = 0; e <= shape.experts; ++e) host_offsets.push_back(e * tokens);
    check(cudaMemcpy(offsets, host_offsets.data(), host_offsets.size() * 4, cudaMemcpyHostToDevice), "copy offsets");
    for (int variant = sweep ? 1 : 0; variant == 0 || ffn_variant_name(variant) != nullptr; ++variant) {
      const int tile = variant > 0 ? std::atoi(ffn_variant_name(variant)) : choose_tile_tokens(tokens);
      if (variant > 0 && (tile > std::max(64, 4 * tokens) || tile * 4 < std::min(tokens, 256))) continue;
      std::vector<GroupedFfnPlan> plans(sets);
      for (int s = 0; s < sets; ++s) {
        GroupedFfnArguments a;
        a.shape = ffn_shape;
        a.gate_up = gate_up[static_cast<std::size_t>(s)];
        a.down = down[static_cast<std::size_t>(s)];
        a.input = input;
        a.offsets = offsets;
        a.output = output;
        a.workspace = workspace;
        a.max_rows = max_rows;
        a.tile_tokens = tile;
        a.variant = variant;
        a.tokens_per_expert = tokens;
        check(make_grouped_ffn_plan(a, &plans[static_cast<std::size_t>(s)], nullptr), "make a plan");
      }
      for (const FfnPart part : {FfnPart::gate_up, FfnPart::whole}) {
        const auto launch = [&](int i) {
          return launch_grouped_ffn(plans[static_cast<std::size_t>(i % sets)], nullptr, part);
        };
        // After allocating and filling, the first measurement of a shape is some 15 % slow: taken twice.
        if (!warm) instrument->median_s(launch);
        warm = true;
        const double time_s = instrument->median_s(launch);
        const double products = part == FfnPart::whole ? 3.0 : 2.0;
        const double expert_weights = products * static_cast<double>(experts * hidden * intermediate);
        std::printf(
            "%s,%d,%d,%d,%d,%s,%d,\"%s\",%.3f,%.1f,%.1f\n", shape.name, shape.experts, shape.hidden, shape.intermediate,
            tokens, part == FfnPart::whole ? "whole" : "gate_up", tile,
            ffn_variant_name(plans[0].variant + 1) != nullptr ? ffn_variant_name(plans[0].variant + 1) : "plain",
            time_s * 1e6, 2.0 * expert_weights * tokens / time_s * 1e-12, 2.0 * expert_weights / time_s * 1e-9);
      }
      if (variant == 0) break;
    }
    std::fflush(stdout);
  }
  for (int s = 0; s < sets; ++s) {
    cudaFree(gate_up[static_cast<std::size_t>(s)]);
    cudaFree(down[static_cast<std::size_t>(s)]);
  }
  cudaFree(input);
  cudaFree(output);
  cudaFree(workspace);
  cudaFree(offsets);
}

}  // namespace

int main(int argc, char** argv) {
  bool sweep = false;
  int samples = 15;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--sweep") == 0)
      sweep = true;
    else if (std::strcmp(argv[i], "--samples") == 0 && i + 1 < argc)
      samples = std::max(1, std::atoi(argv[++i]));
    else {
      std::fprintf(stderr, "usage: kernel_roofline [--sweep] [--samples N]\n");
      return 2;
    }
  }
  std::printf("shape,experts,hidden,intermediate,tokens,part,tile_tokens,variant,time_us,tflops,weights_gb_per_s\n");
  Instrument instrument(samples);
  for (const Shape& shape : kShapes) measure_shape(shape, sweep, &instrument);
  return 0;
}
