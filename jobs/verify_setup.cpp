#include "verify_setup.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"

namespace gem {
namespace {

std::vector<std::int32_t> layer_ids(const std::string& list) {
  std::vector<std::int32_t> ids;
  if (list.empty()) return ids;
  for (const std::string& word : split(list, ','))
    ids.push_back(static_cast<std::int32_t>(parse_integer(word, "gem-verify: --layers")));
  return ids;
}

}  // namespace

bool parse_verify_options(VerifyOptions& options, const Arguments& arguments) {
  std::string first_step, layers, rest;
  CommandLine line(
      "gem-verify",
      "replays a trace on the devices under each mapping, in turn and step by step, and says whether the mapping is "
      "faster than linear placement, measured. One rank a device.");
  line.add("profile", &options.profile, "FILE", "what gem-profile measured on these devices");
  line.add("trace", &options.trace, "FILE", "steps to replay; best from requests that no mapping was searched on");
  line.add("mapping", &options.mapping_files, "FILE",
           "a mapping of gem-map; of several by one method each is called as its file; linear placement is always "
           "compared with");
  line.add("output", &options.output, "FILE", "the report to write");
  line.add("steps", &options.steps, "N", "how many steps to replay");
  line.add("first-step", &first_step, "N", "first step to replay; by default the first that was not searched on");
  line.add("layers", &layers, "LIST", "decoder layers to replay, e.g. 0,11,23; all if not given");
  line.add("rounds", &options.replay.rounds, "N", "measurements of each step; the median counts");
  line.add("checked-steps", &options.replay.checked_steps, "N", "steps whose data and outputs are checked first");
  line.add("judge", &options.judge, "NAME", "mapping that the verdict is about; gem, else the last, if not given");
  line.add("judge-by", &options.judge_by, "TIME",
           "what the verdict is about: straggler (the slowest device's compute) or layer (the exchange, too)");
  line.add("device", &options.device, "KIND", device_kind_names() + "; as in the profile if not given");
  line.add("command", &options.command, "COMMAND",
           "with --device command: the program that each rank starts as its device, as for gem-profile");
  line.add("command-timeout", &options.command_timeout_s, "S", "seconds that an answer of it may take");
  line.add("slowdown", &options.slowdown, "LIST|FILE",
           "emulated slowdown of each device; as in the profile if not given");
  line.add("share-gpu", &options.share_gpu, "turns", "ranks that share a GPU compute one after the other");
  line.add("transport", &options.transport, "NAME",
           "how rows travel: mpi (through host memory) or nccl; nccl on GPUs if not given");
  line.add("patience", &options.patience_s, "SECONDS",
           "most that an NCCL exchange waits for a peer before the job ends");
  line.add_flag("compute-only", &options.compute_only,
                "time the experts' compute without the exchange, which is only checked");
  line.add("rest-per-layer", &rest, "MILLISECONDS",
           "time of a layer beside its routed experts (attention, shared experts, others): adds an estimate of the "
           "whole model's step");
  line.add_flag("allow-model-mismatch", &options.allow_model_mismatch,
                "replay a trace of one model with a profile or mapping of another");
  line.add("seed", &options.seed, "N", "order of the mappings, weights, bootstrap");
  line.add_flag("dry-run", &options.dry_run, "say what would be replayed, and end");
  line.add_exit_code(1, "the mapping is not proven faster");
  line.add_example("mpirun -n 4 gem-verify --profile profile.h5 --trace test.h5 --mapping eplb.h5 --mapping gem.h5");
  if (!line.parse(arguments)) return false;
  require_option(options.profile, "profile", "the file that gem-profile wrote for these devices");
  require_option(options.trace, "trace", "the steps to replay, from gem-trace");
  if (options.mapping_files.empty()) throw UsageError("--mapping is missing: at least one file of gem-map");
  if (!rest.empty()) options.rest_per_layer_ms = parse_number(rest, "gem-verify: --rest-per-layer");
  check_replay_request(options);
  if (!first_step.empty()) {
    const std::int64_t step = parse_integer(first_step, "gem-verify: --first-step");
    if (step < 0) throw UsageError("--first-step: " + first_step + " is below 0");
    options.first_step = static_cast<std::size_t>(step);
  }
  options.layer_ids = layer_ids(layers);
  options.replay.seed = options.seed;
  options.quiet = line.quiet();
  return true;
}

ReplayQuestion read_replay_question(const VerifyOptions& options) {
  const LatencyProfile profile = read_profile(options.profile);
  if (profile.expert.weight_count() == 0)
    throw DataError(options.profile +
                    ": attributes 'hidden_size' and 'intermediate_size', the shape of an expert, are missing, without "
                    "which nothing can be replayed; add them, or measure with gem-profile");
  std::vector<Mapping> mappings;
  for (const std::string& path : options.mapping_files) {
    mappings.push_back(read_mapping(path));
    if (mappings.back().device_count != profile.device_count())
      throw DataError(fmt::format("{} places experts on {} devices, but {} holds {}; map again with this profile", path,
                                  mappings.back().device_count, options.profile, profile.device_count()));
  }
  return make_replay_question(options, profile, read_trace(options.trace), mappings);
}

}  // namespace gem
