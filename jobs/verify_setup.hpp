#pragma once

#include <string>
#include <vector>

#include "platform/command_line/program.hpp"
#include "verification/replay_question.hpp"

namespace gem {

/// The options of gem-verify.
struct VerifyOptions : ReplayRequest {
  std::string profile, trace, output = "report.h5";
  bool dry_run = false;
};

void describe(OptionList& options, VerifyOptions& job);

/// Reads them; false if --help or --version was answered.
bool parse_verify_options(VerifyOptions& options, const Arguments& arguments);

/// Reads profile, trace and mappings and chooses steps and layers; errors name file and field.
ReplayQuestion read_replay_question(const VerifyOptions& options);

}  // namespace gem
