#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gem {

/// Numbers in rows-first order, from a file of whichever type. Doubles hold every count and id exactly: whole numbers
/// beyond 2^53 are refused on reading.
struct NumberArray {
  std::vector<std::size_t> extents;
  std::vector<double> values;
  bool whole = true;     ///< the file's type is one of whole numbers
  double largest = 0.0;  ///< that the file's type can hold, of whole numbers of one or two bytes; 0: more than any
  double none = -1.0;    ///< what the number -1 is in the file's type: 255 or 65535 where it has no sign
};

/// How numbers lie in a file.
struct NumberType {
  enum class Kind { Unsigned, Signed, Float };
  Kind kind = Kind::Signed;
  std::size_t byte_count = 0;  ///< 1, 2, 4 or 8
  bool big_endian = false;
};

/// `count` numbers of a type from bytes. DataError naming `origin` for too few bytes, or a whole number beyond 2^53.
std::vector<double> numbers_of(std::span<const std::byte> bytes, const NumberType& type, std::size_t count,
                               const std::string& origin);

/// The array with its axes in another order: axis d of the result is axis order[d] of the array.
NumberArray reordered(const NumberArray& array, const std::vector<std::size_t>& order);

/// Product of the extents; DataError naming `origin` if it, or that of those above 0, is more than `most`, or than is
/// read at once.
std::size_t checked_count(const std::vector<std::size_t>& extents, std::uint64_t most, const std::string& origin);

/// "[3, 4, 5]".
std::string extents_text(const std::vector<std::size_t>& extents);

}  // namespace gem
