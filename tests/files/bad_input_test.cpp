#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "files/routing_file.hpp"
#include "files/sample_files.hpp"
#include "files/trace_file.hpp"
#include "model/profile_progress.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

using Reader = std::function<void(const std::string&)>;

const std::vector<std::pair<std::string, Reader>> readers = {
    {"gem.routing", [](const std::string& path) { read_routing(path); }},
    {"gem.trace", [](const std::string& path) { read_trace(path); }},
    {"gem.report", [](const std::string& path) { read_report(path); }},
    {"gem.mapping", [](const std::string& path) { read_mapping(path); }},
    {"gem.profile", [](const std::string& path) { read_profile(path); }}};

/// One field of a valid file replaced; the message must name the file and hold `word`.
struct Spoiled {
  std::string field;
  WriteStep replacement;
  std::string word;
};

void expect_all_refused(const Fields& valid, const Reader& read, const std::vector<Spoiled>& cases) {
  const TemporaryDirectory directory;
  const std::string path = directory / "spoiled.h5";
  write_fields(path, valid);
  EXPECT_NO_THROW(read(path));
  for (const auto& [field, replacement, word] : cases) {
    SCOPED_TRACE(field + ", " + word);
    Fields fields = valid;
    ASSERT_TRUE(fields.count(field)) << field;
    fields[field] = replacement;
    write_fields(path, fields);
    expect_error<DataError>([&] { read(path); }, {path, field, word});
  }
}

/// Every field that the reader needs, left out one at a time.
void expect_needed(const Fields& valid, const Reader& read, const std::vector<std::string>& needed) {
  const TemporaryDirectory directory;
  const std::string path = directory / "incomplete.h5";
  for (const std::string& field : needed) {
    Fields fields = valid;
    ASSERT_EQ(fields.erase(field), 1u) << field;
    write_fields(path, fields);
    expect_error<DataError>([&] { read(path); }, {path, field, "missing"});
  }
}

TEST(BadInput, NoSuchFile) {
  for (const auto& [name, read] : readers)
    expect_error<DataError>([&, read = read] { read("no/such/file.h5"); }, {"no/such/file.h5", "no such file"});
}

TEST(BadInput, DirectoryDeviceEmptyOrText) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "empty.h5").close();
  ASSERT_EQ(mkfifo((directory / "pipe.h5").c_str(), 0600), 0);
  std::ofstream(directory / "text.h5") << "model,layers\ntoy,3\n";
  for (const auto& [name, read] : readers) {
    const Reader& reader = read;
    expect_error<DataError>([&] { reader(directory / ""); }, {"directory"});
    expect_error<DataError>([&] { reader("/dev/null"); }, {"/dev/null", "regular file"});
    expect_error<DataError>([&] { reader(directory / "pipe.h5"); }, {"pipe.h5", "regular file"});
    expect_error<DataError>([&] { reader(directory / "empty.h5"); }, {"empty.h5", "empty"});
    expect_error<DataError>([&] { reader(directory / "text.h5"); }, {"text.h5", "not an HDF5 file"});
  }
}

TEST(BadInput, TruncatedFile) {
  const TemporaryDirectory directory;
  const std::string path = directory / "trace.h5";
  write_trace(path, sample_trace(), sample_provenance());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  expect_error<DataError>([&] { read_trace(path); }, {path, "truncated", "eof = "});
}

TEST(BadInput, ForeignFormatOrVersion) {
  const TemporaryDirectory directory;
  const std::string path = directory / "foreign.h5";
  write_fields(path, {{"/data", dataset<double>("/data", {1.0}, {1})}});
  for (const auto& [name, read] : readers) {
    const Reader& reader = read;
    expect_error<DataError>([&] { reader(path); }, {path, "'format'", name});
  }
  write_profile(path, unmeasured(sample_plan(2, 3)), sample_provenance());
  expect_error<DataError>([&] { read_profile(path); }, {path, "unfinished", "--resume"});
  Fields early = profile_fields();
  early["format"] = text("format", "gem.profile.partial");
  write_fields(path, early);
  expect_error<DataError>([&] { read_profile(path); }, {path, "earlier version", "without --resume"});
  write_trace(path, sample_trace(), sample_provenance());
  expect_error<DataError>([&] { read_mapping(path); }, {path, "gem.trace", "gem.mapping"});
  for (const std::string version : {"2.0", "10.0", "", "x"}) {
    Fields fields = trace_fields();
    fields["format_version"] = text("format_version", version);
    write_fields(path, fields);
    expect_error<DataError>([&] { read_trace(path); }, {path, "format_version", "'" + version + "'"});
  }
  Fields fields = trace_fields();
  fields["format"] = count("format", 1);
  write_fields(path, fields);
  expect_error<DataError>([&] { read_trace(path); }, {path, "'format'", "text"});
}

