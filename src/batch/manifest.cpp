#include "batch/manifest.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"
#include "batch/manifest_keys.hpp"
#include "platform/text_formats/toml.hpp"

namespace gem {

std::vector<std::string> mapping_names(const BatchPair& pair) {
  std::vector<std::string> names = pair.methods;
  for (const MethodVariant& variant : pair.variants) names.push_back(variant.name);
  return names;
}

std::string folder_name(std::string model) {
  std::ranges::replace(model, '/', '-');
  return model;
}

namespace {

/// A pair under construction: what its keys said, level by level.
struct PairDraft {
  std::string directory;  ///< of the manifest
  std::string name;       ///< the task's
  std::string model;
  std::string suffix{};  ///< of the pair's name, for its setting
  BatchPair pair = default_pair();
  std::map<std::string, std::size_t> lines{};                      ///< where each key was said
  std::map<std::string, std::vector<std::string>> alternatives{};  ///< a pair for each; by key
};

constexpr std::string_view name_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// How the values of a key are told apart in names of pairs.
std::string letter_of(const std::string& key) {
  if (key == "batch_size") return "b";
  return key == "chunk_tokens" ? "c" : key;
}

/// Values of a slowdown that is a list, else 0.
std::size_t listed_slowdowns(const std::string& slowdown) {
  if (slowdown.empty() || slowdown.ends_with(".csv")) return 0;
  return static_cast<std::size_t>(std::ranges::count(slowdown, ',')) + 1;
}

/// Reads a manifest and collects its mistakes.
class Reader {
 public:
  Reader(const JsonNode& root, const JsonNode& overrides, const std::string& path, std::size_t rank_count)
      : root_(root), overrides_(overrides), rank_count_(rank_count) {
    manifest_.path = path;
    manifest_.rank_count = rank_count;
    defaults_.directory = std::filesystem::path(path).parent_path();
  }

