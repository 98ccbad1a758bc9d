// Routed experts as engines return them with a request, [token, layer, k]; rows of dense layers hold zeros.
// vLLM (enable_return_routed_experts; vllm/model_executor/layers/fused_moe/routed_experts_capturer.py): arrays of uint8
// or uint16 with a row for every decoder layer (before 0.12: int16, MoE layers alone), saved as NPY or NPZ; its servers
// answer with the NPY file in base64. SGLang (--enable-return-routed-experts;
// sglang/srt/state_capturer/routed_experts.py): JSON with meta_info: routed_experts (or, from its OpenAI servers,
// routed_experts elsewhere in the answer), the int32 numbers alone in base64. Other tools write nested lists.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/import_text.hpp"
#include "interchange/npy.hpp"
#include "platform/file_system/zip_input.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

constexpr std::array<std::string_view, 4> names_of_ids = {"routed_experts", "topk_ids", "expert_ids",
                                                          "selected_experts"};

bool names_ids(std::string_view key) {
  return std::ranges::find(names_of_ids, key) != names_of_ids.end();
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
  if (!node.is_array()) return node.is_number() ? std::optional<std::size_t>(0) : std::nullopt;
  for (std::size_t i = 0; i < node.size(); ++i)
    if (const auto depth = depth_of(node.item(i))) return *depth + 1;
  return std::nullopt;
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
      const std::vector<std::int32_t> ids = tokens.item(token).item(layer).integers(-1, 65535);
      std::ranges::copy(ids, array.values.begin() + static_cast<std::ptrdiff_t>((token * layers + layer) * places));
    }
  return array;
}

/// All requests below a node: lists of three or four levels, base64, or either as a member with one of the names.
class RequestFinder {
 public:
  RequestFinder(std::vector<NumberArray>& found, std::vector<std::string>& names, const ImportOptions& options)
      : found_(found), names_(names), options_(options) {}

  void find(const JsonNode& node) {
    if (node.is_object()) {
      for (std::size_t i = 0; i < node.keys().size(); ++i) {
        const JsonNode member = node.member(i);
        if (names_ids(node.keys()[i]))
          take(member);
        else if (member.is_object() || member.is_array())
          find(member);
      }
      return;
    }
    if (!node.is_array()) return;
    for (std::size_t i = 0; i < node.size() && !depth_of(node); ++i) find(node.item(i));
  }
  void take(const JsonNode& node) {
    if (node.is_null()) return;
    if (node.is_text()) return add(array_of_bytes(decode_base64(node.text(), node), options_, node.where()), node);
    const auto depth = depth_of(node);
    if (depth == 3) return add(array_of_lists(node), node);
    if (!node.is_array() || (depth && *depth != 4))
      node.reject("must be ids of experts as lists [token, layer, k], or base64");
    for (std::size_t i = 0; i < node.size(); ++i) take(node.item(i));
  }

 private:
  void add(NumberArray array, const JsonNode& node) {
    found_.push_back(std::move(array));
    names_.push_back(node.where());
  }
  std::vector<NumberArray>& found_;
  std::vector<std::string>& names_;
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

void read_json(RecordedRouting& routing, const std::string& path, const ImportOptions& options) {
  std::vector<NumberArray> requests;
  std::vector<std::string> names;
  RequestFinder finder(requests, names, options);
  const auto take_document = [&](const JsonDocument& document) {
    const bool bare = document.root().is_array() && depth_of(document.root()).has_value();
    if (bare)
      finder.take(document.root());
    else
      finder.find(document.root());
  };
  if (path.ends_with(".jsonl"))
    for_each_json_line(path, routing.notes, take_document);
  else
    take_document(read_large_json(path));
  if (requests.empty())
    throw DataError(fmt::format("{}: holds no routed experts: no member {}, nor lists [token, layer, k]", path,
                                join(std::vector<std::string>(names_of_ids.begin(), names_of_ids.end()))));
  add_requests(routing, requests, names);
}

void read_npz(RecordedRouting& routing, const std::string& path) {
  const ZipInput archive(path);
  std::vector<std::string> passed_over;
  for (const ZipInput::Entry& entry : archive.entries()) {
    const std::string bytes = archive.read(entry);
    const std::string origin = path + ": " + entry.name;
    const NumberArray array = parse_npy(std::as_bytes(std::span(bytes)), origin);
    if (archive.entries().size() > 1 && array.extents.size() != 3)
      passed_over.push_back(entry.name);
    else
      routing.add_request(array, origin);
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

bool holds_names_of_ids(const std::string& path) {
  const std::string text = beginning_of(path);
  const auto holds = [&](std::string_view name) { return text.find(fmt::format("\"{}\"", name)) != std::string::npos; };
  // Ids beside counts only say which experts these are of.
  const bool counts = holds("count") || holds("counts") || holds("tokens") || holds("num_tokens");
  return std::ranges::any_of(names_of_ids,
                             [&](std::string_view name) { return holds(name) && !(counts && name == "expert_ids"); });
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
    if (path.ends_with(".json") || path.ends_with(".jsonl"))
      read_json(routing, path, options);
    else if (path.ends_with(".npz"))
      read_npz(routing, path);
    else
      routing.add_request(read_npy(path), path);
  }
  if (routing.token_count() == 0) throw DataError(paths.front() + ": holds no request");
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
