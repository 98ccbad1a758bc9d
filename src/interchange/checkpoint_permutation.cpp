#include "interchange/checkpoint_permutation.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/expert_references.hpp"
#include "interchange/expert_survey.hpp"
#include "interchange/shard_fingerprint.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/temporary_file.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

// The record stands under its partial name while a run is under way. In place, a file's successor gets the name
// "FILE.permuted" when it is whole, then FILE enters the journal, then the successor is renamed over it: whenever that
// is interrupted, a resumed run knows which of the two it sees. When all is undone, the record gets the name of what is
// done before the traces are swept up.
const char* const record_name = "gem_mapping.json";
const char* const running_name = "gem_mapping.json.partial";
const char* const journal_name = "gem_mapping.json.journal";
const char* const undone_name = "gem_mapping.json.undone";
const char* const lock_name = "gem_mapping.json.lock";
const char* const successor_suffix = ".permuted";
constexpr std::uint64_t copy_step_bytes = std::uint64_t{64} << 20;

std::set<std::string> read_journal(const std::string& path) {
  std::set<std::string> names;
  if (!fs::exists(path)) return names;
  const std::string text = read_whole_text(path, std::uint64_t{64} << 20);
  const std::string whole_lines = text.substr(0, text.rfind('\n') + 1);
  for (const std::string& name : split(whole_lines, '\n'))
    if (!name.empty()) names.insert(name);
  return names;
}

void add_to_journal(const std::string& path, std::set<std::string>& names, const std::string& name) {
  names.insert(name);
  write_whole_text(path, join(std::vector<std::string>(names.begin(), names.end()), "\n") + "\n");
}

/// The record's own files under names of the moment: "gem_mapping.json." and more, what kills have left of them too.
std::vector<fs::path> traces_of_run(const std::string& directory) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().filename().string().starts_with(std::string(record_name) + ".")) paths.push_back(entry.path());
  return paths;
}

bool holds_files(const std::string& directory) {
  if (!fs::exists(directory)) return false;
  const auto entries = std::distance(fs::directory_iterator(directory), fs::directory_iterator());
  return static_cast<std::size_t>(entries) > traces_of_run(directory).size();
}

/// The numbers that a record has for layers of fewer experts than the mapping's.
Renumbering fitted_to(const Renumbering& renumbering, const Renumbering& recorded) {
  std::map<std::int32_t, std::size_t> counts;
  for (const Renumbering::Layer& layer : recorded.layers) counts[layer.id] = layer.old_of_new.size();
  return with_expert_counts(renumbering, counts);
}

/// Files that an interrupted run of the same permutation has finished.
std::set<std::string> finished_files(CheckpointPermutation& job, bool resume) {
  const std::string running = job.output + "/" + running_name;
  const bool interrupted = fs::exists(running);
  if (interrupted && !resume)
    throw UsageError(job.output + ": holds an unfinished permutation; go on with " + on_command_line("resume"));
  if (!interrupted) {
    if (fs::exists(job.output) && !fs::is_directory(job.output))
      throw UsageError(job.output + ": is no directory; give a new directory");
    if (!job.in_place && holds_files(job.output))
      throw UsageError(job.output + ": is there already and not empty; give a new directory");
    return {};
  }
  const PermutationRecord before = read_permutation_record(running);
  if (before.undoing != job.record.undoing)
    throw UsageError(before.undoing
                         ? fmt::format("{0}: holds an unfinished {1}; finish it first, by {1} with {2}", job.output,
                                       on_command_line("inverse"), on_command_line("resume"))
                         : fmt::format("{}: holds an unfinished permutation; finish it first, by its {} with {}",
                                       job.output, on_command_line("mapping"), on_command_line("resume")));
  if (!job.record.undoing) job.record.renumbering = fitted_to(job.record.renumbering, before.renumbering);
  if (before.renumbering != job.record.renumbering)
    throw UsageError(job.output +
                     ": holds an unfinished permutation by another mapping; finish it first, by its own mapping with " +
                     on_command_line("resume"));
  job.record.shards = before.shards;
  if (job.in_place) return read_journal(job.output + "/" + journal_name);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(job.output)) names.insert(entry.path().filename().string());
  return names;
}

