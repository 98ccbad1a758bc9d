// gem-profile as a user calls it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "files/profile_file.hpp"
#include "jobs/program_run.hpp"

namespace gem {
namespace {

const std::string program = std::string(GEM_PROGRAM_DIR) + "/gem-profile";

std::string on_ranks(int ranks) {
  return std::string(GEM_MPIRUN) + " -n " + std::to_string(ranks) + " " + program;
}

const std::string small_host =
    " --model gpt-oss-20b --device host --dtype f32 --expert-shape 64x32 --experts-per-device 4 --max-tokens 64"
    " --points-per-doubling 1 --min-samples 3 --max-samples 5 --output ";

TEST(GemProfile, MeasuresHostDevices) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  const ProgramRun run = folder.run(on_ranks(2) + small_host + path + " --slowdown 1.0,3.0 --exchange");
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("emulated x3"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("slowest"), std::string::npos) << run.output;
  EXPECT_TRUE(folder.holds_only({"profile.h5"}));
  const LatencyProfile profile = read_profile(path);
  EXPECT_EQ(profile.model, "gpt-oss-20b");
  EXPECT_EQ(profile.expert, (ExpertShape{64, 32}));
  EXPECT_EQ(profile.experts_per_device, 4u);
  EXPECT_EQ(profile.weight_dtype, "f32");
  ASSERT_EQ(profile.device_count(), 2u);
  EXPECT_EQ(profile.devices[1].emulated_slowdown, 3.0);
  EXPECT_EQ(profile.devices[1].kind, "host");
  EXPECT_EQ(profile.drift.size(), 2u);
  EXPECT_GE(profile.samples_s.columns(), 3u);
  EXPECT_NE(as_one_line(run.output).find("gem-map --profile " + path + " --trace TRAIN --test-trace TEST"),
            std::string::npos)
      << run.output;
  EXPECT_NE(run.output.find("exchange of two devices by mpi"), std::string::npos) << run.output;
  EXPECT_EQ(profile.exchange.transport, "mpi");
  EXPECT_GT(profile.exchange.latency_s(0, 1), 0.0);
  EXPECT_GT(profile.exchange.bytes_per_s(1, 0), 1e6);
  EXPECT_NE(run.output.find("dispatch and combine of a layer, by tokens"), std::string::npos) << run.output;
  ASSERT_EQ(profile.exchange_law.size(), 2u);
  EXPECT_EQ(profile.exchange_law[1].tokens, 64);
  EXPECT_GT(profile.exchange_law[1].mean_s, 0.0);
  EXPECT_EQ(profile.topology.source, "mpi");
  EXPECT_EQ(profile.topology.node_of, (std::vector<std::int32_t>{0, 0})) << "ranks of one host";
}

TEST(GemProfile, KeepsThePaceOfServing) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  std::ofstream(folder.file("model.csv"))
      << "model,hidden_size,moe_intermediate_size,num_layers,moe_layers,routed_experts,top_k,shared_experts,"
         "shared_intermediate_size,weight_dtype,attention,query_heads,kv_heads,head_size,query_rank,key_rank,"
         "rotary_size,window,full_every,vocabulary,dense_intermediate_size\n"
         "small,64,32,2,2,8,2,0,0,bf16,gqa,4,2,16,0,0,0,0,0,100,0\n";
  const std::string small = " --model " + folder.file("model.csv") +
                            " --max-tokens 32 --points-per-doubling 1 --min-samples 3 --max-samples 3 --context 16"
                            " --pace serving --output " +
                            path;
  const ProgramRun run = folder.run(on_ranks(2) + small + " --device host --dtype f32");
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("attention of 256 tokens"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("pace: between samples the devices did what they do in a step"), std::string::npos)
      << run.output;
  const LatencyProfile profile = read_profile(path);
  EXPECT_EQ(profile.pace, "serving");
  EXPECT_EQ(profile.serving_clock_hz.size(), 2u);
  const ProgramRun simulated = folder.run(program + small + " --device simulated --devices 2");
  ASSERT_EQ(simulated.code, 0) << simulated.errors;
  EXPECT_EQ(read_profile(path).pace, "serving");
}

