#include "batch_setup.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "batch/manifest_keys.hpp"
#include "batch/pair_check.hpp"
#include "platform/command_line/command_line.hpp"

namespace gem {

bool parse_batch_options(BatchProgramOptions& options, const Arguments& arguments) {
  CommandLine line("gem-batch",
                   "profiles, traces, maps and verifies every (model, task) pair of a manifest (jobs/*.toml show how, "
                   "--keys tells all that can stand in one). A failed pair doesn't stop the others. "
                   "On real devices one rank a device; simulated ones on any number of ranks, pairs side by side.");
  bool keys = false;
  line.add_positional(&options.manifest, "MANIFEST");
  line.add("output", &options.output, "DIR", "directory of the results, instead of the manifest's");
  line.add("pair", &options.pairs, "INDEX|NAME", "run only this pair; several such runs may share a directory");
  line.add_flag("resume", &options.resume, "do only what is missing or made from other inputs or options");
  line.add_flag("dry-run", &options.dry_run,
                "check the manifest, show the pairs, with --resume also what is left to do, and end");
  line.add_flag("list", &options.list, "print index and name of each pair, with --resume of those left to do, and end");
  line.add_flag("summary", &options.summary, "write summary.csv and summary.md of what is there, and end");
  line.add("ranks", &options.ranks, "N", "of the job, for --dry-run, --list and --summary outside of it; 0: not known");
  line.add_flag("keys", &keys, "list the keys of a manifest with their defaults, and end");
  line.add_flag("live", &options.live, "redraw the table of pairs in place, though no terminal is seen (srun, say)");
  line.add_exit_code(75, "stopped at SIGUSR1 with all finished work saved (--resume)");
  line.add_example("gem-batch jobs/plan24.toml --dry-run");
  line.add_example("mpirun -n 2 gem-batch jobs/two_models.toml --resume");
  if (!line.parse(arguments)) return false;
  if (keys) {
    std::cout << describe_keys();
    return false;
  }
  if (options.manifest.empty()) throw UsageError("gem-batch: the manifest is missing: gem-batch MANIFEST.toml");
  if (options.ranks > 0 && !options.only_shows())
    throw UsageError("--ranks is for --dry-run, --list and --summary; a job has the ranks that mpirun -n gives it");
  options.quiet = line.quiet();
  return true;
}

std::vector<std::size_t> selected_pairs(const Manifest& manifest, const std::vector<std::string>& words) {
  std::vector<std::size_t> selected;
  for (const std::string& word : words) {
    const auto named = std::ranges::find(manifest.pairs, word, &BatchPair::name);
    std::size_t index = static_cast<std::size_t>(named - manifest.pairs.begin());
    if (named == manifest.pairs.end() && word.find_first_not_of("0123456789") == std::string::npos)
      index = static_cast<std::size_t>(parse_integer(word, "--pair"));
    if (index >= manifest.pairs.size())
      throw UsageError(fmt::format("--pair {}: {} has {} pairs and none of that name; --list shows them", word,
                                   manifest.path, manifest.pairs.size()));
    selected.push_back(index);
  }
  return selected;
}

std::string pair_list(const Manifest& manifest, bool resume) {
  std::string text;
  for (std::size_t i = 0; i < manifest.pairs.size(); ++i)
    if (!resume || !is_whole(manifest, manifest.pairs[i])) text += fmt::format("{} {}\n", i, manifest.pairs[i].name);
  return text;
}

}  // namespace gem
