#include "interchange/safetensors.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <map>
#include <span>

#include "base/text.hpp"

namespace gem {
namespace {

constexpr std::uint64_t longest_header = 100'000'000;  // the format's own limit
constexpr std::int64_t greatest_offset = std::int64_t{1} << 62;

/// Bits of an element; 0 for a type that we don't know, whose size can't be checked.
std::uint64_t bits_of(const std::string& dtype) {
  static const std::map<std::string, std::uint64_t> bits = {
      {"BOOL", 8}, {"U8", 8},   {"I8", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"U16", 16},
      {"I16", 16}, {"F16", 16}, {"BF16", 16}, {"U32", 32},    {"I32", 32},    {"F32", 32},    {"U64", 64},
      {"I64", 64}, {"F64", 64}, {"C64", 64},  {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? 0 : found->second;
}

void check_size(const SafetensorsTensor& tensor, const JsonNode& node) {
  const std::uint64_t bits = bits_of(tensor.dtype);
  if (bits == 0) return;
  double elements = 1.0;
  std::uint64_t count = 1;
  for (const std::size_t extent : tensor.extents) {
    elements *= static_cast<double>(extent);
    count *= extent;
  }
  const std::uint64_t bytes = tensor.end - tensor.begin;
  if (elements > 1e17 || (count * bits + 7) / 8 != bytes)
    node.reject(fmt::format("has shape and dtype {} of another size than its {} bytes; the file is damaged",
                            tensor.dtype, bytes));
}

SafetensorsTensor tensor_of(const std::string& name, const JsonNode& node, std::uint64_t data_bytes) {
  SafetensorsTensor tensor;
  tensor.name = name;
  tensor.dtype = node.at("dtype").text();
  const JsonNode shape = node.at("shape");
  for (std::size_t i = 0; i < shape.size(); ++i)
    tensor.extents.push_back(static_cast<std::size_t>(shape.item(i).integer(0, greatest_offset)));
  const JsonNode offsets = node.at("data_offsets");
  if (offsets.size() != 2) offsets.reject("must be [begin, end]");
  tensor.begin = static_cast<std::uint64_t>(offsets.item(0).integer(0, greatest_offset));
  tensor.end = static_cast<std::uint64_t>(offsets.item(1).integer(0, greatest_offset));
  if (tensor.begin > tensor.end || tensor.end > data_bytes)
    node.reject(fmt::format("lies at bytes {} to {} of {}; the file is truncated or damaged, copy it again",
                            tensor.begin, tensor.end, data_bytes));
  check_size(tensor, node);
  return tensor;
}

void check_no_gaps(const InputFile& file, const SafetensorsHeader& header) {
  std::vector<const SafetensorsTensor*> sorted;
  for (const SafetensorsTensor& tensor : header.tensors) sorted.push_back(&tensor);
  std::ranges::sort(sorted, [](const auto* a, const auto* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  std::uint64_t end = 0;
  for (const SafetensorsTensor* tensor : sorted) {
    if (tensor->begin != end)
      file.reject(fmt::format("the bytes of tensor {} begin at {}, but the one before ends at {}; the file is damaged",
                              tensor->name, tensor->begin, end));
    end = tensor->end;
  }
  if (end != file.size() - header.data_begin())
    file.reject(
        fmt::format("has {} bytes of tensors, but its header describes {}; it is truncated or damaged, copy it again",
                    file.size() - header.data_begin(), end));
}

}  // namespace

SafetensorsHeader read_safetensors_header(const InputFile& file) {
  if (file.size() < 8) file.reject("is too short for a safetensors file");
  std::uint64_t length = 0;
  const std::string prefix = file.read_text(0, 8);
  for (std::size_t i = 0; i < 8; ++i)
    length |= static_cast<std::uint64_t>(static_cast<unsigned char>(prefix[i])) << (8 * i);
  if (length > longest_header || length > file.size() - 8)
    file.reject(fmt::format(
        "claims a header of {} bytes, more than there can be; it is no safetensors file, or truncated", length));
  SafetensorsHeader header;
  header.text = file.read_text(8, static_cast<std::size_t>(length));
  const JsonDocument document = JsonDocument::parse(header.text, file.path() + ": header");
  const JsonNode root = document.root();
  const std::vector<std::string>& names = root.keys();
  const std::vector<JsonKeySpan> spans = json_key_spans(header.text);
  const std::uint64_t data_bytes = file.size() - header.data_begin();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == "__metadata__") {
      const JsonNode notes = root.member(i);
      for (std::size_t note = 0; note < (notes.is_object() ? notes.keys().size() : 0); ++note)
        if (notes.member(note).is_text()) header.notes.push_back(notes.member(note).text());
      continue;
    }
    header.tensors.push_back(tensor_of(names[i], root.member(i), data_bytes));
    header.tensors.back().name_span = spans[i];
  }
  check_no_gaps(file, header);
  return header;
}

NumberArray read_numbers(const InputFile& file, const SafetensorsHeader& header, const SafetensorsTensor& tensor) {
  using Kind = NumberType::Kind;
  static const std::map<std::string, NumberType> types = {
      {"U8", {Kind::Unsigned, 1, false}},  {"I8", {Kind::Signed, 1, false}},    {"U16", {Kind::Unsigned, 2, false}},
      {"I16", {Kind::Signed, 2, false}},   {"U32", {Kind::Unsigned, 4, false}}, {"I32", {Kind::Signed, 4, false}},
      {"U64", {Kind::Unsigned, 8, false}}, {"I64", {Kind::Signed, 8, false}},   {"F16", {Kind::Float, 2, false}},
      {"F32", {Kind::Float, 4, false}},    {"F64", {Kind::Float, 8, false}}};
  const auto type = types.find(tensor.dtype);
  if (type == types.end())
    file.reject("tensor " + tensor.name + " is of type " + tensor.dtype + "; counts must be whole numbers");
  const std::string bytes =
      file.read_text(header.data_begin() + tensor.begin, static_cast<std::size_t>(tensor.end - tensor.begin));
  NumberArray array;
  array.extents = tensor.extents;
  array.whole = type->second.kind != Kind::Float;
  const std::size_t count = checked_count(tensor.extents, bytes.size() / type->second.byte_count, file.path());
  array.values = numbers_of(std::as_bytes(std::span(bytes)), type->second, count, file.path() + ": " + tensor.name);
  return array;
}

std::string safetensors_prefix(const std::string& header_text) {
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) text += static_cast<char>(header_text.size() >> (8 * i) & 0xff);
  return text + header_text;
}

}  // namespace gem
