#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "interchange/number_array.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {

/// Reads an array in NumPy's NPY format, versions 1 to 3 (numpy.lib.format): whole or floating-point numbers of any
/// width and byte order, rows first. DataError naming `origin` otherwise.
NumberArray parse_npy(std::span<const std::byte> bytes, const std::string& origin);

/// The same from a file.
NumberArray read_npy(const std::string& path);

/// The bytes of an NPY file, version 1.0, of 64-bit whole numbers in rows-first order.
std::string npy_text(std::span<const std::int64_t> values, const std::vector<std::size_t>& extents);

}  // namespace gem
