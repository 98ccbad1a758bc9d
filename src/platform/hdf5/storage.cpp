#include "platform/hdf5/storage.hpp"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "platform/hdf5/detail.hpp"

namespace gem::hdf5 {
namespace {

// An entry of the index takes 8 bytes at least; a little more room, for datasets of which little is written.
constexpr std::uint64_t index_bytes = 8;
constexpr std::uint64_t always_allowed_chunks = 4096;
constexpr std::uint64_t checksum_bytes = 4;
// What a chunk of this length becomes at most, 264 MB, is left to HDF5 to find wrong.
constexpr std::uint64_t harmless_bytes = std::uint64_t{256} << 10;

struct Chunks {
  std::vector<hsize_t> extents;  // of the dataset; empty if it is not chunked
  std::vector<hsize_t> sizes;    // of a chunk
  std::vector<int> filters;      // in the order in which they pack
  double bytes = 0.0;            // of a chunk
  double count = 1.0;
};

Hdf5Handle properties_of(std::int64_t dataset) {
  return {H5Dget_create_plist(dataset), H5Pclose};
}

Chunks chunks_of(std::int64_t dataset, const Hdf5Handle& properties) {
  Chunks chunks;
  if (H5Pget_layout(properties.id()) != H5D_CHUNKED) return chunks;
  hsize_t sizes[H5S_MAX_RANK], extents[H5S_MAX_RANK];
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose), type(H5Dget_type(dataset), H5Tclose);
  const int rank = H5Pget_chunk(properties.id(), H5S_MAX_RANK, sizes);
  if (rank <= 0 || H5Sget_simple_extent_ndims(space.id()) != rank ||
      H5Sget_simple_extent_dims(space.id(), extents, nullptr) < 0)
    return chunks;
  chunks.extents.assign(extents, extents + rank);
  chunks.sizes.assign(sizes, sizes + rank);
  chunks.bytes = static_cast<double>(H5Tget_size(type.id()));
  for (std::size_t d = 0; d < chunks.sizes.size(); ++d) {
    chunks.bytes *= static_cast<double>(sizes[d]);
    chunks.count *= static_cast<double>(extents[d] / sizes[d] + (extents[d] % sizes[d] != 0));
  }
  for (int i = 0; i < H5Pget_nfilters(properties.id()); ++i) {
    unsigned flags = 0, options = 0;
    std::size_t values = 0;
    chunks.filters.push_back(
        H5Pget_filter2(properties.id(), static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &options));
  }
  return chunks;
}

/// The place of a filter among those of the dataset, -1 if it hasn't it.
int place_of(const Chunks& chunks, int filter) {
  const auto found = std::ranges::find(chunks.filters, filter);
  return found == chunks.filters.end() ? -1 : static_cast<int>(found - chunks.filters.begin());
}

std::string fault_of_filters(const Chunks& chunks) {
  for (const int filter : chunks.filters) {
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
      return fmt::format("is packed by the HDF5 filter {}, which is not read; write it with gzip or unpacked", filter);
    if (std::ranges::count(chunks.filters, filter) > 1)
      return fmt::format("is packed twice by the HDF5 filter {}, as no recording is; write it with gzip or unpacked",
                         filter);
  }
  const int deflate = place_of(chunks, H5Z_FILTER_DEFLATE), shuffle = place_of(chunks, H5Z_FILTER_SHUFFLE);
  if (deflate >= 0 && shuffle > deflate)
    return "is shuffled after it was packed, which is not read; write it with gzip or unpacked";
  return "";
}

/// Whether a packed chunk becomes longer than `most`, found out without room for it.
bool becomes_longer(std::vector<unsigned char>& packed, std::uint64_t most) {
  std::vector<unsigned char> piece(std::size_t{64} << 10);
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return true;
  stream.next_in = packed.data();
  stream.avail_in = static_cast<uInt>(packed.size());
  std::uint64_t length = 0;
  for (int status = Z_OK; status == Z_OK && length <= most;) {
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    status = inflate(&stream, Z_NO_FLUSH);
    length += piece.size() - stream.avail_out;
  }
  inflateEnd(&stream);
  return length > most;
}

/// Whether the chunk at a place is longer than it may be, packed in `stored` bytes or as it is.
bool is_too_long(std::int64_t dataset, const Chunks& chunks, const std::vector<hsize_t>& place, std::uint64_t stored) {
  const int deflate = place_of(chunks, H5Z_FILTER_DEFLATE), checksum = place_of(chunks, H5Z_FILTER_FLETCHER32);
  const auto whole = static_cast<std::uint64_t>(chunks.bytes) + checksum_bytes;
  // Deflate makes nothing much longer (zlib's deflateBound).
  if (stored > whole + whole / 100 + 64) return true;
  if (deflate < 0 || stored <= harmless_bytes) return false;
  std::vector<unsigned char> packed(stored);
  std::uint32_t left_out = 0;
  if (H5Dread_chunk(dataset, H5P_DEFAULT, place.data(), &left_out, packed.data()) < 0) return false;
  if ((left_out >> deflate & 1u) != 0) return false;
  const bool ends_with_checksum = checksum > deflate && (left_out >> checksum & 1u) == 0;
  if (ends_with_checksum) packed.resize(packed.size() - checksum_bytes);
  return becomes_longer(packed, whole);
}

}  // namespace

std::string fault_of_layout(std::int64_t dataset, std::uint64_t file_bytes, std::uint64_t byte_limit) {
  const Hdf5Handle properties = properties_of(dataset);
  const H5D_layout_t layout = properties.valid() ? H5Pget_layout(properties.id()) : H5D_LAYOUT_ERROR;
  if (layout == H5D_LAYOUT_ERROR || layout == H5D_VIRTUAL || H5Pget_external_count(properties.id()) > 0)
    return "does not hold its data in this file; make a file that holds it all";
  if (layout != H5D_CHUNKED) return "";
  const Chunks chunks = chunks_of(dataset, properties);
  if (chunks.sizes.empty() || chunks.bytes > static_cast<double>(byte_limit))
    return "has chunks larger than the file can hold; it is damaged";
  if (chunks.count > static_cast<double>(file_bytes / index_bytes + always_allowed_chunks))
    return fmt::format("claims {:.0f} chunks, more than a file of this size can hold; it is damaged", chunks.count);
  return fault_of_filters(chunks);
}

std::string fault_of_chunks(std::int64_t dataset, std::uint64_t file_bytes) {
  const Chunks chunks = chunks_of(dataset, properties_of(dataset));
  if (chunks.filters.empty() || chunks.count == 0.0) return "";
  std::vector<hsize_t> place(chunks.sizes.size(), 0);
  std::uint64_t all = 0;
  for (std::size_t d = place.size(); d > 0;) {
    hsize_t stored = 0;
    if (H5Dget_chunk_storage_size(dataset, place.data(), &stored) < 0) stored = 0;  // later HDF5 says so of none
    all += std::min<std::uint64_t>(stored, file_bytes + 1);
    if (all > file_bytes) return "has chunks that lie on each other; the file is damaged";
    if (is_too_long(dataset, chunks, place, stored)) return "has a chunk longer than it may be; the file is damaged";
    for (d = place.size(); d > 0; --d) {
      place[d - 1] += chunks.sizes[d - 1];
      if (place[d - 1] < chunks.extents[d - 1]) break;
      place[d - 1] = 0;
    }
  }
  return "";
}

}  // namespace gem::hdf5
