// gem-batch: profile, trace, map and verify for every (model, task) pair of a manifest.
#include <filesystem>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "batch/batch_run.hpp"
#include "batch/summary.hpp"
#include "batch_setup.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/result_output.hpp"

namespace gem {
namespace {

std::string summary_of_runs(const Manifest& manifest) {
  if (!std::filesystem::is_directory(manifest.output))
    throw UsageError("--summary: there is no " + manifest.output + ", so nothing has run yet: gem-batch " +
                     manifest.path);
  return write_summary(manifest);
}

int run(const Communicator& world, const BatchProgramOptions& options, const Arguments& arguments) {
  const SpellOptions spelling(OptionSpelling::Manifest);  // what pairs go by
  Manifest manifest;
  world.on_all([&] {  // one rank that only shows may stand for a job of many
    const auto rank_count = static_cast<std::size_t>(world.size());
    const bool unknown = !needs_devices(options.only) || (options.only_shows() && rank_count == 1);
    manifest = read_manifest(options.manifest, unknown ? options.ranks : rank_count, join(options.overrides, "\n"));
  });
  if (!options.output.empty()) manifest.output = options.output;
  BatchOptions batch;
  world.on_all([&] { batch.selected = selected_pairs(manifest, options.pairs); });
  if (options.only_shows()) {
    world.on_root([&] {
      if (options.list) std::cout << pair_list(manifest, options.resume);
      if (options.dry_run)
        std::cout << pair_table(manifest, options.resume) << "Results would go to " << manifest.output << "\n";
      if (options.summary) std::cout << summary_of_runs(manifest);
      if (options.summary) print_result(summary_record(summarize_batch(manifest)));
      if (!options.summary) print_result(pair_record(manifest, options.resume));
      if (options.summary && !options.quiet) std::cout << "\n" << drawing_hint(arguments, {manifest.output});
    });
    return static_cast<int>(ExitCode::Good);
  }

  if (world.is_root())
    set_termination_message("gem-batch: ended from outside; what is finished is in " + manifest.output +
                            ": the same command with --resume goes on");
  stop_at_user_signal();
  batch.only = options.only;
  if (options.begin_within_s) batch.begin_within_s = *options.begin_within_s;
  batch.resume = options.resume;
  batch.quiet = options.quiet;
  batch.live = options.live;
  batch.command_line = command_line_text(arguments);
  const ExitCode code = run_batch(world, manifest, batch);
  world.on_root([&] {
    if (batch.selected.empty() && !batch.only) {
      const std::string summary = write_summary(manifest);
      if (!options.quiet)
        std::cout << "\n"
                  << summary << "\nSummary: " << manifest.output << "/summary.md\n"
                  << drawing_hint(arguments, {manifest.output});
    }
    // The summary has the reasons, too; without it nobody would hear of them.
    if (options.quiet || batch.only || !batch.selected.empty()) std::cerr << describe_failures(manifest, batch);
    print_result(summary_record(summarize_batch(manifest)).add("output", manifest.output));
    if (code == ExitCode::Interrupted)
      std::cout << "Stopped before the end: what is finished is saved; the same command with\n--resume goes on\n";
  });
  return static_cast<int>(code);
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) {
  gem::BatchProgramOptions options;
  return gem::run_mpi_program(
      argc, argv, [&](const gem::Arguments& arguments) { return gem::parse_batch_options(options, arguments); },
      [&](const gem::Communicator& world, const gem::Arguments& arguments) {
        return gem::run(world, options, arguments);
      });
}
