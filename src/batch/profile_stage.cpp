#include "batch/profile_stage.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <optional>

#include "base/text.hpp"
#include "batch/pair_files.hpp"
#include "batch/stamp.hpp"
#include "files/profile_writer.hpp"
#include "files/trace_file.hpp"
#include "platform/command_line/program.hpp"
#include "platform/file_system/file_lock.hpp"
#include "verification/exchange_measurement.hpp"

namespace gem {
namespace {

// What a profile is measured of and how, but for which devices of that product.
StageKey key_of_kind(const ProfileSetup& setup, const ProfileRequest& request,
                     const std::vector<DeviceDescription>& descriptions) {
  const LatencyProfile& plan = setup.plan;
  StageKey key("profile");
  key.add("model", plan.model);
  key.add("hidden", plan.expert.hidden_size);
  key.add("intermediate", plan.expert.intermediate_size);
  key.add("dtype", plan.weight_dtype);
  key.add("tile_tokens", plan.tile_tokens);
  key.add("experts_per_device", plan.experts_per_device);
  key.add("kind", plan.device_kind);
  if (!setup.devices.command.empty()) key.add("command", setup.devices.command);
  key.add("devices", setup.device_count);
  for (double slowdown : setup.devices.slowdowns) key.add("slowdown", slowdown);
  for (const std::vector<LoadPoint>* points : {&plan.points, &plan.regime_points})
    for (const LoadPoint& point : *points) {
      key.add("tiles", static_cast<std::size_t>(point.tiles));
      key.add("active", static_cast<std::size_t>(point.active_experts));
    }
  if (!request.workloads.empty()) key.add("last_tile_rows", std::size_t{plan.rule.last_tile_rows});
  const MeasurementOptions& measurement = setup.sweep.measurement;
  key.add("layers", measurement.layer_count);
  ProfileRequest said = request;
  OptionList options;
  describe(options, said);
  options.leave_out(std::array<std::string_view, 3>{"model", "devices", "slowdown"});  // these are above
  key.add(options);
  for (const DeviceDescription& device : descriptions) key.add("product", device.name);
  return key;
}

// What pairs of one profile have in common.
std::string key_of_shared(const BatchPair& pair) {
  StageKey key("shared profile");
  key.add("model", pair.profile.model);
  key.add_options(pair.profile);
  key.add("copies", pair.mapping.redundant_experts);
  return key.digest();
}

}  // namespace

bool share_profile(const BatchPair& pair, const BatchPair& other) {
  return pair.for_traces && other.for_traces && key_of_shared(pair) == key_of_shared(other);
}

std::vector<std::string> traces_served(const Manifest& manifest, const BatchPair& pair) {
  std::vector<std::string> served;
  for (const BatchPair& other : manifest.pairs) {
    if (!share_profile(pair, other)) continue;
    const PairFiles files(manifest.output, other);
    for (const std::string& path :
         {files.trace(), files.train(), files.test(), other.source.trace, other.source.test_trace})
      if (!path.empty() && std::filesystem::is_regular_file(path)) served.push_back(path);
  }
  return served;
}

ProfileRequest profile_request(const BatchPair& pair, const StepSize& steps, const std::vector<std::string>& served) {
  ProfileRequest request = profile_request(pair, steps);
  for (const std::string& path : served) request.workloads.push_back(read_trace(path));
  return request;
}

ProfileRequest profile_request(const BatchPair& pair, const StepSize& steps) {
  ProfileRequest request = pair.profile;
  request.redundant_experts = pair.mapping.redundant_experts;
  request.tokens_per_step = std::max(request.tokens_per_step, std::bit_ceil(steps.most_tokens));
  choose_weights(request.devices, pair.model);
  std::size_t& tile_tokens = request.devices.tile_tokens;
  if (tile_tokens == 0 && request.devices.tile_rule_text.empty() && !device_kind(request.devices.kind).tells_tiles)
    tile_tokens = default_tile_tokens(request.devices, steps.tokens_per_expert);
  return request;
}

std::string profile_kind(const ProfileSetup& setup, const ProfileRequest& request,
                         const std::vector<DeviceDescription>& devices) {
  return folder_name(setup.plan.model) + "-" + key_of_kind(setup, request, devices).digest().substr(0, 8);
}

ProfileTask plan_profile(const Communicator& group, const ProfileRequest& request) {
  ProfileTask task;
  task.workloads = request.workloads;
  group.on_all([&] { task.setup = set_up_profile(request, static_cast<std::size_t>(group.size())); });
  group.on_all([&] { task.devices = make_devices(task.setup.devices, group); });
  task.setup = with_tiles_of(task.devices, group, request, task.setup);
  task.setup.sweep.stop_requested = stop_requested;
  const std::vector<DeviceDescription> descriptions = gather_descriptions(group, task.devices);
  task.key = key_of_kind(task.setup, request, descriptions);
  task.kind = profile_kind(task.setup, request, descriptions);
  // A simulated device is the same on any host.
  if (!is_virtual_kind(task.setup.plan.device_kind))
    for (const DeviceDescription& device : descriptions)
      for (const std::string& field : {device.hostname, device.uuid}) task.key.add("device", field);
  task.name = task.kind + "-" + task.key.digest().substr(0, 8);
  group.broadcast(task.name);  // rank 0 alone knows all devices
  return task;
}

std::string ensure_profile(const Communicator& group, const BatchPair& pair, ProfileTask task,
                           const std::string& output, const std::string& command_line,
                           const std::function<void()>& on_missing) {
  const std::string base = profile_folder(output) + "/" + task.name, path = base + ".h5";
  std::optional<FileLock> lock;  // on rank 0; another job may be at the same profile: wait and take its result
  bool fresh = false;
  group.on_root([&] {
    fresh = is_fresh(base + ".stamp", task.key);
    if (fresh) return;
    on_missing();
    lock.emplace(base + ".lock", FileLock::Kind::Exclusive, true, path);
    fresh = is_fresh(base + ".stamp", task.key);
  });
  if (group.broadcast(static_cast<std::uint8_t>(fresh ? 1 : 0)) == 1) return path;

  place_experts(group, task.setup, task.devices);
  ProfileWriter writer(path, provenance_now(command_line, task.setup.plan.model, pair.profile.seed), true);
  task.setup.plan.exchange_law = measure_exchange(group, task.setup, task.workloads, task.devices);
  measure_profile(group, task.setup, task.devices, writer);
  group.on_root([&] { write_stamp(base + ".stamp", task.key, {path}); });
  return path;
}

}  // namespace gem