TEST(GemProfile, MeasuresSharedExpertsOfADevicesOwnTokens) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  const std::string header =
      "model,hidden_size,moe_intermediate_size,num_layers,moe_layers,routed_experts,top_k,shared_experts,"
      "shared_intermediate_size,weight_dtype\n";
  std::ofstream(folder.file("model.csv")) << header + "small,64,32,2,2,8,2,2,512,bf16\n";
  const std::string few = " --points-per-doubling 1 --min-samples 3 --max-samples 5 --output " + path;
  const std::string small = " --model " + folder.file("model.csv") + few;
  const auto profile_of = [&](const std::string& command) {
    const ProgramRun run = folder.run(command);
    EXPECT_EQ(run.code, 0) << run.errors;
    return read_profile(path);
  };
  const std::string simulated = program + small + " --device simulated --devices 2 --slowdown 1.0,1.5";
  EXPECT_TRUE(profile_of(simulated).shared_tokens.empty()) << "not asked for";
  const LatencyProfile asked = profile_of(simulated + " --shared-time measure");
  EXPECT_EQ(asked.shared_tokens, (std::vector<std::int64_t>{16, 64, 256})) << "of 512 on 2 devices, and fewer";
  ASSERT_EQ(asked.shared_s.rows(), 2u);
  for (std::size_t load = 1; load < 3; ++load) EXPECT_GE(asked.shared_s(0, load), asked.shared_s(0, load - 1));
  EXPECT_GT(asked.shared_s(1, 2), asked.shared_s(0, 2));
  EXPECT_EQ(profile_of(simulated + " --pace serving").shared_tokens, asked.shared_tokens) << "for whole steps";
  EXPECT_TRUE(profile_of(simulated + " --pace serving --shared-time ignore").shared_tokens.empty());

  const std::string host = small + " --max-tokens 64 --device host --dtype f32 --slowdown 1.0,3.0";
  const ProgramRun run = folder.run(on_ranks(2) + host + " --shared-time measure");
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("shared experts of a layer on one device"), std::string::npos) << run.output;
  const LatencyProfile measured = read_profile(path);
  ASSERT_EQ(measured.shared_tokens, (std::vector<std::int64_t>{8, 32}));
  EXPECT_GT(measured.shared_s(1, 1), measured.shared_s(0, 1)) << "slowed down, too";
  const LatencyProfile in_turns = profile_of(on_ranks(2) + host + " --shared-time measure --share-gpu turns");
  EXPECT_GT(in_turns.shared_s(1, 1), in_turns.shared_s(0, 1));

  const ProgramRun other = folder.run(program + few + " --model deepseek-v2-lite --device host --dtype f32" +
                                      " --expert-shape 64x32 --shared-time measure");
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.errors.find("--shared-time measure"), std::string::npos) << other.errors;
}

