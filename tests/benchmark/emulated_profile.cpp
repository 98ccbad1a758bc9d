// emulated_profile IN.h5 OUT.h5 1.0,1.09,1.19,1.28: the devices of a profile, or its only one as several, that take
// proportionally more time, as --slowdown emulates it; where ranks share a GPU by turns, measuring it once a rank would
// tell nothing more.
#include "emulated_profile.hpp"

#include <cstdio>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/profile_file.hpp"
#include "files/provenance.hpp"

int main(int argc, char** argv) try {
  if (argc != 4) throw gem::UsageError("emulated_profile IN.h5 OUT.h5 SLOWDOWNS");
  const gem::LatencyProfile one = gem::read_profile(argv[1]);
  gem::write_profile(argv[2], gem::emulated(one, gem::parse_number_list(argv[3], "SLOWDOWNS")),
                     gem::provenance_now("emulated_profile", one.model, 1));
  return 0;
} catch (const gem::Error& error) {
  std::fprintf(stderr, "emulated_profile: %s\n", error.what());
  return static_cast<int>(error.code());
}
