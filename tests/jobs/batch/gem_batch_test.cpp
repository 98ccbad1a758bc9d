// gem-batch as a user calls it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "files/mapping_file.hpp"
#include "files/trace_file.hpp"
#include "jobs/program_run.hpp"
#include "platform/file_system/file_lock.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

const std::string program = std::string(GEM_PROGRAM_DIR) + "/gem-batch ";
const std::string routing = std::string(GEM_DATA_DIR) + "/routing/gpt-oss-20b.gpqa.h5";

std::string on_ranks(int ranks) {
  return std::string(GEM_MPIRUN) + " -n " + std::to_string(ranks) + " " + program;
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Three good pairs and one of routing "a.h5"; quick to map.
std::string write_manifest(const TestFolder& folder, const std::string& defaults = "") {
  const std::string path = folder.file("m.toml");
  std::ofstream(path) << "output = \"out\"\n[defaults]\ndevice = \"simulated\"\ndevices = 4\nslowdown = [1.0, 1.28]\n"
                         "max_tokens = 512\nsteps = 8\nbatch_size = 32\neffort = \"fast\"\nverify_steps = 4\n"
                      << defaults
                      << "[[model]]\nname = \"gpt-oss-20b\"\n"
                         "[[model.task]]\nname = \"real\"\nrouting = \"a.h5\"\n"
                         "[[model.task]]\nname = \"drawn\"\nsynthetic = true\n"
                         "[[model]]\nname = \"DeepSeek-V2-Lite\"\n"
                         "[[model.task]]\nname = \"drawn\"\nsynthetic = true\n"
                         "[[model.task]]\nname = \"even\"\nsynthetic = true\nskew = 1\n";
  return path;
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(GemBatch, ABadPairLeavesTheOthersAndIsMadeUpFor) {
  const TestFolder folder;
  const std::string manifest = write_manifest(folder), input = folder.file("a.h5");
  fs::copy_file(routing, input);
  fs::resize_file(input, fs::file_size(input) / 2);
  const ProgramRun first = folder.run(on_ranks(2) + manifest);
  EXPECT_EQ(first.code, 3) << first.output << first.errors;
  EXPECT_EQ(count(first.output, "  done  "), 3u) << first.output;
  EXPECT_EQ(count(first.output, "  FAILED  "), 1u) << first.output;
  EXPECT_NE(first.output.find("FAILED gpt-oss-20b/real: "), std::string::npos) << first.output;
  EXPECT_NE(first.output.find("a.h5"), std::string::npos) << first.output;
  EXPECT_NE(text_of(folder.file("out/summary.csv")).find("gpt-oss-20b/real,failed"), std::string::npos);

  const ProgramRun quiet = folder.run(program + manifest + " --resume --quiet");
  EXPECT_EQ(quiet.code, 3) << quiet.output << quiet.errors;
  EXPECT_EQ(quiet.output, "");
  EXPECT_EQ(quiet.errors.rfind("gpt-oss-20b/real failed: ", 0), 0u) << quiet.errors;

  fs::copy_file(routing, input, fs::copy_options::overwrite_existing);
  const ProgramRun second = folder.run(on_ranks(2) + manifest + " --resume");
  EXPECT_EQ(second.code, 0) << second.output << second.errors;
  EXPECT_EQ(count(second.output, "  kept  "), 3u) << second.output;
  EXPECT_EQ(count(second.output, "  done  "), 1u) << second.output;
  const std::string summary = text_of(folder.file("out/summary.md"));
  EXPECT_NE(summary.find("4 pairs: 4 done, 0 failed, 0 missing"), std::string::npos) << summary;
  EXPECT_NE(summary.find("Devices: simulated"), std::string::npos) << summary;
  EXPECT_EQ(read_mapping(folder.file("out/pairs/gpt-oss-20b/real/gem.h5")).train_part, "train");
  EXPECT_EQ(read_trace(folder.file("out/pairs/gpt-oss-20b/real/test.h5")).part, "test");
  // Decode is searched on requests drawn anew, and more of them, unless the manifest says otherwise.
  const std::string train = folder.file("out/pairs/gpt-oss-20b/real/train.h5");
  EXPECT_EQ(read_trace(train).sequence, "resampled");
  EXPECT_EQ(read_trace(train).step_count(), 32u);
  EXPECT_EQ(read_trace(folder.file("out/pairs/gpt-oss-20b/real/test.h5")).sequence, "consecutive");
  ASSERT_EQ(folder.run(program + write_manifest(folder, "mixed_steps = 16\n") + " --resume").code, 0);
  EXPECT_EQ(read_trace(train).step_count(), 16u) << "no more than the search would fill up to";
  ASSERT_EQ(folder.run(program + write_manifest(folder, "plain_steps = true\n")).code, 0);
  EXPECT_EQ(read_trace(train).sequence, "consecutive");
  EXPECT_EQ(read_trace(train).step_count(), 8u);
}

TEST(GemBatch, ResumeDoesWhatIsStaleAndNoMore) {
  const TestFolder folder;
  fs::copy_file(routing, folder.file("a.h5"));
  ASSERT_EQ(folder.run(program + write_manifest(folder)).code, 0);
  const std::string pair = folder.file("out/pairs/DeepSeek-V2-Lite/even/");
  const auto trace_time = fs::last_write_time(pair + "trace.h5");
  // A damaged result and an option of the mapping: only what follows from them is made again.
  const std::string list = program + write_manifest(folder) + " --resume --list";
  EXPECT_EQ(folder.run(list).output, "");
  std::ofstream(pair + "gem.h5") << "damaged";
  EXPECT_EQ(folder.run(list).output, "3 DeepSeek-V2-Lite/even\n");
  const ProgramRun shown = folder.run(program + write_manifest(folder) + " --resume --dry-run");
  EXPECT_EQ(count(shown.output, "  kept"), 3u) << shown.output;
  EXPECT_EQ(count(shown.output, "  to do"), 1u) << shown.output;
  const ProgramRun summary = folder.run(program + write_manifest(folder) + " --summary");
  EXPECT_EQ(count(summary.output, "3 done, 0 failed, 0 missing, 1 stale."), 1u) << summary.output;
  EXPECT_EQ(count(summary.output, "STALE DeepSeek-V2-Lite/even: "), 1u) << summary.output;
  const ProgramRun mended = folder.run(program + write_manifest(folder) + " --resume");
  EXPECT_EQ(mended.code, 0) << mended.errors;
  EXPECT_EQ(count(mended.output, "  kept  "), 3u) << mended.output;
  EXPECT_EQ(read_mapping(pair + "gem.h5").method, "gem");
  const ProgramRun changed = folder.run(program + write_manifest(folder, "iterations = 3\n") + " --resume");
  EXPECT_EQ(changed.code, 0) << changed.errors;
  EXPECT_EQ(count(changed.output, "  done  "), 4u) << changed.output;
  EXPECT_EQ(fs::last_write_time(pair + "trace.h5"), trace_time);
  // Options of the mappings and of the profile alike make a pair stale before anything runs.
  for (const char* option : {"iterations = 4\n", "points_per_doubling = 2\n"}) {
    const ProgramRun left = folder.run(program + write_manifest(folder, option) + " --resume --list");
    EXPECT_EQ(count(left.output, "\n"), 4u) << option << left.output << left.errors;
  }
}

TEST(GemBatch, AProfileReachesAsFarAsTheStepsOfItsPairs) {
  const TestFolder folder;
  const std::string
      path = folder.file("m.toml"),
      text =
          "output = \"out\"\n[defaults]\ndevice = \"simulated\"\ndevices = 4\nsteps = 4\neffort = \"fast\"\n"
          "verify = false\nsynthetic = true\nbatch_size = [64, 256, 3000, 4096]\n"
          "[[model]]\nname = \"gpt-oss-20b\"\n[[model.task]]\nname = \"a\"\n";
  std::ofstream(path) << text;
  const ProgramRun run = folder.run(program + path);
  ASSERT_EQ(run.code, 0) << run.output << run.errors;
  EXPECT_EQ(count(run.output, "EXTRAPOLATED"), 0u) << run.output;
  const std::string pairs = folder.file("out/pairs/gpt-oss-20b/");
  EXPECT_EQ(text_of(pairs + "a-b4096/map.txt").find("beyond the profile"), std::string::npos);
  EXPECT_EQ(text_of(pairs + "a-b64/profile.txt"), text_of(pairs + "a-b256/profile.txt"));
  EXPECT_EQ(text_of(pairs + "a-b3000/profile.txt"), text_of(pairs + "a-b4096/profile.txt"));
  EXPECT_NE(text_of(pairs + "a-b256/profile.txt"), text_of(pairs + "a-b4096/profile.txt"));
  // What the manifest says holds, and the summary tells what came of it.
  std::ofstream(path) << text << "max_tokens = 2048\n";
  const ProgramRun limited = folder.run(program + path + " --resume");
  ASSERT_EQ(limited.code, 0) << limited.output << limited.errors;
  EXPECT_EQ(count(limited.output, "EXTRAPOLATED"), 2u) << limited.output;
  EXPECT_EQ(count(limited.output, "EXTRAPOLATED gpt-oss-20b/a-b4096: "), 1u) << limited.output;
}

// Two tasks of one model, of which each has another load, and a mapping that counts the exchange.
std::string write_shared(const TestFolder& folder) {
  const std::string path = folder.file("shared.toml");
  std::ofstream(path) << "output = \"out\"\n[defaults]\ndevice = \"host\"\ndtype = \"f32\"\nexpert_shape = \"64x64\"\n"
                         "tile_tokens = 16\nfor_traces = true\nsteps = 4\nmethods = [\"eplb\", \"gem\"]\n"
                         "effort = \"fast\"\nverify_steps = 2\nlayer_count = 2\nrounds = 1\ncompute_only = true\n"
                         "min_samples = 3\nmax_samples = 3\njudge = \"gem\"\n"
                         "[[method]]\nname = \"gem-layer\"\nexchange_row_time = 20\n"
                         "[[model]]\nname = \"gpt-oss-20b\"\nsynthetic = true\n"
                         "[[model.task]]\nname = \"small\"\nbatch_size = 32\n"
                         "[[model.task]]\nname = \"large\"\nbatch_size = 256\n";
  return path;
}

TEST(GemBatch, AStageAloneOnTheRanksThatItNeeds) {
  const TestFolder folder;
  const std::string manifest = write_shared(folder) + " --resume", pairs = folder.file("out/pairs/gpt-oss-20b/");
  // One profile serves both tasks, whichever is run first; without it no mapping is searched for.
  const ProgramRun early = folder.run(program + manifest + " --only mappings");
  EXPECT_EQ(early.code, 3) << early.output << early.errors;
  EXPECT_NE(early.errors.find("small failed: gpt-oss-20b/small has no profile yet"), std::string::npos) << early.errors;
  const ProgramRun first = folder.run(on_ranks(2) + manifest + " --only profiles --pair gpt-oss-20b/small");
  ASSERT_EQ(first.code, 0) << first.output << first.errors;
  const ProgramRun profiles = folder.run(on_ranks(2) + manifest + " --only profiles");
  ASSERT_EQ(profiles.code, 0) << profiles.output << profiles.errors;
  EXPECT_EQ(text_of(pairs + "small/profile.txt"), text_of(pairs + "large/profile.txt"));
  EXPECT_FALSE(fs::exists(pairs + "small/gem.h5"));
  // The search needs no devices, and any number of ranks.
  const ProgramRun mappings = folder.run(program + manifest + " --only mappings");
  ASSERT_EQ(mappings.code, 0) << mappings.output << mappings.errors;
  EXPECT_TRUE(fs::exists(pairs + "large/gem-layer.h5"));
  EXPECT_FALSE(fs::exists(pairs + "large/report.h5"));
  EXPECT_EQ(text_of(pairs + "large/map.txt").find("beyond the profile"), std::string::npos)
      << text_of(pairs + "large/map.txt");
  const auto mapped = fs::last_write_time(pairs + "large/gem.h5");
  // What no time is left for is said to be left.
  const ProgramRun late = folder.run(on_ranks(2) + manifest + " --begin-within 0");
  EXPECT_EQ(late.code, 75) << late.output << late.errors;
  EXPECT_FALSE(fs::exists(pairs + "large/report.h5"));
  const ProgramRun all = folder.run(on_ranks(2) + manifest);
  ASSERT_EQ(all.code, 0) << all.output << all.errors;
  EXPECT_EQ(fs::last_write_time(pairs + "large/gem.h5"), mapped);
  const std::string verdicts = text_of(pairs + "large/verdicts.csv");
  for (const char* name : {"\nlinear,", "\neplb,", "\ngem,", "\ngem-layer,"})
    EXPECT_NE(("\n" + verdicts).find(name), std::string::npos) << verdicts;
  EXPECT_NE(text_of(pairs + "large/verify.txt").find(" - gem takes "), std::string::npos);
  EXPECT_NE(text_of(folder.file("out/summary.csv")).find(",gem-layer,"), std::string::npos);
  EXPECT_EQ(folder.run(program + manifest + " --list").output, "");
}

TEST(GemBatch, TheSameMappingsOnAnyNumberOfRanks) {
  const TestFolder folder;
  fs::copy_file(routing, folder.file("a.h5"));
  const std::string manifest = write_manifest(folder, "verify = false\n");
  std::vector<Mapping> mappings;
  for (int ranks : {1, 3, 6}) {  // 6 ranks work on 4 pairs in groups
    const std::string output = folder.file("on" + std::to_string(ranks));
    const ProgramRun run = folder.run(on_ranks(ranks) + manifest + " --output " + output);
    ASSERT_EQ(run.code, 0) << run.output << run.errors;
    mappings.push_back(read_mapping(output + "/pairs/gpt-oss-20b/real/gem.h5"));
    EXPECT_EQ(mappings.back().expert_to_device, mappings.front().expert_to_device) << ranks << " ranks";
  }
}

TEST(GemBatch, SelectedPairsShareADirectoryWholeRunsDoNot) {
  const TestFolder folder;
  fs::copy_file(routing, folder.file("a.h5"));
  const std::string manifest = write_manifest(folder, "verify = false\n");
  fs::create_directories(folder.file("out"));
  {
    const FileLock another_array_task(folder.file("out/lock"), FileLock::Kind::Shared, false, "out");
    const ProgramRun whole = folder.run(program + manifest);
    EXPECT_EQ(whole.code, 2) << whole.errors;
    EXPECT_NE(whole.errors.find("is in use by process"), std::string::npos) << whole.errors;
    EXPECT_EQ(folder.run(program + manifest + " --pair 1 --resume").code, 0);
    EXPECT_EQ(folder.run(program + manifest + " --pair DeepSeek-V2-Lite/even --resume").code, 0);
  }
  EXPECT_EQ(folder.run(program + manifest + " --pair 4").code, 2);
  const ProgramRun summary = folder.run(program + manifest + " --summary");
  EXPECT_NE(summary.output.find("4 pairs: 2 done, 0 failed, 2 missing"), std::string::npos) << summary.output;
  EXPECT_EQ(count(summary.output, "Draw it"), 1u) << summary.output;
  EXPECT_EQ(count(folder.run(program + manifest + " --summary --quiet").output, "Draw it"), 0u);
}

TEST(GemBatch, NothingRunsOnAWrongManifestOrADryRun) {
  const TestFolder folder;
  const std::string manifest = write_manifest(folder, "efort = \"fast\"\n");
  const ProgramRun wrong = folder.run(program + manifest);
  EXPECT_EQ(wrong.code, 3);
  EXPECT_NE(wrong.errors.find("m.toml:11: unknown key 'efort'; did you mean effort"), std::string::npos)
      << wrong.errors;
  EXPECT_NE(wrong.errors.find("a.h5"), std::string::npos) << wrong.errors;
  fs::copy_file(routing, folder.file("a.h5"));
  const ProgramRun dry = folder.run(program + "--output out --dry-run " + write_manifest(folder));
  EXPECT_EQ(dry.code, 0) << dry.errors;
  EXPECT_NE(dry.output.find("DeepSeek-V2-Lite/even"), std::string::npos);
  const ProgramRun early = folder.run(program + write_manifest(folder) + " --summary");
  EXPECT_EQ(early.code, 2);
  EXPECT_NE(early.errors.find("nothing has run yet"), std::string::npos) << early.errors;
  EXPECT_TRUE(folder.holds_only({"m.toml", "a.h5"}));
}

TEST(GemBatch, TheSummaryTellsOfADoubtfulProfileAndWhichPairsHaveIt) {
  const TestFolder folder;
  std::ofstream(folder.file("m.toml"))
      << "output = \"out\"\n[defaults]\ndevice = \"simulated\"\ndevices = 2\nsteps = 8\n"
         "max_tokens = 256\neffort = \"fast\"\nverify = false\n"
         "[[model]]\nname = \"gpt-oss-20b\"\n"
         "[[model.task]]\nname = \"one\"\nsynthetic = true\n"
         "[[model.task]]\nname = \"two\"\nsynthetic = true\n";
  const ProgramRun run = folder.run(program + folder.file("m.toml"));
  ASSERT_EQ(run.code, 0) << run.output << run.errors;
  EXPECT_EQ(count(run.output, "DOUBTFUL profile of gpt-oss-20b/one, gpt-oss-20b/two: the"), 1u) << run.output;
  EXPECT_EQ(count(run.output, "Profile of gpt-oss-20b/one, gpt-oss-20b/two: engines serve with mxfp4"), 1u)
      << run.output;
  const std::string summary = text_of(folder.file("out/summary.md"));
  EXPECT_EQ(count(summary, "- DOUBTFUL profile of gpt-oss-20b/one, gpt-oss-20b/two: the devices are not "), 1u)
      << summary;
}

TEST(GemBatch, ListsItsKeysWithoutAManifest) {
  const ProgramRun keys = TestFolder().run(program + "--keys");
  EXPECT_EQ(keys.code, 0) << keys.errors;
  EXPECT_NE(keys.output.find("\n  tile_tokens "), std::string::npos) << keys.output;
  const ProgramRun for_programs = TestFolder().run(program + "--keys --json");
  EXPECT_EQ(for_programs.code, 0) << for_programs.errors;
  EXPECT_EQ(for_programs.output.front(), '{') << for_programs.output;
  EXPECT_NE(for_programs.output.find("{\"key\": \"tile_tokens\", \"group\": "), std::string::npos);
  const ProgramRun none = TestFolder().run(program + "--dry-run");
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.errors.find("the manifest is missing"), std::string::npos) << none.errors;
}

TEST(GemBatch, TheTableIsRedrawnOnATerminalAlone) {
  const TestFolder folder;
  fs::copy_file(routing, folder.file("a.h5"));
  const std::string command = on_ranks(2) + write_manifest(folder, "verify = false\n");
  const std::string up = "\033[";
  const ProgramRun into_a_file = folder.run(command);
  EXPECT_EQ(into_a_file.code, 0) << into_a_file.errors;
  EXPECT_EQ(count(into_a_file.output, up), 0u) << into_a_file.output;
  EXPECT_NE(as_one_line(into_a_file.output).find("gem-analysis report " + folder.file("out") + "\n"), std::string::npos)
      << into_a_file.output;
  const ProgramRun on_a_terminal = folder.run("script --quiet --return --command '" + command + "' /dev/null");
  if (on_a_terminal.errors.find("pseudo-terminal") != std::string::npos) GTEST_SKIP() << on_a_terminal.errors;
  EXPECT_EQ(on_a_terminal.code, 0) << on_a_terminal.errors;
  EXPECT_GT(count(on_a_terminal.output, up), 3u) << on_a_terminal.output;
  EXPECT_NE(on_a_terminal.output.find("4 of 4 pairs"), std::string::npos) << on_a_terminal.output;
  EXPECT_NE(on_a_terminal.output.find("profiling"), std::string::npos) << on_a_terminal.output;
}

TEST(GemBatch, HostDevicesGoTheWholeWay) {
  const TestFolder folder;
  fs::copy_file(routing, folder.file("a.h5"));
  const std::string path = folder.file("m.toml");
  std::ofstream(path) << "output = \"out\"\n[[model]]\nname = \"gpt-oss-20b\"\ndevice = \"host\"\ndtype = \"f32\"\n"
                         "expert_shape = \"64x64\"\nslowdown = [1.0, 1.28]\nmax_tokens = 256\npoints_per_doubling = 1\n"
                         "min_samples = 3\nmax_samples = 5\nsteps = 8\nbatch_size = 32\neffort = \"fast\"\n"
                         "verify_steps = 2\nverify_layers = [0, 11]\n"
                         "[[model.task]]\nname = \"a\"\nrouting = \"a.h5\"\n"
                         "[[model.task]]\nname = \"b\"\nsynthetic = true\n";
  const ProgramRun run = folder.run(on_ranks(2) + path);
  EXPECT_EQ(run.code, 0) << run.output << run.errors;
  EXPECT_EQ(count(run.output, "  done  "), 2u) << run.output;
  std::size_t profiles = 0;
  for (const auto& entry : fs::directory_iterator(folder.file("out/profiles")))
    profiles += entry.path().extension() == ".h5" ? 1 : 0;
  EXPECT_EQ(profiles, 1u) << "one profile for both tasks";
  const std::string verified = text_of(folder.file("out/pairs/gpt-oss-20b/a/verify.txt"));
  EXPECT_NE(verified.find("VERDICT"), std::string::npos) << verified;
  EXPECT_NE(verified.find("Prediction per device: "), std::string::npos) << verified;
  // One process knows what is left to do of them, if it knows how many they are.
  EXPECT_EQ(folder.run(program + path + " --resume --list").output, "");
  EXPECT_EQ(folder.run(program + path + " --resume --list --ranks 2").output, "");
  EXPECT_EQ(folder.run(program + path + " --resume --list --ranks 4").output, "0 gpt-oss-20b/a\n1 gpt-oss-20b/b\n");
  EXPECT_EQ(folder.run(program + path + " --ranks 4").code, 2);
}

}  // namespace
}  // namespace gem
