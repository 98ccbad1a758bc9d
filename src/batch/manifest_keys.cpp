#include "batch/manifest_keys.hpp"

#include <filesystem>

#include "base/text.hpp"

namespace gem {
namespace {

using Take = std::function<bool(PairDraft&, const TomlValue&)>;

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
ManifestKey text(const std::string& name, Field field) {
  return {name, "a text", [field](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<std::string>(&value.value);
            if (given != nullptr) field(draft) = *given;
            return given != nullptr;
          }};
}

template <class Field>
ManifestKey file(const std::string& name, Field field) {
  return {name, "the name of a file", [field](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<std::string>(&value.value);
            if (given != nullptr) field(draft) = relative_to(draft.directory, *given);
            return given != nullptr;
          }};
}

template <class Field>
ManifestKey count(const std::string& name, Field field) {
  return {name, "a whole number, 0 or more", [field](PairDraft& draft, const TomlValue& value) {
            if (!is_count(value)) return false;
            field(draft) = count_of(value);
            return true;
          }};
}

template <class Field>
ManifestKey number(const std::string& name, Field field) {
  return {name, "a number", [field](PairDraft& draft, const TomlValue& value) {
            double storage = 0.0;
            const double* given = number_of(value, storage);
            if (given != nullptr) field(draft) = *given;
            return given != nullptr;
          }};
}

template <class Field>
ManifestKey flag(const std::string& name, Field field) {
  return {name, "true or false", [field](PairDraft& draft, const TomlValue& value) {
            const auto* given = std::get_if<bool>(&value.value);
            if (given != nullptr) field(draft) = *given;
            return given != nullptr;
          }};
}

// One whole number or a list of them.
template <class Field>
ManifestKey counts(const std::string& name, Field field) {
  return {name, "a whole number or a list of them", [field](PairDraft& draft, const TomlValue& value) {
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
          }};
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
    words.push_back(format("%.17g", storage));
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
  draft.pair.mapping.methods = methods;
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
  return {
      // Devices and their profile.
      text("device", GEM_FIELD(pair.profile.devices.kind)),
      count("devices", GEM_FIELD(pair.profile.devices.device_count)),
      {"slowdown", "a list of numbers, or the name of a CSV file", take_slowdown},
      count("tile_tokens", GEM_FIELD(pair.profile.devices.tile_tokens)),
      text("dtype", GEM_FIELD(pair.profile.devices.weight_dtype)),
      text("expert_shape", GEM_FIELD(pair.profile.expert_shape)),
      count("max_tokens", GEM_FIELD(pair.profile.max_tokens)),
      count("points_per_doubling", GEM_FIELD(pair.profile.points_per_doubling)),
      number("confidence_width", GEM_FIELD(pair.profile.stopping.confidence_width)),
      count("min_samples", GEM_FIELD(pair.profile.stopping.min_samples)),
      count("max_samples", GEM_FIELD(pair.profile.stopping.max_samples)),
      number("max_point_time", GEM_FIELD(pair.profile.stopping.max_time_s)),
      number("noise", GEM_FIELD(pair.profile.devices.simulation.noise)),
      text("share_gpu", GEM_FIELD(pair.profile.share_gpu)),
      count("seed", GEM_FIELD(seed)),
      // Steps.
      file("routing", GEM_FIELD(pair.source.routing)),
      file("trace", GEM_FIELD(pair.source.trace)),
      file("test_trace", GEM_FIELD(pair.source.test_trace)),
      flag("synthetic", GEM_FIELD(pair.source.synthetic)),
      text("phase", GEM_FIELD(pair.source.batching.phase)),
      counts("batch_size", GEM_FIELD(batch_sizes)),
      counts("chunk_tokens", GEM_FIELD(chunk_tokens)),
      count("steps", GEM_FIELD(pair.source.batching.steps)),
      number("split", GEM_FIELD(pair.source.batching.split)),
      number("skew", GEM_FIELD(pair.source.synthesis.skew)),
      number("temporal_share", GEM_FIELD(pair.source.synthesis.temporal_share)),
      number("burstiness", GEM_FIELD(pair.source.synthesis.burstiness)),
      number("burst_share", GEM_FIELD(pair.source.synthesis.burst_share)),
      number("burst_steps", GEM_FIELD(pair.source.synthesis.burst_steps)),
      number("correlation", GEM_FIELD(pair.source.synthesis.correlation)),
      // Mapping.
      {"methods", "a list of methods", take_methods},
      text("effort", GEM_FIELD(pair.mapping.effort)),
      text("objective", GEM_FIELD(pair.mapping.objective)),
      count("mixed_steps", GEM_FIELD(pair.mapping.mixed_steps)),
      text("features", GEM_FIELD(pair.mapping.features)),
      count("expert_groups", GEM_FIELD(pair.mapping.expert_groups)),
      count("redundant_experts", GEM_FIELD(pair.mapping.redundant_experts)),
      count("starts", GEM_FIELD(pair.mapping.starts)),
      count("iterations", GEM_FIELD(pair.mapping.iterations)),
      // Verification.
      flag("verify", GEM_FIELD(pair.verify)),
      count("verify_steps", GEM_FIELD(pair.replay.steps)),
      count("rounds", GEM_FIELD(pair.replay.replay.rounds)),
      {"verify_layers", "a list of layer numbers", take_layers},
      text("transport", GEM_FIELD(pair.replay.transport)),
      flag("compute_only", GEM_FIELD(pair.replay.compute_only)),
  };
}

#undef GEM_FIELD

}  // namespace

const std::vector<ManifestKey>& manifest_keys() {
  static const std::vector<ManifestKey> keys = make_keys();
  return keys;
}

}  // namespace gem
