// gem-profile: measures the latency of every device over load, and writes profile.h5.
#include <filesystem>
#include <iostream>

#include "base/text.hpp"
#include "files/profile_file.hpp"
#include "files/profile_writer.hpp"
#include "platform/command_line.hpp"
#include "profile/summary.hpp"
#include "profile_setup.hpp"

namespace gem {
namespace {

// With --resume, a profile that is finished is only shown.
bool is_finished(const Communicator& world, const ProfileOptions& options) {
  bool finished = false;
  world.on_root([&] {
    namespace fs = std::filesystem;
    finished = options.resume && fs::exists(options.output) && !fs::exists(options.output + ".partial");
    if (finished) std::cout << options.output << " is finished\n\n" << device_table(read_profile(options.output));
  });
  return world.broadcast(static_cast<std::uint8_t>(finished ? 1 : 0)) == 1;
}

LatencyProfile measure(const Communicator& world, const ProfileOptions& options, const ProfileSetup& setup,
                       const std::string& command) {
  std::vector<std::unique_ptr<MoeDevice>> devices;
  world.on_all([&] {
    devices = make_devices(setup.devices, world);
    const DeviceRange range = devices_of_rank(setup.device_count, static_cast<std::size_t>(world.size()),
                                              static_cast<std::size_t>(world.rank()));
    place_for_sweep(devices, range.first, setup.plan.experts_per_device, setup.sweep.layer_count);
  });
  LatencyProfile plan = setup.plan;
  plan.devices = gather_descriptions(world, devices);
  SweepOptions sweep = setup.sweep;
  sweep.on_resume = [&](std::size_t finished) {
    std::cout << format("resumed: %zu of %zu points are there\n", finished, plan.points.size()) << std::flush;
  };
  ProfileWriter writer(options.output, provenance_now(command, plan.model, options.seed), options.resume);
  return run_sweep(world, devices, plan, sweep, writer);
}

int run(const Communicator& world, const ProfileOptions& options, const Arguments& arguments) {
  const auto rank_count = static_cast<std::size_t>(world.size());
  ProfileSetup setup;
  world.on_all([&] { setup = set_up_profile(options, rank_count); });
  world.on_root([&] {
    if (!options.quiet || options.dry_run) std::cout << describe_plan(options, setup, rank_count) << std::flush;
    if (options.dry_run) std::cout << "\n" << point_table(setup.plan);
  });
  if (options.dry_run || is_finished(world, options)) return 0;

  if (world.is_root())
    set_termination_message("gem-profile: ended from outside; the finished points are in " + options.output +
                            ".partial: the same command with --resume goes on");
  const LatencyProfile profile = measure(world, options, setup, command_line_text(arguments));
  if (!world.is_root()) return 0;
  std::cout << "\n" << device_table(profile);
  if (!options.quiet) std::cout << "Profile: " << options.output << "\n";
  return 0;
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  gem::ProfileOptions options;
  return gem::run_mpi_program(
      argc, argv, [&](const gem::Arguments& arguments) { return gem::parse_profile_options(options, arguments); },
      [&](const gem::Communicator& world, const gem::Arguments& arguments) {
        return gem::run(world, options, arguments);
      });
}
