#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "platform/hdf5/handle.hpp"

namespace gem {

/// Lengths of a dataset's dimensions.
using Extents = std::vector<std::size_t>;

/// "[3, 4, 5]".
std::string to_string(const Extents& extents);

/// An HDF5 file opened for reading. Nothing that the file says is believed: what cannot be true given the file's size
/// is refused before memory is taken. Fields are named by their path ("/latency/median"); attributes are the root's.
/// All that can go wrong is a DataError naming file, field, what was found and what was expected.
class Hdf5Input {
 public:
  /// DataError if there is no such file, or it is not HDF5; SystemError if it may not be read.
  explicit Hdf5Input(const std::string& path);
  /// A file in memory, called `name` in messages.
  Hdf5Input(const std::string& name, std::span<const std::byte> image);

  /// Where the HDF5 data end; something else may follow in the file.
  std::uint64_t end() const;

  /// From now on a dataset looks as if its first dimension had `count` entries alone, those from `first` on: what is
  /// read of a large one then takes no more memory. DataError if it hasn't so many.
  void limit_rows(const std::string& name, std::size_t first, std::size_t count);

  bool has_dataset(const std::string& name) const;
  /// Extents of a dataset that must have `rank` dimensions.
  Extents extents(const std::string& name, std::size_t rank) const;
  /// All values in row-major order; the dataset must have these extents. Whole numbers of any width are accepted where
  /// the values fit T (and as T floating-point); floating-point data only as T floating-point.
  template <class T>
  std::vector<T> read(const std::string& name, const Extents& expected) const;
  /// Texts of fixed or variable length, `count` of them in one dimension.
  std::vector<std::string> read_texts(const std::string& name, std::size_t count) const;
  /// The dataset's `units` attribute; empty if it has none.
  std::string units(const std::string& name) const;

  bool has_attribute(const std::string& name) const;
  std::string text_attribute(const std::string& name) const;
  /// A text, or a number as text: "1.0", or 1.0 as "1".
  std::string text_or_number_attribute(const std::string& name) const;
  /// A whole number of any width, 0 or more.
  std::uint64_t count_attribute(const std::string& name) const;

  /// Throws DataError "PATH: WHAT".
  [[noreturn]] void reject(const std::string& what) const;

 private:
  void set_byte_limit(std::uint64_t file_bytes);
  void check_heaps(std::span<const std::byte> content) const;
  [[noreturn]] void reject_damaged(const std::string& found) const;
  Hdf5Handle open_dataset(const std::string& name) const;
  Extents safe_extents(const Hdf5Handle& dataset, const std::string& name) const;
  Hdf5Handle open_attribute(std::int64_t object, const std::string& name) const;
  std::string attribute_text(std::int64_t object, const std::string& name) const;

  struct Rows {
    std::size_t first;
    std::size_t count;
  };

  std::string path_;
  std::map<std::string, Rows> limited_rows_;  // by dataset
  std::uint64_t file_bytes_ = 0;
  std::uint64_t byte_limit_ = 0;  // most bytes that a dataset of this file can hold
  Hdf5Handle file_;
};

}  // namespace gem
