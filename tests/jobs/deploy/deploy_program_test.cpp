#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "files/mapping_file.hpp"
#include "files/profile_file.hpp"
#include "interchange/engine_format.hpp"
#include "interchange/interchange_examples.hpp"
#include "interchange/slot_plan.hpp"
#include "jobs/program_run.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"
#include "policy/profile_text.hpp"
#include "search/move_plan.hpp"

namespace gem {
namespace {

const std::string program = GEM_PROGRAM_DIR "/gem-deploy";

std::string write_example(const TestFolder& folder, const std::string& model, Mapping mapping) {
  const std::string path = folder.file("mapping.h5");
  write_mapping(path, mapping, provenance_now("test", model, 0));
  return path;
}

/// Layers 1 to 26 of 64 experts: those of DeepSeek-V2-Lite.
Mapping lite_mapping() {
  return random_mapping(26, 64, 4, 3);
}

void expect_refused(const TestFolder& folder, const std::string& command, int code, const std::string& words) {
  const ProgramRun run = folder.run(program + " " + command);
  EXPECT_EQ(run.code, code) << command << "\n" << run.errors;
  EXPECT_NE(run.errors.find(words), std::string::npos) << command << "\n" << run.errors;
  EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
}

TEST(DeployProgram, ExportsToEveryEngineAndSaysHowToStartIt) {
  const TestFolder folder;
  const std::string mapping = write_example(folder, "DeepSeek-V2-Lite", lite_mapping());
  for (const std::string engine : {"sglang", "tensorrt-llm", "vllm-ascend", "vllm", "eplb"}) {
    const std::string output = folder.file("out." + engine);
    const ProgramRun run =
        folder.run(program + " export --mapping " + mapping + " --engine " + engine + " --output " + output);
    EXPECT_EQ(run.code, 0) << run.errors;
    EXPECT_NE(run.output.find("read back and checked: " + output), std::string::npos) << run.output;
    EXPECT_EQ(std::filesystem::exists(output + ".txt"), engine != "tensorrt-llm");
    EXPECT_NE(run.output.find("\n\n"), std::string::npos) << run.output;  // instructions after an empty line
  }
  const ProgramRun dry = folder.run(program + " export --mapping " + mapping + " --engine sglang --dry-run");
  EXPECT_NE(dry.output.find("27 rows of 64 slots"), std::string::npos) << dry.output << dry.errors;
}

TEST(DeployProgram, ImportsWhatItExports) {
  const TestFolder folder;
  const Mapping mapping = lite_mapping();
  const std::string original = write_example(folder, "DeepSeek-V2-Lite", mapping);
  for (const std::string engine : {"sglang", "tensorrt-llm", "vllm-ascend", "vllm", "eplb"}) {
    const std::string file = folder.file("out." + engine), again = folder.file("again.h5");
    ASSERT_EQ(folder.run(program + " export --mapping " + original + " --engine " + engine + " --output " + file).code,
              0);
    const std::string import = program + " import --model deepseek-v2-lite --input " + file + " --output " + again;
    const bool says_devices = engine == "vllm-ascend";
    const ProgramRun run = folder.run(import + (says_devices ? "" : " --devices 4"));
    ASSERT_EQ(run.code, 0) << engine << run.errors;
    const Mapping read = read_mapping(again);
    EXPECT_EQ(read.expert_to_device, mapping.expert_to_device) << engine;
    EXPECT_EQ(read.layer_ids, mapping.layer_ids) << engine << run.output;
    EXPECT_EQ(read.method, "imported");
    if (!says_devices) expect_refused(folder, import.substr(program.size() + 1), 2, "--devices");
  }
}

TEST(DeployProgram, WritesTheWayFromTheRunningPlacement) {
  const TestFolder folder;
  Mapping live = lite_mapping(), mapping = lite_mapping();
  // Two experts of the first layer change places.
  auto& homes = mapping.expert_to_device;
  const std::size_t other = homes(0, 1) != homes(0, 0) ? 1 : homes(0, 2) != homes(0, 0) ? 2 : 3;
  std::swap(homes(0, 0), homes(0, other));
  mapping.moved_from = "live.h5";
  mapping.moves = plan_moves(0, slots_of(live, 0), slots_of(mapping, 0));
  const std::string path = write_example(folder, "DeepSeek-V2-Lite", mapping), output = folder.file("moves.json");
  const std::string moves = program + " moves --mapping " + path + " --output " + output;
  const ProgramRun run = folder.run(moves);
  EXPECT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("3 transfers of weights from live.h5"), std::string::npos) << run.output;
  const std::string by_experts = read_whole_text(output, 1 << 20);
  EXPECT_EQ(check_slot_plan_text(by_experts, output), 3u);
  EXPECT_NE(by_experts.find("\"expert_bytes\": 17301504"), std::string::npos) << by_experts.substr(0, 200);

