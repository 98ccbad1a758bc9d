#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

/// Endings of the files that a directory of recordings may hold.
constexpr const char* endings[] = {".pt", ".pth", ".npy", ".npz", ".jsonl", ".json", ".csv"};

const ImportFormat* recognised(const std::string& path, const ImportOptions& options) {
  for (const ImportFormat* format : import_formats())
    if (format->recognises(path, options)) return format;
  return nullptr;
}

/// A directory stands for the recordings in it, in the order of their names, unless it is one recording itself.
std::vector<std::string> files_of(const std::string& input, const ImportOptions& options) {
  std::error_code error;
  if (!fs::exists(input, error)) throw DataError(input + ": there is no such file or directory; check the name");
  if (!fs::is_directory(input, error) || recognised(input, options) != nullptr) return {input};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(input, error)) {
    const std::string path = entry.path().string();
    if (std::ranges::any_of(endings, [&](const char* ending) { return path.ends_with(ending); })) files.push_back(path);
  }
  if (files.empty())
    throw DataError(input +
                    ": holds no recordings (.pt, .npy, .npz, .json, .jsonl, .csv, or meta_info.json of TensorRT-LLM)");
  std::ranges::sort(files);
  return files;
}

const ImportFormat& named_format(const std::string& name) {
  std::vector<std::string> names;
  for (const ImportFormat* format : import_formats()) {
    if (format->name == name) return *format;
    names.push_back(format->name);
  }
  throw UsageError(on_command_line("format") + " '" + name + "' is unknown; it is one of " + join(names));
}

const ImportFormat& detected_format(const std::string& path, const ImportOptions& options) {
  if (const ImportFormat* format = recognised(path, options)) return *format;
  if (path.ends_with(".npy") || path.ends_with(".npz") || path.ends_with(".json"))
    throw UsageError(path +
                     ": may hold counts [step, layer, expert] or routed experts [token, layer, k]; say which with " +
                     on_command_line("format") + " counts or " + on_command_line("format") +
                     " vllm-routed, or the model with " + on_command_line("model"));
  throw UsageError(path + ": its format is not known by its name; say it with " + on_command_line("format"));
}

bool hold_the_same(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::is_directory(a, error) || fs::is_directory(b, error) || fs::file_size(a, error) != fs::file_size(b, error))
    return false;
  return read_whole_file(a) == read_whole_file(b);
}

/// Counts of a file that was copied under another name would count twice.
void drop_copies(ImportSources& sources) {
  if (sources.format == &routed_experts_recording) return;  // two requests may well be routed alike
  for (std::size_t later = sources.paths.size(); later-- > 1;)
    for (std::size_t first = 0; first < later; ++first) {
      if (!hold_the_same(sources.paths[first], sources.paths[later])) continue;
      sources.notes.push_back(
          fmt::format("{} holds the same as {} and was left out: a file given twice, or ranks that "
                      "all count every token (no attention data parallelism)",
                      sources.paths[later], sources.paths[first]));
      sources.paths.erase(sources.paths.begin() + static_cast<std::ptrdiff_t>(later));
      break;
    }
}

const ImportFormat& common_format(const std::vector<std::string>& paths, const ImportOptions& options) {
  const ImportFormat& first = detected_format(paths.front(), options);
  for (const std::string& path : paths)
    if (const ImportFormat& other = detected_format(path, options); &other != &first)
      throw UsageError(fmt::format("{} is of format {}, but {} of format {}; import them one by one, or say {}",
                                   paths.front(), first.name, path, other.name, on_command_line("format")));
  return first;
}

/// The files without those that were given before, by whatever name.
std::vector<std::string> without_repeated(const std::vector<std::string>& paths, std::vector<std::string>& notes) {
  std::vector<std::string> once;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::path whole = fs::canonical(path, error);
    if (seen.insert(error ? path : whole.string()).second)
      once.push_back(path);
    else
      notes.push_back(path + " was given twice and is read once");
  }
  return once;
}

}  // namespace

