#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "interchange/number_array.hpp"
#include "interchange/pickle.hpp"
#include "platform/file_system/zip_input.hpp"

namespace gem {

/// Whether a file is called as torch.save's files are.
inline bool is_torch_name(const std::string& path) {
  return path.ends_with(".pt") || path.ends_with(".pth");
}

/// A file that torch.save wrote (since 1.6: a ZIP archive with data.pkl and one entry a storage), read without
/// executing what is in it. DataError naming the file for anything but tensors and plain values.
class TorchFile {
 public:
  explicit TorchFile(const std::string& path);

  const std::string& path() const { return archive_.path(); }
  const Pickle& pickle() const { return pickle_; }
  /// The member of a dictionary, if there is one of this name.
  std::optional<Pickle::Index> find(Pickle::Index dictionary, const std::string& key) const;
  /// The numbers of a tensor; DataError naming `what` if the value is none, or not one of `rank` dimensions.
  NumberArray tensor(Pickle::Index value, std::size_t rank, const std::string& what) const;

  /// Throws DataError "PATH: WHAT".
  [[noreturn]] void reject(const std::string& what) const;

 private:
  ZipInput archive_;
  std::string prefix_;  // of the names of all entries
  Pickle pickle_;
  mutable std::uint64_t numbers_read_ = 0;
};

}  // namespace gem
