#include "device/command/command_session.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

constexpr std::int64_t protocol = 1;
constexpr std::int64_t most_tile_tokens = 65536;

std::string shortened(const std::string& text) {
  constexpr std::size_t most = 200;
  return text.size() <= most ? text : text.substr(0, most) + "...";
}

double number_or_nan(const JsonNode& answer, const char* key) {
  return answer.has(key) ? answer.at(key).number() : std::numeric_limits<double>::quiet_NaN();
}

const std::string& name_of(const JsonNode& answer, const char* key) {
  const std::string& text = answer.at(key).text();
  if (text.empty()) answer.at(key).reject("is empty");
  return text;
}

// One number, or a list of steps with growing rows, of which the last is for all loads beyond.
std::vector<TileStep> tile_steps(const JsonNode& tiles) {
  std::vector<TileStep> steps;
  if (!tiles.is_array()) return {{0, static_cast<std::size_t>(tiles.integer(1, most_tile_tokens))}};
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const JsonNode step = tiles.item(i);
    const bool last = i + 1 == tiles.size();
    const auto rows = last ? 0 : step.at("up_to_rows").integer(1, std::numeric_limits<std::int32_t>::max());
    steps.push_back({static_cast<std::size_t>(rows),
                     static_cast<std::size_t>(step.at("tile_tokens").integer(1, most_tile_tokens))});
    if (i > 0 && !last && steps[i].up_to_rows <= steps[i - 1].up_to_rows)
      step.reject("'up_to_rows' must grow from step to step");
  }
  if (steps.empty()) tiles.reject("is an empty list");
  return steps;
}

}  // namespace

CommandSession::CommandSession(const std::string& command, double patience_s, std::int32_t rank)
    : command_(command), patience_s_(patience_s), rank_(rank), process_(command), telemetry_(unknown_telemetry()) {}

CommandSession::~CommandSession() {
  process_.write_line(fmt::format(R"({{"request": "close", "id": {}}})", ++id_));
}

std::string CommandSession::quoted_words() const {
  const std::string words = process_.last_words();
  return words.empty()
             ? "; it wrote nothing to its standard error"
             : "; the end of its standard error: " + (words.size() < 2000 ? words : words.substr(words.size() - 2000));
}

template <class Take>
void CommandSession::ask(const std::string& what, const std::string& members, const Take& take) {
  const std::string who = fmt::format("{} '{}' on rank {}", spelled("command"), command_, rank_);
  const auto id = static_cast<std::int64_t>(++id_);
  std::string line;
  auto reading = ChildProcess::Reading::Ended;
  if (process_.write_line(fmt::format(R"({{"request": "{}", "id": {}, {}}})", what, id, members)))
    reading = process_.read_line(line, patience_s_);
  if (reading == ChildProcess::Reading::Ended) {
    const std::string ending = process_.ending();
    throw SystemError(fmt::format("{} {} before it answered '{}'{}", who,
                                  ending == "still runs" ? "closed its output" : ending, what, quoted_words()));
  }
  if (reading == ChildProcess::Reading::TimedOut)
    throw SystemError(fmt::format("{} did not answer '{}' within {:g} s ({}){}", who, what, patience_s_,
                                  spelled("command-timeout"), quoted_words()));
  if (reading == ChildProcess::Reading::TooLong)
    throw DataError(fmt::format("{} answered '{}' with a line of more than a MiB, which is no answer{}", who, what,
                                quoted_words()));
  try {
    const JsonDocument document = JsonDocument::parse(line, "its answer");
    const JsonNode answer = document.root();
    if (answer.has("error")) throw SystemError(fmt::format("{}: {}", who, answer.at("error").text()));
    if (const std::int64_t found = answer.at("id").integer(); found != id)
      answer.at("id").reject(fmt::format("is {}, but {} was asked", found, id));
    take(answer);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{} answered '{}' with '{}', which can't be: {}{}", who, what, shortened(line),
                                error.what(), quoted_words()));
  }
}

CommandAnswer CommandSession::open(const CommandOpening& opening) {
  CommandAnswer said;
  const std::string members = fmt::format(
      R"("protocol": {}, "hidden_size": {}, "intermediate_size": {}, "experts": {}, "top_k": {}, )"
      R"("tokens_per_step": {}, "dtype": {}, "seed": {}, "rank": {}, "node_rank": {})",
      protocol, opening.expert.hidden_size, opening.expert.intermediate_size, opening.experts, opening.top_k,
      opening.tokens_per_step, to_json(opening.dtype), opening.seed, opening.rank, opening.node_rank);
  ask("open", members, [&](const JsonNode& answer) {
    if (const std::int64_t found = answer.at("protocol").integer(); found != protocol)
      answer.at("protocol").reject(fmt::format("is {}, but this program speaks {}", found, protocol));
    said.name = name_of(answer, "name");
    said.kernel = name_of(answer, "kernel");
    said.version = name_of(answer, "version");
    if (answer.has("uuid")) said.uuid = answer.at("uuid").text();
    if (answer.has("tiles")) said.tiles = tile_steps(answer.at("tiles"));
  });
  return said;
}

double CommandSession::load(std::span<const std::uint32_t> tokens) {
  double seconds = 0.0;
  const auto begin = std::chrono::steady_clock::now();
  ask("load", fmt::format(R"("tokens": [{}], "samples": 1, "cold": true)", fmt::join(tokens, ", ")),
      [&](const JsonNode& answer) {
        const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        const JsonNode samples = answer.at("seconds");
        if (samples.size() != 1) samples.reject(fmt::format("has {} samples, but 1 was asked", samples.size()));
        seconds = samples.item(0).number();
        if (!(seconds > 0.0) || !std::isfinite(seconds))
          samples.reject(fmt::format("has {:g}, not a time above 0", seconds));
        if (seconds > elapsed_s)
          samples.reject(fmt::format("has {:g} s, but the answer came after {:g} s", seconds, elapsed_s));
        telemetry_.sm_clock_hz = number_or_nan(answer, "clock_hz");
        telemetry_.power_w = number_or_nan(answer, "power_w");
        telemetry_.temperature_c = number_or_nan(answer, "temperature_c");
      });
  return seconds;
}

}  // namespace gem
