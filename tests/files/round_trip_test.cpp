#include <gtest/gtest.h>

#include <cmath>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "files/report_file.hpp"
#include "files/routing_file.hpp"
#include "files/sample_files.hpp"
#include "files/trace_file.hpp"
#include "model/latency_profile_fields.hpp"
#include "model/load_trace_fields.hpp"
#include "model/mapping_fields.hpp"
#include "model/routing_fields.hpp"
#include "random_fields.hpp"
#include "temporary_directory.hpp"
#include "verification/report_fields.hpp"
#include "verification/step_estimate.hpp"
#include "verification/whole_step.hpp"

namespace gem::test {
namespace {

/// A noun with random values in every field that its visitor names.
template <class Noun>
Noun random_noun(const std::vector<std::pair<std::string, std::size_t>>& axis_lengths) {
  AxisLengths axes;
  for (const auto& [axis, length] : axis_lengths) axes.set(axis, length);
  axes.set("one", 1);
  Noun noun;
  fill_randomly(noun, axes, 7);
  noun.model = "toy";  // of the header
  return noun;
}

TEST(RoundTrip, StepsOfATraceAreReadAlone) {
  const TemporaryDirectory directory;
  const LoadTrace trace = sample_trace(30);
  write_trace(directory / "trace.h5", trace, sample_provenance());
  EXPECT_EQ(count_steps(directory / "trace.h5"), 30u);
  EXPECT_EQ(read_steps(directory / "trace.h5", 0, 30), trace);
  EXPECT_EQ(read_steps(directory / "trace.h5", 11, 7), steps_of(trace, 11, 7));
  EXPECT_THROW(read_steps(directory / "trace.h5", 30, 1), DataError);
}

TEST(RoundTrip, EveryFieldOfATrace) {
  const TemporaryDirectory directory;
  for (const std::size_t steps : {1u, 6u, 100000u}) {  // compressed, too
    auto written = random_noun<LoadTrace>({{"step", steps}, {"layer", 3}, {"expert", 4}});
    written.experts_of_layer = {4, 2, 3};
    for (std::size_t step = 0; step < steps; ++step)
      written.counts(step, 1, 2) = written.counts(step, 1, 3) = written.counts(step, 2, 3) = 0;
    write_trace(directory / "trace.h5", written, sample_provenance());
    expect_same_fields(read_trace(directory / "trace.h5"), written);
  }
}

TEST(RoundTrip, EveryFieldOfAProfile) {
  const TemporaryDirectory directory;
  for (const std::size_t samples : {1u, 3000u}) {
    auto written = random_noun<LatencyProfile>({{"device", 3},
                                                {"point", 4},
                                                {"sample", samples},
                                                {"bend", 2},
                                                {"regime", 1},
                                                {"regime point", 5},
                                                {"link", 2},
                                                {"law", 3}});
    written.topology.node_of = {1, 0, 1};
    written.regimes[0] = {1, 100, 16, 5};
    // Some latencies are unknown: it is read as what a run has measured so far.
    write_profile(directory / "profile.h5", written, sample_provenance());
    expect_same_fields(read_unfinished_profile(directory / "profile.h5", written, sample_provenance().seed), written);
  }
}

TEST(RoundTrip, RoutingOfFewAndManyExperts) {
  const TemporaryDirectory directory;
  for (const std::size_t expert_count : {4u, 256u, 257u, 65536u}) {
    const Routing written = sample_routing(expert_count, 3, expert_count);
    write_routing(directory / "routing.h5", written, sample_provenance());
    expect_same_fields(read_routing(directory / "routing.h5"), written);
  }
}

TEST(RoundTrip, Mapping) {
  const TemporaryDirectory directory;
  Mapping written = sample_mapping();
  written.course = {{0, 2, 0.5, 1e-3}, {1, 1, 0.25, 2e-3}};
  written.device_kind = "cuda";
  written.devices = {{"cuda", "H100", "node1", "GPU-a", 0, 1.0}, {"cuda", "H100", "node2", "GPU-b", 1, 1.25}};
  write_mapping(directory / "mapping.h5", written, sample_provenance());
  const Mapping read = read_mapping(directory / "mapping.h5");
  written.model = "toy";
  expect_same_fields(read, written);
  EXPECT_EQ(read.device_count, written.device_count);
  EXPECT_EQ(read.devices, written.devices);
}

TEST(RoundTrip, MappingWithRedundantExperts) {
  const TemporaryDirectory directory;
  Mapping written = sample_mapping();
  written.redundant = Matrix<RedundantCopy>(2, 2);
  written.redundant.values() = {{0, 1}, {2, 0}, {0, 0}, {3, 1}};
  write_mapping(directory / "mapping.h5", written, sample_provenance());
  const Mapping read = read_mapping(directory / "mapping.h5");
  EXPECT_EQ(read.expert_to_device, written.expert_to_device);
  EXPECT_EQ(read.redundant, written.redundant);
}

TEST(RoundTrip, LayersOfDifferentExpertCounts) {
  const TemporaryDirectory directory;
  Mapping written = sample_mapping();
  const std::size_t experts = written.expert_count();
  written.experts_of_layer = {static_cast<std::int32_t>(experts), static_cast<std::int32_t>(experts) - 1};
  for (std::size_t expert = 0; expert < experts; ++expert)
    for (std::size_t layer = 0; layer < 2; ++layer)
      written.expert_to_device(layer, expert) =
          static_cast<std::int32_t>(device_of_slot(expert, experts - layer, written.device_count));
  written.expert_to_device(1, experts - 1) = -1;
  write_mapping(directory / "mapping.h5", written, sample_provenance());
  const Mapping read = read_mapping(directory / "mapping.h5");
  EXPECT_EQ(read.expert_to_device, written.expert_to_device);
  EXPECT_EQ(read.experts_of_layer, written.experts_of_layer);
  EXPECT_EQ(read.redundant_count(), 0u);
}

TEST(RoundTrip, MappingWithoutScoresHasUnknownOnes) {
  const TemporaryDirectory directory;
  Mapping written = sample_mapping();
  written.predicted_s.clear();
  write_mapping(directory / "mapping.h5", written, sample_provenance());
  const Mapping read = read_mapping(directory / "mapping.h5");
  ASSERT_EQ(read.predicted_s.size(), 2u);
  EXPECT_TRUE(std::isnan(read.predicted_s[1]));
}

TEST(RoundTrip, EveryFieldOfAReport) {
  const TemporaryDirectory directory;
  const auto written =
      random_noun<VerificationReport>({{"mapping", 2}, {"step", 3}, {"layer", 2}, {"device", 4}, {"fixed and row", 2}});
  write_report(directory / "report.h5", written, {}, sample_provenance());
  expect_same_fields(read_report(directory / "report.h5"), written);
}

TEST(RoundTrip, ReportOfWholeSteps) {
  const TemporaryDirectory directory;
  const VerificationReport written = with_whole_steps(sample_report());
  write_report(directory / "report.h5", written, findings_of(written, 1, sample_provenance().seed),
               sample_provenance());
  const VerificationReport read = read_report(directory / "report.h5");
  ASSERT_TRUE(read.whole_step && read.balanced.size() == 1);
  EXPECT_EQ(read.balanced[0].name, force_balanced_name);
  expect_same_fields(read, written);
  const Hdf5Input file(directory / "report.h5");
  EXPECT_EQ(file.read<double>("/whole_step/relative", {3})[1],
            whole_steps(written, sample_provenance().seed)[1].step.relative);
}

TEST(RoundTrip, Report) {
  const TemporaryDirectory directory;
  const VerificationReport written = sample_report();
  write_report(directory / "report.h5", written, findings_of(written, 1, 1), sample_provenance());
  const VerificationReport read = read_report(directory / "report.h5");
  expect_same_fields(read, written);
  EXPECT_FALSE(read.whole_step);
  // Summaries are in the file for others; they must be those of the report.
  const auto summaries = summarize(written, sample_provenance().seed);
  const Hdf5Input file(directory / "report.h5");
  EXPECT_EQ(file.read<double>("/summary/relative", {2})[1], summaries[1].relative);
  EXPECT_EQ(file.read<double>("/summary/relative_high", {2})[1], summaries[1].interval.high);
  EXPECT_EQ(file.read<double>("/summary/waiting_share", {2})[1], summaries[1].waiting_share);
  EXPECT_EQ(file.read<double>("/waiting_s", {2, 3, 2, 4})[24 + 5], waiting_of(written.mappings[1]).values()[5]);
  EXPECT_EQ(file.read<double>("/step_estimate/relative", {2})[1],
            estimate_steps(written, sample_provenance().seed)[1].relative);
}

TEST(RoundTrip, EveryFileSaysWhereItIsFrom) {
  const TemporaryDirectory directory;
  write_trace(directory / "trace.h5", sample_trace(), sample_provenance());
  const Hdf5Input file(directory / "trace.h5");
  EXPECT_EQ(file.text_attribute("format"), "gem.trace");
  EXPECT_EQ(file.text_attribute("format_version"), "1.1");
  EXPECT_EQ(file.text_attribute("created"), "2026-01-31T12:00:00Z");
  EXPECT_EQ(file.text_attribute("software_version"), "0.1");
  EXPECT_EQ(file.text_attribute("command_line"), "gem-test --seed 7");
  EXPECT_EQ(file.text_attribute("model"), "toy");
  EXPECT_EQ(file.count_attribute("seed"), 7u);
  EXPECT_EQ(file.units("/counts"), "token");
}

TEST(ContractOnly, FilesOfOthersRead) {
  const TemporaryDirectory directory;
  write_fields(directory / "routing.h5", routing_fields());
  EXPECT_EQ(read_routing(directory / "routing.h5").topk_ids, (std::vector<std::uint16_t>{0, 1, 2, 3, 3, 0}));

  Fields trace = trace_fields();
  EXPECT_NO_THROW(write_fields(directory / "trace.h5", trace));
  EXPECT_EQ(read_trace(directory / "trace.h5").part, "test");
  trace.erase("part");
  write_fields(directory / "trace.h5", trace);
  EXPECT_EQ(read_trace(directory / "trace.h5").part, "all");

  write_fields(directory / "mapping.h5", mapping_fields());
  const Mapping mapping = read_mapping(directory / "mapping.h5");
  EXPECT_EQ(mapping.device_count, 2u);
  EXPECT_EQ(mapping.train_part, "all");

  write_fields(directory / "profile.h5", profile_fields());
  const LatencyProfile profile = read_profile(directory / "profile.h5");
  EXPECT_EQ(profile.devices[1].name, "b");
  EXPECT_EQ(profile.devices[1].rank, 1);
  EXPECT_EQ(profile.devices[1].emulated_slowdown, 1.0);
  EXPECT_EQ(profile.experts_per_device, 2u);
  EXPECT_EQ(profile.median_s(1, 0), 4.0);
  EXPECT_EQ(profile.settled(1, 2), 1);
  EXPECT_TRUE(std::isnan(profile.power_w(0, 0)));
  EXPECT_EQ(profile.samples_s.columns(), 0u);
  EXPECT_EQ(profile.drift.size(), 2u);
  EXPECT_EQ(profile.device_kind, "");
  EXPECT_EQ(profile.weight_dtype, "bf16");
  EXPECT_TRUE(profile.rule.is_plain());
}

TEST(RoundTrip, EarlyProfilesHaveOneBendAndOneDeviceHasNoExchange) {
  const TemporaryDirectory directory;
  Fields fields = profile_fields();
  fields["bend_tiles"] = count("bend_tiles", 3);
  fields["/rule/surplus_tile"] = dataset<double>("/rule/surplus_tile", {2e-6}, {1}, "s");
  write_fields(directory / "profile.h5", fields);
  EXPECT_EQ(read_profile(directory / "profile.h5").rule.bends, (std::vector<LoadCosts::Bend>{{3, 2e-6}}));
  fields["bend_tiles"] = count("bend_tiles", 0);
  fields["/rule/surplus_tile"] = dataset<double>("/rule/surplus_tile", {0.0}, {1}, "s");
  write_fields(directory / "profile.h5", fields);
  EXPECT_TRUE(read_profile(directory / "profile.h5").rule.is_plain());

  for (const char* name : {"/latency/median", "/latency/p95"})
    fields[name] = dataset<double>(name, {1, 2, 3}, {1, 3}, "s");
  fields["/devices/name"] = texts("/devices/name", {"a"});
  fields["exchange_transport"] = text("exchange_transport", "mpi");
  for (const char* name : {"/exchange/latency", "/exchange/bandwidth"})
    fields[name] = dataset<double>(name, {NAN}, {1, 1}, name[10] == 'l' ? "s" : "byte/s");
  write_fields(directory / "one.h5", fields);
  EXPECT_TRUE(read_profile(directory / "one.h5").exchange.empty());
}

TEST(ContractOnly, AProfileNeedNotNameTheShapeOfTheExpertButNotHalfOfIt) {
  const TemporaryDirectory directory;
  Fields fields = profile_fields();
  fields.erase("hidden_size");
  fields.erase("intermediate_size");
  write_fields(directory / "profile.h5", fields);
  EXPECT_EQ(read_profile(directory / "profile.h5").expert.weight_count(), 0u);
}

TEST(ContractOnly, TheVersionMayBeANumber) {
  const TemporaryDirectory directory;
  Fields fields = trace_fields();
  fields["format_version"] = count("format_version", 1);
  write_fields(directory / "trace.h5", fields);
  EXPECT_NO_THROW(read_trace(directory / "trace.h5"));
  fields["format_version"] = count("format_version", 2);
  write_fields(directory / "trace.h5", fields);
  expect_error<DataError>([&] { read_trace(directory / "trace.h5"); }, {"format_version", "'2'"});
}

TEST(ContractOnly, LaterMinorVersionsRead) {
  const TemporaryDirectory directory;
  Fields fields = trace_fields();
  fields["format_version"] = text("format_version", "1.7");
  fields["/something_new"] = dataset<double>("/something_new", {1.0}, {1});
  write_fields(directory / "trace.h5", fields);
  EXPECT_NO_THROW(read_trace(directory / "trace.h5"));
}

}  // namespace
}  // namespace gem::test
