#include "files/header.hpp"

#include <algorithm>

#include "base/option.hpp"

namespace gem {

Hdf5Input open_gem_file(const std::string& path, const std::string& file_format) {
  Hdf5Input file(path);
  if (!file.has_attribute("format"))
    file.reject("attribute 'format' is missing, so this is no file of GEM; give a " + file_format + " file");
  const std::string found = file.text_attribute("format");
  if (found == file_format + ".partial")
    file.reject("is an unfinished " + file_format + " of an earlier version of GEM; start anew without " +
                on_command_line("resume"));
  if (found != file_format)
    file.reject("attribute 'format' is '" + found + "', but '" + file_format + "' is needed here; give such a file");
  const std::string version = file.text_or_number_attribute("format_version");  // writers of other languages give 1
  if (split(version, '.').front() != "1")
    file.reject("attribute 'format_version' is '" + version +
                "', but this program reads 1.x; make the file again or use the GEM that wrote it");
  return file;
}

void write_header(Hdf5Output& file, const std::string& file_format, const Provenance& provenance) {
  file.attribute("format", file_format);
  file.attribute("format_version", std::string("1.1"));
  file.attribute("created", provenance.created);
  file.attribute("software_version", provenance.software_version);
  file.attribute("command_line", provenance.command_line);
  file.attribute("model", provenance.model);
  file.attribute("seed", provenance.seed);
}

std::size_t checked_count(const Hdf5Input& file, const std::string& what, std::uint64_t count, std::uint64_t least,
                          std::uint64_t greatest) {
  if (count < least || count > greatest)
    file.reject(what + " is " + std::to_string(count) + ", but must be " + std::to_string(least) + " to " +
                std::to_string(greatest) + "; make the file again");
  return static_cast<std::size_t>(count);
}

std::vector<std::int32_t> read_layer_ids(const Hdf5Input& file, std::size_t count) {
  auto layer_ids = read_checked<std::int32_t>(
      file, "/layer_ids", {count}, [](std::int32_t id) { return id >= 0; }, "0 or more");
  std::vector<std::int32_t> sorted = layer_ids;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    file.reject("/layer_ids holds " + std::to_string(*twice) + " twice, but each layer must be there once");
  return layer_ids;
}

}  // namespace gem
