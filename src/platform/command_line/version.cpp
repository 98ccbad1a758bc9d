#include "platform/command_line/version.hpp"

#include <fmt/core.h>
#include <hdf5.h>
#include <mpi.h>

#include "base/text.hpp"
#include "platform/gpu/gpu_libraries.hpp"
#include "platform/host/gemm.hpp"

namespace gem {

extern const char* const built_revision;  // of a file that the build makes

namespace {

// "Open MPI v4.1.4, package: ...": what it is called and its version.
std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string first_line = split(text, '\n')[0];
  return trim(split(first_line, ',')[0]);
}

std::string hdf5_library() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("HDF5 {}.{}.{}", major, minor, release);
}

}  // namespace

std::string software_version() {
  return GEM_VERSION;
}

std::string version_text() {
  return fmt::format("GEM {}\nrevision: {}\nbuilt in: {}, {}, {}, {}\n", software_version(), built_revision,
                     gpu_libraries(), gemm_library(), mpi_library(), hdf5_library());
}

}  // namespace gem
