#include "platform/host/host_info.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>

#include "base/text.hpp"

namespace gem {
namespace {

// What follows the colon of the first line of `path` that begins with `key`; empty if there is none.
std::string value_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.rfind(key, 0) == 0) return trim(line.substr(line.find(':') + 1));
  return "";
}

std::optional<std::size_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // no such file, or "max": no limit
}

// Room left in the control group (version 2), if it has a limit.
std::size_t control_group_room_bytes() {
  const std::string entry = value_of("/proc/self/cgroup", "0::");  // "0::/path": ":/path" is left
  if (entry.empty()) return SIZE_MAX;
  const std::string folder = "/sys/fs/cgroup" + entry.substr(1);
  const std::optional<std::size_t> limit = number_in(folder + "/memory.max");
  const std::optional<std::size_t> used = number_in(folder + "/memory.current");
  if (!limit || !used) return SIZE_MAX;
  return *limit > *used ? *limit - *used : 0;
}

}  // namespace

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

std::string cpu_name() {
  const std::string name = value_of("/proc/cpuinfo", "model name");
  return name.empty() ? "CPU" : name;
}

std::size_t available_memory_bytes() {
  const std::string kibibytes = value_of("/proc/meminfo", "MemAvailable");
  const std::size_t machine = kibibytes.empty() ? SIZE_MAX : std::stoull(kibibytes) * 1024;
  return std::min(machine, control_group_room_bytes());
}

std::size_t last_level_cache_bytes() {
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : std::size_t{32} << 20;
}

}  // namespace gem
