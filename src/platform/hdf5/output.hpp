#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "platform/hdf5/handle.hpp"
#include "platform/hdf5/input.hpp"

namespace gem {

/// What a dataset is called and means.
struct FieldLabel {
  std::string name;        ///< its path in the file; groups on the way are made
  std::string units;       ///< "s", "token", "1" where there is none
  std::string dimensions;  ///< names of the dimensions: "device, point"
};

/// An HDF5 file under construction: datasets and root attributes. Text is UTF-8, in attributes of variable length as
/// h5py writes it, in datasets of the longest one's length: the references of variable ones have no checksum.
/// The file is built in memory and written in one go, so that a full disk is met by plain system calls and never leaves
/// half a file.
class Hdf5Output {
 public:
  /// `path` is where `commit` will write it.
  explicit Hdf5Output(const std::string& path);

  /// A dataset of numbers in row-major order; large ones are compressed.
  template <class T>
  void write(const FieldLabel& label, std::span<const T> values, const Extents& extents);
  template <class T>
  void write(const FieldLabel& label, const std::vector<T>& values, const Extents& extents) {
    write(label, std::span<const T>(values), extents);
  }
  void write(const FieldLabel& label, const std::vector<std::string>& texts);

  void attribute(const std::string& name, const std::string& text);
  void attribute(const std::string& name, std::uint64_t count);

  /// The file's bytes as they are now; valid until the next call.
  std::span<const std::byte> image();
  /// Writes the file under its name. SystemError if that fails; nothing is left behind then.
  void commit();

 private:
  Hdf5Handle create_dataset(const FieldLabel& label, std::int64_t type, std::int64_t space, std::int64_t properties);

  std::string path_;
  Hdf5Handle file_;
};

}  // namespace gem
