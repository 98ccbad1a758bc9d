#pragma once

#include <vector>

namespace gem {

/// Descriptors of what this program prints to, standard output and error among them: files that they lead to
/// are not written over.
std::vector<int>& kept_outputs();

}  // namespace gem
