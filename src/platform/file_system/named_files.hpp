#pragma once

#include <span>
#include <string>
#include <vector>

namespace gem {

/// A file that a program was told of, and by what: {"the output's option", "mapping.h5"}. An empty path is a file that
/// wasn't given.
struct NamedFile {
  std::string option;
  std::string path;
};

/// The one rule for the files of every program, to be called before any work: no output is one of the inputs, and no
/// two outputs are one file. Files are told apart by device and inode, so that links, hard links, `./` and relative
/// paths deceive nobody; those that aren't there yet by folder and name. UsageError naming both options and the file.
void keep_apart(std::span<const NamedFile> inputs, std::span<const NamedFile> outputs);

/// The same option given several times.
std::vector<NamedFile> named_files(const std::string& option, std::span<const std::string> paths);

}  // namespace gem