TEST(GemProfile, NodesCanBeStated) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  const std::string simulated =
      program + " --model Mixtral-8x7B --device simulated --devices 8 --max-tokens 64 --output " + path;
  const ProgramRun run =
      folder.run(simulated + " --nodes 4 --inside-bandwidth 450 --across-bandwidth 50 --across-latency 7");
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("4 nodes of 2 devices (stated), 450 GB/s a device inside, 50 across"), std::string::npos)
      << run.output;
  const LatencyProfile profile = read_profile(path);
  EXPECT_EQ(profile.topology.node_of, (std::vector<std::int32_t>{0, 0, 1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(profile.topology.across(), (Link{7e-6, 50e9}));
  const ProgramRun bad = folder.run(simulated + " --nodes 3");
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.errors.find("--nodes 3: 8 devices do not divide by it"), std::string::npos) << bad.errors;
}

TEST(GemProfile, ChecksWhetherDevicesDiffer) {
  const TestFolder folder;
  const ProgramRun host =
      folder.run(on_ranks(2) + " --check --model gpt-oss-20b --device host --dtype f32 --expert-shape 64x32" +
                 " --max-tokens 64 --min-samples 3 --max-samples 5 --slowdown 1.0,3.0");
  ASSERT_EQ(host.code, 0) << host.errors;
  EXPECT_NE(host.output.find("VERDICT: DISTINGUISHABLE"), std::string::npos) << host.output;
  EXPECT_NE(host.output.find("emulated"), std::string::npos) << host.output;
  const ProgramRun equal =
      folder.run(program + " --check --model Mixtral-8x7B --device simulated --devices 24 --noise 0.01");
  ASSERT_EQ(equal.code, 0) << equal.errors;
  EXPECT_NE(equal.output.find("NOT DISTINGUISHABLE"), std::string::npos) << equal.output;
  EXPECT_TRUE(folder.holds_only({}));
  const ProgramRun dry = folder.run(program + " --check --dry-run --model Mixtral-8x7B --device simulated --devices 3");
  EXPECT_EQ(dry.code, 0) << dry.errors;
  EXPECT_NE(dry.output.find("24 passes"), std::string::npos) << dry.output;
}

TEST(GemProfile, ComparesProfilesThatAreThere) {
  const TestFolder folder;
  const std::string simulated =
      " --quiet --model Mixtral-8x7B --device simulated --devices 4 --slowdown 1,1.1,1.2,1.28";
  for (const std::string name : {"a.h5", "b.h5"})
    ASSERT_EQ(folder.run(program + simulated + " --output " + folder.file(name)).code, 0);
  const ProgramRun two = folder.run(program + " --compare " + folder.file("a.h5") + "," + folder.file("b.h5"));
  ASSERT_EQ(two.code, 0) << two.errors;
  EXPECT_NE(two.output.find("correlation of their"), std::string::npos) << two.output;
  const ProgramRun one = folder.run(program + " --compare " + folder.file("a.h5"));
  EXPECT_NE(one.output.find("VERDICT: DISTINGUISHABLE"), std::string::npos) << one.output << one.errors;
  EXPECT_EQ(one.output.find("correlation of their"), std::string::npos) << one.output;
  EXPECT_EQ(folder.run(program + " --compare " + folder.file("c.h5")).code, 3);
}

TEST(GemProfile, MeasuresThroughAnotherProgram) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  const std::string child = "python3 " GEM_COMMAND_CHILD;
  const std::string options =
      " --model gpt-oss-20b --device command --experts-per-device 4 --max-tokens 64 --points-per-doubling 1"
      " --min-samples 3 --max-samples 5 --slowdown 1.0,1.28 --output " +
      path;
  const ProgramRun dry = folder.run(on_ranks(2) + options + " --dry-run --command 'gem-no-such-program'");
  ASSERT_EQ(dry.code, 0) << dry.errors;
  EXPECT_NE(dry.output.find("each rank starts: gem-no-such-program"), std::string::npos) << dry.output;

  const ProgramRun run = folder.run(on_ranks(2) + options + " --command '" + child + " steps'");
  ASSERT_EQ(run.code, 0) << run.errors;
  const LatencyProfile profile = read_profile(path);
  ASSERT_EQ(profile.device_count(), 2u);
  EXPECT_EQ(profile.device_kind, "command");
  EXPECT_EQ(profile.devices[1].name, "stated, a law (1), emulated x1.28");
  EXPECT_EQ(profile.tile_tokens, 16u);
  EXPECT_NEAR(profile.median_s(1, 0) / profile.median_s(0, 0), 1.28, 1e-6);
  EXPECT_EQ(profile.program, (DeviceProgram{child + " steps", "a law (1)", "64:16,64"}));
  EXPECT_NE(run.output.find("measured through: python3 "), std::string::npos) << run.output;

  // Of one that doesn't know its tiles they are found, or asked for.
  const ProgramRun silent = folder.run(on_ranks(2) + options + " --command '" + child + " \"no tiles\"' --json");
  EXPECT_EQ(silent.code, 0) << silent.errors;
  EXPECT_NE(silent.output.find("\"tile_probe\": {\"tiles\": [{\"up_to_rows\": 0, \"tile_tokens\": 16"),
            std::string::npos)
      << silent.output;
  EXPECT_NE(silent.output.find("\"device_program\": {\"command\": "), std::string::npos) << silent.output;
  EXPECT_NE(silent.output.find("\"kernel\": \"a law (1)\", \"tile_rule\": \"\"}"), std::string::npos) << silent.output;
  EXPECT_NE(silent.errors.find("finds tiles of 16 ("), std::string::npos) << silent.errors;
  const ProgramRun asked =
      folder.run(on_ranks(2) + options + " --command '" + child + " \"no tiles\"' --tile-rule adapter");
  EXPECT_EQ(asked.code, 2);
  EXPECT_NE(asked.errors.find("the program doesn't say in which tiles it works"), std::string::npos) << asked.errors;
  const ProgramRun dies = folder.run(on_ranks(2) + options + " --command '" + child + " dies'");
  EXPECT_EQ(dies.code, 4) << dies.errors;
  EXPECT_NE(dies.errors.find("exited with code 7 before it answered 'load'"), std::string::npos) << dies.errors;
  const ProgramRun lies = folder.run(on_ranks(2) + options + " --command '" + child + " 0'");
  EXPECT_EQ(lies.code, 3) << lies.errors;
  const ProgramRun shared = folder.run(on_ranks(2) + options + " --command '" + child + " uuid:GPU-1'");
  EXPECT_EQ(shared.code, 2) << shared.errors;
  EXPECT_NE(shared.errors.find("--share-gpu turns"), std::string::npos) << shared.errors;
}

