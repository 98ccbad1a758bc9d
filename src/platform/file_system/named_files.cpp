#include "platform/file_system/named_files.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "platform/file_system/file_place.hpp"

namespace gem {
namespace {

struct PlacedFile {
  const NamedFile* file;
  FilePlace place;
};

std::vector<PlacedFile> placed(std::span<const NamedFile> files) {
  std::vector<PlacedFile> given;
  for (const NamedFile& file : files)
    if (!file.path.empty()) given.push_back({&file, place_of(file.path)});
  return given;
}

/// "x.h5", or both names where they differ.
std::string both_names(const NamedFile& first, const NamedFile& second) {
  return first.path == second.path ? first.path : first.path + " and " + second.path;
}

}  // namespace

void keep_apart(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs) {
  const std::vector<PlacedFile> read = placed(inputs), written = placed(outputs);
  for (std::size_t i = 0; i < written.size(); ++i) {
    for (const PlacedFile& input : read)
      if (input.place == written[i].place)
        throw UsageError(fmt::format("{} would destroy the file that is read by {} ({}); choose another name for {}",
                                     written[i].file->option, input.file->option,
                                     both_names(*written[i].file, *input.file), written[i].file->option));
    for (std::size_t j = 0; j < i; ++j)
      if (written[j].place == written[i].place)
        throw UsageError(fmt::format("{} and {} are the same file ({}); give two names", written[j].file->option,
                                     written[i].file->option, both_names(*written[j].file, *written[i].file)));
  }
}

std::vector<NamedFile> named_files(const std::string& option, std::span<const std::string> paths) {
  std::vector<NamedFile> files;
  for (const std::string& path : paths) files.push_back({option, path});
  return files;
}

}  // namespace gem
