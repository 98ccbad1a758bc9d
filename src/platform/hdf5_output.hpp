#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "platform/hdf5_handle.hpp"
#include "platform/hdf5_input.hpp"

namespace gem {

/// What a dataset is called and means.
struct FieldLabel {
  std::string name;        ///< its path in the file; groups on the way are made
  std::string units;       ///< "s", "token", "1" where there is none
  std::string dimensions;  ///< names of the dimensions: "device, point"
};

/// An HDF5 file under construction: datasets and root attributes. Text is UTF-8 of variable length, as h5py writes it.
class Hdf5Output {
 public:
  const std::string& path() const { return path_; }

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

 protected:
  Hdf5Output(const std::string& path, Hdf5Handle file) : path_(path), file_(std::move(file)) {}
  ~Hdf5Output() = default;
  Hdf5Handle create_dataset(const FieldLabel& label, std::int64_t type, std::int64_t space, std::int64_t properties);

  std::string path_;
  Hdf5Handle file_;
};

/// A file that is built in memory and written in one go, so that a full disk is met by plain system calls and never
/// leaves half a file.
class Hdf5WholeFile : public Hdf5Output {
 public:
  explicit Hdf5WholeFile(const std::string& path);

  /// Writes the file under its name. SystemError if that fails; nothing is left behind then.
  void commit();
};

/// A file on disk whose tables grow row by row. Every row that was flushed outlives a kill: HDF5's single-writer
/// multiple-reader mode orders its writes such that the file can be read at any time.
class Hdf5GrowingFile : public Hdf5Output {
 public:
  /// Replaces what is at `path`.
  explicit Hdf5GrowingFile(const std::string& path);

  /// A table of zero rows; `row_extents` are the extents of one (none for a number a row). All tables, datasets and
  /// attributes must be made before `start`.
  template <class T>
  void add_table(const FieldLabel& label, const Extents& row_extents);
  /// From here on the file can be read by others; only `append` and `flush` are allowed.
  void start();
  /// Whole rows at the end of a table. SystemError if they cannot be written.
  template <class T>
  void append(const std::string& name, std::span<const T> values);
  /// Hands all that was appended to the operating system. SystemError if it cannot be written.
  void flush();
  /// Gives the file another name, in the place of what has it now.
  void rename(const std::string& path);

 private:
  struct Table {
    std::string name;
    Hdf5Handle dataset;
    Extents extents;  // rows first
  };
  std::vector<Table> tables_;
};

}  // namespace gem
