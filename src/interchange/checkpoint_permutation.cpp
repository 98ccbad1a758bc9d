#include "interchange/checkpoint_permutation.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/tensor_role.hpp"
#include "platform/file_system/temporary_file.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

// The record stands under its partial name while a run is under way. In place, a file's successor gets the name
// "FILE.permuted" when it is whole, then FILE enters the journal, then the successor is renamed over it: whenever that
// is interrupted, a resumed run knows which of the two it sees.
const char* const record_name = "gem_mapping.json";
const char* const running_name = "gem_mapping.json.partial";
const char* const journal_name = "gem_mapping.json.journal";
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

/// Files that an interrupted run of the same permutation has finished.
std::set<std::string> finished_files(const CheckpointPermutation& job, bool resume) {
  const std::string running = job.output + "/" + running_name;
  const bool interrupted = fs::exists(running);
  if (interrupted && !resume) throw UsageError(job.output + ": holds an unfinished permutation; go on with --resume");
  if (!interrupted) {
    if (fs::exists(job.output) && !fs::is_directory(job.output))
      throw UsageError(job.output + ": is no directory; give a new directory");
    if (!job.in_place && holds_files(job.output))
      throw UsageError(job.output + ": is there already and not empty; give a new directory");
    return {};
  }
  const PermutationRecord before = read_permutation_record(running);
  if (before.renumbering != job.record.renumbering || before.undoing != job.record.undoing)
    throw UsageError(job.output +
                     ": holds an unfinished permutation by another mapping; finish it first, or remove it");
  if (job.in_place) return read_journal(job.output + "/" + journal_name);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(job.output)) names.insert(entry.path().filename().string());
  return names;
}

ShardPlan plan_whole_copy(const std::string& path) {
  return {"", {{0, InputFile(path).size()}}};
}

void check_coverage(const CheckpointPermutation& job, const Coverage& coverage) {
  const Renumbering& renumbering = job.record.renumbering;
  for (const Renumbering::Layer& layer : renumbering.layers) {
    const auto found = coverage.find(layer.id);
    if (found == coverage.end() || !found->second.all_experts_tensor)
      throw DataError(
          fmt::format("{}: no tensors of a router were found for layer {} of the mapping; this is another model, or "
                      "a layout that GEM does not know",
                      job.source.directory, layer.id));
    const std::size_t own = found->second.experts.size();
    if (own != 0 && own != renumbering.expert_count)
      throw DataError(
          fmt::format("{}: tensors of {} experts were found in layer {}, but the mapping has {}; give the mapping "
                      "of this model, or copy the checkpoint again",
                      job.source.directory, own, layer.id, renumbering.expert_count));
  }
}

void plan_shards(CheckpointPermutation& job, const std::set<std::string>& finished) {
  // In a run that was resumed in place, some shards have their new names already; the first run has checked them.
  const bool all_old = !job.in_place || finished.empty();
  if (all_old) check_indices(job.source);
  Coverage coverage;
  std::set<std::int32_t> untouched;
  for (const std::string& name : job.source.shards) {
    if (job.in_place && finished.contains(name)) continue;
    const InputFile file(job.source.path(name));
    const SafetensorsHeader header = read_safetensors_header(file);
    const auto before = job.record.shards.find(name);
    const std::uint64_t header_bytes =
        job.record.undoing && before != job.record.shards.end() ? before->second.header_bytes : 0;
    ShardPlan plan = plan_shard(file, header, job.record.renumbering, header_bytes, coverage);
    if (!job.record.undoing) job.record.shards[name] = {file.size(), header.text.size()};
    if (!finished.contains(name)) job.files.emplace_back(name, std::move(plan));
    for (const SafetensorsTensor& tensor : header.tensors) {
      const TensorRole role = role_of(tensor.name);
      const bool has_experts = role.kind == TensorRole::Kind::OneExpert || role.kind == TensorRole::Kind::AllExperts;
      if (has_experts && job.record.renumbering.find(role.layer) == nullptr) untouched.insert(role.layer);
    }
  }
  job.untouched_layers.assign(untouched.begin(), untouched.end());
  if (all_old) check_coverage(job, coverage);
}

void finish_interrupted_renames(const CheckpointPermutation& job, const std::set<std::string>& finished) {
  for (const std::string& name : finished) {
    const std::string path = job.output + "/" + name;
    if (fs::exists(path + successor_suffix)) fs::rename(path + successor_suffix, path);
  }
}

}  // namespace

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
  if (job.in_place) finish_interrupted_renames(job, finished);
  plan_shards(job, finished);
  for (const std::string& name : source.indices) {
    if (finished.contains(name)) continue;
    const std::string path = source.path(name);
    const std::string text = read_whole_text(path, std::uint64_t{64} << 20);
    job.files.emplace_back(name, ShardPlan{renumbered_index(text, record.renumbering, path), {}});
  }
  if (!job.in_place)
    for (const std::string& name : source.others)
      if (!finished.contains(name)) job.files.emplace_back(name, plan_whole_copy(source.path(name)));
  job.finished_files =
      source.shards.size() + source.indices.size() + (job.in_place ? 0 : source.others.size()) - job.files.size();
  return job;
}

void carry_out(const CheckpointPermutation& job, const std::function<void(std::uint64_t)>& written) {
  make_directory(job.output);
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
  std::uint64_t done = 0;
  for (const auto& [name, plan] : job.files) {
    const InputFile source(job.source.path(name));
    const std::string path = job.output + "/" + name;
    TemporaryFile file(job.in_place ? path + successor_suffix : path, ".partial");
    file.write(std::as_bytes(std::span(plan.prefix)));
    done += plan.prefix.size();
    for (const ShardPlan::Part& part : plan.parts) {
      for (std::uint64_t at = 0; at < part.byte_count; at += copy_step_bytes) {
        const std::uint64_t bytes = std::min(copy_step_bytes, part.byte_count - at);
        file.append_from(source, part.offset + at, bytes);
        written(done += bytes);
      }
    }
    file.synchronize_and_close();
    file.rename_to_final();
    if (job.in_place) {
      add_to_journal(journal, journaled, name);
      fs::rename(path + successor_suffix, path);
    }
  }
  // The journal goes last: a run that is under way without one would begin again, on files that it has changed.
  if (job.record.undoing) {
    fs::remove(job.output + "/" + record_name);
    fs::remove(running);
  } else {
    fs::rename(running, job.output + "/" + record_name);
  }
  sweep_up(job.output);
}

bool is_carried_out(const std::string& output, const PermutationRecord& record) {
  const std::string path = output + "/" + record_name;
  return fs::exists(path) && !fs::exists(output + "/" + running_name) &&
         read_permutation_record(path).renumbering == record.renumbering;
}

void sweep_up(const std::string& output) {
  for (const fs::path& path : traces_of_run(output)) fs::remove(path);
}

}  // namespace gem
