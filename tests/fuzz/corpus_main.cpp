// Runs a fuzz target over its kept corpus, without a fuzzer: what was once found must stay repaired, with any compiler.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz_input.hpp"

int main(int, char** arguments) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    std::cout << entry.path().filename().string() << std::endl;  // at once: the last one is the culprit of a crash
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  std::cout << count << " files of the corpus read or refused\n";
  return count > 0 ? 0 : 1;
}
