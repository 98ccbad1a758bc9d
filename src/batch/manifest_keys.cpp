#include "batch/manifest_keys.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>

#include "base/text.hpp"

namespace gem {
namespace {

bool is_count(const TomlValue& value) {
  const auto* number = std::get_if<std::int64_t>(&value.value);
  return number != nullptr && *number >= 0;
}

std::size_t count_of(const TomlValue& value) {
  return static_cast<std::size_t>(std::get<std::int64_t>(value.value));
}

// A whole number is a number too.
const double* number_of(const TomlValue& value, double& storage) {
  if (const auto* integer = std::get_if<std::int64_t>(&value.value))
    storage = static_cast<double>(*integer);
  else if (const auto* number = std::get_if<double>(&value.value))
    storage = *number;
  else
    return nullptr;
  return &storage;
}

std::string relative_to(const std::string& directory, const std::string& path) {
  return (std::filesystem::path(directory) / path).lexically_normal();
}

// Each maker is given where the value goes: a function from the draft to the field.
template <class Field>
ManifestKey text(const std::string& name, const std::string& help, Field field) {
  return {name, "a text", help,
          [field](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<std::string>(&value.value);
            if (given != nullptr) field(draft) = *given;
            return given != nullptr;
          },
          [field](PairDraft& draft) { return field(draft); }};
}

template <class Field>
ManifestKey file(const std::string& name, const std::string& help, Field field) {
  return {name, "the name of a file", help,
          [field](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<std::string>(&value.value);
            if (given != nullptr) field(draft) = relative_to(draft.directory, *given);
            return given != nullptr;
          },
          [field](PairDraft& draft) { return field(draft); }};
}

template <class Field>
ManifestKey count(const std::string& name, const std::string& help, Field field) {
  return {name, "a whole number, 0 or more", help,
          [field](PairDraft& draft, const TomlValue& value) {
            if (!is_count(value)) return false;
            field(draft) = count_of(value);
            return true;
          },
          [field](PairDraft& draft) { return fmt::format("{}", field(draft)); }};
}

template <class Field>
ManifestKey number(const std::string& name, const std::string& help, Field field) {
  return {name, "a number", help,
          [field](PairDraft& draft, const TomlValue& value) {
            double storage = 0.0;
            const double* given = number_of(value, storage);
            if (given != nullptr) field(draft) = *given;
            return given != nullptr;
          },
          [field](PairDraft& draft) { return fmt::format("{:g}", field(draft)); }};
}

template <class Field>
ManifestKey flag(const std::string& name, const std::string& help, Field field) {
  return {name, "true or false", help,
          [field](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<bool>(&value.value);
            if (given != nullptr) field(draft) = *given;
            return given != nullptr;
          },
          [field](PairDraft& draft) { return std::string(field(draft) ? "true" : "false"); }};
}

template <class Field>
ManifestKey word(const std::string& name, const std::string& help, Field field) {
  return {name, "a text", help,
          [=](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<std::string>(&value.value);
            OptionList options;
            if (given != nullptr) options.add(name, field(draft), help).set(*given);
            return given != nullptr;
          },
          [field](PairDraft& draft) { return word_of(field(draft)); }};
}

// One whole number or a list of them.
template <class Field>
ManifestKey counts(const std::string& name, const std::string& help, Field field) {
  return {name, "a whole number or a list of them", help,
          [field](PairDraft& draft, const TomlValue& value) {
            std::vector<std::size_t> found;
            if (is_count(value)) found.push_back(count_of(value));
            if (const auto* items = std::get_if<std::vector<TomlValue>>(&value.value))
              for (const TomlValue& item : *items) {
                if (!is_count(item)) return false;
                found.push_back(count_of(item));
              }
            if (found.empty()) return false;
            field(draft) = found;
            return true;
          },
          [](PairDraft&) { return std::string(); }};
}

// "1.0,1.28", a list of numbers, or the name of a CSV file.
bool take_slowdown(PairDraft& draft, const TomlValue& value) {
  std::string& slowdown = draft.pair.profile.slowdown;
  if (const auto* given = std::get_if<std::string>(&value.value)) {
    slowdown = given->ends_with(".csv") ? relative_to(draft.directory, *given) : *given;
    return true;
  }
  const auto* items = std::get_if<std::vector<TomlValue>>(&value.value);
  if (items == nullptr) return false;
  std::vector<std::string> words;
  for (const TomlValue& item : *items) {
    double storage = 0.0;
    if (number_of(item, storage) == nullptr) return false;
    words.push_back(fmt::format("{:.17g}", storage));
  }
  slowdown = join(words, ",");
  return true;
}

bool take_methods(PairDraft& draft, const TomlValue& value) {
  const auto* items = std::get_if<std::vector<TomlValue>>(&value.value);
  if (items == nullptr || items->empty()) return false;
  std::vector<std::string> methods;
  for (const TomlValue& item : *items) {
    const auto* method = std::get_if<std::string>(&item.value);
    if (method == nullptr) return false;
    methods.push_back(*method);
  }
  draft.pair.methods = methods;
  return true;
}

bool take_layers(PairDraft& draft, const TomlValue& value) {
  const auto* items = std::get_if<std::vector<TomlValue>>(&value.value);
  if (items == nullptr) return false;
  std::vector<std::int32_t> layers;
  for (const TomlValue& item : *items) {
    if (!is_count(item)) return false;
    layers.push_back(static_cast<std::int32_t>(count_of(item)));
  }
  draft.pair.replay.layer_ids = layers;
  return true;
}

#define GEM_FIELD(member)          \
  [](PairDraft & draft) -> auto& { \
    return draft.member;           \
  }

std::vector<ManifestKey> make_keys() {
  std::vector<ManifestKey> keys;
  const auto add = [&](const std::string& group, std::vector<ManifestKey> members) {
    for (ManifestKey& key : members) {
      key.group = group;
      keys.push_back(std::move(key));
    }
  };
  add("Devices and their profile",
      {
          text("device", device_kind_names(), GEM_FIELD(pair.profile.devices.kind)),
          text("command", "of device = \"command\": the program that each rank starts as its device",
               GEM_FIELD(pair.profile.devices.command)),
          number("command_timeout", "seconds that an answer of it may take",
                 GEM_FIELD(pair.profile.devices.command_timeout_s)),
          count("devices", "how many simulated devices; 0: one a rank", GEM_FIELD(pair.profile.devices.device_count)),
          {"slowdown", "a list of numbers, or the name of a CSV file",
           "emulated slowdown of each device, e.g. [1.0, 1.28], or measured runtimes of a real cluster to pick from",
           take_slowdown, [](PairDraft& draft) { return draft.pair.profile.slowdown; }},
          count("tile_tokens",
                "rows of a tile of the expert kernel; 0: what suits the mean tokens of an expert in the steps on cuda, "
                "else 16",
                GEM_FIELD(pair.profile.devices.tile_tokens)),
          text("dtype", "bf16, f32 (host, simulated) or fp8 (cuda, simulated)",
               GEM_FIELD(pair.profile.devices.weight_dtype)),
          text("expert_shape", "other sizes of an expert than the model's, HIDDENxINTERMEDIATE, to fit a CPU",
               GEM_FIELD(pair.profile.expert_shape)),
          count("max_tokens",
                "most rows of a device in a step that are measured; 0: all that the steps can send, so that no load is "
                "extrapolated",
                GEM_FIELD(pair.profile.max_tokens)),
          count("points_per_doubling", "how densely loads are measured", GEM_FIELD(pair.profile.points_per_doubling)),
          number("confidence_width", "relative half-width of the median's 95 % interval that ends a point",
                 GEM_FIELD(pair.profile.stopping.confidence_width)),
          count("min_samples", "samples of a point at least", GEM_FIELD(pair.profile.stopping.min_samples)),
          count("max_samples", "samples of a point at most", GEM_FIELD(pair.profile.stopping.max_samples)),
          number("max_point_time", "measured seconds of a point at most", GEM_FIELD(pair.profile.stopping.max_time_s)),
          number("noise", "relative noise of simulated devices", GEM_FIELD(pair.profile.devices.simulation.noise)),
          text("share_gpu", "\"turns\": ranks that share a GPU work one after the other",
               GEM_FIELD(pair.profile.share_gpu)),
          count("seed", "of all random choices", GEM_FIELD(seed)),
      });
  add("Steps",
      {
          file("routing", "token-level routing to batch into steps; train and test from disjoint requests",
               GEM_FIELD(pair.source.routing)),
          file("trace", "steps to search on, from gem-trace; a pair has one of routing, trace and synthetic",
               GEM_FIELD(pair.source.trace)),
          file("test_trace", "steps to score on, beside trace; without it the later half of trace",
               GEM_FIELD(pair.source.test_trace)),
          flag("synthetic", "draw the steps, from the parameters below", GEM_FIELD(pair.source.synthetic)),
          text("phase", "decode or prefill; empty: the routing's own, decode for synthetic steps",
               GEM_FIELD(pair.source.batching.phase)),
          counts("batch_size",
                 "tokens of a decode or synthetic step; of a list each is a pair of its own; without it 256",
                 GEM_FIELD(batch_sizes)),
          counts("chunk_tokens",
                 "tokens of a prefill or synthetic step; of a list each is a pair of its own; without it 512",
                 GEM_FIELD(chunk_tokens)),
          count("steps", "to search on; as many are scored on", GEM_FIELD(pair.source.batching.steps)),
          number("split", "share of the routing's tokens whose requests are searched on",
                 GEM_FIELD(pair.source.batching.split)),
          number("skew", "synthetic: largest over mean of the experts' mean loads",
                 GEM_FIELD(pair.source.synthesis.skew)),
          number("temporal_share", "synthetic: share of the experts that have bursts",
                 GEM_FIELD(pair.source.synthesis.temporal_share)),
          number("burstiness", "synthetic: load in a burst over the expert's own mean; 1: no bursts",
                 GEM_FIELD(pair.source.synthesis.burstiness)),
          number("burst_share", "synthetic: share of the steps that such an expert is in a burst",
                 GEM_FIELD(pair.source.synthesis.burst_share)),
          number("burst_steps", "synthetic: mean length of a burst", GEM_FIELD(pair.source.synthesis.burst_steps)),
          number("correlation", "synthetic: how far the experts of a group burst together, 0 to 1",
                 GEM_FIELD(pair.source.synthesis.correlation)),
      });
  add("Mapping",
      {
          {"methods", "a list of methods",
           "whose mappings are written and compared: " + method_names(), take_methods,
           [](PairDraft& draft) { return join(draft.pair.methods); }},
          word("effort", "fast, default or thorough: sets starts and iterations", GEM_FIELD(pair.mapping.effort)),
          word("objective", "what gem makes least: the mean step, or p99, the slowest steps",
               GEM_FIELD(pair.mapping.objective)),
          number(
              "exchange_row_time",
              "nanoseconds of dispatch and combine for each row of the device that gets most, which gem counts beside "
              "the compute; 0: compute alone",
              GEM_FIELD(pair.mapping.cost.exchange_row_ns)),
          count("mixed_steps",
                "search on at least so many steps: half the trace's own, half mixtures of two of them; 0: its own only",
                GEM_FIELD(pair.mapping.mixed_steps)),
          word("features", "search on latency over tiles and active experts, or over tokens",
               GEM_FIELD(pair.mapping.cost.features)),
          count("expert_groups",
                "keep the model's groups of consecutive experts together (DeepSeek-V2 and V3: 8); 1: any mapping",
                GEM_FIELD(pair.mapping.expert_groups)),
          count("redundant_experts", "further copies of experts a layer, a multiple of the devices; 0: none",
                GEM_FIELD(pair.mapping.redundant_experts)),
          count("starts", "assignments that each layer's search starts from; 0: by effort",
                GEM_FIELD(pair.mapping.starts)),
          count("iterations", "disturbances of each start; 0: by effort", GEM_FIELD(pair.mapping.iterations)),
      });
  add("Verification",
      {
          flag("verify", "replay the mappings on the devices", GEM_FIELD(pair.verify)),
          count("verify_steps", "steps to replay", GEM_FIELD(pair.replay.steps)),
          count("rounds", "measurements of each step; the median counts", GEM_FIELD(pair.replay.replay.rounds)),
          {"verify_layers", "a list of layer numbers", "decoder layers to replay; without it all", take_layers,
           [](PairDraft&) { return std::string(); }},
          text("transport", "how rows travel: mpi (through host memory) or nccl; empty: nccl on GPUs",
               GEM_FIELD(pair.replay.transport)),
          flag("compute_only", "time the experts' compute without the exchange, which is only checked",
               GEM_FIELD(pair.replay.compute_only)),
      });
  return keys;
}

#undef GEM_FIELD

}  // namespace

const std::vector<ManifestKey>& manifest_keys() {
  static const std::vector<ManifestKey> keys = make_keys();
  return keys;
}

PairDraft default_draft() {
  PairDraft draft;
  draft.pair.profile.devices.kind = default_device_kind();
  draft.pair.profile.devices.tile_tokens = 0;  // what suits the device
  draft.pair.profile.quiet = draft.pair.replay.quiet = true;
  draft.pair.source.batching.steps = 128;
  return draft;
}

std::string describe_keys() {
  constexpr std::size_t name_width = 22, width = 80;
  std::string text =
      wrap(
          "A manifest is TOML: output = \"DIRECTORY\" for all results, then tables. [defaults] holds for all pairs, "
          "[[model]] for one model, whose name is one of gem-profile --list-models or a CSV file, [[model.task]] for "
          "one "
          "task of it and [[task]] for one of all models; tasks have a name too. In each can stand the keys below, and "
          "the later level wins. Names of files are relative to the manifest.") +
      "\n";
  PairDraft defaults = default_draft();
  std::string group;
  for (const ManifestKey& key : manifest_keys()) {
    if (key.group != group) text += "\n" + key.group + "\n";
    group = key.group;
    const std::string value = key.value(defaults);
    const std::string help = key.help + " (" + key.expected + (value.empty() ? "" : "; default: " + value) + ")";
    std::string name = "  " + key.name;
    for (const std::string& line : split(wrap(help, width - name_width), '\n')) {
      name.resize(std::max(name_width, name.size() + 1), ' ');
      text += name + line + "\n";
      name.clear();
    }
  }
  return text;
}

}  // namespace gem
