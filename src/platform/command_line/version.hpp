#pragma once

#include <string>

namespace gem {

/// Version of GEM, for files.
std::string software_version();

/// "GEM 0.1.0", then a line each: the revision that was built, and the libraries that are built in.
std::string version_text();

}  // namespace gem