TEST(BadInput, Routing) {
  const std::string ids = "/topk_ids";
  expect_all_refused(routing_fields(), [](const std::string& path) { read_routing(path); },
                     {{"num_experts", count("num_experts", 0), "is 0"},
                      {"num_experts", count("num_experts", 1u << 30), "65536"},
                      {"num_experts", text("num_experts", "4"), "whole number"},
                      {"top_k", count("top_k", 5), "is 5"},
                      {"top_k", count("top_k", 0), "is 0"},
                      {"/layer_ids", dataset<std::int32_t>("/layer_ids", {0, 1}, {2}), "[2]"},
                      {"/layer_ids", dataset<std::int32_t>("/layer_ids", {-1}, {1}), "-1"},
                      {"/layer_ids", dataset<std::int64_t>("/layer_ids", {1ll << 40}, {1}), "out of range"},
                      {"/layer_ids", dataset<double>("/layer_ids", {0.0}, {1}), "whole numbers"},
                      {"/request_offsets", dataset<std::int64_t>("/request_offsets", {0, 2, 1, 3}, {4}), "ascend"},
                      {"/request_offsets", dataset<std::int64_t>("/request_offsets", {1, 2, 3}, {3}), "from 1"},
                      {"/request_offsets", dataset<std::int64_t>("/request_offsets", {0, 1, 4}, {3}), "to 4"},
                      {"/request_offsets", dataset<std::int64_t>("/request_offsets", {0}, {1}), "length"},
                      {"/request_offsets", dataset<std::int64_t>("/request_offsets", {}, {0}), "[0]"},
                      {ids, dataset<std::uint8_t>(ids, {0, 1, 2, 4, 3, 0}, {3, 1, 2}), "holds 4 at [1, 0, 1]"},
                      {ids, dataset<std::int32_t>(ids, {0, 1, 2, -1, 3, 0}, {3, 1, 2}), "out of range"},
                      {ids, dataset<std::uint8_t>(ids, {0, 1, 2, 3, 3, 0}, {3, 2}), "2 dimensions"},
                      {ids, dataset<std::uint8_t>(ids, {0, 1, 2}, {3, 1, 1}), "[3, 1, 1]"},
                      {ids, dataset<std::uint8_t>(ids, {}, {0, 1, 2}), "[0, 1, 2]"},
                      {ids, texts(ids, {"0", "1"}), "dimensions"}});
  expect_needed(routing_fields(), [](const std::string& path) { read_routing(path); },
                {"format", "format_version", "model", "task", "phase", "num_experts", "top_k", "/layer_ids",
                 "/request_offsets", "/topk_ids"});
}

TEST(BadInput, Trace) {
  const std::string counts = "/counts";
  expect_all_refused(trace_fields(), [](const std::string& path) { read_trace(path); },
                     {{"top_k", count("top_k", 3), "is 3"},
                      {"tokens_per_step", count("tokens_per_step", 0), "is 0"},
                      {"part", text("part", "some"), "'some'"},
                      {"/layer_ids", dataset<std::int32_t>("/layer_ids", {0}, {1}), "[1]"},
                      {"/layer_ids", dataset<std::int32_t>("/layer_ids", {1, 1}, {2}), "twice"},
                      {counts, dataset<std::int32_t>(counts, {1, 2, 0, 3, 3, 0, 2, -1}, {2, 2, 2}), "out of range"},
                      {counts, dataset<std::uint32_t>(counts, {1, 2, 0, 3, 3, 0, 2, ~0u}, {2, 2, 2}), "at [1, 1, 1]"},
                      {counts, dataset<double>(counts, {1, 2, 0, 3, 3, 0, 2, 1}, {2, 2, 2}), "whole numbers"},
                      {counts, dataset<std::uint32_t>(counts, {1, 2, 0, 3}, {2, 2}), "2 dimensions"},
                      {counts, dataset<std::uint32_t>(counts, {}, {0, 2, 2}), "[0, 2, 2]"}});
  expect_needed(trace_fields(), [](const std::string& path) { read_trace(path); },
                {"model", "task", "phase", "top_k", "tokens_per_step", "/layer_ids", "/counts"});
}