TEST(GemProfile, AsksAnotherProgramForTheWeightsThatTheModelIsServedWith) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  const auto run = [&](const std::string& options) {
    return folder.run(program + " --model DeepSeek-V3 --device command --command 'python3 " GEM_COMMAND_CHILD +
                      options +
                      " --experts-per-device 4 --max-tokens 64 --points-per-doubling 1 --min-samples 3 --max-samples 5 "
                      "--output " +
                      path);
  };
  const ProgramRun served = run("'");
  ASSERT_EQ(served.code, 0) << served.errors;
  EXPECT_EQ(read_profile(path).weight_dtype, "fp8");
  const ProgramRun lacks = run(" \"bf16 alone\"'");
  EXPECT_EQ(lacks.code, 4) << lacks.errors;
  EXPECT_NE(lacks.errors.find("a law runs in bf16, not in fp8; give --dtype bf16"), std::string::npos) << lacks.errors;
  const ProgramRun told = run(" \"bf16 alone\"' --dtype bf16");
  ASSERT_EQ(told.code, 0) << told.errors;
  EXPECT_EQ(read_profile(path).weight_dtype, "bf16");
  EXPECT_NE(told.output.find("served with fp8 weights"), std::string::npos) << told.output;
}

TEST(GemProfile, MakesAProfileOfATable) {
  const TestFolder folder;
  std::ofstream(folder.file("mine.csv")) << "rows,ms\n8,0.1\n64,0.15\n512,0.4\n";
  const std::string path = folder.file("profile.h5");
  const std::string command = program + " --model gpt-oss-20b --from-table " + folder.file("mine.csv") +
                              " --devices 4 --slowdown 1.0,1.1 --output " + path;
  EXPECT_EQ(folder.run(command).code, 2);
  const ProgramRun run = folder.run(command + " --table-columns tokens=rows,milliseconds=ms");
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("not known: what skew adds"), std::string::npos) << run.output;
  const LatencyProfile profile = read_profile(path);
  EXPECT_EQ(profile.device_count(), 4u);
  EXPECT_EQ(profile.experts_per_device, 8u);
  EXPECT_DOUBLE_EQ(profile.median_s(1, 0), 1.1e-4);
}

TEST(GemProfile, SimulatesManyDevicesFast) {
  const TestFolder folder;
  const std::string path = folder.file("profile.h5");
  const ProgramRun run =
      folder.run(program +
                 " --model DeepSeek-V3 --experts-per-device 8 --device simulated --devices 1000 --points-per-doubling 1"
                 " --slowdown 1,1.1,1.2,1.28 --quiet --output " +
                 path);
  ASSERT_EQ(run.code, 0) << run.errors;
  const LatencyProfile profile = read_profile(path);
  EXPECT_EQ(profile.device_count(), 1000u);
  EXPECT_EQ(profile.devices[3].emulated_slowdown, 1.28);
  EXPECT_NE(run.output.find("are not listed"), std::string::npos);
}

TEST(GemProfile, DryRunSaysWhatItWouldDo) {
  const TestFolder folder;
  const ProgramRun run = folder.run(on_ranks(2) + small_host + folder.file("profile.h5") + " --dry-run");
  EXPECT_EQ(run.code, 0) << run.errors;
  for (const char* word : {"2 host devices", "2 ranks\n", "expected: ", " up to ", "a rank", "tiles", "active"})
    EXPECT_NE(run.output.find(word), std::string::npos) << word << " in\n" << run.output;
  EXPECT_TRUE(folder.holds_only({}));
}