  // By the slots of what an engine runs: here its own file, with two experts of a device in each other's slot.
  PhysicalMap engine = physical_map_of(live);
  std::swap(engine.physical_to_logical(0, 0), engine.physical_to_logical(0, 1));
  std::swap(engine.physical_to_logical(0, 62), engine.physical_to_logical(0, 63));
  const std::string running = folder.file("running.json");
  write_whole_text(running, find_engine("vllm-ascend").text_of(engine, running));
  ASSERT_EQ(folder.run(moves + " --expert-bytes 7 --live " + running).code, 0);
  const std::string by_slots = read_whole_text(output, 1 << 20);
  EXPECT_EQ(check_slot_plan_text(by_slots, output), 3u);
  EXPECT_NE(by_slots, by_experts);
  EXPECT_NE(by_slots.find("\"bytes\": 7}"), std::string::npos);

  const std::string refused = "moves --mapping " + path + " --output " + output;
  std::swap(engine.physical_to_logical(0, 0), engine.physical_to_logical(0, 63));
  write_whole_text(running, find_engine("vllm-ascend").text_of(engine, running));
  expect_refused(folder, refused + " --live " + running, 3, "map again from what runs");
  expect_refused(folder, "moves --mapping " + write_example(folder, "x", live) + " --output " + output, 2, "--from");

  // What gem-map wrote is of the weights that were measured; the option says otherwise.
  mapping.expert_bytes = 24576;
  const std::string measured = program + " moves --mapping " + write_example(folder, "x", mapping) + " --output ";
  ASSERT_EQ(folder.run(measured + output).code, 0);
  EXPECT_NE(read_whole_text(output, 1 << 20).find("\"expert_bytes\": 24576"), std::string::npos);
  ASSERT_EQ(folder.run(measured + output + " --expert-bytes 7").code, 0);
  EXPECT_NE(read_whole_text(output, 1 << 20).find("\"expert_bytes\": 7,"), std::string::npos);
}

TEST(DeployProgram, WritesAProfileAsTextForThePolicy) {
  const TestFolder folder;
  const std::string profile = GEM_DATA_DIR "/profiles/h100-four-shares.gpt-oss-20b.tile128.h5";
  const std::string text = folder.file("profile.json");
  const ProgramRun run = folder.run(program + " profile --profile " + profile + " --output " + text);
  EXPECT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("4 devices of model gpt-oss-20b"), std::string::npos) << run.output;
  const LatencyProfile expected = read_profile(profile), read = read_profile_text(text);
  EXPECT_EQ(read.median_s, expected.median_s);
  EXPECT_EQ(read.points, expected.points);
  EXPECT_EQ(read.rule, expected.rule);
  EXPECT_EQ(read.devices, expected.devices);
  expect_refused(folder, "profile --profile " + text + " --output " + folder.file("again.json"), 3, text);
  expect_refused(folder, "profile --profile " + profile + " --output " + profile, 2, "--output");
}

