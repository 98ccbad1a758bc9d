#pragma once

#include <fmt/core.h>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "files/field_reader.hpp"
#include "files/field_writer.hpp"
#include "files/provenance.hpp"
#include "platform/hdf5/input.hpp"
#include "platform/hdf5/output.hpp"

namespace gem {

/// Opens a file that must be of `file_format` ("gem.trace") in a version that we read; DataError otherwise.
Hdf5Input open_gem_file(const std::string& path, const std::string& file_format);

/// The root attributes that every file has.
void write_header(Hdf5Output& file, const std::string& file_format, const Provenance& provenance);

/// Passes `count` on, unless it is outside least .. greatest: DataError naming the attribute or the dimension `what`.
std::size_t checked_count(const Hdf5Input& file, const std::string& what, std::uint64_t count, std::uint64_t least,
                          std::uint64_t greatest);

/// `/layer_ids`, `count` of them, none negative and none twice.
std::vector<std::int32_t> read_layer_ids(const Hdf5Input& file, std::size_t count);

/// One member of every row.
template <class Row, class Value>
std::vector<Value> column(const std::vector<Row>& rows, Value Row::*member) {
  std::vector<Value> values;
  for (const Row& row : rows) values.push_back(row.*member);
  return values;
}

/// Reads a dataset and refuses the first value that is not `good`, saying where it is, what was found and what it must
/// hold.
template <class T, class Good>
std::vector<T> read_checked(const Hdf5Input& file, const std::string& name, const Extents& extents, Good good,
                            const std::string& must_hold) {
  std::vector<T> values = file.read<T>(name, extents);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (good(values[i])) continue;
    Extents position = extents;
    std::size_t rest = i;
    for (std::size_t dimension = extents.size(); dimension-- > 0; rest /= extents[dimension])
      position[dimension] = rest % extents[dimension];
    file.reject(fmt::format("{} holds {:.9g} at {}, but must hold {}; make the file again", name,
                            static_cast<double>(values[i]), to_string(position), must_hold));
  }
  return values;
}

/// Reads a noun's fields, checked; DataError naming file and field.
template <class Noun>
Noun read_fields(const Hdf5Input& file) {
  Noun noun;
  FieldReader(file).read(noun);
  return noun;
}

/// Writes a noun as a file of `file_format` under a temporary name and renames it when whole. SystemError if it cannot
/// be written.
template <class Noun>
void write_gem_file(const std::string& path, const std::string& file_format, const Noun& noun,
                    const Provenance& provenance) {
  Hdf5Output file(path);
  write_header(file, file_format, provenance);
  visit_fields(noun, FieldWriter(file));
  file.commit();
}

}  // namespace gem
