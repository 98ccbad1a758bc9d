#include "interchange/npy.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::uint64_t largest_file_bytes = std::uint64_t{1} << 30;

/// The header is a Python literal: {'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }. The text between the
/// value's first and last letter.
std::string_view header_value(std::string_view header, std::string_view key, char first, char last,
                              const std::string& origin) {
  const std::size_t at = header.find(fmt::format("'{}'", std::string(key)));
  const std::size_t begin = at == std::string_view::npos ? at : header.find(first, header.find(':', at));
  const std::size_t end = begin == std::string_view::npos ? begin : header.find(last, begin + 1);
  if (end == std::string_view::npos)
    throw DataError(origin + ": the NPY header has no " + std::string(key) + " that can be read; make the file again");
  return header.substr(begin + 1, end - begin - 1);
}

NumberType type_of(std::string_view description, const std::string& origin) {
  // '<i4': byte order, kind, bytes; '|' where order does not matter.
  NumberType type;
  const std::string_view kinds = "uif";
  const std::size_t kind = description.size() == 3 ? kinds.find(description[1]) : std::string_view::npos;
  if (kind == std::string_view::npos || std::string_view("<>|=").find(description[0]) == std::string_view::npos ||
      std::string_view("1248").find(description[2]) == std::string_view::npos || (kind == 2 && description[2] == '1'))
    throw DataError(origin + ": the numbers are of type '" + std::string(description.substr(0, 40)) +
                    "', but whole or floating-point numbers of up to 8 bytes are needed");
  type.kind = std::array{NumberType::Kind::Unsigned, NumberType::Kind::Signed, NumberType::Kind::Float}[kind];
  type.byte_count = static_cast<std::size_t>(description[2] - '0');
  type.big_endian = description[0] == '>';
  return type;
}

std::vector<std::size_t> extents_of(std::string_view shape, const std::string& origin) {
  std::vector<std::size_t> extents;
  for (const std::string& part : split(shape, ',')) {
    const std::string word = trim(part);
    if (word.empty()) continue;  // "(3,)"
    std::size_t extent = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), extent);
    if (error != std::errc{} || end != word.data() + word.size() || extents.size() == 8)
      throw DataError(origin + ": the NPY header has the shape (" + std::string(shape.substr(0, 60)) +
                      "), which cannot be read");
    extents.push_back(extent);
  }
  return extents;
}

/// The values of an array that is stored columns first, in rows-first order.
std::vector<double> rows_first(const NumberArray& array) {
  std::vector<double> values(array.values.size());
  std::vector<std::size_t> index(array.extents.size(), 0);
  for (double& value : values) {
    std::size_t place = 0;
    for (std::size_t d = array.extents.size(); d-- > 0;) place = place * array.extents[d] + index[d];
    value = array.values[place];
    for (std::size_t d = array.extents.size(); d-- > 0 && ++index[d] == array.extents[d];) index[d] = 0;
  }
  return values;
}

}  // namespace

NumberArray parse_npy(std::span<const std::byte> bytes, const std::string& origin) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < 12 || !text.starts_with(magic)) throw DataError(origin + ": is not an NPY file");
  const bool long_header = text[6] >= 2;  // versions 2 and 3 have 4 bytes of length
  const std::size_t length_bytes = long_header ? 4 : 2;
  std::size_t header_bytes = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    header_bytes |= static_cast<std::size_t>(static_cast<unsigned char>(text[8 + i])) << (8 * i);
  const std::size_t header_begin = 8 + length_bytes;
  if (header_bytes > text.size() - header_begin)
    throw DataError(origin + ": the NPY header is longer than the file; it is truncated");
  const std::string_view header = text.substr(header_begin, header_bytes);

  const NumberType type = type_of(header_value(header, "descr", '\'', '\'', origin), origin);
  NumberArray array;
  array.whole = type.kind != NumberType::Kind::Float;
  if (type.kind == NumberType::Kind::Unsigned) array.none = std::exp2(8.0 * static_cast<double>(type.byte_count)) - 1.0;
  if (array.whole && type.byte_count <= 2)
    array.largest =
        std::exp2(8.0 * static_cast<double>(type.byte_count) - (type.kind == NumberType::Kind::Signed)) - 1.0;
  array.extents = extents_of(header_value(header, "shape", '(', ')', origin), origin);
  const std::string_view order = header.substr(std::min(header.size(), header.find("'fortran_order'")));
  if (order.empty()) throw DataError(origin + ": the NPY header has no fortran_order; make the file again");
  const bool columns_first =
      trim(order.substr(std::min(order.size(), order.find(':') + 1))).starts_with("True") && array.extents.size() > 1;
  const auto data = bytes.subspan(header_begin + header_bytes);
  const std::size_t count = checked_count(array.extents, data.size() / type.byte_count, origin);
  array.values = numbers_of(data, type, count, origin);
  if (columns_first) array.values = rows_first(array);
  return array;
}

NumberArray read_npy(const std::string& path) {
  const std::string text = read_whole_text(path, largest_file_bytes);
  return parse_npy(std::as_bytes(std::span(text)), path);
}

std::string npy_text(std::span<const std::int64_t> values, const std::vector<std::size_t>& extents) {
  std::string shape;
  for (const std::size_t extent : extents) shape += std::to_string(extent) + ", ";
  std::string header = "{'descr': '<i8', 'fortran_order': False, 'shape': (" + trim(shape) + "), }";
  header.append(63 - (magic.size() + 4 + header.size()) % 64, ' ');  // data begin at a multiple of 64
  header += '\n';
  std::string text(magic);
  text += {'\x01', '\x00', static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)};
  text += header;
  for (const std::int64_t value : values)
    for (std::size_t i = 0; i < 8; ++i) text += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
  return text;
}

}  // namespace gem