TEST(DeployProgram, TellsDraftLayersAndUnknownModelsApart) {
  const TestFolder folder;
  const std::string original = write_example(folder, "DeepSeek-V2-Lite", lite_mapping()), file = folder.file("lb.yaml");
  ASSERT_EQ(
      folder.run(program + " export --engine tensorrt-llm --mtp-layers 1 --mapping " + original + " --output " + file)
          .code,
      0);
  const std::string import = program + " import --devices 4 --output " + folder.file("again.h5") + " --input " + file;
  const ProgramRun known = folder.run(import + " --model deepseek-v2-lite");
  EXPECT_NE(known.output.find("layer 27 lies behind the model's last"), std::string::npos)
      << known.output << known.errors;
  EXPECT_EQ(read_mapping(folder.file("again.h5")).layer_ids.back(), 26);
  EXPECT_EQ(folder.run(import).code, 0);
  EXPECT_EQ(read_mapping(folder.file("again.h5")).layer_ids.back(), 27);
  expect_refused(folder, import.substr(program.size() + 1) + " --model gpt-oss-20b", 3, "experts are 0 to 31");
  expect_refused(folder, "import --devices 5 --output x --input " + file, 3, "do not divide over 5 devices");
  expect_refused(folder, "import --output x --input " + original, 2, "--engine");
  const std::string mixtral = write_example(folder, "Mixtral-8x7B", random_mapping(32, 8, 4, 1));
  expect_refused(folder, "export --engine sglang --output x --mapping " + mixtral, 2, "gem-deploy permute");
}

TEST(DeployProgram, WarnsOfLayersNumberedOtherwise) {
  const TestFolder folder;
  Mapping mapping = lite_mapping();
  const std::string command = program + " export --engine sglang --dry-run --mapping ";
  const ProgramRun right = folder.run(command + write_example(folder, "DeepSeek-V2-Lite", mapping));
  EXPECT_EQ(right.output.find("Check the layers"), std::string::npos) << right.output;
  for (std::int32_t& id : mapping.layer_ids) --id;
  const ProgramRun wrong = folder.run(command + write_example(folder, "DeepSeek-V2-Lite", mapping));
  EXPECT_EQ(wrong.code, 0) << wrong.errors;
  EXPECT_NE(wrong.output.find("the mapping has layer 0"), std::string::npos) << wrong.output;
}

TEST(DeployProgram, RefusesWrongUse) {
  const TestFolder folder;
  const std::string mapping = write_example(folder, "my-own", lite_mapping());
  const std::string base = "export --mapping " + mapping + " --output " + folder.file("out") + " --engine ";
  expect_refused(folder, "", 2, "a command is missing");
  expect_refused(folder, "exprt", 2, "did you mean export");
  expect_refused(folder, "fly", 2, "the commands are export, moves, import, permute, profile, check.");
  expect_refused(folder, base + "sglnag", 2, "sglang, tensorrt-llm");
  expect_refused(folder, base + "sglang", 2, "--model NAME or --layers N");
  expect_refused(folder, base + "sglang --layers 20", 2, "has layer 26");
  expect_refused(folder, base + "sglang --model gpt-oss-20b", 2, "has 32");
  expect_refused(folder, base + "sglang --model gpt-oss-2b", 2, "gpt-oss-20b");
  expect_refused(folder, "export --engine sglang --output x", 2, "--mapping is missing");
  expect_refused(folder, "export --engine sglang --mapping " + mapping + " --output " + mapping, 2, "destroy");
  expect_refused(folder, "permute --mapping " + mapping, 2, "--checkpoint is missing");
  expect_refused(folder, "permute --inverse --checkpoint " + folder.file("absent") + " --output x", 3,
                 "not a directory");
  EXPECT_TRUE(folder.holds_only({"mapping.h5"}));
  EXPECT_EQ(folder.run(program + " " + base + "sglang --layers 27").code, 0);

  std::ofstream(folder.file("text.h5")) << "not HDF5\n";
  expect_refused(folder, "export --engine vllm --output x --mapping " + folder.file("text.h5"), 3, "text.h5");
  expect_refused(folder, base + "vllm --output " + folder.file("no/where"), 2, "");
  for (const std::string command : {"", "export ", "permute "}) {
    const ProgramRun help = folder.run(program + " " + command + "--help");
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.output.find("Examples:"), std::string::npos) << help.output;
  }
}

