#include "files/header.hpp"

#include "base/option.hpp"
#include "base/text.hpp"

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

}  // namespace gem
