#include "device/command/command_device.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "device/device_factory.hpp"
#include "device/device_kind.hpp"

namespace gem {
namespace {

const std::vector<std::uint32_t> load{20, 0, 1};

CommandDeviceOptions child(const std::string& arguments = "") {
  CommandDeviceOptions options;
  options.command = "python3 " GEM_COMMAND_CHILD " " + arguments;
  options.patience_s = 30.0;
  options.opening = {{64, 32}, 3, 2, 16, "bf16", 1, 1, 0};
  return options;
}

// What is said of a child that does something wrong at a load, or at its opening.
template <class Exception>
std::string complaint(const CommandDeviceOptions& options) {
  try {
    CommandDevice device(options);
    device.time_layer(0, load);
  } catch (const Exception& error) {
    return error.what();
  }
  return "";
}

bool exists(pid_t process) {
  return kill(process, 0) == 0;
}

void expect_end(pid_t process) {
  for (int i = 0; i < 400 && exists(process); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(exists(process));
}

TEST(CommandDevice, TakesAChildsTimes) {
  CommandDevice device(child());
  EXPECT_NEAR(device.time_layer(0, load), 1e-5 + 48e-6, 1e-12);
  EXPECT_EQ(device.time_layer(0, std::vector<std::uint32_t>(3)), 0.0);
  EXPECT_EQ(device.telemetry().sm_clock_hz, 1.5e9);
  EXPECT_TRUE(std::isnan(device.telemetry().power_w));
  EXPECT_EQ(device.description().kind, "command");
  EXPECT_EQ(device.description().name, "stated, a law (1)");
  EXPECT_EQ(device.description().rank, 1);
  EXPECT_FALSE(device.kind().has_outputs);
  EXPECT_FALSE(device.kind().is_virtual());
}

TEST(CommandDevice, EmulatesASlowdownByProportionalTime) {
  CommandDeviceOptions options = child();
  options.slowdown = 1.5;
  EXPECT_NEAR(CommandDevice(options).time_layer(0, load), 1.5 * 58e-6, 1e-12);
  options.slowdown = 0.5;
  EXPECT_THROW(CommandDevice{options}, UsageError);
}

TEST(CommandDevice, LeavesOutSlotsWithoutTokensOfOtherMappings) {
  CommandDevice device(child());
  EXPECT_NEAR(device.time_layer(0, std::vector<std::uint32_t>{0, 16, 0, 16, 0, 16}), 1e-5 + 48e-6, 1e-12);
  EXPECT_THROW(device.time_layer(0, std::vector<std::uint32_t>(4, 1)), DataError);
}

TEST(CommandDevice, TakesTheChildsTiles) {
  EXPECT_EQ(CommandDevice(child()).tile_rule(), (std::vector<TileStep>{{0, 16}}));
  EXPECT_EQ(CommandDevice(child("steps")).tile_rule(), (std::vector<TileStep>{{64, 16}, {0, 64}}));
  EXPECT_TRUE(CommandDevice(child("'no tiles'")).tile_rule().empty());
  EXPECT_NE(complaint<DataError>(child("'bad steps'")).find("must grow from step to step"), std::string::npos);
}

TEST(CommandDevice, AChildsEndIsOneSentenceWithItsLastWords) {
  const std::string text = complaint<SystemError>(child("dies"));
  EXPECT_NE(text.find("on rank 1 exited with code 7 before it answered 'load'"), std::string::npos) << text;
  EXPECT_NE(text.find("out of memory on the device"), std::string::npos) << text;
  CommandDeviceOptions absent = child();
  absent.command = "gem-no-such-program";
  EXPECT_NE(complaint<SystemError>(absent).find("exited with code 127 before it answered 'open'"), std::string::npos);
  EXPECT_NE(complaint<SystemError>(absent).find("not found"), std::string::npos);
}

TEST(CommandDevice, ASilentChildEndsAtItsTime) {
  CommandDeviceOptions options = child("hangs");
  options.patience_s = 1.0;
  const auto begin = std::chrono::steady_clock::now();
  const std::string text = complaint<SystemError>(options);
  EXPECT_NE(text.find("did not answer 'load' within 1 s (--command-timeout)"), std::string::npos) << text;
  EXPECT_NE(text.find("waiting for the device"), std::string::npos) << text;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(CommandDevice, RefusesAnswersThatAreNone) {
  const auto expect = [](const std::string& fault, const std::string& part) {
    const std::string text = complaint<DataError>(child(fault));
    EXPECT_NE(text.find(part), std::string::npos) << fault << ": " << text;
  };
  expect("rubbish", "answered 'load' with 'INFO: compiling kernels'");
  expect("other", "is 3, but 2 was asked");
  expect("NaN", "which can't be");
  expect("null", "which can't be");
  expect("0", "not a time above 0");
  expect("-1", "not a time above 0");
  expect("1e3", "has 1000 s, but the answer came after");
  expect("version", "is 2, but this program speaks 1");
}

TEST(CommandDevice, PassesOnWhatAChildSaysFailed) {
  EXPECT_NE(complaint<SystemError>(child("refuses")).find("this engine knows no such load; ask for less"),
            std::string::npos);
}

TEST(CommandDevice, AChildEndsWithItsDevice) {
  pid_t process = 0;
  {
    CommandSession session(child().command, 30.0, 0);
    session.open(child().opening);
    process = session.process().id();
    EXPECT_TRUE(exists(process));
  }
  EXPECT_FALSE(exists(process));  // waited for, too: no zombie
}

TEST(CommandDevice, AChildEndsWithAKilledParent) {
  for (const std::string fault : {"", "hangs"}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t parent = fork();
    if (parent == 0) {
      CommandSession session(child(fault).command, 60.0, 0);
      session.open(child().opening);
      const pid_t process = session.process().id();
      if (write(ends[1], &process, sizeof process) != sizeof process) _exit(1);
      if (!fault.empty()) session.load(load);
      pause();
      _exit(0);
    }
    pid_t process = 0;
    ASSERT_EQ(read(ends[0], &process, sizeof process), static_cast<ssize_t>(sizeof process));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    expect_end(process);
    close(ends[0]);
    close(ends[1]);
  }
}

TEST(CommandDevice, OptionsAreChecked) {
  EXPECT_THROW(check_device_options({.kind = "command", .expert = {64, 32}}), UsageError);
  EXPECT_THROW(check_device_options({.kind = "host", .expert = {64, 32}, .command = "true"}), UsageError);
  EXPECT_NO_THROW(check_device_options({.kind = "command", .expert = {64, 32}, .command = "true"}));
}

TEST(CommandDevice, TileFollowsTheRuleAtTheMeanLoad) {
  DeviceOptions options{.kind = "command", .experts_per_device = 8, .tile_rule = {{64, 16}, {0, 64}}};
  EXPECT_EQ(default_tile_tokens(options, 8.0), 16u);
  EXPECT_EQ(default_tile_tokens(options, 8.5), 64u);
}

}  // namespace
}  // namespace gem
