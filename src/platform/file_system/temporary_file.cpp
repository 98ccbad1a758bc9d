#include "platform/file_system/temporary_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <regex>
#include <vector>

#include <fmt/core.h>

#include "base/error.hpp"
#include "platform/file_system/file_place.hpp"
#include "platform/file_system/kept_outputs.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

// Stays in a core's cache: faster than larger ones, and than copy_file_range, wherever the file system cannot share
// blocks between files (ext4: 1.4 times).
constexpr std::size_t buffer_bytes = std::size_t{256} << 10;

constexpr std::size_t longest_name = 255;  // of most file systems, bytes
constexpr std::size_t random_length = 12;
const std::string mark = ".gem-";
const std::string ending = ".tmp";

/// What a temporary name begins with: the file's own name, shortened where the rest would make it too long.
std::string beginning_of(const std::string& name) {
  return name.substr(0, longest_name - mark.size() - random_length - ending.size()) + mark;
}

std::string random_word() {
  static const std::string letters = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::random_device source;  // the system's, so that nobody can foresee the name
  std::uniform_int_distribution<std::size_t> any(0, letters.size() - 1);
  std::string word;
  while (word.size() < random_length) word += letters[any(source)];
  return word;
}

}  // namespace

std::vector<int>& kept_outputs() {
  static std::vector<int> descriptors{STDOUT_FILENO, STDERR_FILENO};
  return descriptors;
}

namespace {

/// Renaming over a device node or a pipe would destroy it, and over our own output lose it.
void expect_replaceable(const std::string& path, const struct stat& present) {
  if (S_ISDIR(present.st_mode)) throw_write_error(path, EISDIR);
  if (!S_ISREG(present.st_mode))
    throw SystemError("cannot write " + path + ": it is not a regular file; give the name of a file");
  struct stat output {};
  for (const int descriptor : kept_outputs())
    if (fstat(descriptor, &output) == 0 && output.st_dev == present.st_dev && output.st_ino == present.st_ino)
      throw SystemError("cannot write " + path +
                        ": what this program prints goes there; give the name of another file");
}

/// Removes the constructions of this file that no process has open any more. Each holds a lock on its own as long as
/// it lives; where the file system knows no locks, nothing is removed.
void sweep_up(const std::string& folder, const std::string& beginning) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(beginning) || !is_temporary_name(name)) continue;
    const int descriptor = open(entry->path().c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) unlink(entry->path().c_str());
    close(descriptor);
  }
}

/// A new file, locked so that nobody sweeps it up.
int create(const std::string& folder, const std::string& beginning, std::string& path) {
  for (;;) {
    path = (std::filesystem::path(folder) / (beginning + random_word() + ending)).string();
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EEXIST) continue;
    if (descriptor < 0) return descriptor;
    flock(descriptor, LOCK_EX);  // waits for one that is about to sweep it up, which then shows in the count of links
    struct stat made {};
    if (fstat(descriptor, &made) != 0 || made.st_nlink > 0) return descriptor;
    close(descriptor);
  }
}

}  // namespace

bool is_temporary_name(const std::string& name) {
  if (!name.ends_with(ending) || name.size() < mark.size() + random_length + ending.size()) return false;
  const std::string_view middle = std::string_view(name).substr(
      name.size() - ending.size() - random_length - mark.size(), mark.size() + random_length);
  return middle.starts_with(mark) && std::ranges::all_of(middle.substr(mark.size()), [](char letter) {
           return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z');
         });
}

TemporaryFile::TemporaryFile(const std::string& path) : path_(path), final_path_(end_of_links(path)) {
  struct stat present {};
  const bool exists = stat(path_.c_str(), &present) == 0;
  if (!exists && errno != ENOENT) throw_write_error(path_, errno);
  if (exists) expect_replaceable(path_, present);
  const auto [folder, name] = split_path(final_path_);
  if (name.empty()) throw_write_error(path_, EISDIR);
  if (name.size() > longest_name) throw_write_error(path_, ENAMETOOLONG);
  sweep_up(folder, beginning_of(name));
  descriptor_ = create(folder, beginning_of(name), temporary_path_);
  if (descriptor_ < 0) throw_write_error(path_, errno);
  // Who may read it, and whose it is where we may say so; before anything is in it.
  if (exists && fchown(descriptor_, present.st_uid, present.st_gid) != 0) errno = 0;
  if (exists) fchmod(descriptor_, present.st_mode & 0777);
}

TemporaryFile::~TemporaryFile() {
  if (!renamed_ && descriptor_ >= 0) unlink(temporary_path_.c_str());
  if (descriptor_ >= 0) close(descriptor_);
}

void TemporaryFile::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, bytes, path_);
}

void TemporaryFile::append_from(const InputFile& source, std::uint64_t offset, std::uint64_t byte_count) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, buffer_bytes)));
  while (byte_count > 0) {
    const std::span part(buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, buffer.size())));
    source.read_at(offset, part);
    write(part);
    offset += part.size();
    byte_count -= part.size();
  }
  // Lets the disk write while more is copied; otherwise all of it waits for the end.
  sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void TemporaryFile::synchronize() {
  if (fsync(descriptor_) != 0) throw_write_error(path_, errno);
  // Network file systems tell some errors only when a descriptor is closed; ours stays open, for its lock.
  const int copy = dup(descriptor_);
  if (copy >= 0 && close(copy) != 0) throw_write_error(path_, errno);
}

void TemporaryFile::rename_to_final() {
  if (rename(temporary_path_.c_str(), final_path_.c_str()) != 0) throw_write_error(path_, errno);
  renamed_ = true;
}

}  // namespace gem
