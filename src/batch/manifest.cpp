#include "batch/manifest.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"
#include "batch/manifest_keys.hpp"

namespace gem {

std::string folder_name(std::string model) {
  std::ranges::replace(model, '/', '-');
  return model;
}

namespace {

/// What other rooms say of their options, as of the manifest's keys: "--skew 1e9 is out of reach" without the dashes.
/// `other_names` are keys that are not called like their option.
std::string of_keys(std::string message, const std::map<std::string, std::string>& other_names) {
  for (std::size_t at = 0; (at = message.find("--", at)) != std::string::npos; ++at) {
    const std::size_t end = std::min(message.size(), message.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at + 2));
    std::string name = message.substr(at + 2, end - at - 2);
    std::ranges::replace(name, '-', '_');
    if (const auto other = other_names.find(name); other != other_names.end()) name = other->second;
    if (std::ranges::find(manifest_keys(), name, &ManifestKey::name) != manifest_keys().end())
      message.replace(at, end - at, name);
  }
  return message;
}

/// Values of a slowdown that is a list, else 0.
std::size_t listed_slowdowns(const std::string& slowdown) {
  if (slowdown.empty() || slowdown.ends_with(".csv")) return 0;
  return static_cast<std::size_t>(std::ranges::count(slowdown, ',')) + 1;
}

/// Reads a manifest and collects its mistakes.
class Reader {
 public:
  Reader(const TomlTable& root, const std::string& path, std::size_t rank_count)
      : root_(root), rank_count_(rank_count), defaults_(default_draft()) {
    manifest_.path = path;
    manifest_.rank_count = rank_count;
    defaults_.directory = std::filesystem::path(path).parent_path();
  }

  Manifest read() {
    for (const TomlMember& member : root_.members)
      if (member.name != "output" && member.name != "defaults" && member.name != "model" && member.name != "task")
        mistake(member.value.line, "unknown key '" + member.name + "'; there are output, defaults, model and task");
    read_output();
    if (const TomlMember* defaults = root_.find("defaults")) {
      if (const auto* table = std::get_if<TomlTable>(&defaults->value.value))
        take_keys(defaults_, *table, {});
      else
        mistake(defaults->value.line, "defaults must be a table: [defaults]");
    }
    const std::vector<const TomlTable*> common_tasks = tables(root_, "task");
    const std::vector<const TomlTable*> models = tables(root_, "model");
    if (models.empty()) mistake(1, "no model; give each one as [[model]] with its name");
    for (const TomlTable* model : models) read_model(*model, common_tasks);
    if (!mistakes_.empty()) report();
    if (ranks_needed_ > 0)
      throw UsageError(fmt::format(
          "{} lists slowdowns for {} devices, but the job has {} rank{}, and each device is one "
          "rank: mpirun -n {} gem-batch {}",
          manifest_.path, ranks_needed_, rank_count_, rank_count_ == 1 ? "" : "s", ranks_needed_, manifest_.path));
    return manifest_;
  }

 private:
  void mistake(std::size_t line, const std::string& what) {
    const std::pair<std::size_t, std::string> entry(line, what);
    if (std::ranges::find(mistakes_, entry) == mistakes_.end()) mistakes_.push_back(entry);
  }

  // What a key of [defaults] does wrong, it does in every task: that is one mistake.
  [[noreturn]] void report() {
    std::ranges::stable_sort(mistakes_, {}, &std::pair<std::size_t, std::string>::first);
    std::vector<std::string> said, lines;
    for (const auto& [line, what] : mistakes_) {
      if (std::ranges::find(said, what) != said.end()) continue;
      said.push_back(what);
      std::vector<std::string> others;
      for (const auto& [other_line, other] : mistakes_)
        if (other == what && other_line != line) others.push_back(std::to_string(other_line));
      lines.push_back(fmt::format("{}:{}: {}", manifest_.path, line, what));
      if (!others.empty()) lines.back() += " (so for line " + join(others) + ")";
    }
    throw DataError(lines.size() == 1 ? lines[0]
                                      : fmt::format("{} mistakes in the manifest, nothing was run\n", lines.size()) +
                                            join(lines, "\n"));
  }

  /// Runs a check of another room; its error becomes a mistake on that line.
  template <class Check>
  void check(std::size_t line, const Check& work, const std::map<std::string, std::string>& other_names = {}) {
    try {
      work();
    } catch (const Error& error) {
      mistake(line, of_keys(error.what(), other_names));
    }
  }

  void read_output() {
    const TomlMember* output = root_.find("output");
    if (output == nullptr) return mistake(1, "output is missing: the directory for all results");
    const auto* path = std::get_if<std::string>(&output->value.value);
    if (path == nullptr || path->empty()) return mistake(output->value.line, "output must be the name of a directory");
    manifest_.output = (std::filesystem::path(defaults_.directory) / *path).lexically_normal();
  }

