#include "batch/pair_check.hpp"

#include <filesystem>

#include "base/text.hpp"
#include "batch/pair_keys.hpp"
#include "batch/profile_stage.hpp"
#include "files/profile_file.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

bool is_of_its_kind(const Manifest& manifest, const BatchPair& pair, const std::string& path,
                    const PairTraces& traces) {
  const LatencyProfile profile = read_profile(path);
  const std::size_t ranks = manifest.rank_count > 0 ? manifest.rank_count : profile.device_count();
  const ProfileRequest request = profile_request(pair, step_size_of(pair, traces), traces_served(manifest, pair));
  const ProfileSetup setup = set_up_profile(request, ranks);
  return setup.device_count == profile.device_count() &&
         fs::path(path).filename().string().starts_with(profile_kind(setup, request, profile.devices) + "-");
}

}  // namespace

std::string profile_in_use(const PairFiles& files, const std::string& output) {
  if (!fs::is_regular_file(files.profile())) return "";
  const std::string path = profile_folder(output) + "/" + trim(read_whole_text(files.profile(), 4096));
  return fs::is_regular_file(path) ? path : "";
}

std::string profile_at_hand(const Manifest& manifest, const BatchPair& pair, const PairTraces& traces) {
  const std::string profile = profile_in_use(PairFiles(manifest.output, pair), manifest.output);
  return profile.empty() || !is_of_its_kind(manifest, pair, profile, traces) ? "" : profile;
}

bool results_are_fresh(const BatchPair& pair, const PairFiles& files, const std::string& profile,
                       const PairTraces& traces) {
  return is_fresh(files.stamp("map"), map_key(pair, profile, traces)) &&
         (!pair.verify || is_fresh(files.stamp("verify"), verify_key(pair, files, profile, traces)));
}

bool is_whole(const Manifest& manifest, const BatchPair& pair) {
  const PairFiles files(manifest.output, pair);
  try {
    const std::string profile = profile_in_use(files, manifest.output);
    if (profile.empty()) return false;
    const PairTraces traces = traces_of(pair, files);
    return (!pair.source.trace.empty() || is_fresh(files.stamp("trace"), trace_key(pair))) &&
           results_are_fresh(pair, files, profile, traces) && is_of_its_kind(manifest, pair, profile, traces);
  } catch (const Error&) {  // what can't be read must be made again, and says why then
    return false;
  }
}

}  // namespace gem
