#include "batch/summary.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/table.hpp"
#include "base/text.hpp"
#include "batch/pair_check.hpp"
#include "batch/pair_files.hpp"
#include "device/device_factory.hpp"
#include "files/profile_file.hpp"
#include "mapping/methods.hpp"
#include "model/moe_model.hpp"
#include "model/profile_doubts.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// The slowest device of a step has its largest load: few loads beyond the profile already decide most steps.
constexpr double much_extrapolated = 0.05;

double number(const std::vector<std::string>& row, std::size_t column) {
  return column < row.size() ? parse_number(row[column], "summary") : unknown;
}

std::string shown(double value, int decimals) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, decimals);
}

// Time relative to linear, measured, else predicted; NaN where unknown.
double ratio_of(const SummaryRow& row) {
  return std::isnan(row.measured_vs_linear) ? row.test_vs_linear : row.measured_vs_linear;
}

// The row of a method; null if there is none.
const std::vector<std::string>* row_of(const std::vector<std::vector<std::string>>& rows, const std::string& method) {
  for (const auto& row : rows)
    if (row[0] == method) return &row;
  return nullptr;
}

std::string first_line(const std::string& path) {
  return split(read_whole_text(path, 1 << 16), '\n')[0];
}

void add_pair(const Manifest& manifest, const BatchPair& pair, std::vector<SummaryRow>& rows) {
  const PairFiles files(manifest.output, pair);
  SummaryRow row;
  row.pair = pair.name;
  row.test_s = row.test_vs_linear = row.above_bound = row.measured_vs_linear = row.low = row.high = row.extrapolated =
      unknown;
  if (std::filesystem::exists(files.error())) {
    row.state = "failed";
    row.error = first_line(files.error());
    return rows.push_back(row);
  }
  const bool whole =
      std::filesystem::exists(files.stamp("map")) && (!pair.verify || std::filesystem::exists(files.stamp("verify")));
  if (!whole) {
    row.state = "missing";
    return rows.push_back(row);
  }
  row.state = is_whole(manifest, pair) ? "done" : "stale";
  const auto scores = read_rows(files.scores());
  const auto verdicts = pair.verify ? read_rows(files.verdicts()) : std::vector<std::vector<std::string>>{};
  for (const auto& score : scores) {
    row.method = score[0];
    row.test_s = number(score, 2);
    const bool scored = row.test_s > 0.0;
    if (!scored) row.test_s = unknown;
    row.test_vs_linear = scored ? row.test_s / number(scores.front(), 2) : unknown;
    row.above_bound = scored ? row.test_s / number(score, 5) - 1.0 : unknown;
    row.in_sample = number(score, 6) > 0.0;
    row.extrapolated = number(score, 7);
    const auto* verdict = row_of(verdicts, row.method);
    row.measured_vs_linear = verdict != nullptr ? number(*verdict, 2) : unknown;
    row.low = verdict != nullptr ? number(*verdict, 3) : unknown;
    row.high = verdict != nullptr ? number(*verdict, 4) : unknown;
    rows.push_back(row);
  }
}

std::string csv_of(const std::vector<SummaryRow>& rows) {
  std::string text =
      "pair,state,method,predicted_s,predicted_vs_linear,above_bound,measured_vs_linear,low,high,in_sample,error,"
      "extrapolated\n";
  const auto field = [](double value) { return std::isnan(value) ? std::string() : fmt::format("{:.9g}", value); };
  for (const SummaryRow& row : rows) {
    std::string error;
    for (char c : row.error) error += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += row.pair + "," + row.state + "," + row.method + "," + field(row.test_s) + "," + field(row.test_vs_linear) +
            "," + field(row.above_bound) + "," + field(row.measured_vs_linear) + "," + field(row.low) + "," +
            field(row.high) + "," + (row.in_sample ? "1" : "0") + "," + (error.empty() ? "" : "\"" + error + "\"") +
            "," + field(row.extrapolated) + "\n";
  }
  return text;
}

