#pragma once

// What the HDF5 wrappers share; included by src/platform/hdf5_*.cpp alone.
#include <hdf5.h>

#include <concepts>
#include <cstdint>
#include <string>

#include "platform/hdf5/handle.hpp"

namespace gem::hdf5 {

static_assert(std::same_as<hid_t, std::int64_t> && std::same_as<herr_t, int>, "Hdf5Handle holds an hid_t");

/// Makes the library ready: no error printing, and no clean-up at exit, which would try once more to write files that
/// could not be written.
void initialize();

/// The library's own words on the last failure, the most specific ones.
std::string last_error();

/// Memory type of T.
template <class T>
hid_t native_type();

/// Text of variable length, UTF-8.
Hdf5Handle text_type();

}  // namespace gem::hdf5
