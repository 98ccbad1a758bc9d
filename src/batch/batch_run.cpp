#include "batch/batch_run.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "base/table.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "batch/board.hpp"
#include "batch/pair_check.hpp"
#include "batch/pair_files.hpp"
#include "batch/pair_run.hpp"
#include "batch/pair_traces.hpp"
#include "batch/profile_stage.hpp"
#include "device/device_kind.hpp"
#include "platform/command_line/program.hpp"
#include "platform/file_system/file_lock.hpp"
#include "platform/file_system/named_files.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/mpi/shared_counter.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

/// A batch on all ranks.
class Batch {
 public:
  Batch(const Communicator& world, const Manifest& manifest, const BatchOptions& options)
      : world_(world), manifest_(manifest), options_(options), indices_(options.selected) {
    if (indices_.empty())
      for (std::size_t i = 0; i < manifest.pairs.size(); ++i) indices_.push_back(i);
  }

  ExitCode run() {
    world_.on_root([&] { take_directory(); });
    std::vector<std::string> names;
    for (std::size_t index : indices_) names.push_back(manifest_.pairs[index].name);
    Board board(world_, names, !options_.quiet, options_.live);

    if (options_.only != BatchStage::Traces) world_.on_root([&] { make_shared_traces(); });
    std::vector<std::size_t> together, side_by_side;
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      const bool any_ranks = is_virtual_kind(pair_at(i).profile.devices.kind) || !needs_devices(options_.only);
      (any_ranks ? side_by_side : together).push_back(i);
    }
    for (std::size_t i : together) run_one(world_, i, board);
    run_side_by_side(side_by_side, board);
    board.wait_for_all();
    world_.barrier();  // groups that end early wait for the rest

    const int code = world_.max(static_cast<int>(interrupted_ ? ExitCode::Interrupted : ExitCode::Good));
    return static_cast<ExitCode>(code != 0 ? code : world_.max(static_cast<int>(failure_)));
  }

 private:
  bool stop_agreed(const Communicator& group) const {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
    const bool stop = stop_requested() || elapsed.count() >= options_.begin_within_s;
    return group.max(stop ? 1 : 0) == 1;
  }

  const BatchPair& pair_at(std::size_t i) const { return manifest_.pairs[indices_[i]]; }

  // On rank 0: directories, locks, and a clean start where nothing is to be kept. A run of selected pairs shares the
  // directory with others of its kind.
  void take_directory() {
    keep_sources();
    make_directory(profile_folder(manifest_.output));
    const bool whole = options_.selected.empty();
    locks_.emplace_back(std::make_unique<FileLock>(manifest_.output + "/lock",
                                                   whole ? FileLock::Kind::Exclusive : FileLock::Kind::Shared, false,
                                                   manifest_.output));
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      const PairFiles files(manifest_.output, pair_at(i));
      make_directory(files.folder());
      if (!whole)
        locks_.emplace_back(std::make_unique<FileLock>(files.lock(), FileLock::Kind::Exclusive, false, files.folder()));
      if (!options_.resume) forget_pair(pair_at(i), manifest_.output);
    }
    if (!whole || options_.resume) return;
    for (const auto& entry : fs::directory_iterator(profile_folder(manifest_.output)))
      if (entry.path().extension() == ".stamp" || entry.path().extension() == ".partial") fs::remove(entry.path());
  }

  // A profile that pairs share is measured for the steps of all of them, also of those that this run leaves alone. What
  // fails here does so again, and is told of, when its pair is run.
  void make_shared_traces() const {
    for (const BatchPair& pair : manifest_.pairs) {
      const auto serves = [&](std::size_t index) { return share_profile(pair, manifest_.pairs[index]); };
      if (std::ranges::none_of(indices_, serves)) continue;
      const PairFiles files(manifest_.output, pair);
      try {
        make_directory(files.folder());
        make_traces(pair, files, options_.command_line, [] {});
      } catch (const Error&) {
        continue;
      }
    }
  }

  void keep_sources() const {
    std::vector<NamedFile> sources{{"the manifest", manifest_.path}}, results;
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      const BatchPair& pair = pair_at(i);
      sources.insert(sources.end(), {{"routing of " + pair.name, pair.source.routing},
                                     {"trace of " + pair.name, pair.source.trace},
                                     {"test_trace of " + pair.name, pair.source.test_trace},
                                     {"model of " + pair.name, model_file_of_option(pair.profile.model)},
                                     {"slowdown of " + pair.name, slowdown_file_of(pair.profile.devices.slowdown)}});
      for (const std::string& path : PairFiles(manifest_.output, pair).written(pair))
        results.push_back({"a result of " + pair.name, path});
    }
    keep_apart(sources, results);
  }

  void run_side_by_side(const std::vector<std::size_t>& units, Board& board) {
    if (units.empty()) return;
    const int group_count = std::min(world_.size(), static_cast<int>(units.size()));
    const OwnedCommunicator group(world_, world_.rank() * group_count / world_.size());
    SharedCounter counter(world_);
    for (;;) {
      std::int64_t unit = group.get().is_root() ? counter.next() : 0;
      unit = group.get().broadcast(unit);
      if (unit >= static_cast<std::int64_t>(units.size())) break;
      run_one(group.get(), units[static_cast<std::size_t>(unit)], board);
    }
    // Groups that are done serve those that still fetch, by waiting in calls of MPI.
    board.wait_for_all();
    counter.close();
  }

  void run_one(const Communicator& group, std::size_t i, Board& board) {
    const auto tell = [&](PairState state) {
      if (group.is_root()) board.report(i, state);
    };
    if (group.is_root()) board.begin(i);
    if (stop_agreed(group)) {
      interrupted_ = true;
      return tell(PairState::Interrupted);
    }
    const PairFiles files(manifest_.output, pair_at(i));
    try {
      const bool made = run_pair(group, manifest_, pair_at(i), options_.only, options_.command_line, tell);
      group.on_root([&] { fs::remove(files.error()); });
      tell(made ? PairState::Done : PairState::Kept);
    } catch (const Error& error) {
      // What one rank of several meets alone can't be caught: the others wait for it.
      const bool shared = group.size() == 1 || dynamic_cast<const AgreedError*>(&error) != nullptr;
      if (!shared) throw;
      if (error.code() == ExitCode::Interrupted) {
        interrupted_ = true;
        return tell(PairState::Interrupted);
      }
      failure_ = std::max(failure_, error.code());
      group.on_root([&] { write_whole_text(files.error(), std::string(error.what()) + "\n"); });
      tell(PairState::Failed);
    }
  }

  Communicator world_;
  const Manifest& manifest_;
  const BatchOptions& options_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::vector<std::size_t> indices_;
  std::vector<std::unique_ptr<FileLock>> locks_;  // on rank 0
  bool interrupted_ = false;
  ExitCode failure_ = ExitCode::Good;
};

}  // namespace