TEST(GemProfile, OneRankIsAllowedAndSaid) {
  const TestFolder folder;
  const ProgramRun run = folder.run(program + small_host + folder.file("profile.h5"));
  EXPECT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("one device alone"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("on 1 host device, 1 rank\n"), std::string::npos) << run.output;
  std::istringstream lines(run.output.substr(0, run.output.find("\nProfile: /")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

TEST(GemProfile, ListsTheModels) {
  const TestFolder folder;
  const ProgramRun run = folder.run(program + " --list-models");
  EXPECT_EQ(run.code, 0);
  for (const char* name : {"Mixtral-8x7B", "gpt-oss-20b", "DeepSeek-V3"})
    EXPECT_NE(run.output.find(name), std::string::npos) << name;
  std::istringstream lines(run.output);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

TEST(GemProfile, ValidatesASurface) {
  const TestFolder folder;
  const std::string command = program +
                              " --model gpt-oss-20b --device simulated --devices 2 --noise 0 --outliers 0 --output " +
                              folder.file("profile.h5");
  const ProgramRun run = folder.run(command + " --validate 50 --validation-output " + folder.file("loads.csv"));
  ASSERT_EQ(run.code, 0) << run.errors;
  EXPECT_NE(run.output.find("tiles and active experts"), std::string::npos) << run.output;
  EXPECT_TRUE(folder.holds_only({"profile.h5", "loads.csv"}));
  const ProgramRun again = folder.run(command + " --validate 50 --resume");
  EXPECT_EQ(again.code, 0) << again.errors;
  EXPECT_NE(again.output.find("which is finished"), std::string::npos) << again.output;
  for (const auto& [options, word] : {std::pair("--tile-tokens 32", "tile_tokens 16 instead of 32"),
                                      {"--slowdown 1,1.5", "other slowdowns"},
                                      {"--max-tokens 6000", "points"}}) {
    const ProgramRun other = folder.run(command + " --resume " + options);
    EXPECT_EQ(other.code, 3) << other.errors;
    EXPECT_NE(other.errors.find(word), std::string::npos) << other.errors;
  }
}

struct BadCall {
  std::string arguments;
  std::string word;  // in the sentence
};

TEST(GemProfile, ABadCallIsOneSentence) {
  const TestFolder folder;
  for (const BadCall& call : {
           BadCall{"", "--model is missing"},
           BadCall{"--model gpt-os-20b", "did you mean gpt-oss-20b"},
           BadCall{"--model gpt-oss-20b --device host --devices 4", "--devices"},
           BadCall{"--model gpt-oss-20b --device simulated --devices 64", "64"},
           BadCall{"--model gpt-oss-20b --device simulated --devices 8 --redundant-experts 3", "a multiple of 8"},
           BadCall{"--model gpt-oss-20b --device tpu", "tpu"},
           BadCall{"--model gpt-oss-20b --device host --dtype fp4", "fp4"},
           BadCall{"--model gpt-oss-20b --device host --dtype fp8", "--dtype fp8"},
           BadCall{"--model gpt-oss-20b --device host --expert-shape 64", "--expert-shape"},
           BadCall{"--model gpt-oss-20b --device host --slowdown 1,1.2,1.3", "--slowdown"},
           BadCall{"--model gpt-oss-20b --device host --dtype f32 --slowdown 0.5 --expert-shape 64x32", "slowdown"},
           BadCall{"--model gpt-oss-20b --device host --min-samples 1", "--min-samples"},
           BadCall{"--model gpt-oss-20b --device host --share-gpu all", "--share-gpu"},
           BadCall{"--model gpt-oss-20b --device host --trace t.h5", "--validate"},
           BadCall{"--model gpt-oss-20b --device host --dtype f32 --exchange", "one rank"},
           BadCall{"--model gpt-oss-20b --device simulated --devices 8 --exchange", "simulated"},
       }) {
    const ProgramRun run = folder.run(program + " " + call.arguments + " --output " + folder.file("profile.h5"));
    EXPECT_EQ(run.code, 2) << call.arguments << "\n" << run.errors;
    EXPECT_NE(run.errors.find(call.word), std::string::npos) << call.arguments << "\n" << run.errors;
    EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
  }
  for (const std::string file :
       {"--model none.csv", "--model gpt-oss-20b --from-table none.csv --experts-per-device 8"}) {
    const ProgramRun run = folder.run(program + " " + file + " --output " + folder.file("profile.h5"));
    EXPECT_EQ(run.code, 3) << file << run.errors;
    EXPECT_NE(run.errors.find("none.csv: there is no such file; check the name"), std::string::npos) << run.errors;
  }
  EXPECT_TRUE(folder.holds_only({}));
}

TEST(GemProfile, AnErrorOnSeveralRanksIsSaidOnce) {
  const TestFolder folder;
  const ProgramRun run = folder.run(on_ranks(3) + small_host + folder.file("absent/profile.h5"));
  EXPECT_EQ(run.code, 4) << run.errors;
  const std::size_t first = run.errors.find("absent/profile.h5");
  EXPECT_NE(first, std::string::npos) << run.errors;
  EXPECT_EQ(run.errors.find("gem-profile:", run.errors.find("gem-profile:") + 1), std::string::npos) << run.errors;
}

}  // namespace
}  // namespace gem
