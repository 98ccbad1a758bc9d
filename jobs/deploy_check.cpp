// gem-deploy check: whether the ranks of an engine on this host get the devices that a mapping was made for.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "base/error.hpp"
#include "deploy_commands.hpp"
#include "files/mapping_file.hpp"
#include "interchange/serving_devices.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

struct CheckJob {
  std::string mapping;
};

void describe(OptionList& options, CheckJob& job) {
  options.group("Files");
  options.add_file("mapping", job.mapping, "FILE", "mapping (gem.mapping) that is served").required();
}

// What the driver's own program lists; SystemError where there is none.
std::string gpu_list() {
  FILE* const pipe = popen("nvidia-smi -L 2> /dev/null", "r");
  std::string text;
  std::array<char, 4096> part{};
  if (pipe != nullptr)
    while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), count);
  if (pipe == nullptr || pclose(pipe) != 0)
    throw SystemError("cannot list this host's GPUs: nvidia-smi -L failed; run this where the engine will run");
  return text;
}

}  // namespace

int run_check(const Arguments& arguments) {
  CheckJob job;
  CommandLine line("gem-deploy check",
                   "tells, on the host that serves, whether rank d of an engine gets the device that the mapping was "
                   "made for.");
  line.add(job);
  line.add_exit_code(1, "a rank gets another device");
  line.add_example("gem-deploy check --mapping mapping.h5");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return 0;
  const Mapping mapping = read_mapping(job.mapping);
  if (mapping.devices.empty())
    throw DataError(job.mapping +
                    ": does not say which devices it was made for (an earlier version made it); map again");
  const char* const selection = std::getenv("CUDA_VISIBLE_DEVICES");
  const auto gpus = visible_gpus(parse_gpu_list(gpu_list()),
                                 selection == nullptr ? std::nullopt : std::optional<std::string_view>(selection));
  const ServingCheck check = check_serving_host(mapping, host_name(), gpus);
  std::cout << check.text;
  std::vector<JsonRecord> ranks;
  for (const ServingRank& rank : check.ranks)
    ranks.push_back(JsonRecord().add("rank", rank.rank).add("uuid", rank.wanted).add("found", rank.found));
  print_result(JsonRecord().add("matches", check.matches).add("ranks", ranks).add("text", check.text));
  return static_cast<int>(check.matches ? ExitCode::Good : ExitCode::NegativeVerdict);
}

}  // namespace gem
