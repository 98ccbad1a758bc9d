#include "platform/file_system/file_place.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "base/error.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

constexpr int longest_chain = 40;  // what Linux follows, too

}  // namespace

FolderAndName split_path(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

std::string end_of_links(const std::string& path) {
  fs::path end = path;
  for (int links = 0; links < longest_chain; ++links) {
    std::error_code error;  // no link, or nothing there: the end
    const fs::path target = fs::read_symlink(end, error);
    if (error) return end.string();
    end = target.is_absolute() ? target : end.parent_path() / target;
  }
  throw SystemError("cannot write " + path + ": its links go round in a circle; give the name of a file");
}

FilePlace place_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return {status.st_dev, status.st_ino, ""};
  const std::string end = end_of_links(path);
  const auto [folder, name] = split_path(end);
  if (stat(folder.c_str(), &status) == 0) return {status.st_dev, status.st_ino, name};
  std::error_code ignored;
  return {0, 0, fs::weakly_canonical(end, ignored).string()};
}

}  // namespace gem
