#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "device/moe_device.hpp"
#include "model/moe_model.hpp"
#include "platform/host/child_process.hpp"

namespace gem {

/// What a program is told that stands for a device; README.md beside this file has the protocol.
struct CommandOpening {
  ExpertShape expert{};
  std::size_t experts = 0;          ///< that the device holds
  std::size_t top_k = 0;            ///< experts of a token; 0: not known
  std::size_t tokens_per_step = 0;  ///< of the whole model; 0: not known
  std::string dtype = "bf16";
  std::uint64_t seed = 1;
  std::int32_t rank = 0;
  std::int32_t node_rank = 0;  ///< picks its device among those of the machine
};

/// What it says of itself.
struct CommandAnswer {
  std::string name;             ///< of the device
  std::string uuid;             ///< may be empty
  std::string kernel;           ///< what computes
  std::string version;          ///< of that and what it stands on
  std::vector<TileStep> tiles;  ///< empty where it doesn't know them
};

/// A program that measures loads for this one, version 1 of the protocol. All that it does wrong ends in one sentence
/// that quotes its last lines of standard error: SystemError if it ended, is silent or says what failed, DataError if
/// an answer isn't one to what was asked.
class CommandSession {
 public:
  /// Starts it. No answer may take longer than `patience_s`.
  CommandSession(const std::string& command, double patience_s, std::int32_t rank);
  /// Says goodbye; what then stays is killed.
  ~CommandSession();

  CommandAnswer open(const CommandOpening& opening);

  /// Seconds of one sample of a load, [slot] tokens, with cold caches.
  double load(std::span<const std::uint32_t> tokens);

  /// As the last answer had it; NaN where it said nothing.
  Telemetry telemetry() const { return telemetry_; }

  const ChildProcess& process() const { return process_; }

 private:
  template <class Take>
  void ask(const std::string& what, const std::string& members, const Take& take);
  std::string quoted_words() const;

  std::string command_;
  double patience_s_;
  std::int32_t rank_;
  ChildProcess process_;
  std::uint64_t id_ = 0;
  Telemetry telemetry_;
};

}  // namespace gem
