// What holds for the files of every program: no output destroys an input, nothing is written where it shouldn't be, and
// what is printed about files is safe to show and to paste.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "base/quoting.hpp"
#include "jobs/program_run.hpp"
#include "platform/file_system/file_lock.hpp"

namespace gem {
namespace {

namespace fs = std::filesystem;

const std::string bin = GEM_PROGRAM_DIR "/";

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

/// A folder with one small file of each kind.
class FileRules : public testing::Test {
 protected:
  FileRules() {
    write(folder_.file("model.csv"),
          "model,hidden_size,moe_intermediate_size,moe_layers,routed_experts,top_k\ntiny,64,32,2,8,2\n");
    write(folder_.file("slowdown.csv"), "gpu,relative_runtime\na,1.0\nb,1.2\n");
    make("gem-trace synthesize --model model.csv --steps 8 --tokens 64 --output trace.h5");
    make(
        "gem-profile --model model.csv --device simulated --devices 2 --slowdown slowdown.csv --max-tokens 256"
        " --output profile.h5");
    make("gem-map --profile profile.h5 --trace trace.h5 --method eplb --output mapping.h5");
  }

  ProgramRun run(const std::string& command) const {
    return folder_.run("{ cd " + folder_.file("") + " && export PATH=" + bin + ":$PATH && " + command + "\n}");
  }
  void make(const std::string& command) const {
    const ProgramRun made = run(command);
    ASSERT_EQ(made.code, 0) << command << "\n" << made.errors;
  }

  TestFolder folder_;
};

TEST_F(FileRules, NoOutputDestroysAnInput) {
  fs::create_hard_link(folder_.file("model.csv"), folder_.file("hard.csv"));
  fs::create_symlink("profile.h5", folder_.file("link.h5"));
  write(folder_.file("routing.h5"), "what was measured");
  std::map<std::string, std::string> before;
  for (const auto& entry : fs::directory_iterator(folder_.file("")))
    before[entry.path().string()] = content_of(entry.path());
  const std::string profile =
      "gem-profile --model model.csv --device simulated --devices 2 --slowdown slowdown.csv"
      " --max-tokens 256 --validate 2 --trace trace.h5";
  const std::string map = "gem-map --profile profile.h5 --trace trace.h5 --method eplb";
  const std::string verify =
      "gem-verify --profile profile.h5 --trace trace.h5 --mapping mapping.h5"
      " --slowdown slowdown.csv";
  const std::vector<std::string> commands{
      profile + " --output ./model.csv",
      profile + " --output slowdown.csv",
      profile + " --output hard.csv",
      profile + " --output trace.h5",
      profile + " --output new.h5 --validation-output trace.h5",
      profile + " --output new.h5 --validation-output ./new.h5",
      profile + " --output new.h5 --validation-output new.h5.partial",
      "gem-profile --model model.csv --device simulated --devices 2"
      " --for-trace trace.h5 --output trace.h5",
      "gem-trace synthesize --model model.csv --output hard.csv",
      "gem-trace import --input slowdown.csv --model model.csv --output slowdown.csv",
      "gem-trace split --trace trace.h5 --train-steps 4 --output-train a --output-test ./a",
      "gem-trace split --trace trace.h5 --train-steps 4 --output-train a"
      " --output-test ./trace.h5",
      map + " --output link.h5",
      map + " --output $PWD/trace.h5",
      map + " --routing routing.h5 --output routing.h5",
      map + " --from mapping.h5 --output mapping.h5",
      "gem-adapt --profile profile.h5 --trace trace.h5 --slowdown-changes slowdown.csv --output slowdown.csv",
      verify + " --rest slowdown.csv --output ./slowdown.csv",
      verify + " --output slowdown.csv",
      verify + " --output mapping.h5",
      "gem-deploy export --engine sglang --mapping mapping.h5 --model model.csv"
      " --output model.csv"};
  for (const std::string& command : commands) {
    const ProgramRun refused = run(command);
    EXPECT_EQ(refused.code, 2) << command << "\n" << refused.output << refused.errors;
    const bool says_why = refused.errors.find("would destroy") != std::string::npos ||
                          refused.errors.find("are the same file") != std::string::npos;
    EXPECT_TRUE(says_why) << command << "\n" << refused.errors;
  }
  for (const auto& [path, content] : before) EXPECT_EQ(content_of(path), content) << path;
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.file("")), fs::directory_iterator()),
            static_cast<std::ptrdiff_t>(before.size()));
}

TEST_F(FileRules, ABatchDoesNotWriteOverItsSources) {
  fs::create_directories(folder_.file("results/pairs/tiny/task"));
  fs::rename(folder_.file("trace.h5"), folder_.file("results/pairs/tiny/task/report.h5"));
  write(folder_.file("plan.toml"),
        "output = \"results\"\n[defaults]\ndevice = \"simulated\"\ndevices = 2\nverify = true\n[[model]]\nname = "
        "\"model.csv\"\n"
        "[[model.task]]\nname = \"task\"\ntrace = \"results/pairs/tiny/task/report.h5\"\n");
  const ProgramRun refused = run("gem-batch plan.toml");
  EXPECT_EQ(refused.code, 2) << refused.output << refused.errors;
  EXPECT_NE(refused.errors.find("would destroy the file that is read"), std::string::npos) << refused.errors;
}

