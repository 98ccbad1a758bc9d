// Routed experts as engines return them with a request, [token, layer, k]; rows of dense layers hold zeros.
// vLLM (enable_return_routed_experts; vllm/model_executor/layers/fused_moe/routed_experts_capturer.py): arrays of uint8
// or uint16 with a row for every decoder layer (before 0.12: int16, MoE layers alone), saved as NPY or NPZ; its servers
// answer with the NPY file in base64. SGLang (--enable-return-routed-experts;
// sglang/srt/state_capturer/routed_experts.py): JSON with meta_info: routed_experts (or, from its OpenAI servers,
// routed_experts elsewhere in the answer), the int32 numbers alone in base64. Other tools write nested lists.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <span>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/import.hpp"
#include "interchange/import_text.hpp"
#include "interchange/npy.hpp"
#include "platform/file_system/zip_input.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

constexpr std::array<std::string_view, 7> names_of_ids = {
    "routed_experts", "topk_ids", "expert_ids", "selected_experts", "topk_indices", "topk_experts", "expert_indices"};

/// Whether a member is called after ids, and whether after those of the prompt: vLLM keeps prompt_routed_experts beside
/// routed_experts.
struct IdName {
  bool ids = false, prompt = false;
};
IdName name_of_ids(std::string_view key) {
  std::vector<std::string> words = words_of_name(key);
  const auto first = [&](std::initializer_list<std::string_view> names) {
    return words.size() > 1 && std::ranges::find(names, words[0]) != names.end();
  };
  IdName name;
  name.prompt = first({"prompt", "input", "prefill"});
  if (name.prompt || first({"completion", "output", "decode", "generated"})) words.erase(words.begin());
  name.ids = std::ranges::find(names_of_ids, join(words, "_")) != names_of_ids.end();
  return name;
}

std::string decode_base64(const std::string& text, const JsonNode& node) {
  std::string bytes;
  std::uint32_t bits = 0;
  int bit_count = 0;
  std::size_t end = text.size();
  while (end > 0 && text[end - 1] == '=') --end;
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < end; ++i) {
    const std::size_t value = letters.find(text[i]);
    if (value == std::string_view::npos) node.reject("is a text, but not base64");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    bit_count += 6;
    if (bit_count < 8) continue;
    bit_count -= 8;
    bytes += static_cast<char>(bits >> bit_count & 0xff);
  }
  return bytes;
}

/// SGLang's numbers come without extents: [token, decoder layer, k].
NumberArray array_of_bytes(const std::string& bytes, const ImportOptions& options, const std::string& where) {
  if (bytes.starts_with("\x93NUMPY")) return parse_npy(std::as_bytes(std::span(bytes)), where);
  const std::size_t layers = options.decoder_layers > 0 ? options.decoder_layers : options.layer_ids.size();
  if (layers == 0 || options.top_k == 0)
    throw UsageError(where + ": is base64 of numbers without extents, as SGLang returns them; say " +
                     on_command_line("model") + ", or the layers that the engine records with " +
                     on_command_line("layer-ids") + " and the experts a token with " + on_command_line("top-k"));
  const NumberType type{NumberType::Kind::Signed, 4, false};
  NumberArray array;
  const std::size_t count = bytes.size() / type.byte_count, places = layers * options.top_k;
  if (bytes.size() % type.byte_count != 0 || count == 0 || count % places != 0)
    throw DataError(
        fmt::format("{}: holds {} bytes, which are no whole number of tokens of {} layers x {} experts in 4 "
                    "bytes each",
                    where, bytes.size(), layers, options.top_k));
  array.extents = {count / places, layers, options.top_k};
  array.values = numbers_of(std::as_bytes(std::span(bytes)), type, count, where);
  return array;
}

/// Depth of the first numbers below a node, counted in arrays; nothing where there are none.
std::optional<std::size_t> depth_of(const JsonNode& node) {
  const bool number = node.is_number() || (node.is_text() && whole_number_in(node.text()));
  if (!node.is_array()) return number ? std::optional<std::size_t>(0) : std::nullopt;
  for (std::size_t i = 0; i < node.size(); ++i)
    if (const auto depth = depth_of(node.item(i))) return *depth + 1;
  return std::nullopt;
}