TEST(BadInput, ExpertsOfLayers) {
  const std::string own = "/experts_of_layer";
  Fields trace = trace_fields();
  trace[own] = dataset<std::int32_t>(own, {2, 2}, {2});
  expect_all_refused(trace, [](const std::string& path) { read_trace(path); },
                     {{own, dataset<std::int32_t>(own, {2, 1}, {2}), "/counts has 3 tokens for expert 1 of layer 1"},
                      {own, dataset<std::int32_t>(own, {1, 1}, {2}), "no layer has more than 1"},
                      {own, dataset<std::int32_t>(own, {3, 2}, {2}), "holds 3 at [0]"},
                      {own, dataset<std::int32_t>(own, {0, 2}, {2}), "holds 0 at [0]"},
                      {own, dataset<std::int32_t>(own, {2}, {1}), "[1]"}});
  Fields routing = routing_fields();
  routing["/layer_ids"] = dataset<std::int64_t>("/layer_ids", {0, 3}, {2});
  routing["/topk_ids"] = dataset<std::int64_t>("/topk_ids", {0, 1, 2, 3, 3, 0, 0, 1, 1, 2, 2, 0}, {3, 2, 2});
  routing[own] = dataset<std::int32_t>(own, {4, 4}, {2});
  expect_all_refused(routing, [](const std::string& path) { read_routing(path); },
                     {{own, dataset<std::int32_t>(own, {4, 3}, {2}), "/topk_ids names expert 3 in layer 1 of token 0"},
                      {own, dataset<std::int32_t>(own, {3, 3}, {2}), "'num_experts' is 4"}});
  Fields mapping = mapping_fields();
  mapping[own] = dataset<std::int32_t>(own, {4}, {1});
  expect_all_refused(mapping, [](const std::string& path) { read_mapping(path); },
                     {{own, dataset<std::int32_t>(own, {3}, {1}), "holds expert 3 in layer 0, which has 3 experts"}});
}

TEST(BadInput, Mapping) {
  const std::string homes = "/expert_to_device";
  const std::string slots = "/slots";
  const std::string score = "/score/predicted_s";
  expect_all_refused(
      mapping_fields(), [](const std::string& path) { read_mapping(path); },
      {{homes, dataset<std::int32_t>(homes, {0, 1, 1, 2}, {1, 4}), "holds 2 at [0, 3]"},
       {homes, dataset<std::int32_t>(homes, {0, 1, 1, -1}, {1, 4}), "no slot for expert 3 of layer 0 on device -1"},
       {homes, dataset<std::int32_t>(homes, {0, 1, 1, 1}, {1, 4}), "no slot for expert 3 of layer 0 on device 1"},
       {homes, dataset<std::int32_t>(homes, {0, 1, 1, 0}, {4}), "1 dimensions"},
       {slots, dataset<std::int32_t>(slots, {3, 0, -1, -1, 1, 4}, {1, 2, 3}), "holds 4 at [0, 1, 2]"},
       {slots, dataset<std::int32_t>(slots, {3, 0, -1, -2, 1, 2}, {1, 2, 3}), "holds -2"},
       {slots, dataset<std::int32_t>(slots, {3, 0, -1, 0, 1, 2}, {1, 2, 3}), "4 experts and 1 redundant copies do not"},
       {slots, dataset<std::int32_t>(slots, {3, 0, 0, 1, 2, 3}, {1, 2, 3}), "device 0 holds expert 0 of layer 0 twice"},
       {slots, dataset<std::int32_t>(slots, {3, 0, 1, 2, 1, 2}, {1, 2, 3}), "device 1 holds expert 2 of layer 0 twice"},
       {slots, dataset<std::int32_t>(slots, {3, -1, -1, -1, 1, 2}, {1, 2, 3}), "no slot for expert 0"},
       {slots, dataset<std::int32_t>(slots, {}, {1, 0, 3}), "[1, 0, 3]"},
       {slots, dataset<std::int32_t>(slots, {3, 0, 1, 2, 3, 0, 1, 2}, {2, 2, 2}), "[2, 2, 2]"},
       {score, dataset<double>(score, {-1.0}, {1}, "s"), "holds -1"},
       {score, dataset<double>(score, {INFINITY}, {1}, "s"), "holds inf"},
       {score, dataset<double>(score, {1.0, 1.0}, {2}, "s"), "[2]"},
       {"/layer_ids", dataset<std::int32_t>("/layer_ids", {0, 1}, {2}), "[2]"}});
  Fields fewer_experts = mapping_fields();
  fewer_experts[homes] = dataset<std::int32_t>(homes, {0, 1, 1}, {1, 3});
  const TemporaryDirectory directory;
  write_fields(directory / "fewer.h5", fewer_experts);
  expect_error<DataError>([&] { read_mapping(directory / "fewer.h5"); }, {slots, "holds 3 at [0, 0, 0]", "0 to 2"});
  expect_needed(mapping_fields(), [](const std::string& path) { read_mapping(path); },
                {"method", "train_steps", "/layer_ids", homes, slots});
}

