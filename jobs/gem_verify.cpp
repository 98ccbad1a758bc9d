// gem-verify: replays a trace on the real devices under each mapping and compares what is measured with what was
// predicted.
#include <iostream>

#include "base/text.hpp"
#include "files/report_file.hpp"
#include "platform/command_line.hpp"
#include "platform/progress.hpp"
#include "verification/mpi_expert_layer.hpp"
#include "verification/nccl_expert_layer.hpp"
#include "verify_setup.hpp"

namespace gem {
namespace {

void check_device_count(const Communicator& world, const DeviceOptions& devices, const LatencyProfile& profile) {
  check_device_options(devices);
  if (device_count_of(devices, static_cast<std::size_t>(world.size())) == profile.device_count()) return;
  throw AgreedError(ExitCode::Usage,
                    format("the profile holds %zu devices, but this job has %d ranks; start it with one rank a device "
                           "(mpirun -n %zu)",
                           profile.device_count(), world.size(), profile.device_count()));
}

std::unique_ptr<ReplayTarget> make_target(const Communicator& world, const VerifyOptions& options,
                                          const VerifyInputs& inputs,
                                          const std::vector<std::unique_ptr<MoeDevice>>& local) {
  if (!local.empty() && !local.front()->computes()) return make_clock_target(world, local);
  const std::size_t hidden_size = inputs.profile.expert.hidden_size;
  const Turns turns(world, options.share_gpu == "turns");
  const bool nccl =
      options.transport.empty() ? local.front()->description().kind == "cuda" : options.transport == "nccl";
  auto layer =
      nccl ? make_nccl_expert_layer(world, *local.front(), hidden_size, inputs.trace.top_k, turns, options.patience_s)
           : std::make_unique<MpiExpertLayer>(world, *local.front(), hidden_size, turns);
  return make_exchange_target(world, *local.front(), std::move(layer), turns,
                              {hidden_size, inputs.trace.top_k, options.compute_only});
}

VerificationReport replay_inputs(const Communicator& world, const VerifyOptions& options, const VerifyInputs& inputs,
                                 const DeviceOptions& devices) {
  const auto local = make_devices(devices, world);
  const auto target = make_target(world, options, inputs, local);
  Progress progress("replaying", options.replay.rounds * inputs.trace.step_count(), world.is_root() && !options.quiet);
  VerificationReport report =
      replay(world, *target, inputs.trace, inputs.mappings, surfaces_of(inputs.profile), inputs.profile.tile_tokens,
             options.replay, [&](std::size_t done, std::size_t) { progress.update(done); });
  report.judged = inputs.mappings[inputs.judged].method;
  report.weight_dtype = inputs.profile.weight_dtype;
  report.device_kind = devices.kind;
  report.device_note = emulation_note(devices.slowdowns);
  report.sample_note = inputs.sample_note;
  report.first_step = inputs.first_step;
  const std::size_t expert_bytes = inputs.profile.expert.weight_count() * weight_element_bytes(devices.weight_dtype);
  for (std::size_t m = 0; m < inputs.mappings.size(); ++m)
    report.mappings[m].moved_bytes = moved_bytes(inputs.mappings[0], inputs.mappings[m], inputs.trace, expert_bytes);
  return report;
}

Verdict write_and_print(const VerificationReport& report, const VerifyOptions& options, const VerifyInputs& inputs,
                        const std::string& command) {
  const std::vector<MappingSummary> summaries = summarize(report, options.seed);
  const MappingSummary& judged = summaries[inputs.judged];
  const Verdict verdict = judge(report, judged, output_tolerance(inputs.profile.weight_dtype));
  write_report(options.output, report, provenance_now(command, report.model, options.seed));
  std::cout << "\n"
            << summary_table(report, summaries)
            << format("\nPrediction per device: median error %.1f %%\n", 100.0 * device_error(report))
            << verdict_sentence(report, judged, verdict) << "\n";
  if (!options.quiet) std::cout << "Report: " << options.output << "\n";
  return verdict;
}

int run(const Communicator& world, const VerifyOptions& options, const Arguments& arguments) {
  VerifyInputs inputs;
  world.on_all([&] { inputs = read_verify_inputs(options); });
  const DeviceOptions devices = verify_devices(options, inputs.profile);
  if (world.is_root()) std::cout << describe_replay(inputs, options, devices.kind) << std::flush;
  if (options.dry_run) return 0;
  check_device_count(world, devices, inputs.profile);

  const VerificationReport report = replay_inputs(world, options, inputs, devices);
  Verdict verdict = Verdict::Wrong;
  world.on_root([&] {
    verdict = write_and_print(report, options, inputs, command_line_text(arguments));
    std::vector<std::string> files{options.output, options.profile, options.trace};
    files.insert(files.end(), options.mappings.begin(), options.mappings.end());
    if (!options.quiet) std::cout << drawing_hint(arguments, files);
  });
  const bool faster = world.broadcast(verdict == Verdict::Faster ? 1 : 0) == 1;
  return static_cast<int>(faster ? ExitCode::Good : ExitCode::NegativeVerdict);
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  gem::VerifyOptions options;
  return gem::run_mpi_program(
      argc, argv, [&](const gem::Arguments& arguments) { return gem::parse_verify_options(options, arguments); },
      [&](const gem::Communicator& world, const gem::Arguments& arguments) {
        return gem::run(world, options, arguments);
      });
}
