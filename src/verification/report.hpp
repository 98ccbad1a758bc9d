#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "base/option.hpp"
#include "base/statistics.hpp"
#include "model/decoder_shape.hpp"

namespace gem {

/// Experts that were copied in every step, means over layers, steps and rounds.
struct CopiesMade {
  double count = 0.0;              ///< of a layer and step
  double there_s = 0.0;            ///< until the last copy is there
  double predicted_there_s = 0.0;  ///< the same by the profile's links; 0 where these aren't known
  double exposed_s = 0.0;          ///< of that not hidden under the compute of what is at home
};

/// Times of one mapping's replay, seconds. Medians over the rounds, device by device.
struct MappingReplay {
  std::string name;
  Cube<double> compute_s;            ///< [step, layer, device], the experts' own time
  Cube<double> dispatch_s;           ///< [step, layer, device], NaN where nothing is exchanged (simulated devices)
  Cube<double> combine_s;            ///< [step, layer, device], NaN likewise
  Cube<double> predicted_s;          ///< [step, layer, device], from the latency surface
  Matrix<double> layer_s;            ///< [step, layer], from the common start to the last rank's end; NaN likewise
  Matrix<double> most_rows;          ///< [step, layer], rows of the device that gets most; empty if unknown
  Matrix<double> raw_straggler_s;    ///< [step, layer], maximum over devices taken in each round, mean over rounds
  std::uint64_t wrong_values = 0;    ///< elements that were not what they had to be after dispatch and combine
  std::uint64_t checked_values = 0;  ///< elements looked at
  /// Largest ||out - reference|| / ||reference|| against one rank computing all; NaN if not checked.
  double output_error = std::numeric_limits<double>::quiet_NaN();
  std::optional<CopiesMade> copies{};  ///< where experts were copied at run time
  std::uint64_t moved_bytes = 0;       ///< weights to move when coming from the first mapping
  /// [part] what of whole steps isn't routed experts and exchange, [step, layer, device], of parts behind the last
  /// layer [step, 1, device]; empty where it wasn't replayed.
  std::array<Cube<double>, step_part_count> part_s{};
  /// Seconds until the slowest device has them in place, each making its own; NaN if not measured (simulated devices).
  double move_s = std::numeric_limits<double>::quiet_NaN();
};

/// [step, layer, device] seconds from the end of a device's own part to that of the slowest one's. The part is
/// dispatch and compute where whole layers were timed, else compute alone.
Cube<double> waiting_of(const MappingReplay& replay);

/// Which time a verdict is about: of the slowest device's compute, of whole layers with their exchange, or of whole
/// steps.
enum class JudgedBy { Straggler, Layer, Step };

inline std::vector<OptionWord<JudgedBy>> words_of(JudgedBy) {
  return {{"straggler", JudgedBy::Straggler}, {"layer", JudgedBy::Layer}, {"step", JudgedBy::Step}};
}

inline const char* const force_balanced_name = "force-balanced";

/// What whole steps are made of, beside the times.
struct StepSetting {
  std::size_t context = 0;        ///< tokens in the cache of each sequence; 0: attention itself wasn't run
  std::size_t output_tokens = 0;  ///< of a request; 0: not asked for
  std::size_t moe_layers = 0;     ///< of the model, of which some were replayed
  std::size_t dense_layers = 0;   ///< of the model
  std::string rest;               ///< where all but routed experts comes from: "measured", "simulated", a file
  /// Of a layer where the exchange wasn't timed; NaN: left out.
  double exchange_fixed_s = std::numeric_limits<double>::quiet_NaN();
  double exchange_row_s = std::numeric_limits<double>::quiet_NaN();  ///< for each row of the device that gets most
  /// [layer], of how many decoder layers each replayed one stands for the attention: of those that see as many tokens.
  std::vector<double> attention_layers;
};

/// What a replay measured, and on what.
struct VerificationReport {
  std::string model;
  std::string task;
  std::string part;    ///< of the trace
  std::string judged;  ///< name of the mapping that the verdict is about; empty if unknown
  JudgedBy judged_by = JudgedBy::Straggler;
  std::string weight_dtype;  ///< "bf16" or "f32"; empty if unknown
  std::string device_kind;   ///< "cuda", "host" or "simulated"
  std::string device_note;   ///< e.g. "emulated x1.28"; empty for devices as they are
  /// How a device differs from the profile's, from device_difference(); empty if none does.
  std::string device_difference;
  std::string profile_doubts;  ///< what makes the profile doubtful, see doubts_of(); empty for a good one
  std::string sample_note;     ///< "held-out requests", "later steps of the same requests" or "in-sample"
  std::size_t tokens_per_step = 0;
  std::size_t first_step = 0;
  std::size_t rounds = 0;
  std::size_t model_layers = 0;  ///< layers of the whole trace, of which some were replayed; 0 if unknown
  /// Stated seconds of a layer beside its routed experts (attention, shared experts, others); NaN if not stated.
  double rest_per_layer_s = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> device_speeds;  ///< [device], fastest 1, at the heavy loads of the profile; empty if unknown
  std::vector<double> sm_clock_hz;    ///< [device], mean over the replay; NaN or empty if unknown
  std::vector<double> profile_sm_clock_hz;  ///< [device], mean over the profile's points; likewise
  std::vector<std::int32_t> layer_ids;
  std::vector<MappingReplay> mappings;    ///< the first is the one that all are compared with
  std::optional<StepSetting> whole_step;  ///< where whole steps were replayed
  std::vector<MappingReplay> balanced;    ///< then: the force-balanced steps, see balanced_trace(); else empty
};

/// One row of the final table.
struct MappingSummary {
  std::string name;
  double straggler_s = 0.0;           ///< mean over steps of sum over layers of max over devices, measured
  double predicted_s = 0.0;           ///< the same, predicted
  double relative = 1.0;              ///< straggler time relative to the first mapping
  Interval interval{1.0, 1.0};        ///< 95 % bootstrap interval over steps
  Interval block_interval{1.0, 1.0};  ///< the same over blocks of steps, which share requests
  double raw_relative = 1.0;          ///< the same with the maximum taken round by round, noise and all
  double layer_relative =
      0.0;  ///< whole layers (dispatch, compute, combine) relative to the first mapping; NaN if none
  Interval layer_interval{1.0, 1.0};        ///< meaningless where there are none
  Interval layer_block_interval{1.0, 1.0};  ///< likewise
  /// Whole steps relative to the first mapping's; NaN where none were replayed, the intervals then meaningless.
  double step_relative = std::numeric_limits<double>::quiet_NaN();
  Interval step_interval{1.0, 1.0};
  Interval step_block_interval{1.0, 1.0};
  double p50_s = 0.0, p90_s = 0.0, p99_s = 0.0;  ///< of the measured straggler time of a step
  double imbalance = 1.0;                        ///< mean over steps and layers of max / mean over devices
  /// Of a step, mean over devices and steps; exchange NaN where it wasn't timed.
  double dispatch_s = 0.0, compute_s = 0.0, waiting_s = 0.0, combine_s = 0.0;
  double waiting_share = 0.0;  ///< of the time until the slowest device's part ends
  double median_error = 0.0;   ///< median over steps of |predicted / measured - 1| of the straggler time
};

/// Whether whole layers were timed, exchange included.
bool has_whole_layers(const VerificationReport& report);

/// [step] sum over layers of the maximum over devices of [step, layer, device] seconds.
std::vector<double> straggler_of_steps(const Cube<double>& device_s);

/// [step] sum over layers of [step, layer] seconds.
std::vector<double> sum_of_steps(const Matrix<double>& layer_s);

/// Summaries in the order of the report's mappings.
std::vector<MappingSummary> summarize(const VerificationReport& report, std::uint64_t seed);

/// How well the devices' own times were predicted, over every loaded (mapping, step, layer, device).
struct DeviceErrors {
  double median = 0.0;  ///< of |predicted / measured - 1|
  /// Median of predicted / measured, minus 1: what all loads have in common (clocks under another mix of work, another
  /// machine of the same kind) moves no mapping.
  double common = 0.0;
  double beside = 0.0;  ///< median error once predictions are divided by 1 + common
};
DeviceErrors device_errors(const VerificationReport& report);

/// A line for each of: the errors of the devices' predictions; their clocks, where known, beside the profile's.
std::string prediction_lines(const VerificationReport& report);

/// The ratio that the report's verdict is about, and what it is of.
struct JudgedRatio {
  double relative;
  Interval interval;
  Interval blocks;  ///< the same over blocks of steps
  const char* what;
};
JudgedRatio judged_ratio(const VerificationReport& report, const MappingSummary& judged);

enum class Verdict { Faster, Unproven, Slower, Wrong };

/// Judges one mapping against the first by the report's judged_by: Faster or Slower if its intervals over steps and
/// over blocks of them are clear of 1, Wrong if any mapping's data arrived wrong or outputs differ from the reference
/// by more than `output_tolerance`.
Verdict judge(const VerificationReport& report, const MappingSummary& judged, double output_tolerance);

/// Largest output_error that reordered sums explain: 1e-4 for "f32" weights, 2e-2 for "bf16".
double output_tolerance(const std::string& weight_dtype);

/// "emulated x1.00, x1.28" if any slowdown is not 1, else "".
std::string emulation_note(const std::vector<double>& slowdowns);

/// "faster", "unproven", "slower" or "wrong".
std::string verdict_word(Verdict verdict);

/// The sentence for the last line, e.g. "VERDICT: FASTER - gem takes 0.921 of linear's straggler time, ...".
std::string verdict_sentence(const VerificationReport& report, const MappingSummary& judged, Verdict verdict);

/// The table to paste, with units and what is emulated or simulated.
std::string summary_table(const VerificationReport& report, const std::vector<MappingSummary>& summaries);

}  // namespace gem