Mapping mapping_of(const std::string& kind, const std::string& host) {
  Mapping mapping = lite_mapping();
  mapping.device_kind = kind;
  for (std::int32_t d = 0; d < 4; ++d)
    mapping.devices.push_back({kind, "X", host, kind == "cuda" ? "GPU-" + std::to_string(d) : "", d, 1.0});
  return mapping;
}

TEST(DeployProgram, ExportSaysWhoseTheMappingIs) {
  const TestFolder folder;
  const std::string output = folder.file("out");
  const auto exported = [&](const Mapping& mapping) {
    const std::string path = write_example(folder, "DeepSeek-V2-Lite", mapping);
    return folder.run(program + " export --mapping " + path + " --engine sglang --output " + output).output;
  };
  EXPECT_NE(exported(lite_mapping()).find("does not say which devices"), std::string::npos);
  EXPECT_NE(exported(mapping_of("host", "node")).find("WARNING: this mapping was made for 4 devices of kind 'host'"),
            std::string::npos);
  EXPECT_NE(exported(mapping_of("cuda", "node")).find("CUDA_VISIBLE_DEVICES=GPU-0,GPU-1,GPU-2,GPU-3"),
            std::string::npos);
  std::ostringstream instructions;
  instructions << std::ifstream(output + ".txt").rdbuf();
  EXPECT_NE(instructions.str().find("CUDA_VISIBLE_DEVICES=GPU-0,"), std::string::npos);
}

TEST(DeployProgram, ChecksTheServingHost) {
  const TestFolder folder;
  char host[256] = {};
  ASSERT_EQ(gethostname(host, sizeof host - 1), 0);
  const auto check = [&](const Mapping& mapping, const std::string& gpus, const std::string& selection) {
    const std::string tool = folder.file("nvidia-smi"), path = write_example(folder, "DeepSeek-V2-Lite", mapping);
    std::ofstream script(tool);
    script << "#!/bin/sh\n";
    for (std::size_t i = 0; i < gpus.size(); ++i) script << "echo 'GPU " << i << ": X (UUID: GPU-" << gpus[i] << ")'\n";
    script.close();
    std::filesystem::permissions(tool, std::filesystem::perms::owner_all);
    return folder.run("env " + selection + " PATH=" + std::filesystem::path(tool).parent_path().string() + ":$PATH " +
                      program + " check --mapping " + path);
  };
  const ProgramRun same = check(mapping_of("cuda", host), "0123", "-u CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(same.code, 0) << same.output << same.errors;
  EXPECT_NE(same.output.find("MATCH: 4 GPUs"), std::string::npos) << same.output;
  const ProgramRun turned = check(mapping_of("cuda", host), "0132", "-u CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(turned.code, 1) << turned.output << turned.errors;
  EXPECT_NE(turned.output.find("another order"), std::string::npos) << turned.output;
  EXPECT_EQ(check(mapping_of("cuda", host), "0132", "CUDA_VISIBLE_DEVICES=0,1,3,2").code, 0);
  EXPECT_EQ(check(mapping_of("cuda", host), "012", "-u CUDA_VISIBLE_DEVICES").code, 1);
  EXPECT_EQ(check(mapping_of("cuda", "elsewhere"), "0123", "-u CUDA_VISIBLE_DEVICES").code, 1);
  EXPECT_EQ(check(mapping_of("host", host), "0123", "-u CUDA_VISIBLE_DEVICES").code, 1);
  const ProgramRun none = check(mapping_of("cuda", host), "0123", "CUDA_VISIBLE_DEVICES=");
  EXPECT_EQ(none.code, 1) << "an empty selection shows no GPU: " << none.output;
  const ProgramRun old = check(lite_mapping(), "0123", "-u CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(old.code, 3) << old.errors;
}

}  // namespace
}  // namespace gem
