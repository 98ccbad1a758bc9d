#include "platform/host/affinity.hpp"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/text.hpp"

namespace gem {
namespace {

// First hardware thread of the CPU's core; the CPU itself where the system doesn't say.
int first_thread_of_core(int cpu) {
  std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
  int first = cpu;
  return file >> first ? first : cpu;
}

}  // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

std::vector<int> cores_first(std::span<const int> cpus) {
  std::vector<int> ordered, later, cores_seen;
  for (int cpu : cpus) {
    const int core = first_thread_of_core(cpu);
    const bool seen = std::find(cores_seen.begin(), cores_seen.end(), core) != cores_seen.end();
    cores_seen.push_back(core);
    (seen ? later : ordered).push_back(cpu);
  }
  ordered.insert(ordered.end(), later.begin(), later.end());
  return ordered;
}

std::optional<int> pin_to_core(int node_rank) {
  const std::vector<int> cpus = cores_first(allowed_cpus());
  const auto index = static_cast<std::size_t>(node_rank);
  if (index >= cpus.size()) return std::nullopt;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus[index], &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return std::nullopt;
  return cpus[index];
}

}  // namespace gem
