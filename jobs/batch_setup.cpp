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

void describe(OptionList& options, BatchProgramOptions& job) {
  options.group("What is done");
  options.add("resume", job.resume, "do only what is missing or made from other inputs or options");
  options.add("pair", job.pairs, "INDEX|NAME", "run only this pair; several such runs may share a directory");
  options.add("set", job.overrides, "'KEY = VALUE'", "a key of the manifest for all pairs, whatever the manifest says");
  options.add("output", job.output, "DIR", "directory of the results").without("the manifest's");
  options
      .add("only", job.only,
           "one stage alone: traces; profiles, with the traces that they are for; or mappings by the profiles that are "
           "there, on any number of ranks, without the devices")
      .without("all, replays too");
  options
      .add("begin-within", job.begin_within_s, "SECONDS",
           "begin no pair later than that; if one is left, the exit code is 75 and the same command with {resume} goes "
           "on")
      .range(0, 1e9)
      .without("no limit");
  options.group("What is shown instead");
  options.add("dry-run", job.dry_run, "check the manifest, show the pairs, with {resume} also what is left to do");
  options.add("list", job.list, "print index and name of each pair, with {resume} of those left to do");
  options.add("summary", job.summary, "write summary.csv and summary.md of what is there");
  options.add("ranks", job.ranks, "N", "of the job, for {dry-run}, {list} and {summary} outside of it")
      .range(0, 1e6)
      .without("not known");
  options.group("Common");
  options.add("live", job.live, "redraw the table of pairs in place, though no terminal is seen (srun, say)");
}

bool parse_batch_options(BatchProgramOptions& options, const Arguments& arguments) {
  CommandLine line("gem-batch",
                   "profiles, traces, maps and verifies every (model, task) pair of a manifest (jobs/*.toml show how, "
                   "--keys tells all that can stand in one). A failed pair doesn't stop the others. "
                   "On real devices one rank a device; simulated ones on any number of ranks, pairs side by side.");
  line.add_positional(&options.manifest, "MANIFEST");
  line.add(options);
  line.add_answer("keys", "list the keys of a manifest with their defaults, and end", describe_keys, keys_record);
  line.add_patience();
  line.add_exit_code(75, "stopped at SIGUSR1 or by its time with all finished work saved (--resume)");
  line.add_example("gem-batch jobs/plan24.toml --dry-run");
  line.add_example("mpirun -n 2 gem-batch jobs/two_models.toml --resume");
  line.add_example("gem-batch jobs/plan24.toml --set 'devices = [4, 8]' --set 'seed = 7' --dry-run");
  if (!line.parse(arguments)) return false;
  if (options.manifest.empty()) throw UsageError("gem-batch: the manifest is missing: gem-batch MANIFEST.toml");
  if (options.ranks > 0 && !options.only_shows())
    throw option_error(option_name(&BatchProgramOptions::ranks),
                       "{} is for {}, {} and {}; a job has the ranks that mpirun -n gives it",
                       option_name(&BatchProgramOptions::dry_run), option_name(&BatchProgramOptions::list),
                       option_name(&BatchProgramOptions::summary));
  options.quiet = line.quiet();
  return true;
}

std::vector<std::size_t> selected_pairs(const Manifest& manifest, const std::vector<std::string>& words) {
  std::vector<std::size_t> selected;
  for (const std::string& word : words) {
    const auto named = std::ranges::find(manifest.pairs, word, &BatchPair::name);
    std::size_t index = static_cast<std::size_t>(named - manifest.pairs.begin());
    if (named == manifest.pairs.end() && word.find_first_not_of("0123456789") == std::string::npos)
      index = static_cast<std::size_t>(parse_integer(word, on_command_line("pair")));
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
