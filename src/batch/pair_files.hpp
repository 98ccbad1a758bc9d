#pragma once

#include <string>
#include <vector>

#include "batch/manifest.hpp"

namespace gem {

/// Where the files of a pair lie: OUTPUT/pairs/MODEL/TASK.
class PairFiles {
 public:
  PairFiles(const std::string& output, const BatchPair& pair) : folder_(output + "/pairs/" + pair.name) {}

  const std::string& folder() const { return folder_; }
  std::string trace() const { return folder_ + "/trace.h5"; }
  std::string train() const { return folder_ + "/train.h5"; }
  std::string test() const { return folder_ + "/test.h5"; }
  std::string mapping(const std::string& method) const { return folder_ + "/" + method + ".h5"; }
  std::string report() const { return folder_ + "/report.h5"; }
  std::string scores() const { return folder_ + "/scores.csv"; }
  std::string verdicts() const { return folder_ + "/verdicts.csv"; }
  std::string text(const std::string& stage) const { return folder_ + "/" + stage + ".txt"; }
  std::string stamp(const std::string& stage) const { return folder_ + "/" + stage + ".stamp"; }
  std::string profile() const { return folder_ + "/profile.txt"; }  ///< holds the name of the profile in use
  std::string error() const { return folder_ + "/error.txt"; }
  std::string lock() const { return folder_ + "/lock"; }
  std::string trace_lock() const { return folder_ + "/trace.lock"; }
  /// All that a run of this pair may write, stamps and lock aside.
  std::vector<std::string> written(const BatchPair& pair) const;

 private:
  std::string folder_;
};

inline std::string profile_folder(const std::string& output) {
  return output + "/profiles";
}

/// Reads the rows of a CSV file that this room wrote, without its header; no rows if there is no such file.
std::vector<std::vector<std::string>> read_rows(const std::string& path);

}  // namespace gem