/// Ids in a list, also as 3.0 or "3".
std::vector<double> ids_of(const JsonNode& list) {
  std::vector<double> ids;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonNode item = list.item(i);
    const auto id = item.is_text()     ? whole_number_in(item.text())
                    : item.is_number() ? whole_number_in(fmt::format("{:.17g}", item.number()))
                                       : std::nullopt;
    if (!id || *id < -1 || *id > 65535) item.reject("must be an expert's number, -1 to 65535");
    ids.push_back(static_cast<double>(*id));
  }
  return ids;
}

/// [token, layer, k] of nested lists; a token with fewer experts than others gets -1 in the places left.
NumberArray array_of_lists(const JsonNode& tokens) {
  NumberArray array;
  std::size_t layers = 0, places = 0;
  for (std::size_t token = 0; token < tokens.size(); ++token) {
    const JsonNode row = tokens.item(token);
    if (token == 0) layers = row.size();
    if (row.size() != layers)
      row.reject(fmt::format("has {} layers, but the tokens before have {}", row.size(), layers));
    for (std::size_t layer = 0; layer < layers; ++layer) places = std::max(places, row.item(layer).size());
  }
  array.extents = {tokens.size(), layers, places};
  array.values.assign(tokens.size() * layers * places, -1.0);
  for (std::size_t token = 0; token < tokens.size(); ++token)
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const std::vector<double> ids = ids_of(tokens.item(token).item(layer));
      std::ranges::copy(ids, array.values.begin() + static_cast<std::ptrdiff_t>((token * layers + layer) * places));
    }
  return array;
}

[[noreturn]] void refuse_order(const std::string& origin, const std::string& what) {
  throw DataError(
      fmt::format("{}: has {}, so that it may be [layer, token, k]: say {} layer,token,k if it is, or {} "
                  "token,layer,k",
                  origin, what, on_command_line("axes"), on_command_line("axes")));
}

bool knows_layers(const ImportOptions& options) {
  return !options.layer_ids.empty() || options.decoder_layers > 0;
}

/// A bare array in the order [token, layer, k]. DataError where the model's layers are along the other axis.
NumberArray as_tokens(NumberArray array, const ImportOptions& options, const std::string& origin) {
  if (array.extents.size() != 3) return array;
  if (!options.axes.empty()) {
    std::vector<std::string> names = split(options.axes, ',');
    std::vector<std::size_t> order;
    for (std::string& name : names) name = trim(name);
    for (const std::string_view wanted : {"token", "layer", "k"})
      if (const auto found = std::ranges::find(names, wanted); found != names.end())
        order.push_back(static_cast<std::size_t>(found - names.begin()));
    if (names.size() != 3 || order.size() != 3)
      throw UsageError(on_command_line("axes") + " '" + options.axes +
                       "' must name each of token, layer and k once for routed experts, as layer,token,k");
    return reordered(array, order);
  }
  const std::size_t first = array.extents[0], second = array.extents[1];
  const auto is_layers = [&](std::size_t extent) {
    return extent == options.layer_ids.size() ||
           (options.decoder_layers > 0 && extent >= options.decoder_layers && extent <= options.decoder_layers + 4);
  };
  if (knows_layers(options) && !is_layers(second) && is_layers(first))
    refuse_order(origin, fmt::format("extents {} and the model {} layers", extents_text(array.extents), first));
  return array;
}

/// All requests below a node: lists of three or four levels, base64, or either as a member with one of the names.
class RequestFinder {
 public:
  explicit RequestFinder(const ImportOptions& options) : options_(options) {}

  /// What was found: of prompts, and of all else.
  struct Requests {
    std::vector<NumberArray> arrays;
    std::vector<std::string> names;
  };
  Requests prompts, others;
  bool bare = false;  ///< lists without a name, whose axes may be in another order

  void find(const JsonNode& node) {
    if (node.is_object()) {
      for (std::size_t i = 0; i < node.keys().size(); ++i) {
        const JsonNode member = node.member(i);
        const IdName name = name_of_ids(node.keys()[i]);
        if (name.ids)
          take(member, name.prompt);
        else if (member.is_object() || member.is_array())
          find(member);
      }
      return;
    }
    if (!node.is_array()) return;
    for (std::size_t i = 0; i < node.size() && !depth_of(node); ++i) find(node.item(i));
  }
  void take(const JsonNode& node, bool prompt) {
    if (node.is_null()) return;
    if (node.is_text() && !whole_number_in(node.text()))
      return add(array_of_bytes(decode_base64(node.text(), node), options_, node.where()), node, prompt);
    const auto depth = depth_of(node);
    if (depth == 3) return add(array_of_lists(node), node, prompt);
    if (!node.is_array() || (depth && *depth != 4))
      node.reject("must be ids of experts as lists [token, layer, k], or base64");
    for (std::size_t i = 0; i < node.size(); ++i) take(node.item(i), prompt);
  }

