#pragma once

#include <cstddef>
#include <string>

namespace gem {

/// Name of this machine.
std::string host_name();

/// Product name of the processor; "CPU" where the system doesn't say.
std::string cpu_name();

/// Bytes that can still be allocated without swapping, by the kernel's estimate and by the limit of this process's
/// control group (a container, a batch job).
std::size_t available_memory_bytes();

/// Size of the processor's largest cache; 32 MiB where the system doesn't say.
std::size_t last_level_cache_bytes();

}  // namespace gem
