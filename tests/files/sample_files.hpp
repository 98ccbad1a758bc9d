#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "files/provenance.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"
#include "model/routing.hpp"
#include "platform/hdf5/output.hpp"
#include "verification/report.hpp"

namespace gem::test {

inline Provenance sample_provenance() {
  return {"0.1", "gem-test --seed 7", "2026-01-31T12:00:00Z", "toy", 7};
}

inline Routing sample_routing(std::size_t expert_count, std::size_t top_k, std::uint64_t seed) {
  RandomStream random{seed};
  Routing routing;
  routing.model = "toy";
  routing.task = "chat";
  routing.phase = "decode";
  routing.expert_count = expert_count;
  routing.top_k = top_k;
  routing.layer_ids = {1, 2, 5};
  routing.request_offsets = {0};
  for (int request = 0; request < 5; ++request)
    routing.request_offsets.push_back(routing.request_offsets.back() + static_cast<std::int64_t>(random.below(40)));
  routing.request_offsets.push_back(routing.request_offsets.back() + 1);
  routing.topk_ids.resize(routing.token_count() * routing.layer_count() * top_k);
  for (std::uint16_t& id : routing.topk_ids) id = static_cast<std::uint16_t>(random.below(expert_count));
  return routing;
}

inline LoadTrace sample_trace(std::size_t steps = 6) {
  LoadTrace trace;
  trace.model = "toy";
  trace.task = "chat";
  trace.phase = "prefill";
  trace.part = "train";
  trace.top_k = 2;
  trace.tokens_per_step = 100;
  trace.layer_ids = {3, 4};
  trace.counts = Cube<std::uint32_t>(steps, 2, 4);
  RandomStream random{steps};
  for (std::uint32_t& count : trace.counts.values()) count = static_cast<std::uint32_t>(random.below(100));
  return trace;
}

inline Mapping sample_mapping() {
  Mapping mapping;
  mapping.method = "gem";
  mapping.device_count = 2;
  mapping.layer_ids = {3, 4};
  mapping.expert_to_device = Matrix<std::int32_t>(2, 4);
  mapping.expert_to_device.values() = {0, 1, 1, 0, 1, 0, 1, 0};
  mapping.predicted_s = {1e-3, 2e-3};
  mapping.lower_bound_s = {0.5e-3, std::numeric_limits<double>::quiet_NaN()};
  mapping.train_steps = 16;
  mapping.train_task = "chat";
  mapping.train_part = "train";
  return mapping;
}

/// A plan of `points` points on `devices` host devices, without results.
inline LatencyProfile sample_plan(std::size_t devices, std::size_t points) {
  LatencyProfile plan;
  plan.model = "toy";
  plan.device_kind = "host";
  plan.weight_dtype = "bf16";
  plan.expert = {64, 32};
  plan.tile_tokens = 16;
  plan.experts_per_device = 4;
  for (std::size_t i = 0; i < devices; ++i)
    plan.devices.push_back({"host", "processor " + std::to_string(i), "node", "", static_cast<std::int32_t>(i),
                            1.0 + 0.1 * static_cast<double>(i)});
  for (std::size_t i = 0; i < points; ++i) {
    const auto tiles = static_cast<std::int64_t>(i + 1);
    plan.points.push_back({tiles, 1, 16 * tiles});
  }
  return plan;
}

inline VerificationReport sample_report() {
  RandomStream random{3};
  VerificationReport report;
  report.model = "toy";
  report.task = "chat";
  report.part = "test";
  report.device_kind = "host";
  report.judged = "gem";
  report.judged_by = JudgedBy::Layer;
  report.weight_dtype = "f32";
  report.device_note = "emulated x1.28";
  report.profile_doubts = "the medians of 3 of 4 measured points are not known";
  report.device_difference = "device 1 was 'a' on node1, but is 'a' on node2";
  report.sample_note = "held-out requests";
  report.tokens_per_step = 100;
  report.first_step = 5;
  report.rounds = 3;
  report.layer_ids = {3, 4};
  report.model_layers = 24;
  report.rest_per_layer_s = 0.5e-3;
  report.device_speeds = {1.0, 0.97, 0.9, 0.78};
  report.sm_clock_hz = {1.6e9, 1.61e9, 1.59e9, 1.6e9};
  report.profile_sm_clock_hz = {1.5e9, 1.51e9, 1.49e9, 1.5e9};
  for (const char* name : {"linear", "gem"}) {
    MappingReplay replay;
    replay.name = name;
    for (auto member : {&MappingReplay::compute_s, &MappingReplay::dispatch_s, &MappingReplay::combine_s,
                        &MappingReplay::predicted_s}) {
      replay.*member = Cube<double>(3, 2, 4);
      for (double& value : (replay.*member).values()) value = random.uniform();
    }
    for (auto member : {&MappingReplay::layer_s, &MappingReplay::most_rows, &MappingReplay::raw_straggler_s}) {
      replay.*member = Matrix<double>(3, 2);
      for (double& value : (replay.*member).values()) value = random.uniform();
    }
    replay.wrong_values = random.below(9);
    replay.checked_values = 1000;
    replay.output_error = random.uniform();
    replay.moved_bytes = random.next();
    replay.move_s = random.uniform();
    report.mappings.push_back(replay);
  }
  return report;
}

/// The same as if whole steps had been replayed.
inline VerificationReport with_whole_steps(VerificationReport report) {
  RandomStream random{4};
  report.judged_by = JudgedBy::Step;
  report.whole_step = StepSetting{2048, 2, 24, 1, "measured", 30e-6, 12e-9, {}};
  report.whole_step->attention_layers.assign(report.layer_ids.size(),
                                             25.0 / static_cast<double>(report.layer_ids.size()));
  report.balanced = {report.mappings.front()};
  report.balanced[0].name = force_balanced_name;
  const auto fill = [&](MappingReplay& replay) {
    const auto add = [&](StepPart part, std::size_t layers) {
      Cube<double>& part_s = replay.part_s[index_of(part)] = Cube<double>(3, layers, 4);
      for (double& value : part_s.values()) value = random.uniform();
    };
    for (const StepPart part : attention_parts) add(part, 2);
    add(StepPart::SharedExperts, 2);
    for (const StepPart part : tail_parts) add(part, 1);
  };
  for (MappingReplay& replay : report.mappings) fill(replay);
  fill(report.balanced[0]);
  return report;
}

/// A step of writing a file: one field.
using WriteStep = std::function<void(Hdf5Output&)>;
/// All fields of a file by name ("/counts" for datasets, "top_k" for attributes), to replace or leave out one.
using Fields = std::map<std::string, WriteStep>;

inline WriteStep text(const std::string& name, const std::string& value) {
  return [=](Hdf5Output& file) { file.attribute(name, value); };
}
inline WriteStep count(const std::string& name, std::uint64_t value) {
  return [=](Hdf5Output& file) { file.attribute(name, value); };
}
template <class T>
WriteStep dataset(const std::string& name, const std::vector<T>& values, const Extents& extents,
                  const std::string& units = "1") {
  return [=](Hdf5Output& file) { file.write({name, units, ""}, values, extents); };
}
inline WriteStep texts(const std::string& name, const std::vector<std::string>& values) {
  return [=](Hdf5Output& file) { file.write({name, "1", ""}, values); };
}

inline void write_fields(const std::string& path, const Fields& fields) {
  Hdf5Output file(path);
  for (const auto& [name, write] : fields) write(file);
  file.commit();
}

// Files with what the contract demands and nothing else, in other widths of numbers than ours.

inline Fields header_fields(const std::string& file_format) {
  return {{"format", text("format", file_format)},
          {"format_version", text("format_version", "1.0")},
          {"created", text("created", "2026-01-31T12:00:00Z")},
          {"software_version", text("software_version", "other")},
          {"command_line", text("command_line", "by hand")},
          {"model", text("model", "toy")},
          {"seed", count("seed", 0)}};
}

inline Fields routing_fields() {
  Fields fields = header_fields("gem.routing");
  fields["task"] = text("task", "chat");
  fields["phase"] = text("phase", "decode");
  fields["num_experts"] = count("num_experts", 4);
  fields["top_k"] = count("top_k", 2);
  fields["/layer_ids"] = dataset<std::int64_t>("/layer_ids", {0}, {1});
  fields["/request_offsets"] = dataset<std::int32_t>("/request_offsets", {0, 1, 3}, {3});
  fields["/topk_ids"] = dataset<std::int64_t>("/topk_ids", {0, 1, 2, 3, 3, 0}, {3, 1, 2});
  return fields;
}

inline Fields trace_fields() {
  Fields fields = header_fields("gem.trace");
  fields["task"] = text("task", "chat");
  fields["phase"] = text("phase", "decode");
  fields["part"] = text("part", "test");
  fields["top_k"] = count("top_k", 1);
  fields["tokens_per_step"] = count("tokens_per_step", 3);
  fields["/layer_ids"] = dataset<std::int64_t>("/layer_ids", {0, 1}, {2});
  fields["/counts"] = dataset<std::int64_t>("/counts", {1, 2, 0, 3, 3, 0, 2, 1}, {2, 2, 2});
  return fields;
}

inline Fields mapping_fields() {
  Fields fields = header_fields("gem.mapping");
  fields["method"] = text("method", "by hand");
  fields["train_steps"] = count("train_steps", 0);
  fields["/layer_ids"] = dataset<std::int64_t>("/layer_ids", {0}, {1});
  fields["/expert_to_device"] = dataset<std::int64_t>("/expert_to_device", {0, 1, 1, 0}, {1, 4});
  // With an empty slot on either device, and in another order than ours.
  fields["/slots"] = dataset<std::int64_t>("/slots", {3, 0, -1, -1, 1, 2}, {1, 2, 3});
  fields["/score/predicted_s"] = dataset<float>("/score/predicted_s", {1e-3f}, {1}, "s");
  fields["/score/lower_bound_s"] = dataset<float>("/score/lower_bound_s", {1e-4f}, {1}, "s");
  return fields;
}

inline Fields profile_fields() {
  Fields fields = header_fields("gem.profile");
  for (const char* name : {"tile_tokens", "hidden_size", "intermediate_size"}) fields[name] = count(name, 16);
  fields["/points/tiles"] = dataset<std::int32_t>("/points/tiles", {1, 2, 4}, {3});
  fields["/points/active_experts"] = dataset<std::int32_t>("/points/active_experts", {1, 1, 2}, {3});
  fields["/points/tokens"] = dataset<std::int32_t>("/points/tokens", {16, 32, 64}, {3});
  fields["/latency/median"] = dataset<double>("/latency/median", {1, 2, 3, 4, 5, 6}, {2, 3}, "s");
  fields["/latency/p95"] = dataset<double>("/latency/p95", {1, 2, 3, 4, 5, 6}, {2, 3}, "s");
  fields["/devices/name"] = texts("/devices/name", {"a", "b"});
  return fields;
}

/// Runs `work`, which must throw Exception with a message that holds all `words`.
template <class Exception, class Work>
void expect_error(Work work, const std::vector<std::string>& words) {
  try {
    work();
    ADD_FAILURE() << "no error where one must name " << words.back();
  } catch (const Exception& error) {
    for (const std::string& word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what() << "\n  lacks: " << word;
  }
}

}  // namespace gem::test
