// gem-trace: makes and describes step traces, the time axis of routing.
#include "platform/command_line/commands.hpp"
#include "trace_commands.hpp"

namespace {

int run(const gem::Arguments& arguments) {
  return gem::run_command(
      arguments, "gem-trace", "makes and describes step traces (tokens per step, layer and expert).",
      {
          {"batch", "token-level routing -> step trace (batching or chunked prefill)", gem::run_batch},
          {"import", "what a serving engine recorded -> step trace, or routing", gem::run_import},
          {"synthesize", "a step trace drawn from a stated model: skewed, bursty, correlated", gem::run_synthesize},
          {"describe", "skew, correlation, kinds of experts and heat map of a trace", gem::run_describe},
          {"split", "the first steps of a trace into one file, the later into another", gem::run_split},
      },
      {"gem-trace batch --routing jobs/data/routing/gpt-oss-20b.mmlu.h5 --output trace.h5",
       "gem-trace describe --trace trace.h5"});
}

}  // namespace

int main(int argc, char** argv) {
  return gem::run_serial_program(argc, argv, run);
}
