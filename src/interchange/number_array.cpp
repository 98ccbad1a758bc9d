#include "interchange/number_array.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// Each takes some 25 bytes until it is a count: 3 GiB, whatever the file claims.
constexpr std::size_t most_numbers = std::size_t{1} << 27;
constexpr double greatest_exact = 9007199254740992.0;  // 2^53

std::uint64_t bits_of(const std::byte* bytes, const NumberType& type) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < type.byte_count; ++i) {
    const std::size_t shift = type.big_endian ? type.byte_count - 1 - i : i;
    bits |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * shift);
  }
  return bits;
}

double half_of(std::uint64_t bits) {
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  const auto exponent = static_cast<int>(bits >> 10 & 0x1f);
  const double fraction = static_cast<double>(bits & 0x3ff);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) return fraction > 0.0 ? std::nan("") : sign * HUGE_VAL;
  return sign * std::ldexp(1024.0 + fraction, exponent - 25);
}

double number_of(std::uint64_t bits, const NumberType& type) {
  if (type.kind == NumberType::Kind::Float) {
    if (type.byte_count == 8) return std::bit_cast<double>(bits);
    if (type.byte_count == 4) return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    return half_of(bits);
  }
  if (type.kind == NumberType::Kind::Unsigned) return static_cast<double>(bits);
  const std::size_t unused = 64 - 8 * type.byte_count;
  return static_cast<double>(static_cast<std::int64_t>(bits << unused) >> unused);
}

}  // namespace

std::vector<double> numbers_of(std::span<const std::byte> bytes, const NumberType& type, std::size_t count,
                               const std::string& origin) {
  if (bytes.size() / type.byte_count < count)
    throw DataError(
        fmt::format("{}: holds {} bytes of numbers, but {} numbers of {} bytes must be there; it is truncated", origin,
                    bytes.size(), count, type.byte_count));
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = number_of(bits_of(bytes.data() + i * type.byte_count, type), type);
    if (type.kind != NumberType::Kind::Float && std::fabs(values[i]) > greatest_exact)
      throw DataError(fmt::format("{}: number {} is {:g}, more than any count of tokens", origin, i, values[i]));
  }
  return values;
}

NumberArray reordered(const NumberArray& array, const std::vector<std::size_t>& order) {
  NumberArray result = array;
  std::vector<std::size_t> strides(array.extents.size(), 1);
  for (std::size_t d = array.extents.size(); d-- > 1;) strides[d - 1] = strides[d] * array.extents[d];
  for (std::size_t d = 0; d < order.size(); ++d) result.extents[d] = array.extents[order[d]];
  std::vector<std::size_t> index(order.size(), 0);
  for (double& value : result.values) {
    std::size_t place = 0;
    for (std::size_t d = 0; d < order.size(); ++d) place += index[d] * strides[order[d]];
    value = array.values[place];
    for (std::size_t d = order.size(); d-- > 0 && ++index[d] == result.extents[d];) index[d] = 0;
  }
  return result;
}

std::size_t checked_count(const std::vector<std::size_t>& extents, std::uint64_t most, const std::string& origin) {
  double product = 1.0;
  std::size_t count = 1;
  for (const std::size_t extent : extents) {
    product *= static_cast<double>(std::max<std::size_t>(1, extent));  // no extent is large beside one of 0
    count *= extent;
  }
  if (product > static_cast<double>(most))
    throw DataError(origin + ": claims extents " + extents_text(extents) +
                    (count == 0 ? ", without a number in it; record again"
                                : ", more than it can hold; it is damaged, copy or make it again"));
  if (count > most_numbers)
    throw DataError(fmt::format("{}: has {} numbers, but at most {} are read at once; give the steps in several files",
                                origin, count, most_numbers));
  return count;
}

std::string extents_text(const std::vector<std::size_t>& extents) {
  std::string text = "[";
  for (const std::size_t extent : extents) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

}  // namespace gem