ShardPlan plan_whole_copy(const std::string& path) {
  const InputFile file(path);
  return {"", {{0, file.size()}}, file.version()};
}

/// Gives the layers of the renumbering their own numbers of experts, or sees that they have them.
void fit_to_files(CheckpointPermutation& job, const ExpertSurvey& survey) {
  const Renumbering whole = job.record.renumbering;
  const auto counts = expert_counts(survey, whole, job.source.directory);
  const auto places = [&](std::int32_t layer) { return whole.find(layer)->old_of_new.size(); };
  if (!job.resumed && !job.record.undoing) {
    for (const auto& [layer, count] : counts)
      if (count > places(layer))
        throw DataError(
            fmt::format("{}: layer {} has {} experts, but the mapping has {}; give the mapping of this "
                        "model",
                        job.source.directory, layer, count, places(layer)));
    job.record.renumbering = with_expert_counts(whole, counts);
  }
  for (const Renumbering::Layer& layer : job.record.renumbering.layers) {
    const std::size_t count = counts.at(layer.id);
    if (count != layer.old_of_new.size())
      throw DataError(fmt::format("{}: layer {} has {} experts, but gem_mapping.json has {}; copy the checkpoint again",
                                  job.source.directory, layer.id, count, layer.old_of_new.size()));
    if (count < places(layer.id) && !job.record.undoing)
      job.notes.push_back(
          fmt::format("Layer {} has {} experts, the mapping {}: they keep the mapping's order, and {} of "
                      "them come to another device than the mapping's",
                      layer.id, count, places(layer.id), displaced_experts(whole, layer)));
  }
}

void note_what_stays(CheckpointPermutation& job, const ExpertSurvey& survey) {
  std::set<std::int32_t> untouched;
  for (const auto& [place, layer] : survey.layers)
    if (job.record.renumbering.find(place.second) == nullptr) untouched.insert(place.second);
  for (const std::int32_t layer : untouched)
    job.notes.push_back(fmt::format("Layer {} is not in the mapping: its experts keep their numbers", layer));
  for (const std::string& stack : survey.other_stacks)
    job.notes.push_back("Experts in " + stack + " are of another stack of layers: they keep their numbers");
}

/// Headers of the shards, but for those that a run in place has renumbered already.
std::map<std::string, SafetensorsHeader> read_headers(const CheckpointPermutation& job,
                                                      const std::set<std::string>& finished) {
  std::map<std::string, SafetensorsHeader> headers;
  for (const std::string& name : job.source.shards)
    if (!job.in_place || !finished.contains(name))
      headers.emplace(name, read_safetensors_header(InputFile(job.source.path(name))));
  return headers;
}

/// Whether a file is what a run began from; records of earlier versions know only its lengths.
bool is_unchanged(const PermutationRecord::Shard& now, PermutationRecord::Shard before) {
  if (!before.fingerprint) before.fingerprint = now.fingerprint;
  return now == before;
}

/// Nothing can be undone in a file that is as it was before, whatever the record says.
void expect_renumbered(const InputFile& file, const SafetensorsHeader& header, const ShardPlan& undoing,
                       const Renumbering& renumbering, const PermutationRecord::Shard& before) {
  if (!before.fingerprint || fingerprint_of(file, header, renumbering) != *before.fingerprint) return;
  if (fingerprint_after(undoing, file, header, renumbering) != *before.fingerprint)
    file.reject(
        "is not renumbered, though gem_mapping.json says so of the whole checkpoint: an interrupted permutation has "
        "left it so, or the file was put there since; copy the checkpoint again");
}

