#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace gem::hdf5 {

// HDF5 keeps no checksum of small datasets and of texts. So our files end with one of all bytes before, a line of text
// behind the HDF5 data, where HDF5 itself doesn't look:
//
//     \nGEM checksum crc32 0a1b2c3d\n
//
// Files without that line (older ones, those of other writers, those that h5py has changed, which cuts it off) are read
// as they are.

/// The line for a file with this content.
std::string seal_of(std::span<const std::byte> content);

/// Whether a file ends with such a line that isn't the one of what stands before it.
bool seal_is_broken(std::span<const std::byte> file);

}  // namespace gem::hdf5
