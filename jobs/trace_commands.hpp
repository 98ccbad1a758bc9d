#pragma once

#include <cstdint>
#include <string>

#include "base/json_record.hpp"
#include "model/expert_pairs.hpp"
#include "model/load_trace.hpp"
#include "platform/command_line/program.hpp"

namespace gem {

// The commands of gem-trace, given all arguments of the program; the command is arguments[1]. Each returns the exit
// code.
int run_batch(const Arguments& arguments);
int run_synthesize(const Arguments& arguments);
int run_describe(const Arguments& arguments);
int run_split(const Arguments& arguments);
int run_import(const Arguments& arguments);

/// Prints what a trace holds: steps, tokens, layers, experts, part.
void print_shape(const LoadTrace& trace);

/// The same, for --json.
JsonRecord shape_record(const LoadTrace& trace);

/// Writes the trace and prints where it is, what it holds and how skewed it is. Returns that, for --json.
JsonRecord store_trace(const std::string& path, const LoadTrace& trace, const Arguments& arguments, std::uint64_t seed,
                       const ExpertPairs& pairs = {});

}  // namespace gem
