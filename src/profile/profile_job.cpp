#include "profile/profile_job.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "model/profile_progress.hpp"
#include "profile/pair_exchange.hpp"
#include "profile/tile_probe.hpp"

namespace gem {

void place_experts(const Communicator& ranks, const ProfileSetup& setup, const Devices& devices) {
  ranks.on_all([&] {
    const DeviceRange range = devices_of_rank(setup.device_count, static_cast<std::size_t>(ranks.size()),
                                              static_cast<std::size_t>(ranks.rank()));
    place_for_sweep(devices, range.first, setup.plan.experts_per_device, setup.sweep.measurement.layer_count);
  });
}

namespace {

// What the devices say; all of them the same.
std::vector<TileStep> told_tiles(const Devices& devices, const Communicator& ranks) {
  const std::vector<TileStep> mine = devices.front()->tile_rule();
  std::vector<TileStep> first = mine;
  ranks.broadcast(first);
  ranks.on_all([&] {
    if (mine != first)
      throw DataError(fmt::format(
          "the device of rank {} works in other tiles than that of rank 0; give {}, in which all are then measured",
          ranks.rank(), spelled("tile-tokens")));
  });
  return first;
}

void refuse_untold_tiles(const ProfileRequest& request) {
  if (request.devices.tile_rule_text == told_tile_rule)
    throw option_error(option_name(&DeviceOptions::tile_rule_text),
                       "{}: '{}', but the program doesn't say in which tiles it works; say it, or give '{}'",
                       told_tile_rule, probed_tile_rule);
}

}  // namespace

ProfileSetup with_tiles_of(const Devices& devices, const Communicator& ranks, const ProfileRequest& request,
                           const ProfileSetup& setup) {
  if (!asks_devices_for_tiles(request)) return setup;
  std::optional<TileProbe> probe;
  ProfileRequest told = request;
  const bool probe_wanted = request.devices.tile_rule_text == probed_tile_rule;
  told.devices.tile_rule = probe_wanted ? std::vector<TileStep>() : told_tiles(devices, ranks);
  if (told.devices.tile_rule.empty()) {
    ranks.on_all([&] { refuse_untold_tiles(request); });
    place_experts(ranks, setup, devices);
    probe = probe_tiles(ranks, devices, setup.plan.experts_per_device, setup.max_tokens, setup.sweep);
    told.devices.tile_rule = rule_of(*probe);
  }
  ProfileSetup settled;
  ranks.on_all([&] { settled = set_up_profile(told, static_cast<std::size_t>(ranks.size())); });
  settled.probe = std::move(probe);
  return settled;
}

Devices make_and_place(const Communicator& ranks, const ProfileSetup& setup) {
  Devices devices;
  ranks.on_all([&] { devices = make_devices(setup.devices, ranks); });
  place_experts(ranks, setup, devices);
  return devices;
}

namespace {

// As stated, else which ranks share memory; links as stated, else as the pairs show.
Topology topology_of(const Communicator& ranks, const ProfileSetup& setup, const PairExchange& pairs) {
  Topology topology = setup.plan.topology;
  const bool one_a_rank = setup.device_count == static_cast<std::size_t>(ranks.size());
  if (topology.empty() && one_a_rank && !device_kind(setup.devices.kind).is_virtual()) {
    topology.source = "mpi";
    topology.node_of = ranks.nodes_of_ranks();
  }
  return topology.has_links() || !ranks.is_root() ? topology : with_measured_links(topology, pairs);
}

// All ranks start the same command; where what it finds there differs, each is named. On rank 0.
DeviceProgram program_of(const Communicator& ranks, const Devices& devices) {
  DeviceProgram program = devices.empty() ? DeviceProgram() : devices.front()->program();
  std::vector<std::string> kernels;
  for (const std::string& kernel : ranks.gather(program.kernel))
    if (!kernel.empty() && std::ranges::find(kernels, kernel) == kernels.end()) kernels.push_back(kernel);
  program.kernel = join(kernels, "; ");
  return program;
}

}  // namespace

LatencyProfile measure_profile(const Communicator& ranks, const ProfileSetup& setup, const Devices& devices,
                               ProfileSink& sink) {
  LatencyProfile plan = setup.plan;
  plan.devices = gather_descriptions(ranks, devices);
  plan.program = program_of(ranks, devices);
  if (setup.exchange && device_kind(setup.devices.kind).transport != RowTransport::None) {
    const auto transport = device_kind(setup.devices.kind).transport == RowTransport::Nccl
                               ? make_nccl_pairs(ranks, patience().limit_s)
                               : make_mpi_pairs(ranks);
    plan.exchange = measure_pairs(ranks, *transport);
  }
  plan.topology = topology_of(ranks, setup, plan.exchange);
  plan.shared_s = measure_shared_experts(ranks, devices, setup.shared, setup.sweep.measurement);
  if (plan.shared_s.rows() > 0) plan.shared_tokens = setup.shared.tokens;
  return run_sweep(ranks, devices, plan, setup.sweep, sink);
}

}  // namespace gem
