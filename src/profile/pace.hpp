#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/option.hpp"
#include "device/decoder_device.hpp"

namespace gem {

/// What devices do between samples.
enum class Pace {
  Busy,    ///< GPUs run experts without a pause, others nothing
  Serving  ///< what they do in a step of a model that is served
};

inline std::vector<OptionWord<Pace>> words_of(Pace) {
  return {{"busy", Pace::Busy}, {"serving", Pace::Serving}};
}

/// A device's part of a mean step.
struct PacedStep {
  std::vector<std::uint32_t> tokens;       ///< [slot], of the mean load
  std::optional<DecoderWork> attention{};  ///< of the device's own share; none where the model doesn't tell its shape
  double idle_share = 0.0;                 ///< part of a step in which it waits for others or for rows
};

/// Devices of one rank in steps that nobody measures.
class ServingPace {
 public:
  ServingPace(std::span<const std::unique_ptr<MoeDevice>> devices, const PacedStep& step, bool virtual_clock);

  /// Steps with the experts of `layer`, for at least a millisecond and so many rows; one on a virtual clock.
  void run(std::size_t layer, std::size_t rows);

 private:
  void run_step(std::size_t layer);

  std::span<const std::unique_ptr<MoeDevice>> devices_;
  PacedStep step_;
  bool virtual_clock_;
  std::vector<std::unique_ptr<DecoderDevice>> decoders_;
};

}  // namespace gem
