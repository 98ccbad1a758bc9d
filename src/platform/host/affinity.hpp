#pragma once

#include <optional>
#include <span>
#include <vector>

namespace gem {

/// CPUs that this process may use, as the launcher or scheduler left them, ascending.
std::vector<int> allowed_cpus();

/// The same CPUs, one of each core first: hardware threads that share a core with an earlier one come last.
std::vector<int> cores_first(std::span<const int> cpus);

/// Binds this process to the CPU that its number on the node gives among the allowed ones. None, and nothing changed,
/// where the launcher allows fewer CPUs than that: it has then bound the ranks itself, or they must share.
std::optional<int> pin_to_core(int node_rank);

}  // namespace gem
