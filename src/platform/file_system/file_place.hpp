#pragma once

#include <cstdint>
#include <string>

namespace gem {

/// Where a path leads to in the end: what its last part is a link to, as often as that is a link itself, whether or not
/// something is there. SystemError for links that go round in a circle.
std::string end_of_links(const std::string& path);

/// Which file a path means, whatever it is called: device and inode; of a file that isn't there yet, those of its
/// folder, and its name in it.
struct FilePlace {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::string name;  ///< empty for a file that is there
  bool operator==(const FilePlace&) const = default;
};
FilePlace place_of(const std::string& path);

/// The folder of a path, "." where it names none, and its last part.
struct FolderAndName {
  std::string folder;
  std::string name;
};
FolderAndName split_path(const std::string& path);

}  // namespace gem