void plan_shards(CheckpointPermutation& job, const std::set<std::string>& finished) {
  const std::map<std::string, SafetensorsHeader> headers = read_headers(job, finished);
  // In a run that was resumed in place, some shards have their new names already; the first run has checked them.
  if (!job.in_place || finished.empty()) {
    const IndexCheck check = check_indices(job.source, headers);
    job.notes = check.notes;
    ExpertSurvey survey;
    for (const auto& [name, header] : headers)
      if (!check.strays.contains(name)) add_to_survey(survey, header);
    fit_to_files(job, survey);
    note_what_stays(job, survey);
  }
  for (const auto& [name, header] : headers) {
    const InputFile file(job.source.path(name));
    const auto before = job.record.shards.find(name);
    const Renumbering& renumbering = job.record.renumbering;
    const PermutationRecord::Shard now = {file.size(), header.text.size(), fingerprint_of(file, header, renumbering)};
    if (!job.record.undoing && job.resumed && (before == job.record.shards.end() || !is_unchanged(now, before->second)))
      throw UsageError(job.output + ": holds an unfinished permutation of another checkpoint, or " + name +
                       " was changed since; give the checkpoint that it was begun from");
    const std::uint64_t header_bytes =
        job.record.undoing && before != job.record.shards.end() ? before->second.header_bytes : 0;
    ShardPlan plan = plan_shard(file, header, renumbering, header_bytes);
    if (job.record.undoing && before != job.record.shards.end())
      expect_renumbered(file, header, plan, renumbering, before->second);
    if (!job.record.undoing) job.record.shards[name] = now;
    if (!finished.contains(name)) job.files.emplace_back(name, std::move(plan));
  }
}

/// Texts that may name experts. Vocabularies, templates and cards have words that only look so.
bool may_name_experts(const std::string& name) {
  for (const char* beginning :
       {"tokenizer", "vocab", "merges", "chat_template", "special_tokens", "added_tokens", "README"})
    if (name.starts_with(beginning)) return false;
  return std::ranges::any_of(std::initializer_list<const char*>{".json", ".jsonl", ".yaml", ".yml", ".toml", ".txt",
                                                                ".cfg", ".ini", ".csv", ".tsv"},
                             [&](const char* ending) { return name.ends_with(ending); });
}

bool is_called_after_experts(const std::string& name) {
  const std::string lower = to_lower(name);
  return lower.find("expert") != std::string::npos || lower.find("router") != std::string::npos;
}

void plan_texts(CheckpointPermutation& job, const std::set<std::string>& finished) {
  for (const std::string& name : job.source.indices) {
    if (finished.contains(name)) continue;
    const std::string path = job.source.path(name);
    job.files.emplace_back(
        name, ShardPlan{renumbered_index(read_text_beside_weights(path), job.record.renumbering, path), {}});
  }
  for (const std::string& name : job.source.others) {
    if (finished.contains(name)) continue;
    const std::string path = job.source.path(name);
    std::string text, renumbered;
    if (may_name_experts(name)) {
      text = read_text_beside_weights(path);
      renumbered = renumbered_references(text, job.record.renumbering, path);
    } else if (is_called_after_experts(name)) {
      job.notes.push_back(name + " is called after experts, but is no text that can be searched: it stays as it is");
    }
    if (renumbered != text) {
      job.notes.push_back(name + " names single experts: they are renumbered there too");
      job.files.emplace_back(name, ShardPlan{std::move(renumbered), {}});
    } else if (!job.in_place) {
      job.files.emplace_back(name, plan_whole_copy(path));
    }
  }
}

/// In place, a successor would take a link's place: what the link leads to would stay as it was, or, written through,
/// change for everybody who shares it (download caches have one copy of a file for all revisions).
void refuse_links(const CheckpointPermutation& job) {
  for (const auto& [name, plan] : job.files) {
    const std::string path = job.output + "/" + name;
    if (fs::is_symlink(path))
      throw UsageError(
          fmt::format("{} is a link to {}, which others may use too: it can't be permuted in place; give {} "
                      "instead, or put a copy of the file there",
                      path, fs::read_symlink(path).string(), on_command_line("output")));
  }
}

void finish_interrupted_renames(const CheckpointPermutation& job, const std::set<std::string>& finished) {
  for (const std::string& name : finished) {
    const std::string path = job.output + "/" + name;
    if (fs::exists(path + successor_suffix)) fs::rename(path + successor_suffix, path);
  }
}

