// gem-deploy profile: a profile as the text that libgem_policy reads inside a serving engine.
#include <fmt/core.h>
#include <iostream>
#include <string>

#include "base/text.hpp"
#include "deploy_commands.hpp"
#include "files/profile_file.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/whole_file.hpp"
#include "policy/profile_text.hpp"

namespace gem {
namespace {

struct ProfileExport {
  std::string profile;
  std::string output;
};

void describe(OptionList& options, ProfileExport& job) {
  options.group("Files");
  options.add_file("profile", job.profile, "FILE", "profile (gem.profile) of the devices that serve").required();
  options.add_file("output", job.output, "FILE", "text (JSON) to write").required();
}

}  // namespace

int run_profile_export(const Arguments& arguments) {
  ProfileExport job;
  CommandLine line("gem-deploy profile",
                   "writes a profile as the text that GEM's policy inside vLLM and SGLang reads, which know no HDF5 "
                   "(src/policy/README.md).");
  line.add(job);
  line.add_example(
      "gem-deploy profile --profile jobs/data/profiles/h100-four-shares.gpt-oss-20b.tile128.h5 --output profile.json");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return 0;
  const LatencyProfile profile = read_profile(job.profile);
  write_whole_text(job.output, profile_text(profile));
  std::cout << fmt::format("Written: {}, {} of model {}\n", job.output, counted(profile.device_count(), "device"),
                           profile.model);
  print_result(
      JsonRecord().add("output", job.output).add("model", profile.model).add("devices", profile.device_count()));
  return 0;
}

}  // namespace gem
