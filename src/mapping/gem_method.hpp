#pragma once

#include "mapping/method_task.hpp"

namespace gem {

/// The search: no layer ends worse than the mappings that it begins with, judged on what is searched on. Where there
/// are to be copies it chooses them first. Collective; every rank gets the answer.
MethodResult run_gem(const MethodTask& task);

}  // namespace gem
