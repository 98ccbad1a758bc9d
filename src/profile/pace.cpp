#include "profile/pace.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "model/load_trace.hpp"

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds least_time{1e-3};

}  // namespace

ServingPace::ServingPace(std::span<const std::unique_ptr<MoeDevice>> devices, const PacedStep& step, bool virtual_clock)
    : devices_(devices), step_(step), virtual_clock_(virtual_clock) {
  if (!step.attention) return;
  for (const auto& device : devices)
    if (std::unique_ptr<DecoderDevice> decoder = device->make_decoder(*step.attention))
      decoders_.push_back(std::move(decoder));
}

void ServingPace::run(std::size_t layer, std::size_t rows) {
  const std::size_t rows_of_step = std::max<std::size_t>(1, row_count(step_.tokens));
  const Clock::time_point begin = Clock::now();
  std::size_t done = 0;
  do {
    run_step(layer);
    done += rows_of_step;
  } while (!virtual_clock_ && (done < rows || Clock::now() - begin < least_time));
}

void ServingPace::run_step(std::size_t layer) {
  const Clock::time_point begin = Clock::now();
  StepPartTimes unused{};
  for (const auto& decoder : decoders_) decoder->time_parts(0, attention_parts, unused);
  if (virtual_clock_) return;  // its noise is that of samples alone
  for (const auto& device : devices_) device->time_layer(layer, step_.tokens);
  std::this_thread::sleep_for((Clock::now() - begin) * (step_.idle_share / (1.0 - step_.idle_share)));
}

}  // namespace gem