const std::vector<const ImportFormat*>& import_formats() {
  static const std::vector<const ImportFormat*> all = {&sglang_recording, &tensorrt_llm_recording, &vllm_load_recording,
                                                       &routed_experts_recording, &plain_counts_recording};
  return all;
}

ImportSources find_sources(const std::vector<std::string>& inputs, const std::string& format,
                           const ImportOptions& options) {
  ImportSources sources;
  if (!format.empty()) sources.format = &named_format(format);
  std::vector<std::string> paths;
  for (const std::string& input : inputs) {
    const std::vector<std::string> files = files_of(input, options);
    paths.insert(paths.end(), files.begin(), files.end());
  }
  sources.paths = without_repeated(paths, sources.notes);
  if (sources.format == nullptr) sources.format = &common_format(sources.paths, options);
  drop_copies(sources);
  return sources;
}

namespace {

/// Options that say nothing of what is read are a misunderstanding.
void check_options(const ImportFormat& format, const ImportOptions& options) {
  const bool plain = &format == &plain_counts_recording, routed = &format == &routed_experts_recording;
  struct Given {
    const char* word;
    bool given, goes;
  };
  for (const Given& option :
       {Given{"columns", !options.columns.empty(), plain}, Given{"add-repeated", options.add_repeated, plain},
        Given{"axes", !options.axes.empty(), plain || routed}, Given{"ranks", options.ranks > 0, !routed},
        Given{"counted-times", options.counted_times > 0, !routed},
        Given{"cumulative", options.cumulative != Cumulative::Ask, !routed},
        Given{"tokens", options.tokens > 0, !routed}})
    if (option.given && !option.goes)
      throw UsageError(fmt::format("{} has no meaning for what is read as {}; leave it out, or say another {}",
                                   on_command_line(option.word), format.name, on_command_line("format")));
}

}  // namespace

Recording read_recording(const ImportSources& sources, const ImportOptions& options) {
  check_options(*sources.format, options);
  Recording recording = sources.format->read(sources.paths, options);
  std::string origin = sources.paths.front();
  if (sources.paths.size() > 1) origin += fmt::format(" and {} more", sources.paths.size() - 1);
  std::visit([&](auto& recorded) { recorded.origin = origin; }, recording);
  return recording;
}

std::string ranges_text(const std::vector<std::int64_t>& numbers, std::size_t most) {
  std::string text;
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    if (++ranges > most) return text + ", ...";
    text += fmt::format("{}{}", text.empty() ? "" : ", ", numbers[i]);
    if (end > i) text += fmt::format("-{}", numbers[end]);
    i = end + 1;
  }
  return text;
}

LayerExperts parse_layer_experts(const std::string& text, const std::string& what) {
  LayerExperts experts;
  for (const std::string& part : split(text, ',')) {
    const std::size_t times = part.find('x');
    const std::int64_t count = times == std::string::npos ? 1 : parse_integer(part.substr(0, times), what);
    const std::int64_t own = parse_integer(times == std::string::npos ? part : part.substr(times + 1), what);
    if (count < 1 || count > 65536 || own < 1 || own > 65536)
      throw UsageError(what + " '" + text + "' must be numbers of experts, as 64,64,48 or 2x64,48");
    experts.insert(experts.end(), static_cast<std::size_t>(count), static_cast<std::int32_t>(own));
  }
  return experts;
}

std::vector<std::int32_t> parse_layer_ids(const std::string& text, const std::string& what) {
  std::vector<std::int32_t> ids;
  for (const std::string& part : split(text, ',')) {
    const std::vector<std::string> ends = split(part, '-');
    const std::int64_t first = parse_integer(ends.front(), what), last = parse_integer(ends.back(), what);
    if (ends.size() > 2 || first < 0 || last < first || last > 65535 || (!ids.empty() && first <= ids.back()))
      throw UsageError(what + " '" + text + "' must be ascending numbers, as 3-60 or 1,3,5");
    for (std::int64_t id = first; id <= last; ++id) ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

}  // namespace gem