// Of the mapping with most loads beyond the profile; 0 where none is known.
double most_extrapolated(const std::vector<SummaryRow>& rows, const std::string& pair) {
  double most = 0.0;
  for (const SummaryRow& row : rows)
    if (row.pair == pair && row.extrapolated > most) most = row.extrapolated;
  return most;
}

// "host, emulated slowdowns 1,1.28": what the figures are of, each kind once.
std::string devices_of(const Manifest& manifest) {
  std::set<std::string> kinds;
  for (const BatchPair& pair : manifest.pairs) {
    const std::string &kind = pair.profile.devices.kind, &slowdowns = pair.profile.devices.slowdown;
    kinds.insert(slowdowns.empty() ? kind : kind + ", emulated slowdowns " + slowdowns);
  }
  return join(std::vector<std::string>(kinds.begin(), kinds.end()), "; ");
}

// What a summary says before it is laid out: a line of counts, remarks on pairs, a table, what its words mean.
struct SummaryText {
  std::string counts;
  std::vector<std::string> remarks;
  std::vector<std::vector<std::string>> cells;  // under the columns of summary_columns
  std::vector<std::string> notes;
};

std::vector<Table::Column> summary_columns() {
  return {{"pair", ""},
          {"method", ""},
          {"predicted", "ms/step", 1},
          {"predicted", "vs linear"},
          {"above", "bound %", 2},
          {"measured", "vs linear"},
          {"95 % interval", ""}};
}

std::vector<std::string> cells_of(const SummaryRow& row) {
  const bool has_interval = !std::isnan(row.low) && row.method != method_name(reference_method());
  return {row.pair + (row.in_sample ? " (in-sample)" : "") + (row.state == "stale" ? " (stale)" : ""),
          row.method,
          shown(row.test_s * 1e3, 4),
          shown(row.test_vs_linear, 3),
          shown(row.above_bound * 100.0, 1),
          shown(row.measured_vs_linear, 3),
          has_interval ? fmt::format("{:.3f} - {:.3f}", row.low, row.high) : "-"};
}

/// What is to be said of a profile: before the names of the pairs that are mapped for it, and behind them.
using Remark = std::pair<std::string, std::string>;

// Why the profile is doubtful, and that engines serve the model with other weights.
std::vector<Remark> remarks_on(const LatencyProfile& profile, const MoeModel& model) {
  std::vector<Remark> remarks;
  const std::string doubts = join_doubts(doubts_of(profile)), served = served_weights(model.weight_dtype);
  if (!doubts.empty()) remarks.emplace_back("DOUBTFUL profile of ", ": " + doubts);
  if (!served.empty() && served != profile.weight_dtype)
    remarks.emplace_back("Profile of ",
                         ": engines serve with " + served + " weights, " + profile.weight_dtype + " is measured");
  return remarks;
}

std::string join_some(std::vector<std::string> pairs) {
  constexpr std::size_t most_named = 4;
  const std::size_t count = pairs.size();
  if (count > most_named) {
    pairs.resize(most_named - 1);
    pairs.push_back(fmt::format("{} more", count - most_named + 1));
  }
  return join(pairs);
}

/// What is to be said of profiles, and which pairs are mapped for them.
std::vector<std::string> remarks_on_profiles(const Manifest& manifest, const std::vector<SummaryRow>& rows) {
  std::set<std::string> mapped;
  for (const SummaryRow& row : rows)
    if (!row.method.empty()) mapped.insert(row.pair);
  std::map<std::string, std::vector<Remark>> remarks_of;  // [profile]
  std::map<Remark, std::vector<std::string>> pairs_of;
  for (const BatchPair& pair : manifest.pairs) {
    const std::string profile = profile_in_use(PairFiles(manifest.output, pair), manifest.output);
    if (profile.empty() || !mapped.contains(pair.name)) continue;
    try {
      if (!remarks_of.contains(profile)) remarks_of[profile] = remarks_on(read_profile(profile), pair.model);
    } catch (const Error&) {  // damaged since, and so is the pair: stale
      continue;
    }
    for (const Remark& remark : remarks_of[profile]) pairs_of[remark].push_back(pair.name);
  }
  std::vector<std::string> remarks;
  for (const auto& [remark, pairs] : pairs_of) remarks.push_back(remark.first + join_some(pairs) + remark.second);
  return remarks;
}