 private:
  void add(NumberArray array, const JsonNode& node, bool prompt) {
    Requests& requests = prompt ? prompts : others;
    requests.arrays.push_back(bare || !options_.axes.empty() ? as_tokens(std::move(array), options_, node.where())
                                                             : std::move(array));
    requests.names.push_back(node.where());
  }
  const ImportOptions& options_;
};

/// Requests have their own numbers of experts a token where some tokens have fewer: as many places for all.
void add_requests(RecordedRouting& routing, std::vector<NumberArray>& requests, const std::vector<std::string>& names) {
  std::size_t places = routing.places;
  for (const NumberArray& request : requests) places = std::max(places, request.extents.back());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    NumberArray& request = requests[i];
    if (request.extents.size() == 3 && request.extents[2] < places && !request.values.empty()) {
      NumberArray wide{{request.extents[0], request.extents[1], places}, {}};
      const std::size_t narrow = request.extents[2];
      for (std::size_t at = 0; at < request.values.size(); at += narrow) {
        wide.values.insert(wide.values.end(), request.values.begin() + static_cast<std::ptrdiff_t>(at),
                           request.values.begin() + static_cast<std::ptrdiff_t>(at + narrow));
        wide.values.insert(wide.values.end(), places - narrow, -1.0);
      }
      request = std::move(wide);
    }
    routing.add_request(request, names[i]);
  }
}

/// Prompts are prefilled, what follows is decoded: a recording is of one phase.
RequestFinder::Requests& requests_of_phase(RequestFinder& finder, const std::string& path, const ImportOptions& options,
                                           std::vector<std::string>& notes) {
  const bool prefill = options.phase == Phase::Prefill;
  if (finder.prompts.arrays.empty()) return finder.others;
  if (finder.others.arrays.empty()) {
    if (!prefill)
      notes.push_back(path + ": these are routed experts of prompts: say " + on_command_line("phase") +
                      " prefill, so that the recording is called so");
    return finder.prompts;
  }
  notes.push_back(
      fmt::format("{}: has routed experts of {} prompts beside those of what was decoded; {} were read, {} {} "
                  "reads the others",
                  path, finder.prompts.arrays.size(), prefill ? "the prompts'" : "those of the decoded tokens",
                  on_command_line("phase"), prefill ? "decode" : "prefill"));
  return prefill ? finder.prompts : finder.others;
}

void read_json(RecordedRouting& routing, const std::string& path, const ImportOptions& options) {
  RequestFinder finder(options);
  const auto take_document = [&](const JsonDocument& document) {
    const bool bare = document.root().is_array() && depth_of(document.root()).has_value();
    finder.bare = bare;
    if (bare)
      finder.take(document.root(), false);
    else
      finder.find(document.root());
  };
  if (path.ends_with(".jsonl"))
    for_each_json_line(path, routing.notes, take_document);
  else
    take_document(read_large_json(path));
  routing.has_bare_arrays = routing.has_bare_arrays || finder.bare;
  auto& [requests, names] = requests_of_phase(finder, path, options, routing.notes);
  if (requests.empty())
    throw DataError(fmt::format("{}: holds no routed experts: no member {}, nor lists [token, layer, k]", path,
                                join(std::vector<std::string>(names_of_ids.begin(), names_of_ids.end()))));
  add_requests(routing, requests, names);
}

/// Shares of a token's experts beside their ids.
bool holds_weights(const NumberArray& array) {
  return std::ranges::any_of(array.values, [](double value) { return value != std::floor(value); });
}

void read_npz(RecordedRouting& routing, const std::string& path, const ImportOptions& options) {
  const ZipInput archive(path);
  std::vector<std::string> passed_over;
  for (const ZipInput::Entry& entry : archive.entries()) {
    const std::string bytes = archive.read(entry);
    const std::string origin = path + ": " + entry.name;
    const NumberArray array = parse_npy(std::as_bytes(std::span(bytes)), origin);
    if (archive.entries().size() > 1 && (array.extents.size() != 3 || holds_weights(array)))
      passed_over.push_back(entry.name);
    else
      routing.add_request(as_tokens(array, options, origin), origin);
  }
  if (!passed_over.empty())
    routing.notes.push_back(path + ": arrays " + join(passed_over) +
                            " are no requests [token, layer, k] and were "
                            "passed over");
}

