// What tests of gem-map share: small inputs, its command line, and a figure of its table.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "files/profile_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/program_run.hpp"
#include "search/random_problem.hpp"

namespace gem {

// Profile of 4 devices and traces of one model with 8 experts; train and test parts are there.
inline void write_inputs(const TestFolder& folder) {
  const Provenance provenance = provenance_now("test", "made-up", 1);
  LatencyProfile profile = testing::made_up_profile(4, 4);
  const std::size_t points = profile.points.size();
  profile.device_kind = "simulated";
  profile.weight_dtype = "bf16";
  profile.expert = {64, 64};
  profile.experts_per_device = 4;
  for (DeviceDescription& device : profile.devices) device.kind = "simulated";
  profile.p95_s = profile.median_s;
  profile.samples_s = Cube<float>(4, points, 1);
  for (std::size_t d = 0; d < 4; ++d)
    for (std::size_t p = 0; p < points; ++p)
      profile.samples_s.row(d, p)[0] = static_cast<float>(profile.median_s(d, p));
  profile.settled = Matrix<std::uint8_t>(4, points, 1);
  profile.sm_clock_hz = profile.power_w = profile.temperature_c = Matrix<double>(4, points, 1.0);
  profile.throttle_reasons = Matrix<std::uint64_t>(4, points, 0);
  profile.drift.assign(4, 0.0);
  profile.program = {"python3 -m engine", "an engine's kernel (2)", "32:16,64"};
  write_profile(folder.file("profile.h5"), profile, provenance);
  profile.model = "another";
  write_profile(folder.file("another.h5"), profile, provenance_now("test", "another", 1));
  for (const std::string part : {"train", "test"}) {
    // Tokens of a step are what its experts got, as a trace has it.
    LoadTrace trace = testing::made_up_trace(24, 2, 8, part == "train" ? 1 : 2);
    trace.phase = "decode";
    trace.part = part;
    trace.top_k = 2;
    trace.tokens_per_step = 256;
    for (std::size_t t = 0; t < 24; ++t)
      for (std::size_t layer = 0; layer < 2; ++layer) {
        std::uint32_t left = 512;
        for (std::size_t e = 0; e < 8; ++e) {
          std::uint32_t& count = trace.counts(t, layer, e);
          count = e == 7 ? left : std::min({count, left, 256u});
          left -= count;
        }
        // No expert gets more than all tokens.
        for (std::size_t e = 0; trace.counts(t, layer, 7) > 256; e = (e + 1) % 7)
          if (trace.counts(t, layer, e) < 256) {
            ++trace.counts(t, layer, e);
            --trace.counts(t, layer, 7);
          }
      }
    write_trace(folder.file(part + ".h5"), trace, provenance);
  }
}

inline std::string map(const TestFolder& folder, const std::string& options,
                       const std::string& profile = "profile.h5") {
  return std::string(GEM_PROGRAM_DIR) + "/gem-map --profile " + folder.file(profile) + " --trace " +
         folder.file("train.h5") + " --output " + folder.file("map.h5") + " " + options;
}

// Held-out ms/step by method, from the table.
inline double column(const std::string& output, const std::string& method, int number) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name != method) continue;
    for (int i = 0; i < number; ++i) words >> name;
    return std::stod(name);
  }
  ADD_FAILURE() << method << " is not in\n" << output;
  return 0.0;
}

}  // namespace gem
