#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "device/device_factory.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"
#include "platform/program.hpp"
#include "verification/replay.hpp"

namespace gem {

/// The options of gem-verify.
struct VerifyOptions {
  std::string profile, trace, output = "report.h5", layers, device, slowdown, share_gpu, judge;
  std::string transport;     // "mpi" or "nccl"; empty: nccl on GPUs, else mpi
  double patience_s = 60.0;  // most that an exchange may wait for a peer
  std::vector<std::string> mappings;
  std::size_t first_step = 0, steps = 32, seed = 1;
  bool has_first_step = false, compute_only = false, dry_run = false, quiet = false;
  ReplayOptions replay;
};

/// Reads them; false if --help or --version was answered.
bool parse_verify_options(VerifyOptions& options, const Arguments& arguments);

/// What is replayed, read and checked.
struct VerifyInputs {
  LatencyProfile profile;
  LoadTrace trace;                // the steps and layers to replay
  std::vector<Mapping> mappings;  // linear first
  std::size_t first_step = 0;
  std::size_t judged = 0;  // index of the mapping that the verdict is about
  std::string sample_note;
};

/// Reads profile, trace and mappings and chooses steps and layers; errors name file and field.
VerifyInputs read_verify_inputs(const VerifyOptions& options);

/// The devices to replay on: those of the profile, unless the options say otherwise.
DeviceOptions verify_devices(const VerifyOptions& options, const LatencyProfile& profile);

/// Weights that leave their place when an engine goes from `from` to `to`, over the layers of the trace.
std::size_t moved_bytes(const Mapping& from, const Mapping& to, const LoadTrace& trace, std::size_t expert_bytes);

/// What will be replayed, in a few lines.
std::string describe_replay(const VerifyInputs& inputs, const VerifyOptions& options, const std::string& device_kind);

}  // namespace gem
