#include "interchange/shard_fingerprint.hpp"

#include <algorithm>
#include <vector>

#include "base/checksum.hpp"
#include "interchange/checkpoint_layout.hpp"

namespace gem {
namespace {

// So many pieces of a tensor: that a renumbering leaves all of them in their places, in all layers, isn't met by
// chance.
constexpr std::uint64_t pieces_of_tensor = 16;
constexpr std::uint64_t piece_bytes = 64;

/// Reads the file that a plan makes, without making it.
class PlannedFile {
 public:
  PlannedFile(const InputFile& source, const ShardPlan& plan) : source_(source), plan_(plan) {
    std::uint64_t begin = 0;
    for (const ShardPlan::Part& part : plan.parts) {
      begins_.push_back(begin);
      begin += part.byte_count;
    }
  }

  /// Counted from the first byte behind the header.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
    auto part = static_cast<std::size_t>(std::ranges::upper_bound(begins_, offset) - begins_.begin()) - 1;
    for (; !bytes.empty(); ++part) {
      const std::uint64_t inside = offset - begins_.at(part);
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), plan_.parts[part].byte_count - inside));
      source_.read_at(plan_.parts[part].offset + inside, bytes.first(count));
      if (plan_.parts[part].rewrite) rewrite_numbers(*plan_.parts[part].rewrite, bytes.first(count), source_.path());
      bytes = bytes.subspan(count);
      offset += count;
    }
  }

 private:
  const InputFile& source_;
  const ShardPlan& plan_;
  std::vector<std::uint64_t> begins_;
};

/// Whether a renumbering changes what stands in a tensor, not its name.
bool has_places_of_experts(const SafetensorsTensor& tensor, const Renumbering& renumbering) {
  using Kind = TensorRole::Kind;
  const TensorRole role = role_of(tensor.name);
  const bool has_places = role.kind == Kind::Router || role.kind == Kind::AllExperts || role.kind == Kind::Stacked ||
                          role.kind == Kind::ExpertIds;
  return has_places && renumbering.find(role.layer) != nullptr;
}

template <class ReadAt>
std::uint64_t fingerprint(const std::string& prefix, const SafetensorsHeader& header, const Renumbering& renumbering,
                          const ReadAt& read_at) {
  Checksum checksum;
  checksum.add(std::as_bytes(std::span(prefix)));
  std::vector<std::byte> piece;
  std::vector<const SafetensorsTensor*> by_place;  // the header's order is another once names have changed
  for (const SafetensorsTensor& tensor : header.tensors)
    if (tensor.end > tensor.begin && has_places_of_experts(tensor, renumbering)) by_place.push_back(&tensor);
  std::ranges::sort(by_place, {}, &SafetensorsTensor::begin);
  for (const SafetensorsTensor* tensor : by_place)
    for (std::uint64_t i = 0; i < pieces_of_tensor; ++i) {
      // Whole numbers of up to 8 bytes: pieces begin at a multiple of that.
      const std::uint64_t bytes = tensor->end - tensor->begin, begin = bytes / pieces_of_tensor * i / 8 * 8;
      piece.resize(static_cast<std::size_t>(std::min(piece_bytes, bytes - begin)));
      read_at(tensor->begin + begin, piece);
      checksum.add(piece);
    }
  return checksum.value();
}

}  // namespace

std::uint64_t fingerprint_of(const InputFile& file, const SafetensorsHeader& header, const Renumbering& renumbering) {
  return fingerprint(
      safetensors_prefix(header.text), header, renumbering,
      [&](std::uint64_t offset, std::span<std::byte> bytes) { file.read_at(header.data_begin() + offset, bytes); });
}

std::uint64_t fingerprint_after(const ShardPlan& plan, const InputFile& file, const SafetensorsHeader& header,
                                const Renumbering& renumbering) {
  const PlannedFile planned(file, plan);
  return fingerprint(plan.prefix, header, renumbering,
                     [&](std::uint64_t offset, std::span<std::byte> bytes) { planned.read_at(offset, bytes); });
}

}  // namespace gem