ExitCode run_batch(const Communicator& world, const Manifest& manifest, const BatchOptions& options) {
  return Batch(world, manifest, options).run();
}

std::string describe_failures(const Manifest& manifest, const BatchOptions& options) {
  constexpr std::uint64_t most_bytes = 1 << 20;
  std::string lines;
  for (std::size_t i = 0; i < manifest.pairs.size(); ++i) {
    const BatchPair& pair = manifest.pairs[i];
    const bool selected = options.selected.empty() || std::ranges::find(options.selected, i) != options.selected.end();
    const std::optional<std::string> reason =
        selected ? read_text_file(PairFiles(manifest.output, pair).error(), most_bytes) : std::nullopt;
    if (reason) lines += fmt::format("{} failed: {}\n", pair.name, trim(*reason));
  }
  return lines;
}

namespace {

std::string source_of(const TraceSource& source) {
  if (source.synthetic) return "synthetic";
  return source.routing.empty() ? source.trace : source.routing;
}

}  // namespace

JsonRecord pair_record(const Manifest& manifest, bool resume) {
  std::vector<JsonRecord> pairs;
  for (std::size_t i = 0; i < manifest.pairs.size(); ++i) {
    const BatchPair& pair = manifest.pairs[i];
    const DeviceOptions& devices = pair.profile.devices;
    JsonRecord& record = pairs.emplace_back();
    record.add("index", i)
        .add("pair", pair.name)
        .add("device_kind", devices.kind)
        .add("devices", devices.device_count > 0 ? std::optional(devices.device_count) : std::nullopt)
        .add("steps_from", source_of(pair.source))
        .add("methods", mapping_names(pair))
        .add("verify_steps", pair.verify ? std::optional(pair.replay.steps) : std::nullopt);
    if (resume) record.add("to_do", !is_whole(manifest, pair));
  }
  return JsonRecord().add("pairs", pairs).add("output", manifest.output);
}

std::string pair_table(const Manifest& manifest, bool resume) {
  std::vector<Table::Column> columns{{"index", ""},         {"pair", ""},       {"devices", "", 4},
                                     {"steps from", "", 1}, {"methods", "", 2}, {"verify", "steps", 3}};
  if (resume) columns.push_back({"state", ""});
  Table table(columns);
  for (std::size_t i = 0; i < manifest.pairs.size(); ++i) {
    const BatchPair& pair = manifest.pairs[i];
    const DeviceOptions& devices = pair.profile.devices;
    std::vector<std::string> cells{fmt::format("{}", i),
                                   pair.name,
                                   devices.device_count > 0 ? fmt::format("{} {}", devices.device_count, devices.kind)
                                                            : devices.kind + ", one a rank",
                                   source_of(pair.source),
                                   join(mapping_names(pair)),
                                   pair.verify ? fmt::format("{}", pair.replay.steps) : "-"};
    if (resume) cells.push_back(is_whole(manifest, pair) ? "kept" : "to do");
    table.add_row(cells);
  }
  return table.to_string();
}

}  // namespace gem
