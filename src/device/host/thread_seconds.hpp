#pragma once

#include <time.h>

namespace gem {

/// Seconds of work of this thread: what other processes take of the core is not the device's time.
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace gem