TEST(BadInput, Profile) {
  const std::string median = "/latency/median";
  const std::string p95 = "/latency/p95";
  const std::string tiles = "/points/tiles";
  const auto latency = [](const std::string& name, double value) {
    return dataset<double>(name, {1, 2, 3, 4, value, 6}, {2, 3}, "s");
  };
  expect_all_refused(profile_fields(), [](const std::string& path) { read_profile(path); },
                     {{"tile_tokens", count("tile_tokens", 0), "is 0"},
                      {"hidden_size", count("hidden_size", 1ull << 40), "hidden_size"},
                      {median, latency(median, NAN), "nan at [1, 1]"},
                      {median, dataset<double>(median, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 3}, "s"), "[3, 3]"},
                      {median, dataset<double>(median, {1, 2, 3, 4}, {2, 2}, "s"), "[2, 2]"},
                      {median, latency(median, -1.0), "holds -1"},
                      {median, latency(median, 0.0), "holds 0"},
                      {median, latency(median, INFINITY), "holds inf"},
                      {median, latency(median, 1e-12), "holds 1e-12"},
                      {median, latency(median, 1e30), "holds 1e+30"},
                      {p95, latency(p95, NAN), "nan at [1, 1]"},
                      {median, dataset<double>(median, {1, 2, 3}, {3}, "s"), "1 dimensions"},
                      {median, dataset<double>(median, {1, 2, 3, 4, 5, 6}, {3, 2}, "s"), "[3, 2]"},
                      {median, dataset<double>(median, {1, 2, 3, 4, 5, 6}, {2, 3}, "ms"), "'ms'"},
                      {tiles, dataset<std::int32_t>(tiles, {}, {0}), "[0]"},
                      {tiles, dataset<std::int32_t>(tiles, {1, 0, 2}, {3}), "holds 0 at [1]"},
                      {tiles, dataset<std::int64_t>(tiles, {1, 1ll << 40, 2}, {3}), "at [1]"},
                      {"/devices/name", texts("/devices/name", {}), "[0]"},
                      {"/devices/name", dataset<double>("/devices/name", {1, 2}, {2}), "texts"}});
  expect_needed(profile_fields(), [](const std::string& path) { read_profile(path); },
                {"model", "tile_tokens", "hidden_size", "intermediate_size", tiles, "/points/active_experts",
                 "/points/tokens", median, p95, "/devices/name"});
  Fields with_samples = profile_fields();
  with_samples["/rule/bend_tiles"] = dataset<std::uint32_t>("/rule/bend_tiles", {2, 4}, {2});
  with_samples["/rule/surplus_tile"] = dataset<double>("/rule/surplus_tile", {1e-6, 2e-6}, {2}, "s");
  with_samples["topology_source"] = text("topology_source", "stated");
  with_samples["/topology/node"] = dataset<std::int32_t>("/topology/node", {0, 1}, {2});
  for (const char* name : {"/topology/latency", "/topology/bandwidth"})
    with_samples[name] = dataset<double>(name, {1, 2}, {2}, name[10] == 'l' ? "s" : "byte/s");
  with_samples["exchange_transport"] = text("exchange_transport", "mpi");
  for (const char* name : {"/exchange/latency", "/exchange/bandwidth"})
    with_samples[name] = dataset<double>(name, {NAN, 1, 1, NAN}, {2, 2}, name[10] == 'l' ? "s" : "byte/s");
  with_samples["/exchange/law/tokens"] = dataset<std::int64_t>("/exchange/law/tokens", {16, 64}, {2}, "token");
  for (const char* name : {"mean", "fixed", "row"})
    with_samples[fmt::format("/exchange/law/{}", name)] =
        dataset<double>(fmt::format("/exchange/law/{}", name), {1e-6, 2e-6}, {2}, "s");
  with_samples["/exchange/law/explained"] = dataset<double>("/exchange/law/explained", {0, 1}, {2});
  with_samples["/shared_experts/tokens"] = dataset<std::int64_t>("/shared_experts/tokens", {16, 64}, {2}, "token");
  with_samples["/shared_experts/median"] =
      dataset<double>("/shared_experts/median", {1e-6, 2e-6, 1e-6, 3e-6}, {2, 2}, "s");
  for (const char* name : {"/regimes/rows_from", "/regimes/rows_to", "/regimes/tile_tokens", "/regimes/point_count",
                           "/regimes/points/tiles", "/regimes/points/active_experts", "/regimes/points/tokens"})
    with_samples[name] = dataset<std::int64_t>(name, {1}, {1});
  with_samples["/regimes/latency/median"] = dataset<double>("/regimes/latency/median", {1, 1}, {2, 1}, "s");
  with_samples["/rule/row"] = dataset<double>("/rule/row", {1e-9}, {1}, "s");
  with_samples["/latency/samples"] = dataset<float>("/latency/samples", {1, 1, 1, 1, 1, NAN}, {2, 3, 1}, "s");
  expect_all_refused(
      with_samples, [](const std::string& path) { read_profile(path); },
      {{"/latency/samples", dataset<float>("/latency/samples", {1, 1, 1, 1, -1, 1}, {2, 3, 1}, "s"), "holds -1"},
       {"/latency/samples", dataset<float>("/latency/samples", {1, 1, 1, 1}, {2, 2, 1}, "s"), "[2, 2, 1]"},
       {"/rule/row", dataset<double>("/rule/row", {-1e-9}, {1}, "s"), "holds -1e-09"},
       {"/rule/row", dataset<double>("/rule/row", {1e-9}, {1}, "ms"), "'ms'"},
       {"/rule/bend_tiles", dataset<std::uint32_t>("/rule/bend_tiles", {2, 1000}, {2}), "holds 1000"},
       {"/rule/surplus_tile", dataset<double>("/rule/surplus_tile", {1e-6}, {1}, "s"), "must have [2]"},
       {"/rule/surplus_tile", dataset<double>("/rule/surplus_tile", {1e-6, NAN}, {2}, "s"), "nan"},
       {"topology_source", text("topology_source", "guess"), "'guess'"},
       {"/topology/node", dataset<std::int32_t>("/topology/node", {0, 2}, {2}), "holds 2"},
       {"/topology/node", dataset<std::int32_t>("/topology/node", {1, 1}, {2}), "has no node 0"},
       {"/topology/node", dataset<std::int32_t>("/topology/node", {0}, {1}), "must have [2]"},
       {"/topology/bandwidth", dataset<double>("/topology/bandwidth", {1, 0}, {2}, "byte/s"), "holds 0"},
       {"/exchange/latency", dataset<double>("/exchange/latency", {NAN, 1, 1, NAN}, {2, 2}, "us"), "'us'"},
       {"/exchange/latency", dataset<double>("/exchange/latency", {NAN, 1}, {1, 2}, "s"), "must have [2, 2]"},
       {"/exchange/bandwidth", dataset<double>("/exchange/bandwidth", {NAN, 1, 0, NAN}, {2, 2}), "holds 0"},
       {"/exchange/law/tokens", dataset<std::int64_t>("/exchange/law/tokens", {64, 16}, {2}), "must ascend"},
       {"/exchange/law/explained", dataset<double>("/exchange/law/explained", {0, 1.5}, {2}), "holds 1.5"},
       {"/exchange/law/row", dataset<double>("/exchange/law/row", {0, 2}, {2}, "s"), "holds 2"},
       {"/exchange/law/row", dataset<double>("/exchange/law/row", {0}, {1}, "s"), "must have [2]"},
       {"/shared_experts/tokens", dataset<std::int64_t>("/shared_experts/tokens", {64, 16}, {2}), "must ascend"},
       {"/shared_experts/median", dataset<double>("/shared_experts/median", {1e-6, 0, 1, 1}, {2, 2}, "s"), "holds 0"},
       {"/shared_experts/median", dataset<double>("/shared_experts/median", {1, 1}, {1, 2}, "s"), "must have [2, 2]"},
       {"/regimes/rows_from", dataset<std::int64_t>("/regimes/rows_from", {2}, {1}, "token"), "must ascend"},
       {"/regimes/latency/median", dataset<double>("/regimes/latency/median", {1, NAN}, {2, 1}, "s"), "unfinished"},
       {"/regimes/point_count", dataset<std::int64_t>("/regimes/point_count", {2}, {1}), "adds up to 2"}});
  expect_needed(with_samples, [](const std::string& path) { read_profile(path); },
                {"/rule/surplus_tile", "/exchange/bandwidth", "/exchange/law/fixed", "/exchange/law/explained",
                 "exchange_transport", "/regimes/latency/median", "/topology/node", "/topology/latency",
                 "/shared_experts/tokens", "/shared_experts/median"});
}