/// A plan holds for what it was made of: of a file that another run has renumbered meanwhile it would make other
/// weights.
void expect_unchanged(const InputFile& source, const ShardPlan& plan) {
  if (plan.source && (source.version() != *plan.source || InputFile(source.path()).version() != *plan.source))
    source.reject(
        "was changed while it was being read, by a permutation in place, say; remove the output, and begin again when "
        "nothing else writes to the checkpoint");
}

/// Copies a part of the source to the end of the file; `done` counts the bytes.
void append_part(TemporaryFile& file, const InputFile& source, const ShardPlan::Part& part,
                 const std::function<void(std::uint64_t)>& copied) {
  std::vector<std::byte> bytes;
  for (std::uint64_t at = 0; at < part.byte_count; at += copy_step_bytes) {
    const std::uint64_t count = std::min(copy_step_bytes, part.byte_count - at);
    if (part.rewrite) {
      bytes.resize(static_cast<std::size_t>(count));
      source.read_at(part.offset + at, bytes);
      rewrite_numbers(*part.rewrite, bytes, source.path());
      file.write(bytes);
    } else {
      file.append_from(source, part.offset + at, count);
    }
    copied(count);
  }
}

/// Whether a run in place was interrupted before a file's successor took its place.
bool holds_successor(const std::string& directory) {
  return std::ranges::any_of(fs::directory_iterator(directory), [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    return name.ends_with(successor_suffix) && entry.is_regular_file() &&
           fs::exists(directory + "/" + name.substr(0, name.rfind('.')));
  });
}

/// Whether the journal has all files of the record: it stays where a run was killed at its very end.
bool is_about_all(const std::string& journal, const std::string& record) {
  const std::set<std::string> finished = read_journal(journal);
  const PermutationRecord whole = read_permutation_record(record);
  return std::ranges::all_of(whole.shards, [&](const auto& shard) { return finished.contains(shard.first); });
}

}  // namespace

PermutationStanding standing_of(const std::string& directory) {
  const std::string record = directory + "/" + record_name, journal = directory + "/" + journal_name;
  if (fs::exists(directory + "/" + running_name)) return PermutationStanding::Unfinished;
  if (fs::exists(record)) {
    const bool is_whole = !holds_successor(directory) && (!fs::exists(journal) || is_about_all(journal, record));
    return is_whole ? PermutationStanding::Permuted : PermutationStanding::Lost;
  }
  if (!fs::is_directory(directory) || fs::exists(directory + "/" + undone_name)) return PermutationStanding::Plain;
  return fs::exists(journal) || holds_successor(directory) ? PermutationStanding::Lost : PermutationStanding::Plain;
}

PermutationRecord read_record_of(const std::string& directory) {
  const std::string running = directory + "/" + running_name, finished = directory + "/" + record_name;
  if (fs::exists(running)) return read_permutation_record(running);
  const PermutationRecord record = read_permutation_record(finished);
  if (record.undoing)
    throw DataError(finished +
                    ": says that it is being undone, as only an unfinished run's record does; it is not what "
                    "permute wrote, copy the checkpoint again");
  return record;
}

PermutationLock::PermutationLock(const std::string& directory)
    : path_(directory + "/" + lock_name),
      lock_((make_directory(directory), path_), FileLock::Kind::Exclusive, false, directory) {}

PermutationLock::~PermutationLock() {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

std::uint64_t CheckpointPermutation::bytes_to_write() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, plan] : files) bytes += plan.prefix.size() + plan.part_bytes();
  return bytes;
}