SummaryText text_of(const Manifest& manifest, const std::vector<SummaryRow>& rows) {
  SummaryText text;
  std::map<std::string, std::size_t> counts;
  std::string last_pair;
  bool in_sample = false;
  for (const SummaryRow& row : rows) {
    const bool first_of_pair = row.pair != last_pair;
    last_pair = row.pair;
    if (first_of_pair) ++counts[row.state];
    if (row.state == "failed") text.remarks.push_back("FAILED " + row.pair + ": " + row.error);
    if (row.state == "missing") text.remarks.push_back("missing " + row.pair);
    if (row.state != "done" && row.state != "stale") continue;
    if (first_of_pair && row.state == "stale")
      text.remarks.push_back("STALE " + row.pair + ": files are damaged, or made from other inputs or options; " +
                             on_command_line("resume") + " makes it again");
    if (const double share = most_extrapolated(rows, row.pair); first_of_pair && share > much_extrapolated)
      text.remarks.push_back(fmt::format(
          "EXTRAPOLATED {}: {:.3g} % of the loads of a device are beyond its profile; leave max_tokens out of the "
          "manifest, or raise it",
          row.pair, 100.0 * share));
    in_sample = in_sample || row.in_sample;
    text.cells.push_back(cells_of(row));
  }
  const std::vector<std::string> on_profiles = remarks_on_profiles(manifest, rows);
  text.remarks.insert(text.remarks.end(), on_profiles.begin(), on_profiles.end());
  text.counts = fmt::format("{} pairs: {} done, {} failed, {} missing{}.", manifest.pairs.size(), counts["done"],
                            counts["failed"], counts["missing"],
                            counts["stale"] > 0 ? fmt::format(", {} stale", counts["stale"]) : "");
  text.notes = {"predicted: a step of the scored part, on the latency surface; measured: straggler time in the replay.",
                "Devices: " + devices_of(manifest) + "."};
  if (in_sample) text.notes.push_back("in-sample: scored on requests that were searched on; no test of anything.");
  return text;
}

std::string markdown_of(const std::string& title, const SummaryText& text) {
  std::string page = fmt::format("# {}\n\n{}\n\n", title, text.counts);
  for (const std::string& remark : text.remarks) page += "- " + remark + "\n";
  if (!text.remarks.empty()) page += "\n";
  if (!text.cells.empty())
    page +=
        "| pair | method | predicted, ms/step | vs linear | above bound, % | measured vs linear | 95 % interval |\n"
        "|---|---|---:|---:|---:|---:|---:|\n";
  for (const std::vector<std::string>& cells : text.cells) page += "| " + join(cells, " | ") + " |\n";
  page += "\n";
  for (const std::string& note : text.notes) page += note + "\n";
  return page;
}

// The same on a terminal.
std::string shown_summary(const SummaryText& text) {
  std::string lines = text.counts + "\n\n";
  for (const std::string& remark : text.remarks) lines += wrap(remark) + "\n";
  if (!text.remarks.empty()) lines += "\n";
  if (!text.cells.empty()) {
    Table table(summary_columns());
    for (const std::vector<std::string>& cells : text.cells) table.add_row(cells);
    lines += table.to_string(80, "summary.csv has all") + "\n";
  }
  for (const std::string& note : text.notes) lines += wrap(note) + "\n";
  return lines;
}

}  // namespace

