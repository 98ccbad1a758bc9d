#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "device/device_factory.hpp"
#include "verification/replay.hpp"

namespace gem {

/// What of a trace is replayed and how, as a user says it.
struct ReplayRequest {
  std::size_t steps = 32;
  std::optional<std::size_t> first_step{};   ///< none: the first that was not searched on
  std::vector<std::int32_t> layer_ids{};     ///< decoder layers; empty: all
  std::size_t layer_count = 0;               ///< so many, spread over the model; 0: as layer_ids says
  std::vector<std::string> mapping_files{};  ///< of the mappings, in order: they name those of one method; may be empty
  std::string judge{};                       ///< mapping that the verdict is about; empty: gem, else the last
  std::optional<JudgedBy> judge_by{};        ///< time that the verdict is about; none: the step's or the straggler's
  std::string device{};                      ///< kind; empty: the profile's
  std::string slowdown{};                    ///< as for parse_slowdowns; empty: the profile's
  std::string command{};                     ///< of kind "command"
  double command_timeout_s = 300.0;          ///< for an answer of it
  std::optional<GpuSharing> share_gpu{};
  std::optional<RowTransport> transport{};  ///< none: as suits the devices
  double patience_s = 600.0;                ///< how long ranks wait for one that does not answer
  bool compute_only = false;
  bool strict = false;                        ///< a doubtful profile is refused
  bool allow_model_mismatch = false;          ///< of profile, trace and mappings
  std::optional<double> rest_per_layer_ms{};  ///< stated rest of a layer beside its routed experts; none: no estimate
  bool whole_step = false;                    ///< whole decoder steps, not MoE layers alone
  std::string model{};                        ///< for whole steps; empty: the trace's
  std::optional<std::size_t> batch{};         ///< sequences of a step over all devices; none: as in the trace
  std::size_t context = 2048;                 ///< tokens in the cache of each sequence
  std::size_t output_tokens = 0;              ///< of a request; 0: not looked at
  std::string rest_file{};                    ///< of measured operators, instead of running them
  std::optional<double> exchange_fixed_us{};  ///< of a layer, where the exchange isn't timed
  std::optional<double> exchange_row_ns{};    ///< likewise, for each row of the device that gets most
  RunTimeOptions run_time{};                  ///< what is decided in every step, replayed beside the mappings
  bool quiet = false;
  std::size_t seed = 1;
  ReplayOptions replay{};
};

void describe(OptionList& options, ReplayRequest& request);

/// OptionError for options that contradict each other, whatever is replayed.
void check_replay_request(const ReplayRequest& request);

}  // namespace gem