CheckpointPermutation plan_permutation(const Checkpoint& source, const std::string& output,
                                       const PermutationRecord& record, bool resume) {
  CheckpointPermutation job;
  job.source = source;
  job.output = output;
  std::error_code ignored;
  job.in_place = fs::equivalent(source.directory, output, ignored);
  job.record = record;
  const std::set<std::string> finished = finished_files(job, resume);
  job.resumed = fs::exists(output + "/" + running_name);
  plan_shards(job, finished);
  plan_texts(job, finished);
  if (job.in_place) refuse_links(job);
  for (const auto* names : {&source.shards, &source.indices, &source.others})
    job.finished_files += static_cast<std::size_t>(
        std::ranges::count_if(*names, [&](const std::string& name) { return finished.contains(name); }));
  return job;
}

void carry_out(const CheckpointPermutation& job, const std::function<void(std::uint64_t)>& written) {
  make_directory(job.output);
  if (job.resumed != fs::exists(job.output + "/" + running_name) ||
      (!job.resumed && !job.in_place && holds_files(job.output)))
    throw UsageError(job.output + ": another run has written to it meanwhile; look what is there, and try again");
  std::error_code error;
  const auto free = fs::space(job.output, error).available;
  std::uint64_t largest = 0;
  for (const auto& [name, plan] : job.files) largest = std::max(largest, plan.part_bytes());
  const std::uint64_t needed = job.in_place ? largest : job.bytes_to_write();
  if (!error && free < needed)
    throw SystemError(fmt::format("{}: {} are needed, but {} are free; free some space or choose another place",
                                  job.output, format_bytes(static_cast<double>(needed)),
                                  format_bytes(static_cast<double>(free))));
  const std::string running = job.output + "/" + running_name, journal = job.output + "/" + journal_name;
  if (!fs::exists(running)) {
    fs::remove(journal);
    write_whole_text(running, text_of(job.record));
  }
  std::set<std::string> journaled = read_journal(journal);
  finish_interrupted_renames(job, journaled);
  std::uint64_t done = 0;
  for (const auto& [name, plan] : job.files) {
    const InputFile source(job.source.path(name));
    const std::string path = job.output + "/" + name;
    TemporaryFile file(job.in_place ? path + successor_suffix : path);
    file.write(std::as_bytes(std::span(plan.prefix)));
    done += plan.prefix.size();
    for (const ShardPlan::Part& part : plan.parts)
      append_part(file, source, part, [&](std::uint64_t bytes) { written(done += bytes); });
    expect_unchanged(source, plan);
    file.synchronize();
    file.rename_to_final();
    if (job.in_place) {
      add_to_journal(journal, journaled, name);
      fs::rename(path + successor_suffix, path);
    }
  }
  // The journal goes last: a run that is under way without one would begin again, on files that it has changed.
  if (job.record.undoing) {
    fs::remove(job.output + "/" + record_name);
    fs::rename(running, job.output + "/" + undone_name);
  } else {
    fs::rename(running, job.output + "/" + record_name);
  }
  sweep_up(job.output);
}

bool is_carried_out(const Checkpoint& source, const std::string& output, const PermutationRecord& record) {
  const PermutationStanding standing = standing_of(output);
  if (!record.undoing) {
    if (standing != PermutationStanding::Permuted) return false;
    const PermutationRecord found = read_record_of(output);
    return !found.undoing && found.renumbering == fitted_to(record.renumbering, found.renumbering);
  }
  if (standing != PermutationStanding::Plain) return false;
  std::error_code missing;
  const auto has_size = [&](const std::string& name, std::uint64_t bytes) {
    return fs::file_size(output + "/" + name, missing) == bytes && !missing;
  };
  for (const std::string& name : source.shards) {
    const auto before = record.shards.find(name);
    if (before == record.shards.end() || !has_size(name, before->second.bytes)) return false;
  }
  for (const auto* names : {&source.indices, &source.others})
    for (const std::string& name : *names)
      if (!fs::exists(output + "/" + name)) return false;
  return true;
}

void sweep_up(const std::string& output) {
  // What says how the directory stands goes after what depends on it, and the lock stays with its holder.
  for (const bool last : {false, true})
    for (const fs::path& path : traces_of_run(output)) {
      const std::string name = path.filename().string();
      if (name != lock_name && (name == undone_name) == last) fs::remove(path);
    }
}

}  // namespace gem
