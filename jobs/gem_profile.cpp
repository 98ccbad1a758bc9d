// gem-profile: measures the latency of every device over load, and writes profile.h5.
#include <fmt/core.h>
#include <filesystem>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/profile_file.hpp"
#include "files/profile_writer.hpp"
#include "model/profile_progress.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/named_files.hpp"
#include "platform/file_system/whole_file.hpp"
#include "profile/summary.hpp"
#include "profile_check.hpp"
#include "profile_setup.hpp"
#include "verification/exchange_measurement.hpp"

namespace gem {
namespace {

// With --resume, a profile that is finished isn't measured again.
bool is_finished(const Communicator& world, const ProfileOptions& options) {
  namespace fs = std::filesystem;
  const bool finished = options.resume && fs::exists(options.output) && !fs::exists(options.output + ".partial");
  return world.broadcast(static_cast<std::uint8_t>(finished ? 1 : 0)) == 1;
}

// In what a finished profile isn't what the setup asks for; empty if it is.
std::string difference_of(const LatencyProfile& profile, const ProfileSetup& setup) {
  if (profile.device_count() != setup.device_count)
    return fmt::format("{} devices instead of {}", profile.device_count(), setup.device_count);
  for (std::size_t device = 0; device < setup.device_count; ++device)
    if (profile.devices[device].emulated_slowdown != slowdown_of(setup.devices, device)) return "other slowdowns";
  if (setup.exchange && profile.exchange_law.empty()) return "no exchange";
  if (!setup.shared.tokens.empty() && profile.shared_tokens != setup.shared.tokens)
    return "other shared experts' times";
  return plan_difference(profile, setup.plan);
}

LatencyProfile read_finished_profile(const ProfileOptions& options, const ProfileSetup& setup) {
  LatencyProfile profile = read_profile(options.output);
  const std::string difference = difference_of(profile, setup);
  if (!difference.empty())
    throw DataError(options.output + " is a finished profile with " + difference +
                    "; choose another --output, or start without --resume to replace it");
  return profile;
}

LatencyProfile measure(const Communicator& world, const ProfileOptions& options, const ProfileSetup& setup,
                       const Devices& devices, const std::string& command) {
  ProfileSetup sweep = setup;
  sweep.sweep.stop_requested = stop_requested;
  sweep.sweep.on_resume = [&](std::size_t finished) {
    std::cout << fmt::format("resumed: {} of {} points are there\n", finished, load_count(setup.plan)) << std::flush;
  };
  ProfileWriter writer(options.output, provenance_now(command, setup.plan.model, options.seed), options.resume);
  sweep.plan.exchange_law = measure_exchange(world, setup, options.workloads, devices);
  return measure_profile(world, sweep, devices, writer);
}

JsonRecord validation_record(const Validation& validation) {
  std::vector<JsonRecord> rows;
  for (const ValidationError& row : validation_errors(validation))
    rows.push_back(JsonRecord()
                       .add("source", row.source)
                       .add("prediction", row.prediction)
                       .add("measurements", row.measurements)
                       .add("median_error", row.median)
                       .add("p90_error", row.p90)
                       .add("worst_error", row.worst));
  return JsonRecord().add("validation", rows);
}

// What --json shows of it; on rank 0.
JsonRecord validate_profile(const Communicator& world, const ProfileOptions& options, const ProfileSetup& setup,
                            const Devices& devices, const LatencyProfile& profile) {
  ValidationLoads loads;
  world.on_all([&] { loads = draw_validation_loads(options, setup); });
  Matrix<double> measured_s =
      measure_loads(world, devices, loads.tokens_per_slot, setup.plan.points.size() + 1, setup.sweep);
  JsonRecord record;
  world.on_root([&] {
    const Validation validation = validate(profile, std::move(loads), std::move(measured_s));
    std::cout << "\n" << validation_table(validation);
    const std::string csv = validation_csv(validation, setup.plan.load_rules());
    if (!options.validation_output.empty()) write_whole_text(options.validation_output, csv);
    record = validation_record(validation);
  });
  return record;
}

void keep_inputs(const ProfileOptions& options) {
  std::vector<NamedFile> inputs = named_files("--for-trace", workload_files(options));
  inputs.insert(inputs.end(), {{"--trace", options.trace},
                               {"--from-table", options.from_table},
                               {"--model", model_file_of_option(options.model)},
                               {"--slowdown", slowdown_file_of(options.devices.slowdown)}});
  keep_apart(inputs, {{{"--output", options.output},
                       {"--output (unfinished)", options.output + ".partial"},
                       {"--validation-output", options.validation_output}}});
}

int run_from_table(const Communicator& world, const ProfileOptions& options, const Arguments& arguments) {
  world.on_root([&] {
    const TabulatedProfile table = read_latency_table(options);
    std::cout << fmt::format("From {}: {} on {}; nothing was measured here\n", options.from_table,
                             counted(table.profile.points.size(), "load"),
                             counted(table.profile.device_count(), "device"));
    for (const std::string& sentence : table.unknown) std::cout << "not known: " + sentence << "\n";
    JsonRecord record = profile_record(table.profile);
    record.add("not_known", table.unknown).add("dry_run", options.dry_run);
    if (options.dry_run) return print_result(record);
    write_profile(options.output, table.profile,
                  provenance_now(command_line_text(arguments), table.profile.model, options.seed));
    std::cout << "\n" << device_table(table.profile) << "Profile: " << options.output << "\n";
    print_result(record.add("output", options.output));
  });
  return 0;
}

int run(const Communicator& world, ProfileOptions options, const Arguments& arguments) {
  world.on_root([&] { keep_inputs(options); });
  if (!options.from_table.empty()) return run_from_table(world, options, arguments);
  const auto rank_count = static_cast<std::size_t>(world.size());
  ProfileSetup setup;
  world.on_all([&] {
    read_workloads(options);
    if (options.check) choose_experts_to_check(options, rank_count);
    setup = set_up_profile(options, rank_count);
  });
  if (options.check) {
    world.on_root([&] {
      if (!options.quiet || options.dry_run) std::cout << describe_check(setup) << "\n" << std::flush;
      if (options.dry_run) print_result(JsonRecord().add("dry_run", true).add("plan", describe_check(setup)));
    });
    if (!options.dry_run) check_devices(world, options, setup, make_and_place(world, setup));
    return 0;
  }
  Devices devices;
  if (asks_devices_for_tiles(options) && !options.dry_run) {
    devices = make_devices(setup.devices, world);
    setup = with_tiles_of(devices, world, options, setup);
  }
  world.on_root([&] {
    if (setup.probe && !options.quiet) std::cout << describe_probe(*setup.probe);
    if (!options.quiet || options.dry_run) std::cout << describe_plan(options, setup, rank_count) << std::flush;
    if (!options.dry_run) return;
    std::cout << "\n" << point_table(setup.plan);
    print_result(plan_record(setup.plan));
  });
  if (options.dry_run) return 0;

  world.on_root([&] {
    expect_writable(options.output);
    if (!options.validation_output.empty()) expect_writable(options.validation_output);
  });
  if (world.is_root())
    set_termination_message("gem-profile: ended from outside; the finished points are in " + options.output +
                            ".partial, but for those of the last moment: the same command with --resume goes on");
  stop_at_user_signal();
  const bool finished = is_finished(world, options);
  const bool devices_needed = !finished || options.validation_loads > 0;
  if (devices_needed && devices.empty()) devices = make_devices(setup.devices, world);
  if (devices_needed) place_experts(world, setup, devices);
  LatencyProfile profile;
  if (!finished) profile = measure(world, options, setup, devices, command_line_text(arguments));
  world.on_root([&] {
    if (finished) profile = read_finished_profile(options, setup);
    std::cout << "\n" << device_table(profile);
    if (!options.quiet || finished)
      std::cout << "Profile: " << options.output << (finished ? ", which is finished\n" : "\n");
  });
  JsonRecord validation;
  if (options.validation_loads > 0) validation = validate_profile(world, options, setup, devices, profile);
  if (world.is_root()) {
    JsonRecord record = profile_record(profile);
    if (setup.probe) record.add("tile_probe", probe_record(*setup.probe));
    print_result(record.add("output", options.output).add_all(validation));
  }
  if (world.is_root() && !options.quiet) {
    std::cout << drawing_hint(arguments, {options.output});
    if (profile.device_count() > 1)
      std::cout << next_commands({{program_beside(arguments, "gem-map"), "--profile", options.output, "--trace",
                                   "TRAIN", "--test-trace", "TEST", "--output", "MAPPING"}});
  }
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