std::vector<SummaryRow> summarize_batch(const Manifest& manifest) {
  std::vector<SummaryRow> rows;
  for (const BatchPair& pair : manifest.pairs) add_pair(manifest, pair, rows);
  return rows;
}

JsonRecord summary_record(const std::vector<SummaryRow>& rows) {
  std::vector<JsonRecord> records;
  for (const SummaryRow& row : rows) {
    JsonRecord& record = records.emplace_back();
    record.add("pair", row.pair).add("state", row.state);
    if (!row.error.empty()) record.add("error", row.error);
    if (row.method.empty()) continue;
    record.add("method", row.method)
        .add("predicted_s", row.test_s)
        .add("predicted_vs_linear", row.test_vs_linear)
        .add("above_bound", row.above_bound)
        .add("measured_vs_linear", row.measured_vs_linear)
        .add("low", row.low)
        .add("high", row.high)
        .add("in_sample", row.in_sample)
        .add("extrapolated", row.extrapolated);
  }
  return JsonRecord().add("rows", records);
}

std::string brief_summary(const std::vector<SummaryRow>& rows, const std::string& devices) {
  constexpr std::size_t most_listed = 5;  // of the best, of the worst and of the failed
  std::map<std::string, std::size_t> counts;
  std::vector<const SummaryRow*> judged;  // of each pair the last method, which is the one that it is about
  std::string failures;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + 1 < rows.size() && rows[i + 1].pair == rows[i].pair) continue;
    const std::size_t count = ++counts[rows[i].state];
    if (!std::isnan(ratio_of(rows[i]))) judged.push_back(&rows[i]);
    if (rows[i].state == "failed" && count <= most_listed)
      failures += wrap("FAILED " + rows[i].pair + ": " + rows[i].error) + "\n";
  }
  if (counts["failed"] > most_listed) failures += fmt::format("and {} more failed\n", counts["failed"] - most_listed);
  std::ranges::stable_sort(judged, {}, [](const SummaryRow* row) { return ratio_of(*row); });
  Table table(
      {{"", ""}, {"pair", ""}, {"method", "", 2}, {"predicted", "of linear", 1}, {"measured", "of linear"}, {"", ""}});
  for (std::size_t i = 0; i < judged.size(); ++i) {
    const bool best = i < most_listed, worst = i + most_listed >= judged.size();
    if (!best && !worst) continue;
    const SummaryRow& row = *judged[i];
    table.add_row({best ? "best" : "worst", row.pair, row.method, shown(row.test_vs_linear, 3),
                   shown(row.measured_vs_linear, 3), row.in_sample ? "in-sample" : ""});
  }
  std::size_t pairs = 0;
  std::vector<std::string> parts;
  for (const std::string state : {"done", "stale", "failed", "missing"}) {
    pairs += counts[state];
    if (counts[state] > 0 || state == "done") parts.push_back(fmt::format("{} {}", counts[state], state));
  }
  return fmt::format("{} pairs: {}.\n\n", pairs, join(parts)) + (judged.empty() ? "" : table.to_string() + "\n") +
         failures + wrap("Devices: " + devices + ".") + "\n";
}

std::string write_summary(const Manifest& manifest) {
  constexpr std::size_t most_pairs_shown = 12;  // in full on a terminal
  const std::vector<SummaryRow> rows = summarize_batch(manifest);
  const SummaryText text = text_of(manifest, rows);
  write_whole_text(manifest.output + "/summary.csv", csv_of(rows));
  write_whole_text(manifest.output + "/summary.md", markdown_of(manifest.path, text));
  if (manifest.pairs.size() <= most_pairs_shown) return shown_summary(text);
  std::string brief = brief_summary(rows, devices_of(manifest));
  for (const std::string& remark : remarks_on_profiles(manifest, rows)) brief += wrap(remark) + "\n";
  return brief;
}

}  // namespace gem
