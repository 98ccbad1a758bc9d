#include "batch/stamp.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <span>

#include "base/checksum.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t most_stamp_bytes = 1 << 16;

std::string hexadecimal(std::uint64_t value) {
  return fmt::format("{:016x}", value);
}

}  // namespace

void StageKey::add(const std::string& name, double value) {
  add(name, fmt::format("{:.17g}", value));
}

void StageKey::add_file(const std::string& name, const std::string& path) {
  add(name, file_digest(path));
}

void StageKey::add(const OptionList& options) {
  for (const Option& option : options.all()) {
    if (!option.is_in_results()) continue;
    const std::string value = option.value();
    const bool is_file =
        option.kind() == OptionKind::File || (option.kind() == OptionKind::NumbersOrFile && value.ends_with(".csv"));
    is_file && !value.empty() ? add_file(option.name().key, value) : add(option.name().key, value);
  }
}

std::string StageKey::digest() const {
  return hexadecimal(checksum_of(std::as_bytes(std::span(text_))));
}

std::string file_digest(const std::string& path) {
  const InputFile file(path);
  Checksum checksum;
  std::array<std::byte, 1 << 16> buffer{};
  for (std::uint64_t offset = 0; offset < file.size(); offset += buffer.size()) {
    const auto part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), file.size() - offset));
    file.read_at(offset, part);
    checksum.add(part);
  }
  return hexadecimal(checksum.value());
}

bool is_fresh(const std::string& path, const StageKey& key) {
  if (!fs::is_regular_file(path)) return false;
  const std::vector<std::string> lines = split(trim(read_whole_text(path, most_stamp_bytes)), '\n');
  if (lines[0] != "key " + key.digest()) return false;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::size_t space = lines[i].find(' ');
    if (space == std::string::npos) return false;
    const fs::path output = fs::path(path).parent_path() / lines[i].substr(space + 1);
    if (!fs::is_regular_file(output) || file_digest(output) != lines[i].substr(0, space)) return false;
  }
  return true;
}

void write_stamp(const std::string& path, const StageKey& key, const std::vector<std::string>& outputs) {
  std::string text = "key " + key.digest() + "\n";
  for (const std::string& output : outputs)
    text += file_digest(output) + " " + fs::path(output).filename().string() + "\n";
  write_whole_text(path, text);
}

}  // namespace gem
