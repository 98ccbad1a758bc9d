// gem-deploy permute: a checkpoint whose linear placement is the mapping.
#include <fmt/core.h>
#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/quoting.hpp"
#include "base/text.hpp"
#include "deploy_commands.hpp"
#include "files/mapping_file.hpp"
#include "interchange/checkpoint_config.hpp"
#include "interchange/checkpoint_permutation.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/progress.hpp"
#include "platform/command_line/result_output.hpp"
#include "platform/file_system/named_files.hpp"

namespace gem {
namespace {

struct PermuteJob {
  std::string mapping, checkpoint, output;
  StatedRouting stated;
  bool inverse = false, in_place = false, force = false, resume = false, dry_run = false, quiet = false;
};

void describe(OptionList& options, PermuteJob& job) {
  options.group("Files");
  options.add_file("checkpoint", job.checkpoint, "DIR", "checkpoint to read: safetensors, config.json").required();
  options.add_file("mapping", job.mapping, "FILE", "mapping (gem.mapping), from gem-map; required, unless {inverse}");
  options.add_file("output", job.output, "DIR", "checkpoint to write; required, unless {in-place}");
  options.group("What is done");
  options.add("inverse", job.inverse, "undo: from a permuted checkpoint, the original to the byte (no {mapping})");
  options.add("in-place", job.in_place, "change the checkpoint itself (no {output}); needs {force}");
  options.add("force", job.force, "do change it in place");
  options.add("resume", job.resume, "go on with a run that was interrupted");
  describe(options, job.stated);
  options.group("Common");
  options.add("dry-run", job.dry_run, "check everything, say what would be written, write nothing");
}

void check(const PermuteJob& job) {
  const OptionName mapping = option_name(&PermuteJob::mapping), output = option_name(&PermuteJob::output),
                   inverse = option_name(&PermuteJob::inverse), in_place = option_name(&PermuteJob::in_place);
  if (!job.inverse && job.mapping.empty())
    throw option_error(mapping, "{} is missing: the gem.mapping file to renumber by");
  if (job.inverse && !job.mapping.empty())
    throw option_error(inverse, "{} takes the permutation from the checkpoint's gem_mapping.json; leave {} out",
                       mapping);
  if (job.inverse && (job.stated.expert_count || job.stated.group_count))
    throw option_error(inverse, "{} needs neither {} nor {}; leave them out", option_name(&StatedRouting::expert_count),
                       option_name(&StatedRouting::group_count));
  if (job.in_place && !job.output.empty())
    throw option_error(in_place, "{} and {} contradict each other; give one of them", output);
  if (!job.in_place && job.output.empty())
    throw option_error(output, "{} is missing: the directory for the renumbered checkpoint");
  std::error_code ignored;
  if (!job.in_place && std::filesystem::equivalent(job.checkpoint, job.output, ignored))
    throw option_error(output, "{} is the checkpoint itself; to change it in place, say {} {}", in_place,
                       option_name(&PermuteJob::force));
  if (job.in_place && !job.force && !job.dry_run)
    throw option_error(in_place, "{} would change the only copy of {}; give {} DIR instead, or add {} ({} can undo it)",
                       job.checkpoint, output, option_name(&PermuteJob::force), inverse);
}

bool parse(const Arguments& arguments, PermuteJob& job) {
  CommandLine line("gem-deploy permute",
                   "renumbers the experts of a checkpoint (safetensors) so that linear placement, which is what most "
                   "engines do, is the mapping: same outputs, any engine, no change of code.");
  line.add(job);
  line.add_example("gem-deploy permute --mapping mapping.h5 --checkpoint MODEL --output MODEL-gem");
  line.add_example("gem-deploy permute --inverse --checkpoint MODEL-gem --output MODEL");
  if (!line.parse({arguments.begin() + 1, arguments.end()})) return false;
  job.quiet = line.quiet();
  check(job);
  if (job.in_place) job.output = job.checkpoint;
  return true;
}

PermutationRecord record_to_undo(const PermuteJob& job, PermutationStanding standing) {
  if (standing == PermutationStanding::Plain)
    throw DataError(job.checkpoint +
                    "/gem_mapping.json: there is no such file, so this checkpoint was not permuted by GEM");
  PermutationRecord record = read_record_of(job.checkpoint);
  if (standing == PermutationStanding::Unfinished && !record.undoing)
    throw UsageError(job.checkpoint +
                     ": holds an unfinished permutation; finish it first, by its --mapping with --resume");
  // The record of an undoing that was interrupted holds the inverse already.
  if (!record.undoing) record.renumbering = inverse_of(record.renumbering);
  record.undoing = true;
  return record;
}

PermutationRecord record_of_mapping(const PermuteJob& job, const Checkpoint& checkpoint) {
  const Mapping mapping = read_mapping(job.mapping);
  const RoutingConfig routing = read_routing_config(checkpoint, mapping.expert_count(), job.stated);
  PermutationRecord record{mapping.model, mapping.method, false, {}, {}};
  try {
    record.renumbering = renumbering_of(mapping, routing.group_count);
  } catch (const UsageError& error) {
    throw UsageError((routing.group_count > 1 ? routing.group_origin : job.mapping) + ": " + error.what());
  }
  record.renumbering.zero_expert_count = routing.zero_expert_count;
  return record;
}

/// Nothing may be read from a checkpoint of which a part is renumbered, but by the run that goes on with it.
void expect_whole(const PermuteJob& job, PermutationStanding standing) {
  if (standing == PermutationStanding::Lost)
    throw DataError(
        job.checkpoint +
        ": holds what an interrupted permutation left behind, but not its record (gem_mapping.json.partial): "
        "some files may be renumbered and others not, whatever a gem_mapping.json says; copy the checkpoint again");
  if (standing == PermutationStanding::Unfinished && !(job.in_place && job.resume))
    throw UsageError(job.checkpoint +
                     ": holds an unfinished permutation, in which some files are renumbered and others are not; finish "
                     "it first, by the command that was interrupted with --resume");
}

/// Removes what a run that was killed at its very end left behind, its lock too.
void sweep_up_after(const PermuteJob& job) {
  if (job.dry_run) return;
  std::optional<PermutationLock> lock;
  if (!job.in_place) lock.emplace(job.output);  // in place it is held already
  sweep_up(job.output);
}

/// Says so if the run would do what is done already.
bool is_done_already(const PermuteJob& job, const Checkpoint& checkpoint, PermutationStanding standing) {
  if (!job.resume) return false;
  if (job.inverse && job.in_place && standing == PermutationStanding::Plain) {
    sweep_up_after(job);
    std::cout << job.output << ": holds no permutation, nothing is left to undo\n";
    return true;
  }
  const PermutationRecord record = job.inverse ? record_to_undo(job, standing) : record_of_mapping(job, checkpoint);
  if ((job.inverse && job.in_place) || !is_carried_out(checkpoint, job.output, record)) return false;
  sweep_up_after(job);
  std::cout << job.output << ": this permutation is finished, nothing is left to do\n";
  return true;
}

/// The new checkpoint's files may be links to those of the old one, or the mapping.
void keep_source(const CheckpointPermutation& plan, const std::string& mapping) {
  if (plan.in_place) return;
  std::vector<NamedFile> inputs{{"--mapping", mapping}}, outputs;
  for (const auto* names : {&plan.source.shards, &plan.source.indices, &plan.source.others})
    for (const std::string& name : *names) inputs.push_back({"--checkpoint", plan.source.path(name)});
  for (const auto& [name, shard] : plan.files) outputs.push_back({"--output", plan.output + "/" + name});
  keep_apart(inputs, outputs);
}

JsonRecord plan_record(const CheckpointPermutation& plan) {
  const Renumbering& renumbering = plan.record.renumbering;
  return JsonRecord()
      .add("checkpoint", plan.source.directory)
      .add("shards", plan.source.shards.size())
      .add("bytes", plan.bytes_to_write())
      .add("layers", renumbering.layers.size())
      .add("experts", renumbering.expert_count)
      .add("devices", renumbering.device_count)
      .add("undoing", plan.record.undoing)
      .add("finished_files", plan.finished_files)
      .add("notes", plan.notes)
      .add("skipped", plan.source.skipped);
}

std::string experts_a_layer(const Renumbering& renumbering) {
  LayerExperts experts;
  for (const Renumbering::Layer& layer : renumbering.layers)
    experts.push_back(static_cast<std::int32_t>(layer.old_of_new.size()));
  return experts_text(experts, renumbering.expert_count);
}

void print_plan(const CheckpointPermutation& plan) {
  const Renumbering& renumbering = plan.record.renumbering;
  std::vector<std::string> lines = {
      fmt::format("{}: {} shards, {} to write; {} layers of {} experts, {} devices of {}{}", plan.source.directory,
                  plan.source.shards.size(), format_bytes(static_cast<double>(plan.bytes_to_write())),
                  renumbering.layers.size(), experts_a_layer(renumbering), renumbering.device_count,
                  renumbering.expert_count / renumbering.device_count, plan.record.undoing ? " (undoing)" : "")};
  if (plan.finished_files > 0) lines.push_back(fmt::format("{} files were finished before", plan.finished_files));
  lines.insert(lines.end(), plan.notes.begin(), plan.notes.end());
  if (!plan.source.skipped.empty())
    lines.push_back((plan.in_place ? "Not changed, so that experts in it keep their old numbers: "
                                   : "Left out, since experts in it would keep their old numbers: ") +
                    join(plan.source.skipped));
  for (std::string& line : lines) {
    std::ranges::replace_if(
        line, [](unsigned char letter) { return std::iscntrl(letter) != 0; }, '?');
    std::cout << line << "\n";
  }
}

}  // namespace

int run_permute(const Arguments& arguments) {
  PermuteJob job;
  if (!parse(arguments, job)) return 0;
  std::optional<PermutationLock> lock;
  if (job.in_place && !job.dry_run && std::filesystem::is_directory(job.checkpoint)) lock.emplace(job.checkpoint);
  const PermutationStanding standing = standing_of(job.checkpoint);
  expect_whole(job, standing);
  const Checkpoint checkpoint = find_checkpoint(job.checkpoint);
  if (is_done_already(job, checkpoint, standing)) {
    print_result(JsonRecord().add("output", job.output).add("nothing_to_do", true));
    return 0;
  }
  if (!job.inverse && standing == PermutationStanding::Permuted)
    throw UsageError(job.checkpoint + ": is permuted already (gem_mapping.json); undo that first with --inverse");
  const PermutationRecord record = job.inverse ? record_to_undo(job, standing) : record_of_mapping(job, checkpoint);
  const CheckpointPermutation plan = plan_permutation(checkpoint, job.output, record, job.resume);
  print_plan(plan);
  if (job.dry_run) {
    std::cout << "Dry run: nothing was written\n";
    print_result(JsonRecord().add("dry_run", true).add_all(plan_record(plan)));
    return 0;
  }
  keep_source(plan, job.mapping);
  if (!lock) lock.emplace(job.output);
  set_termination_message("gem-deploy: ended from outside; the files that are finished are kept in " + job.output +
                          ": the same command with --resume goes on");
  const std::uint64_t total = plan.bytes_to_write();
  const auto begin = std::chrono::steady_clock::now();
  {
    Progress progress("writing", static_cast<std::size_t>(total >> 20) + 1, !job.quiet);
    carry_out(plan, [&](std::uint64_t bytes) { progress.update(static_cast<std::size_t>(bytes >> 20), "MiB"); });
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << fmt::format("Written: {}, {} in {} ({}/s)\n", job.output, format_bytes(static_cast<double>(total)),
                           format_seconds(seconds), format_bytes(static_cast<double>(total) / seconds));
  print_result(JsonRecord().add("output", job.output).add_all(plan_record(plan)).add("elapsed_s", seconds));
  if (job.inverse || job.quiet) return 0;
  const std::size_t devices = plan.record.renumbering.device_count;
  std::cout << "\n"
            << fmt::format(
                   "Start any engine on {} with {} expert-parallel ranks and its plain placement of experts, "
                   "in the order of the mapping's devices, and without load balancing that moves experts at "
                   "run time. gem_mapping.json in it says which expert is which. For example:",
                   job.output, devices)
            << fmt::format("\n  vllm serve {} \\\n    --tensor-parallel-size {} --enable-expert-parallel\n",
                           shell_word(job.output), devices)
            << fmt::format("  python3 -m sglang.launch_server --model-path {} \\\n    --tp-size {} --ep-size {}\n",
                           shell_word(job.output), devices, devices);
  return 0;
}

}  // namespace gem