/// Requests that hold the same as an earlier one: a file given twice under two names.
void note_repeated(RecordedRouting& routing) {
  std::size_t repeated = 0;
  std::vector<std::vector<std::int32_t>> seen;
  const std::size_t size = routing.layer_count * routing.places;
  for (std::size_t request = 0; request + 1 < routing.request_offsets.size(); ++request) {
    const auto begin = routing.ids.begin() + routing.request_offsets[request] * static_cast<std::ptrdiff_t>(size);
    const auto end = routing.ids.begin() + routing.request_offsets[request + 1] * static_cast<std::ptrdiff_t>(size);
    seen.emplace_back(begin, end);
  }
  std::ranges::sort(seen);
  for (std::size_t i = 1; i < seen.size(); ++i) repeated += seen[i] == seen[i - 1];
  if (repeated > 0)
    routing.notes.push_back(
        fmt::format("{} of {} requests hold the same as another; leave one out if a file was given "
                    "twice",
                    repeated, seen.size()));
}

/// Names of members in the beginning of a JSON text.
std::set<std::string> keys_in(const std::string& text) {
  std::set<std::string> keys;
  for (std::size_t colon = text.find(':'); colon != std::string::npos; colon = text.find(':', colon + 1)) {
    const std::size_t end = text.find_last_not_of(" \t\r\n", colon == 0 ? 0 : colon - 1);
    if (end == std::string::npos || end == 0 || text[end] != '"') continue;
    const std::size_t begin = text.rfind('"', end - 1);
    if (begin != std::string::npos && end - begin < 64) keys.insert(text.substr(begin + 1, end - begin - 1));
  }
  return keys;
}

bool holds_names_of_ids(const std::string& path) {
  const std::string text = beginning_of(path);
  const std::set<std::string> keys = keys_in(text);
  const auto holds = [&](std::string_view name) { return keys.contains(std::string(name)); };
  // Ids beside counts only say which experts these are of.
  const bool counts = holds("count") || holds("counts") || holds("tokens") || holds("num_tokens");
  return std::ranges::any_of(
      keys, [&](const std::string& key) { return name_of_ids(key).ids && !(counts && key == "expert_ids"); });
}

/// Bare lists of ids: of several requests (four levels), or of one.
bool holds_lists_of_ids(const std::string& path, const ImportOptions& options) {
  try {
    const JsonDocument document = read_large_json(path);
    const auto depth = depth_of(document.root());
    if (depth == 4) return true;
    return depth == 3 && kind_of_array(array_of_lists(document.root()), options) == ArrayKind::Ids;
  } catch (const Error&) {
    return false;  // the reader of the format says what is wrong
  }
}

bool recognises(const std::string& path, const ImportOptions& options) {
  if (path.ends_with(".json")) return holds_names_of_ids(path) || holds_lists_of_ids(path, options);
  if (path.ends_with(".jsonl")) return holds_names_of_ids(path);
  const auto array = array_to_look_at(path);
  return array && array->extents.size() == 3 && kind_of_array(*array, options) == ArrayKind::Ids;
}

Recording read(const std::vector<std::string>& paths, const ImportOptions& options) {
  RecordedRouting routing;
  routing.source = "routed experts";
  for (const std::string& path : paths) {
    if (path.ends_with(".json") || path.ends_with(".jsonl")) {
      read_json(routing, path, options);
      continue;
    }
    routing.has_bare_arrays = true;
    if (path.ends_with(".npz"))
      read_npz(routing, path, options);
    else
      routing.add_request(as_tokens(read_npy(path), options, path), path);
  }
  if (routing.token_count() == 0) throw DataError(paths.front() + ": holds no request");
  if (routing.has_bare_arrays && options.axes.empty() && !knows_layers(options) && routing.layer_count > 8 &&
      routing.layer_count > 2 * routing.token_count())
    refuse_order(paths.front(), fmt::format("{} tokens of {} layers, were it [token, layer, k]", routing.token_count(),
                                            routing.layer_count));
  note_repeated(routing);
  return routing;
}

}  // namespace

const ImportFormat routed_experts_recording = {"vllm-routed",
                                               "routed experts [token, layer, k] a request, as vLLM and SGLang return "
                                               "them: .npy, .npz, .json or .jsonl with lists "
                                               "or base64; becomes gem.routing",
                                               "vLLM 0.33.0, SGLang 0.5.23", recognises, read};

}  // namespace gem
