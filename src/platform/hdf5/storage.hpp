#pragma once

#include <cstdint>
#include <string>

namespace gem::hdf5 {

// How a dataset lies in its file is looked at before memory is taken for it: HDF5 (1.10 to 1.14 at least) makes room
// for whatever the file says, and unpacks a chunk to whatever length it has.

/// What is wrong with a dataset's layout for a file of `file_bytes`, of which no dataset can hold more than
/// `byte_limit`; empty if nothing is. Filters other than shuffle, deflate and fletcher32, each once, are refused.
std::string fault_of_layout(std::int64_t dataset, std::uint64_t file_bytes, std::uint64_t byte_limit);

/// What is wrong with the chunks of such a dataset, looked at one by one: more of them than the file has bytes for, or
/// one that becomes longer than it may be; empty if nothing is.
std::string fault_of_chunks(std::int64_t dataset, std::uint64_t file_bytes);

}  // namespace gem::hdf5
