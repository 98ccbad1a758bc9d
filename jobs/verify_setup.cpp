#include "verify_setup.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/command_line.hpp"

namespace gem {

void describe(OptionList& options, VerifyOptions& job) {
  options.group("Files");
  options.add_file("profile", job.profile, "FILE", "what gem-profile measured on these devices").required();
  options
      .add_file("trace", job.trace, "FILE",
                "steps to replay, from gem-trace; best from requests that no mapping was searched on")
      .required();
  options
      .add_files("mapping", job.mapping_files, "FILE",
                 "a mapping of gem-map; of several by one method each is called as its file; linear placement is "
                 "always compared with")
      .required();
  options.add_file("output", job.output, "FILE", "report to write");
  describe(options, static_cast<ReplayRequest&>(job));
  describe(options, job.run_time);
  options.group("Common");
  options.add("dry-run", job.dry_run, "say what would be replayed, and end");
}

bool parse_verify_options(VerifyOptions& options, const Arguments& arguments) {
  CommandLine line(
      "gem-verify",
      "replays a trace on the devices under each mapping, in turn and step by step, and says whether the mapping is "
      "faster than linear placement, measured. Start one MPI rank for each device.");
  line.add(options);
  line.add_exit_code(1, "the mapping is not proven faster");
  line.add_example("mpirun -n 4 gem-verify --profile profile.h5 --trace test.h5 --mapping eplb.h5 --mapping gem.h5");
  if (!line.parse(arguments)) return false;
  check_replay_request(options);
  options.replay.seed = options.seed;
  options.quiet = line.quiet();
  set_patience({options.patience_s, options.quiet});
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
