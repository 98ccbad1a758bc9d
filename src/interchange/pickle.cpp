#include "interchange/pickle.hpp"

#include <fmt/core.h>
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// A pickle of one-byte opcodes, or one that refers to a long part of it again and again, would take far more memory
// than it has bytes.
constexpr std::size_t most_values = std::size_t{1} << 25;  // on the stack, too
constexpr std::size_t most_containers = std::size_t{1} << 22;
constexpr std::size_t most_memos = std::size_t{1} << 23;
constexpr std::size_t longest_name = 256;
constexpr std::size_t most_dimensions = 64;  // of PyTorch's tensors
constexpr std::size_t most_arguments = 64;

}  // namespace

/// The pickle machine: a stack of values, marks on it, and a memo.
class PickleReader {
 public:
  PickleReader(std::string_view bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  Pickle read() {
    while (!step()) expect_bounds();
    return std::move(pickle_);
  }

 private:
  using Kind = Pickle::Kind;
  using Index = Pickle::Index;

  [[noreturn]] void reject(const std::string& what) const { throw DataError(origin_ + ": " + what); }

  void expect_bounds() const {
    if (pickle_.nodes_.size() > most_values || stack_.size() > most_values || memo_.size() > most_memos ||
        marks_.size() > most_containers || pickle_.lists_.size() > most_containers ||
        pickle_.tensors_.size() > most_containers)
      reject("the pickle holds more values than are read; record fewer steps in one file, or as tensors");
  }
  void expect_name(std::string_view name) const {
    if (name.size() > longest_name) reject("the pickle has a name of absurd length; it is damaged");
  }

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size()) reject("the pickle ends too early; it is truncated, copy or make the file again");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  std::uint64_t take_number(std::size_t byte_count) {
    const std::string_view taken = take(byte_count);
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < byte_count; ++i)
      number |= static_cast<std::uint64_t>(static_cast<unsigned char>(taken[i])) << (8 * i);
    return number;
  }
  std::int64_t take_signed(std::size_t byte_count) {
    if (byte_count == 0) return 0;
    if (byte_count > 8) reject("the pickle holds a number beyond 64 bits");
    const std::size_t unused = 64 - 8 * byte_count;
    return static_cast<std::int64_t>(take_number(byte_count) << unused) >> unused;
  }
  std::string take_line() {
    const std::size_t end = bytes_.find('\n');
    if (end == std::string_view::npos)
      reject("the pickle ends too early; it is truncated, copy or make the file again");
    const std::string line(take(end));
    take(1);
    return line;
  }

  Index pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
      reject("the pickle takes more from its stack than is there");
    const Index value = stack_.back();
    stack_.pop_back();
    return value;
  }
  Index top() {
    const Index value = pop();
    stack_.push_back(value);
    return value;
  }
  std::vector<Index> pop_to_mark() {
    if (marks_.empty()) reject("the pickle has no mark where one is needed");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Index> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return values;
  }

  void push(Kind kind, std::int64_t integer = 0, std::size_t place = 0) {
    stack_.push_back(static_cast<Index>(pickle_.nodes_.size()));
    pickle_.nodes_.push_back({kind, static_cast<std::uint32_t>(place), integer});
  }
  void push_text(Kind kind, std::string text) {
    push(kind, 0, pickle_.texts_.size());
    pickle_.texts_.push_back(std::move(text));
  }
  void push_list(Kind kind, std::vector<Index> items) {
    push(kind, 0, pickle_.lists_.size());
    pickle_.lists_.push_back(std::move(items));
  }
  void push_tuple(std::size_t count) {
    std::vector<Index> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    push_list(Kind::List, std::move(items));
  }
  void memoize(std::uint64_t key) { memo_[key] = top(); }
  void recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) reject("the pickle refers to a value that it has not made");
    stack_.push_back(found->second);
  }

  std::vector<Index>& list_of(Index value, Kind kind) {
    if (pickle_.kind(value) != kind) reject("the pickle adds items to a value that has none");
    return pickle_.lists_[pickle_.nodes_[value].place];
  }
  void add(const std::vector<Index>& added, Kind kind) {
    std::vector<Index>& items = list_of(top(), kind);
    items.insert(items.end(), added.begin(), added.end());
    if (kind == Kind::Dictionary && items.size() % 2 != 0)
      reject("the pickle has a dictionary with a key but no value");
  }

  /// A persistent id is the storage of a tensor: ("storage", class, key, location, count).
  void push_storage(Index id) {
    if (pickle_.kind(id) != Kind::List || pickle_.items(id).size() != 5)
      reject("the pickle refers to an unknown object");
    const std::vector<Index> items = pickle_.items(id);
    if (pickle_.kind(items[1]) != Kind::Class || pickle_.kind(items[2]) != Kind::Text)
      reject("the pickle refers to an unknown object");
    expect_name(pickle_.text(items[2]));
    Pickle::Tensor storage;
    storage.type = pickle_.text(items[1]);
    storage.type.erase(0, storage.type.rfind(' ') + 1);
    storage.storage = "data/" + pickle_.text(items[2]);
    push(Kind::Storage, 0, pickle_.tensors_.size());
    pickle_.tensors_.push_back(std::move(storage));
  }

  std::vector<std::int64_t> integers_of(Index value) {
    if (pickle_.kind(value) != Kind::List || pickle_.items(value).size() > most_dimensions)
      reject("the pickle has a tensor without extents, or with far too many");
    std::vector<std::int64_t> numbers;
    for (const Index item : pickle_.items(value)) {
      if (pickle_.kind(item) != Kind::Integer || pickle_.integer(item) < 0)
        reject("the pickle has a tensor with an extent or stride that is no count");
      numbers.push_back(pickle_.integer(item));
    }
    return numbers;
  }

  /// torch._utils._rebuild_tensor_v2(storage, offset, extents, strides, requires_grad, hooks), or OrderedDict().
  void push_call(Index function, Index arguments) {
    const std::string name = pickle_.kind(function) == Kind::Class ? pickle_.text(function) : "an object";
    if (pickle_.kind(arguments) != Kind::List) reject("the pickle calls " + name + " without arguments");
    if (pickle_.items(arguments).size() > most_arguments) reject("the pickle calls " + name + " with absurdly much");
    const std::vector<Index> items = pickle_.items(arguments);
    if (name == "collections OrderedDict" && items.empty()) return push_list(Kind::Dictionary, {});
    if (name != "torch._utils _rebuild_tensor_v2" || items.size() < 4 || pickle_.kind(items[0]) != Kind::Storage ||
        pickle_.kind(items[1]) != Kind::Integer)
      reject("the pickle would have Python make " + name + ", which is not a plain tensor; nothing is executed here");
    Pickle::Tensor tensor = pickle_.tensor(items[0]);
    tensor.offset = pickle_.integer(items[1]);
    tensor.extents = integers_of(items[2]);
    tensor.strides = integers_of(items[3]);
    if (tensor.extents.size() != tensor.strides.size() || tensor.offset < 0)
      reject("the pickle has a tensor whose extents and strides do not fit");
    push(Kind::Tensor, 0, pickle_.tensors_.size());
    pickle_.tensors_.push_back(std::move(tensor));
  }

  /// Only what is known is let in at all; storages are classes of torch named ...Storage.
  void push_class(const std::string& module, const std::string& name) {
    expect_name(module);
    expect_name(name);
    const std::string both = module + " " + name;
    const bool storage = module == "torch" && name.ends_with("Storage");
    if (!storage && both != "torch._utils _rebuild_tensor_v2" && both != "collections OrderedDict")
      reject("the pickle names the Python object " + module + "." + name.substr(0, 60) +
             "; only plain tensors, numbers, texts, lists and dictionaries are read");
    push_text(Kind::Class, both);
  }

  /// Carries out one opcode; true at the end.
  bool step() {
    const char opcode = take(1)[0];
    if (push_constant(opcode) || build_container(opcode)) return false;
    switch (static_cast<unsigned char>(opcode)) {
      case 0x80:  // PROTO
        take(1);
        return false;
      case 0x95:  // FRAME
        take(8);
        return false;
      case 'c': {  // GLOBAL
        const std::string module = take_line();
        push_class(module, take_line());
        return false;
      }
      case 0x93: {  // STACK_GLOBAL
        const Index name = pop(), module = pop();
        if (pickle_.kind(name) != Kind::Text || pickle_.kind(module) != Kind::Text) reject("the pickle names no class");
        push_class(pickle_.text(module), pickle_.text(name));
        return false;
      }
      case 'R': {  // REDUCE
        const Index arguments = pop(), function = pop();
        push_call(function, arguments);
        return false;
      }
      case 'Q':  // BINPERSID
        push_storage(pop());
        return false;
      case 'q':  // BINPUT
        memoize(take_number(1));
        return false;
      case 'r':  // LONG_BINPUT
        memoize(take_number(4));
        return false;
      case 0x94:  // MEMOIZE
        memoize(memo_.size());
        return false;
      case 'h':  // BINGET
        recall(take_number(1));
        return false;
      case 'j':  // LONG_BINGET
        recall(take_number(4));
        return false;
      case '.':  // STOP
        pickle_.root_ = pop();
        return true;
      default:
        reject(fmt::format("the pickle has opcode 0x{:02x}, which PyTorch does not write for tensors and plain values",
                           unsigned{static_cast<unsigned char>(opcode)}));
    }
  }

  bool push_constant(char opcode) {
    switch (static_cast<unsigned char>(opcode)) {
      case 'N':
        push(Kind::None);
        return true;
      case 0x88:
        push(Kind::Boolean, 1);
        return true;
      case 0x89:
        push(Kind::Boolean, 0);
        return true;
      case 'J':
        push(Kind::Integer, take_signed(4));
        return true;
      case 'K':
        push(Kind::Integer, take_signed(1) & 0xff);
        return true;
      case 'M':
        push(Kind::Integer, take_signed(2) & 0xffff);
        return true;
      case 0x8a:
        push(Kind::Integer, take_signed(take_number(1)));
        return true;
      case 'G':
        take(8);
        push(Kind::Real);
        return true;  // no value that we read is a real number
      case 'X':
        push_text(Kind::Text, std::string(take(take_number(4))));
        return true;
      case 0x8c:
        push_text(Kind::Text, std::string(take(take_number(1))));
        return true;
      default:
        return false;
    }
  }

  bool build_container(char opcode) {
    switch (static_cast<unsigned char>(opcode)) {
      case '}':
        push_list(Kind::Dictionary, {});
        return true;
      case ']':
        push_list(Kind::List, {});
        return true;
      case ')':
        push_list(Kind::List, {});
        return true;
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case 't':
        push_list(Kind::List, pop_to_mark());
        return true;
      case 0x85:
        push_tuple(1);
        return true;
      case 0x86:
        push_tuple(2);
        return true;
      case 0x87:
        push_tuple(3);
        return true;
      case 'a':
        add_popped(1, Kind::List);
        return true;
      case 's':
        add_popped(2, Kind::Dictionary);
        return true;
      case 'e':
        add(pop_to_mark(), Kind::List);
        return true;
      case 'u':
        add(pop_to_mark(), Kind::Dictionary);
        return true;
      default:
        return false;
    }
  }
  void add_popped(std::size_t count, Kind kind) {
    std::vector<Index> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    add(items, kind);
  }

  std::string_view bytes_;
  std::string origin_;
  Pickle pickle_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, Index> memo_;
};

Pickle Pickle::parse(std::string_view bytes, const std::string& origin) {
  return PickleReader(bytes, origin).read();
}

}  // namespace gem