  std::vector<const TomlTable*> tables(const TomlTable& parent, const std::string& name) {
    std::vector<const TomlTable*> found;
    const TomlMember* member = parent.find(name);
    if (member == nullptr) return found;
    const auto* items = std::get_if<std::vector<TomlValue>>(&member->value.value);
    if (items != nullptr)
      for (const TomlValue& item : *items)
        if (const auto* table = std::get_if<TomlTable>(&item.value)) found.push_back(table);
    if (items == nullptr || found.size() != items->size())
      mistake(member->value.line, name + " must be a table of a list: [[" + name + "]]");
    return found;
  }

  /// Takes the keys of a level; `own` are those that it has beside the common ones.
  void take_keys(PairDraft& draft, const TomlTable& table, const std::vector<std::string>& own) {
    for (const TomlMember& member : table.members) {
      if (std::ranges::find(own, member.name) != own.end()) continue;
      const auto key = std::ranges::find(manifest_keys(), member.name, &ManifestKey::name);
      if (key == manifest_keys().end()) {
        std::vector<std::string> names = own;
        for (const ManifestKey& known : manifest_keys()) names.push_back(known.name);
        const std::vector<std::string> near = near_words(member.name, names);
        mistake(member.value.line, "unknown key '" + member.name + "'" +
                                       (near.empty() ? "" : "; did you mean " + join(near, " or ") + "?"));
      } else if (bool taken = true; check(member.value.line, [&] { taken = key->take(draft, member.value); }), !taken) {
        mistake(member.value.line, member.name + " is " + member.value.kind() + "; it must be " + key->expected);
      }
    }
  }

  /// The text member `name` of a level, which must be there.
  std::string required_text(const TomlTable& table, const std::string& level) {
    const TomlMember* member = table.find("name");
    const auto* text = member == nullptr ? nullptr : std::get_if<std::string>(&member->value.value);
    if (text != nullptr && !text->empty()) return *text;
    mistake(member == nullptr ? table.line : member->value.line, "the " + level + "'s name is missing");
    return "";
  }

  void read_model(const TomlTable& table, const std::vector<const TomlTable*>& common_tasks) {
    PairDraft draft = defaults_;
    draft.model = required_text(table, "model");
    take_keys(draft, table, {"name", "task"});
    if (draft.model.find(".csv") != std::string::npos && draft.model[0] != '/')
      draft.model = (std::filesystem::path(draft.directory) / draft.model).lexically_normal();
    if (!draft.model.empty()) check(table.line, [&] { draft.pair.model = model_of_option(draft.model); });
    std::vector<const TomlTable*> tasks = common_tasks;
    const std::vector<const TomlTable*> own_tasks = tables(table, "task");
    tasks.insert(tasks.end(), own_tasks.begin(), own_tasks.end());
    if (tasks.empty()) mistake(table.line, "model '" + draft.model + "' has no task; give [[task]] or [[model.task]]");
    for (const TomlTable* task : tasks) read_task(draft, *task);
  }

  void read_task(PairDraft draft, const TomlTable& table) {
    draft.name = required_text(table, "task");
    take_keys(draft, table, {"name"});
    draft.pair.line = table.line;
    const bool known_model = !draft.pair.model.name.empty();
    check_files(draft.pair);
    if (!known_model || draft.name.empty()) return;
    // Each batch size is a pair of its own.
    const std::vector<std::size_t> one{0};
    const bool several = draft.batch_sizes.size() > 1 || draft.chunk_tokens.size() > 1;
    for (std::size_t batch_size : draft.batch_sizes.empty() ? one : draft.batch_sizes)
      for (std::size_t chunk : draft.chunk_tokens.empty() ? one : draft.chunk_tokens) {
        BatchPair pair = draft.pair;
        pair.source.batching.batch_size = batch_size;
        pair.source.batching.chunk_tokens = chunk;
        pair.source.task = draft.name;
        pair.name = folder_name(pair.model.name) + "/" + draft.name;
        if (several && batch_size > 0) pair.name += fmt::format("-b{}", batch_size);
        if (several && chunk > 0) pair.name += fmt::format("-c{}", chunk);
        finish(pair, draft);
      }
  }

