#include "batch/pair_files.hpp"

#include <filesystem>

#include "base/text.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {

std::vector<std::string> PairFiles::written(const BatchPair& pair) const {
  std::vector<std::string> files{train(),     test(),         report(),  scores(), verdicts(),
                                 text("map"), text("verify"), profile(), error()};
  if (pair.source.trace.empty()) files.push_back(trace());
  for (const std::string& name : mapping_names(pair)) files.push_back(mapping(name));
  return files;
}

std::vector<std::vector<std::string>> read_rows(const std::string& path) {
  constexpr std::uint64_t most_bytes = 1 << 20;
  std::vector<std::vector<std::string>> rows;
  if (!std::filesystem::is_regular_file(path)) return rows;
  const std::vector<std::string> lines = split(trim(read_whole_text(path, most_bytes)), '\n');
  for (std::size_t i = 1; i < lines.size(); ++i) rows.push_back(split(lines[i], ','));
  return rows;
}

}  // namespace gem