  Manifest read() {
    for (const std::string& key : root_.keys())
      if (key != "output" && key != "defaults" && key != "model" && key != "task" && key != "setting" &&
          key != "method")
        mistake(root_.at(key).line(),
                fmt::format("unknown key '{}'; there are output, defaults, model, task, setting and method", key));
    read_output();
    if (root_.has("defaults")) {
      const JsonNode defaults = root_.at("defaults");
      if (defaults.is_object())
        take_keys(defaults_, defaults, {});
      else
        mistake(defaults.line(), "defaults must be a table: [defaults]");
    }
    settings_ = tables(root_, "setting");
    variants_ = tables(overrides_.has("method") ? overrides_ : root_, "method");
    const std::vector<JsonNode> common_tasks = tables(root_, "task");
    const std::vector<JsonNode> models = tables(root_, "model");
    if (models.empty()) mistake(1, "no model; give each one as [[model]] with its name");
    for (const JsonNode& model : models) read_model(model, common_tasks);
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

  /// Runs a check of what a pair's keys said; its error becomes a mistake on the line of the key that it is about, or
  /// else on that line.
  template <class Check>
  void check(const PairDraft& draft, std::size_t line, const Check& work) {
    try {
      work();
    } catch (const OptionError& error) {
      const auto known = draft.lines.find(error.option().key);
      mistake(known == draft.lines.end() ? line : known->second, error.what());
    } catch (const Error& error) {
      mistake(line, error.what());
    }
  }

  void read_output() {
    if (!root_.has("output")) return mistake(1, "output is missing: the directory for all results");
    const JsonNode output = root_.at("output");
    if (!output.is_text() || output.text().empty())
      return mistake(output.line(), "output must be the name of a directory");
    manifest_.output = (std::filesystem::path(defaults_.directory) / output.text()).lexically_normal();
  }

  std::vector<JsonNode> tables(const JsonNode& parent, const std::string& name) {
    std::vector<JsonNode> found;
    if (!parent.has(name)) return found;
    const JsonNode list = parent.at(name);
    for (std::size_t i = 0; list.is_array() && i < list.size(); ++i)
      if (list.item(i).is_object()) found.push_back(list.item(i));
    if (!list.is_array() || found.size() != list.size())
      mistake(list.line(), fmt::format("{0} must be a table of a list: [[{0}]]", name));
    return found;
  }

  /// The option of a key; null, and a mistake, if there is none. `own` are the keys beside the options.
  const Option* option_of(const OptionList& options, const std::string& name, std::size_t line,
                          const std::vector<std::string>& own) {
    if (const Option* option = options.find_key(name)) return option;
    std::vector<std::string> names = own;
    for (const Option& known : options.all()) names.push_back(known.name().key);
    const std::vector<std::string> near = near_words(name, names);
    mistake(line, "unknown key '" + name + "'" + (near.empty() ? "" : "; did you mean " + join(near, " or ") + "?"));
    return nullptr;
  }

  /// Takes the keys of a level; `own` are those that it has beside the common ones.
  void take_keys(PairDraft& draft, const JsonNode& table, const std::vector<std::string>& own) {
    OptionList options;
    describe(options, draft.pair);
    for (const std::string& name : table.keys()) {
      const JsonNode value = table.at(name);
      if (std::ranges::find(own, name) != own.end()) continue;
      const Option* option = option_of(options, name, value.line(), own);
      if (option == nullptr) continue;
      draft.lines[name] = value.line();
      draft.alternatives.erase(name);
      if (!value.is_array() || option->kind() != OptionKind::Count) {
        check(draft, value.line(), [&] { take_value(*option, value, draft.directory); });
        continue;
      }
      if (value.size() == 0) mistake(value.line(), name + " is an empty list");
      for (std::size_t i = 0; i < value.size(); ++i)
        check(draft, value.line(), [&] {
          take_value(*option, value.item(i), draft.directory);
          draft.alternatives[name].push_back(option->value());
        });
    }
  }

  /// The text member `name` of a level, which must be there.
  std::string required_text(const JsonNode& table, const std::string& level) {
    if (table.has("name") && table.at("name").is_text() && !table.at("name").text().empty())
      return table.at("name").text();
    mistake(table.has("name") ? table.at("name").line() : table.line(), "the " + level + "'s name is missing");
    return "";
  }

  void read_model(const JsonNode& table, const std::vector<JsonNode>& common_tasks) {
    PairDraft draft = defaults_;
    draft.model = required_text(table, "model");
    take_keys(draft, table, {"name", "task"});
    if (draft.model.find(".csv") != std::string::npos && draft.model[0] != '/')
      draft.model = (std::filesystem::path(draft.directory) / draft.model).lexically_normal();
    if (!draft.model.empty()) check(draft, table.line(), [&] { draft.pair.model = model_of_option(draft.model); });
    std::vector<JsonNode> tasks = common_tasks;
    const std::vector<JsonNode> own_tasks = tables(table, "task");
    tasks.insert(tasks.end(), own_tasks.begin(), own_tasks.end());
    if (tasks.empty())
      mistake(table.line(), "model '" + draft.model + "' has no task; give [[task]] or [[model.task]]");
    for (const JsonNode& task : tasks) read_task(draft, task);
  }

  void read_task(PairDraft draft, const JsonNode& table) {
    draft.name = required_text(table, "task");
    take_keys(draft, table, {"name"});
    draft.pair.line = table.line();
    check_files(draft);
    if (settings_.empty()) return expand(draft);
    for (const JsonNode& setting : settings_) {
      PairDraft set = draft;
      set.suffix = fmt::format("-{}", required_text(setting, "setting"));
      take_keys(set, setting, {"name"});
      expand(set);
    }
  }

  void expand(PairDraft draft) {
    take_keys(draft, overrides_, {"method"});
    choose(draft);
  }

  /// A pair for each combination of alternatives.
  void choose(PairDraft draft) {
    if (draft.pair.model.name.empty() || draft.name.empty()) return;
    if (draft.alternatives.empty()) return finish(draft);
    const auto [key, values] = *draft.alternatives.begin();
    draft.alternatives.erase(draft.alternatives.begin());
    for (const std::string& value : values) {
      PairDraft chosen = draft;
      OptionList options;
      describe(options, chosen.pair);
      options.find_key(key)->set(value);
      if (values.size() > 1) chosen.suffix += fmt::format("-{}{}", letter_of(key), value);
      choose(chosen);
    }
  }

  void finish(PairDraft& draft) {
    BatchPair& pair = draft.pair;
    pair.source.task = draft.name;
    pair.name = folder_name(pair.model.name) + "/" + draft.name + draft.suffix;
    pair.profile.model = draft.model;
    DeviceOptions& devices = pair.profile.devices;
    if (is_virtual_kind(devices.kind) && devices.device_count == 0) devices.device_count = rank_count_;
    pair.replay.replay.seed = pair.replay.seed;
    SynthesisOptions& synthesis = pair.source.synthesis;
    synthesis.expert_count = pair.model.expert_count;
    synthesis.top_k = pair.model.top_k;
    synthesis.layer_ids = moe_layer_ids(pair.model);
    const BatchingOptions& batching = pair.source.batching;
    if (const std::size_t tokens = std::max(batching.batch_size, batching.chunk_tokens); tokens > 0)
      synthesis.tokens_per_step = tokens;
    synthesis.steps = 2 * pair.source.batching.steps;  // the later half to score on

    read_variants(draft);
    check_name(pair);
    check_source(draft);
    check_shared_profile(draft);
    // What the whole set-up checks one after the other, for all mistakes at once.
    std::size_t ranks = std::max<std::size_t>(1, rank_count_);
    if (!is_virtual_kind(devices.kind) && listed_slowdowns(devices.slowdown) > ranks) {
      ranks = listed_slowdowns(devices.slowdown);
      if (rank_count_ > 0) ranks_needed_ = std::max(ranks_needed_, ranks);
    }
    if (devices.device_count > 0)
      check(draft, pair.line, [&] { parse_slowdowns(devices.slowdown, devices.device_count); });
    check(draft, pair.line, [&] {
      check_profile_request(pair.profile);
      if (rank_count_ > 0 || is_virtual_kind(devices.kind)) set_up_profile(pair.profile, ranks);
    });
    check(draft, pair.line, [&] { make_question(pair.mapping); });
    for (const MethodVariant& variant : pair.variants) check(draft, pair.line, [&] { make_question(variant.mapping); });
    check(draft, pair.line, [&] { check_replay_request(pair.replay); });
    manifest_.pairs.push_back(pair);
  }

  /// What the pair's keys say holds for a variant, too, unless it says otherwise.
  void read_variants(PairDraft& draft) {
    BatchPair& pair = draft.pair;
    for (const JsonNode& table : variants_) {
      MethodVariant variant{required_text(table, "method"), pair.mapping};
      variant.mapping.method = default_method();
      OptionList options;
      describe(options, variant.mapping);
      for (const std::string& key : table.keys()) {
        if (key == "name") continue;
        const JsonNode value = table.at(key);
        if (const Option* option = option_of(options, key, value.line(), {"name"}))
          check(draft, value.line(), [&] { take_value(*option, value, draft.directory); });
      }
      const std::vector<std::string> taken = mapping_names(pair);
      if (variant.name.find_first_not_of(name_characters) != std::string::npos ||
          std::ranges::find(taken, variant.name) != taken.end() || variant.name == method_name(reference_method()))
        mistake(table.line(),
                fmt::format("'{}' can't be the name of a further mapping: it names a file, and no other method; use "
                            "letters, digits, '-' and '_'",
                            variant.name));
      pair.variants.push_back(variant);
    }
  }

  /// One profile has one tile, whatever the steps of the pairs that share it.
  void check_shared_profile(const PairDraft& draft) {
    const ProfileRequest& request = draft.pair.profile;
    if (!draft.pair.for_traces) return;
    check(draft, draft.pair.line, [&] {
      const OptionName option = option_name(&BatchPair::for_traces);
      if (request.max_tokens > 0 || request.naive)
        throw option_error(option, "{} says what is measured, so {} and {} don't go with it",
                           option_name(&ProfileRequest::max_tokens), option_name(&ProfileRequest::naive));
      if (request.devices.tile_tokens == 0 && request.devices.tile_rule_text.empty() &&
          !device_kind(request.devices.kind).tells_tiles)
        throw option_error(option, "{} needs {}: pairs of one tile share a profile",
                           option_name(&DeviceOptions::tile_tokens));
    });
  }

  void check_name(const BatchPair& pair) {
    const std::size_t end = pair.name.find_first_not_of(std::string(name_characters) + "./", 0);
    if (end != std::string::npos || std::ranges::count(pair.name, '/') != 1 ||
        pair.name.find("/.") != std::string::npos)
      mistake(pair.line, "'" + pair.name + "' can't be the name of a folder; use letters, digits, '-', '_' and '.'");
    for (const BatchPair& other : manifest_.pairs)
      if (other.name == pair.name)
        mistake(pair.line, fmt::format("the pair '{}' is there twice, see line {}; give one task another name",
                                       pair.name, other.line));
  }

  void check_files(const PairDraft& draft) {
    const TraceSource& source = draft.pair.source;
    for (const std::string& path : {source.routing, source.trace, source.test_trace})
      if (!path.empty() && !std::filesystem::is_regular_file(path))
        mistake(draft.pair.line, "there is no file " + path);
  }

  void check_source(const PairDraft& draft) {
    const TraceSource& source = draft.pair.source;
    const std::size_t line = draft.pair.line;
    const int count = (source.routing.empty() ? 0 : 1) + (source.trace.empty() ? 0 : 1) + (source.synthetic ? 1 : 0);
    if (count != 1)
      mistake(line,
              fmt::format("task '{}' has {} sources of steps; it needs one of routing, trace and synthetic = true",
                          source.task, count));
    if (!source.test_trace.empty() && source.trace.empty())
      mistake(line, "test_trace stands alone; give the trace to search on too");
    check(draft, line, [&] {
      if (source.batching.steps == 0) throw option_error(option_name(&BatchingOptions::steps), "{} must be above 0");
    });
    if (source.synthetic)
      check(draft, line, [&] {  // a small trace of these parameters
        SynthesisOptions small = source.synthesis;
        small.steps = 1;
        small.layer_ids = {0};
        synthesize_trace(small);
      });
  }

  JsonNode root_;
  JsonNode overrides_;
  std::size_t rank_count_;
  std::size_t ranks_needed_ = 0;  // more than there are
  PairDraft defaults_;
  std::vector<JsonNode> settings_;
  std::vector<JsonNode> variants_;
  Manifest manifest_;
  std::vector<std::pair<std::size_t, std::string>> mistakes_;
};

}  // namespace

namespace {

Manifest read(const JsonDocument& document, const std::string& path, std::size_t rank_count,
              const std::string& overrides) {
  const JsonDocument set = parse_toml(overrides, on_command_line("set"));
  return Reader(document.root(), set.root(), path, rank_count).read();
}

}  // namespace

Manifest read_manifest(const std::string& path, std::size_t rank_count, const std::string& overrides) {
  const SpellOptions spelling(OptionSpelling::Manifest);
  return read(read_toml(path), path, rank_count, overrides);
}

Manifest parse_manifest(std::string_view text, const std::string& path, std::size_t rank_count,
                        const std::string& overrides) {
  const SpellOptions spelling(OptionSpelling::Manifest);
  return read(parse_toml(text, path), path, rank_count, overrides);
}

}  // namespace gem
