#pragma once

#include <cstddef>
#include <span>

namespace gem::hdf5 {

/// True if the objects of every global heap in an HDF5 file lie within their heap. Texts of variable length are kept
/// there; HDF5 (1.10 to 1.14 at least) believes an object's size without a look, and a damaged one ends the process.
/// Layout: HDF5 File Format Specification 3.0, section III.E.
bool global_heaps_are_whole(std::span<const std::byte> file);

}  // namespace gem::hdf5
