// gem-verify: replays a trace on the real devices under each mapping and compares what is measured with what was
// predicted.
#include <unistd.h>
#include <iostream>

#include "base/text.hpp"
#include "device/device_factory.hpp"
#include "files/report_file.hpp"
#include "model/moe_model.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/command_line/terminal.hpp"
#include "platform/file_system/whole_file.hpp"
#include "profile/summary.hpp"
#include "verification/findings.hpp"
#include "verification/replay_job.hpp"
#include "verify_setup.hpp"

namespace gem {
namespace {

Verdict write_and_print(const VerificationReport& report, const VerifyOptions& options, const ReplayQuestion& question,
                        const std::string& command) {
  const Findings findings = findings_of(report, question.judged, options.seed);
  write_report(options.output, report, findings, provenance_now(command, report.model, options.seed));
  std::cout << "\n" << with_coloured_verdict(findings.text, STDOUT_FILENO);
  if (!options.quiet) std::cout << "Report: " << options.output << "\n";
  JsonRecord record = findings_record(report, findings, question.judged);
  if (const DeviceProgram& program = question.profile.program; !program.empty())
    record.add("profile_program", program_record(program));
  print_result(record.add("output", options.output));
  return findings.verdict;
}

int run(const Communicator& world, const VerifyOptions& options, const Arguments& arguments) {
  ReplayQuestion question;
  world.on_all([&] { question = read_replay_question(options); });
  const DeviceOptions devices = replay_devices(options, question.profile);
  const std::string plan = describe_replay(options, question, devices.kind);
  if (world.is_root()) std::cout << plan << std::flush;
  if (options.dry_run && world.is_root()) print_result(JsonRecord().add("dry_run", true).add("plan", plan));
  if (options.dry_run) return 0;

  std::vector<std::string> inputs{options.profile, options.trace};
  inputs.insert(inputs.end(), options.mapping_files.begin(), options.mapping_files.end());
  world.on_root([&] {
    expect_writable(options.output);
    set_termination_message("gem-verify: ended from outside; nothing was written, " + options.output +
                            " is as it was: start again");
  });
  const VerificationReport report = run_replay(world, options, question, devices);
  Verdict verdict = Verdict::Wrong;
  world.on_root([&] {
    verdict = write_and_print(report, options, question, command_line_text(arguments));
    std::vector<std::string> files{options.output};
    files.insert(files.end(), inputs.begin(), inputs.end());
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
