#include "batch/profile_stage.hpp"

#include <optional>

#include "base/text.hpp"
#include "batch/pair_files.hpp"
#include "batch/stamp.hpp"
#include "files/profile_writer.hpp"
#include "platform/file_lock.hpp"
#include "platform/program.hpp"

namespace gem {
namespace {

StageKey key_of(const ProfileSetup& setup, const ProfileRequest& request,
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
  key.add("devices", setup.device_count);
  for (double slowdown : setup.devices.slowdowns) key.add("slowdown", slowdown);
  for (const LoadPoint& point : plan.points) {
    key.add("tiles", static_cast<std::size_t>(point.tiles));
    key.add("active", static_cast<std::size_t>(point.active_experts));
  }
  const MeasurementOptions& measurement = setup.sweep.measurement;
  key.add("layers", measurement.layer_count);
  key.add("turns", request.share_gpu);
  key.add("confidence_width", measurement.stopping.confidence_width);
  key.add("min_samples", measurement.stopping.min_samples);
  key.add("max_samples", measurement.stopping.max_samples);
  key.add("max_time", measurement.stopping.max_time_s);
  key.add("noise", setup.devices.simulation.noise);
  key.add("seed", request.seed);
  // A simulated device is the same on any host.
  if (plan.device_kind != "simulated")
    for (const DeviceDescription& device : descriptions)
      for (const std::string& field : {device.name, device.hostname, device.uuid}) key.add("device", field);
  return key;
}

}  // namespace

std::string ensure_profile(const Communicator& group, const BatchPair& pair, const std::string& output,
                           const std::string& command_line) {
  ProfileSetup setup;
  group.on_all([&] { setup = set_up_profile(pair.profile, static_cast<std::size_t>(group.size())); });
  setup.sweep.stop_requested = stop_requested;
  std::vector<std::unique_ptr<MoeDevice>> probes;
  group.on_all([&] { probes = make_devices(setup.devices, group); });
  const StageKey key = key_of(setup, pair.profile, gather_descriptions(group, probes));
  probes.clear();

  std::string path;
  std::optional<FileLock> lock;  // on rank 0; another job may be at the same profile: wait and take its result
  bool fresh = false;
  group.on_root([&] {
    const std::string name = format("%s/%s-%s", profile_folder(output).c_str(), folder_name(setup.plan.model).c_str(),
                                    key.digest().substr(0, 8).c_str());
    path = name + ".h5";
    lock.emplace(name + ".lock", FileLock::Kind::Exclusive, true, path);
    fresh = is_fresh(name + ".stamp", key);
  });
  group.broadcast(path);
  if (group.broadcast(static_cast<std::uint8_t>(fresh ? 1 : 0)) == 1) return path;

  const Devices devices = make_and_place(group, setup);
  ProfileWriter writer(path, provenance_now(command_line, setup.plan.model, pair.profile.seed), true);
  measure_profile(group, setup, devices, writer);
  group.on_root([&] { write_stamp(path.substr(0, path.size() - 3) + ".stamp", key, {path}); });
  return path;
}

}  // namespace gem