  void finish(BatchPair& pair, const PairDraft& draft) {
    pair.profile.model = draft.model;
    DeviceOptions& devices = pair.profile.devices;
    if (is_virtual_kind(devices.kind) && devices.device_count == 0) devices.device_count = rank_count_;
    pair.profile.seed = pair.replay.seed = pair.replay.replay.seed = draft.seed;
    pair.source.batching.seed = pair.source.synthesis.seed = pair.mapping.seed = draft.seed;
    pair.replay.share_gpu = pair.profile.share_gpu;
    pair.replay.command = devices.command;
    pair.replay.command_timeout_s = devices.command_timeout_s;
    SynthesisOptions& synthesis = pair.source.synthesis;
    synthesis.expert_count = pair.model.expert_count;
    synthesis.top_k = pair.model.top_k;
    synthesis.layer_ids = moe_layer_ids(pair.model);
    const BatchingOptions& batching = pair.source.batching;
    if (const std::size_t tokens = std::max(batching.batch_size, batching.chunk_tokens); tokens > 0)
      synthesis.tokens_per_step = tokens;
    synthesis.steps = 2 * pair.source.batching.steps;  // the later half to score on

    check_name(pair);
    check_source(pair);
    // What the whole set-up checks one after the other, for all mistakes at once.
    check(pair.line, [&] { device_kind(devices.kind); });
    check(pair.line, [&] { weight_element_bytes(devices.weight_dtype); });
    std::size_t ranks = std::max<std::size_t>(1, rank_count_);
    if (!is_virtual_kind(devices.kind) && listed_slowdowns(pair.profile.slowdown) > ranks) {
      ranks = listed_slowdowns(pair.profile.slowdown);
      if (rank_count_ > 0) ranks_needed_ = std::max(ranks_needed_, ranks);
    }
    if (devices.device_count > 0)
      check(pair.line, [&] { parse_slowdowns(pair.profile.slowdown, devices.device_count); });
    check(pair.line, [&] {
      check_profile_request(pair.profile);
      if (rank_count_ > 0 || is_virtual_kind(devices.kind)) set_up_profile(pair.profile, ranks);
    });
    for (const std::string& method : pair.methods)
      check(pair.line, [&] { parse_method(method); }, {{"method", "methods"}});
    check(pair.line, [&] { check_replay_request(pair.replay); }, {{"steps", "verify_steps"}});
    manifest_.pairs.push_back(pair);
  }

  void check_name(const BatchPair& pair) {
    const std::size_t end =
        pair.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./", 0);
    if (end != std::string::npos || std::ranges::count(pair.name, '/') != 1 ||
        pair.name.find("/.") != std::string::npos)
      mistake(pair.line, "'" + pair.name + "' can't be the name of a folder; use letters, digits, '-', '_' and '.'");
    for (const BatchPair& other : manifest_.pairs)
      if (other.name == pair.name)
        mistake(pair.line, fmt::format("the pair '{}' is there twice, see line {}; give one task another name",
                                       pair.name, other.line));
  }

  void check_files(const BatchPair& pair) {
    const TraceSource& source = pair.source;
    for (const std::string& path : {source.routing, source.trace, source.test_trace})
      if (!path.empty() && !std::filesystem::is_regular_file(path)) mistake(pair.line, "there is no file " + path);
  }

  void check_source(const BatchPair& pair) {
    const TraceSource& source = pair.source;
    const int count = (source.routing.empty() ? 0 : 1) + (source.trace.empty() ? 0 : 1) + (source.synthetic ? 1 : 0);
    if (count != 1)
      mistake(pair.line,
              fmt::format("task '{}' has {} sources of steps; it needs one of routing, trace and synthetic = true",
                          source.task, count));
    if (!source.test_trace.empty() && source.trace.empty())
      mistake(pair.line, "test_trace stands alone; give the trace to search on too");
    if (!(source.batching.split > 0.0 && source.batching.split < 1.0))
      mistake(pair.line, fmt::format("split is {:g}; it must be between 0 and 1", source.batching.split));
    const std::string& phase = source.batching.phase;
    if (!phase.empty() && phase != "decode" && phase != "prefill")
      mistake(pair.line, "phase is '" + phase + "'; it must be decode or prefill");
    if (source.batching.steps == 0) mistake(pair.line, "steps must be above 0");
    if (source.synthetic)
      check(pair.line, [&] {  // a small trace of these parameters
        SynthesisOptions small = source.synthesis;
        small.steps = 1;
        small.layer_ids = {0};
        synthesize_trace(small);
      });
  }

  const TomlTable& root_;
  std::size_t rank_count_;
  std::size_t ranks_needed_ = 0;  // more than there are
  PairDraft defaults_;
  Manifest manifest_;
  std::vector<std::pair<std::size_t, std::string>> mistakes_;
};

}  // namespace

Manifest read_manifest(const std::string& path, std::size_t rank_count) {
  const TomlTable root = read_toml(path);
  return Reader(root, path, rank_count).read();
}

Manifest parse_manifest(std::string_view text, const std::string& path, std::size_t rank_count) {
  const TomlTable root = parse_toml(text, path);
  return Reader(root, path, rank_count).read();
}

}  // namespace gem
