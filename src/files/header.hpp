#pragma once

#include <string>

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