TEST(BadInput, Report) {
  const std::string measured = "/measured_s";
  const auto times = [](const std::string& name, double value) {
    return dataset<double>(name, {1, 2, 3, value}, {2, 1, 1, 2}, "s");
  };
  Fields fields = header_fields("gem.report");
  for (const char* name : {"/measured_s", "/predicted_s", "/dispatch_s", "/combine_s"}) fields[name] = times(name, 4);
  for (const char* name : {"/layer_s", "/most_rows", "/raw_straggler_s"})
    fields[name] = dataset<double>(name, {1, 2}, {2, 1, 1}, "s");
  for (const char* name : {"/checks/wrong_values", "/checks/checked_values", "/checks/output_error", "/moved_bytes"})
    fields[name] = dataset<std::int32_t>(name, {0, 0}, {2});
  fields["/layer_ids"] = dataset<std::int32_t>("/layer_ids", {7}, {1});
  fields["/mappings"] = texts("/mappings", {"linear", "gem"});
  expect_all_refused(fields, [](const std::string& path) { read_report(path); },
                     {{measured, times(measured, -1.0), "holds -1 at [1, 0, 0, 1]"},
                      {measured, times(measured, INFINITY), "holds inf"},
                      {measured, dataset<double>(measured, {}, {2, 0, 1, 2}, "s"), "[2, 0, 1, 2]"},
                      {measured, dataset<double>(measured, {1, 2, 3, 4}, {2, 2}, "s"), "2 dimensions"},
                      {"/predicted_s", dataset<double>("/predicted_s", {1, 2}, {1, 1, 1, 2}, "s"), "[1, 1, 1, 2]"},
                      {"/most_rows", dataset<double>("/most_rows", {1, -2}, {2, 1, 1}), "holds -2 at [1, 0, 0]"},
                      {"/most_rows", dataset<double>("/most_rows", {1}, {1, 1, 1}), "[1, 1, 1]"},
                      {"/mappings", texts("/mappings", {"linear"}), "[1]"},
                      {"/layer_ids", dataset<std::int32_t>("/layer_ids", {7, 8}, {2}), "[2]"}});
  expect_needed(fields, [](const std::string& path) { read_report(path); },
                {"model", measured, "/predicted_s", "/layer_ids", "/mappings"});
  Fields with_steps = fields;
  with_steps["whole_step_rest"] = text("whole_step_rest", "measured");
  for (const char* name :
       {"whole_step_context", "whole_step_output_tokens", "whole_step_moe_layers", "whole_step_dense_layers"})
    with_steps[name] = count(name, 1);
  with_steps["/whole_step/exchange_law"] = dataset<double>("/whole_step/exchange_law", {1e-6, 1e-9}, {2}, "s");
  const std::string balanced = "/whole_step/balanced";
  for (const char* name : {"/measured_s", "/predicted_s", "/dispatch_s", "/combine_s"})
    with_steps[balanced + name] = dataset<double>(balanced + name, {1, 2}, {1, 1, 1, 2}, "s");
  for (const char* name : {"/layer_s", "/most_rows", "/raw_straggler_s"})
    with_steps[balanced + name] = dataset<double>(balanced + name, {1}, {1, 1, 1}, "s");
  expect_needed(with_steps, [](const std::string& path) { read_report(path); },
                {"whole_step_context", "/whole_step/exchange_law", balanced + "/measured_s", "/most_rows",
                 balanced + "/most_rows"});
}

}  // namespace
}  // namespace gem::test