TEST_F(FileRules, ALinkIsWrittenThroughAndModesAreKept) {
  fs::create_symlink("far.h5", folder_.file("near.h5"));
  write(folder_.file("far.h5"), "old");
  fs::permissions(folder_.file("far.h5"), fs::perms(0640));
  make("gem-map --profile profile.h5 --trace trace.h5 --method eplb --output near.h5");
  EXPECT_TRUE(fs::is_symlink(folder_.file("near.h5")));
  EXPECT_EQ(fs::status(folder_.file("far.h5")).permissions(), fs::perms(0640));
  EXPECT_GT(fs::file_size(folder_.file("far.h5")), 1000u);
}

TEST_F(FileRules, StandardOutputIsNoOutputFile) {
  for (const std::string where : {" | cat", " > log", ""}) {
    const ProgramRun refused = run("(gem-map --profile profile.h5 --trace trace.h5 --method eplb --output /dev/stdout" +
                                   where + "); exit ${PIPESTATUS:-$?}");
    EXPECT_NE(refused.errors.find("cannot write /dev/stdout"), std::string::npos) << where << refused.errors;
  }
  EXPECT_TRUE(fs::is_symlink("/dev/stdout"));
}

TEST_F(FileRules, CommandsThatArePrintedAreSafeToPaste) {
  const std::string name = "a'b $(touch ran) `touch ran`\n;touch ran;.h5";
  for (const std::string& command : std::vector<std::string>{
           "gem-trace synthesize --model model.csv --steps 8 --tokens 64 --output " + shell_word(name),
           "gem-trace split --trace trace.h5 --train-steps 4 --output-train " + shell_word("t" + name) +
               " --output-test " + shell_word("u" + name),
           "gem-map --profile profile.h5 --trace " + shell_word(name) + " --method eplb --output " +
               shell_word("m" + name)}) {
    const ProgramRun made = run("bash -c " + shell_word(command));
    ASSERT_EQ(made.code, 0) << command << made.errors;
    std::istringstream lines(made.output);
    std::size_t pasted = 0;
    for (std::string line, more; std::getline(lines, line);) {
      while (line.ends_with(" \\") && std::getline(lines, more)) line += "\n" + more;
      const std::size_t hint = line.starts_with("Next: ") ? 6 : line.starts_with("Draw it: ") ? 9 : 0;
      if (hint == 0) continue;
      ++pasted;
      run("bash -c " + shell_word("echo " + line.substr(hint)));
    }
    EXPECT_GT(pasted, 0u) << made.output;
  }
  EXPECT_FALSE(fs::exists(folder_.file("ran")));
}

TEST_F(FileRules, ControlCharactersOfNamesDoNotReachTheTerminal) {
  for (const std::string program :
       {"gem-map --profile profile.h5 --output x.h5 --trace ", "gem-trace describe --trace "}) {
    const ProgramRun refused = run(program + "\"$(printf 'x\\033]0;title\\007\\033[31m')\"");
    EXPECT_EQ(refused.code, 3) << refused.errors;
    EXPECT_EQ(refused.errors.find('\x1b'), std::string::npos) << refused.errors;
    EXPECT_NE(refused.errors.find("\\x1b]0;title"), std::string::npos) << refused.errors;
  }
}

TEST_F(FileRules, TwoProfilesIntoOneOutputAreOneTooMany) {
  const FileLock first(folder_.file("new.h5.lock"), FileLock::Kind::Exclusive, false, "new.h5");
  const std::string command =
      "gem-profile --model model.csv --device simulated --devices 2 --max-tokens 256 --output new.h5";
  const ProgramRun refused = run(command);
  EXPECT_EQ(refused.code, 2) << refused.errors;
  EXPECT_NE(refused.errors.find("new.h5 is in use by process " + std::to_string(getpid())), std::string::npos)
      << refused.errors;
}

TEST_F(FileRules, APipeIsNoCsvFile) {
  ASSERT_EQ(mkfifo(folder_.file("pipe.csv").c_str(), 0600), 0);
  for (const std::string options : {"--model pipe.csv", "--model model.csv --slowdown pipe.csv"}) {
    const ProgramRun refused = run("timeout 20 gem-profile --device simulated --devices 2 --output new.h5 " + options);
    EXPECT_EQ(refused.code, 3) << options << refused.errors;
    EXPECT_NE(refused.errors.find("is not a regular file"), std::string::npos) << refused.errors;
  }
}

TEST_F(FileRules, NamesThatTheFileSystemRefusesAreOneSentence) {
  const std::string longest(300, 'n');
  for (const std::string& command : std::vector<std::string>{
           "gem-map --profile profile.h5 --trace trace.h5 --output " + longest,
           "gem-profile --model model.csv --device simulated --devices 2 --max-tokens 256 --output " + longest,
           "gem-profile --model model.csv --device simulated --devices 2 --max-tokens 256 --resume --output " + longest,
           "gem-trace synthesize --model model.csv --output " + longest,
           "gem-deploy export --engine sglang --mapping mapping.h5 --output " + longest,
           "gem-deploy permute --mapping mapping.h5 --checkpoint " + longest + " --output x", "gem-batch " + longest,
           "gem-map --profile " + longest + " --trace trace.h5 --output x"}) {
    const ProgramRun refused = run(command);
    EXPECT_NE(refused.code, 0) << command;
    EXPECT_NE(refused.code, -1) << command;
    EXPECT_EQ(refused.errors.find("internal error"), std::string::npos) << command << "\n" << refused.errors;
  }
}

}  // namespace
}  // namespace gem
