#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/option.hpp"

namespace gem {

/// What a stage was made from: its options as text, and the contents of its input files.
class StageKey {
 public:
  explicit StageKey(const std::string& stage) { add("stage", stage); }
  void add(const std::string& name, const std::string& value) { text_ += name + "=" + value + "\n"; }
  void add(const std::string& name, double value);
  void add(const std::string& name, std::size_t value) { add(name, std::to_string(value)); }
  /// Each option that results depend on; of a file, what is in it.
  void add(const OptionList& options);
  /// The options of a struct.
  template <class Struct>
  void add_options(Struct values) {
    OptionList options;
    describe(options, values);
    add(options);
  }
  /// DataError or SystemError if the file can't be read.
  void add_file(const std::string& name, const std::string& path);

  /// 16 hexadecimal digits.
  std::string digest() const;

 private:
  std::string text_;
};

/// FNV-1a of a file's contents, 16 hexadecimal digits. DataError if there is no such file.
std::string file_digest(const std::string& path);

/// Whether the stamp at `path` says that its files were made from `key`, and they are all there as they were made.
bool is_fresh(const std::string& path, const StageKey& key);

/// Says at `path` that `outputs` were made from `key`. A stamp lies beside its files and names them without directory.
void write_stamp(const std::string& path, const StageKey& key, const std::vector<std::string>& outputs);

}  // namespace gem
