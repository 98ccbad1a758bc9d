#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gem {

/// The values of a pickle as PyTorch writes them: numbers, texts, lists, dictionaries and tensors. Nothing is executed:
/// of Python's classes only tensors, their storages and OrderedDict are known, anything else is refused.
class Pickle {
 public:
  enum class Kind { None, Boolean, Integer, Real, Text, List, Dictionary, Tensor, Storage, Class };
  using Index = std::uint32_t;

  struct Tensor {
    std::string storage;  ///< name of its entry in the archive: "data/" + key
    std::string type;     ///< class of the storage: "LongStorage"
    std::int64_t offset = 0;
    std::vector<std::int64_t> extents;
    std::vector<std::int64_t> strides;
  };

  /// Protocols 2 to 5; the opcodes are described in Python's Lib/pickletools.py. DataError naming `origin` for a class
  /// that is not known, an opcode that PyTorch does not write, or a pickle that ends too early.
  static Pickle parse(std::string_view bytes, const std::string& origin);

  Index root() const { return root_; }
  Kind kind(Index value) const { return nodes_[value].kind; }
  std::int64_t integer(Index value) const { return nodes_[value].integer; }  ///< of a Boolean or Integer
  const std::string& text(Index value) const { return texts_[nodes_[value].place]; }
  /// Items of a List (tuples too); keys and values in turn of a Dictionary.
  const std::vector<Index>& items(Index value) const { return lists_[nodes_[value].place]; }
  const Tensor& tensor(Index value) const { return tensors_[nodes_[value].place]; }

 private:
  friend class PickleReader;
  struct Node {
    Kind kind = Kind::None;
    std::uint32_t place = 0;  // in texts_, lists_ or tensors_
    std::int64_t integer = 0;
  };
  std::vector<Node> nodes_;
  std::vector<std::string> texts_;
  std::vector<std::vector<Index>> lists_;
  std::vector<Tensor> tensors_;
  Index root_ = 0;
};

}  // namespace gem
