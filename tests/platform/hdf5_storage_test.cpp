#include <gtest/gtest.h>
#include <hdf5.h>
#include <zlib.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/hdf5/input.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

constexpr hsize_t chunk_numbers = 1024;

/// A file with one dataset "/numbers" of bytes, in chunks that HDF5 has not packed itself.
class PackedFile {
 public:
  PackedFile(const std::string& path, hsize_t numbers, hsize_t chunk, int deflates, bool with_checksum = false) {
    file_ = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &numbers, nullptr);
    H5Pset_chunk(properties, 1, &chunk);
    for (int i = 0; i < deflates; ++i) H5Pset_deflate(properties, 9);
    if (with_checksum) H5Pset_fletcher32(properties);
    dataset_ = H5Dcreate2(file_, "/numbers", H5T_NATIVE_UINT8, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
  }
  ~PackedFile() {
    H5Dclose(dataset_);
    H5Fclose(file_);
  }
  PackedFile(const PackedFile&) = delete;
  PackedFile& operator=(const PackedFile&) = delete;

  void write(const std::vector<unsigned char>& numbers) {
    H5Dwrite(dataset_, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data());
  }
  void write_packed(const std::vector<unsigned char>& chunk) {
    const hsize_t place = 0;
    H5Dwrite_chunk(dataset_, H5P_DEFAULT, 0, &place, chunk.size(), chunk.data());
  }

 private:
  hid_t file_, dataset_;
};

std::vector<unsigned char> packed_zeros(std::size_t count) {
  const std::vector<unsigned char> zeros(count, 0);
  uLongf size = compressBound(count);
  std::vector<unsigned char> packed(size);
  compress2(packed.data(), &size, zeros.data(), count, 9);
  packed.resize(size);
  return packed;
}

std::string message_of_read(const std::string& path, std::size_t numbers) {
  try {
    static_cast<void>(Hdf5Input(path).read<std::uint8_t>("/numbers", {numbers}));
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

class Hdf5Storage : public testing::Test {
 protected:
  const TemporaryDirectory directory_;
  const std::string path_ = directory_ / "bomb.h5";
};

TEST_F(Hdf5Storage, AChunkThatUnpacksToMoreThanItsLengthIsRefused) {
  // 300 KB become 300 MB, in a chunk of 1 MB: HDF5 would take them all.
  constexpr std::size_t chunk = std::size_t{1} << 20;
  PackedFile(path_, chunk, chunk, 1).write_packed(packed_zeros(std::size_t{300} << 20));
  EXPECT_NE(message_of_read(path_, chunk).find("/numbers has a chunk longer than it may be"), std::string::npos);
}

TEST_F(Hdf5Storage, AChunkThatIsStoredLongerThanItsLengthIsRefused) {
  PackedFile(path_, chunk_numbers, chunk_numbers, 1).write_packed(packed_zeros(std::size_t{4} << 20));
  EXPECT_NE(message_of_read(path_, chunk_numbers).find("a chunk longer than it may be"), std::string::npos);
}

TEST_F(Hdf5Storage, WhatIsPackedTwiceIsRefused) {
  const std::vector<unsigned char> once = packed_zeros(std::size_t{64} << 20);
  uLongf size = compressBound(once.size());
  std::vector<unsigned char> twice(size);
  compress2(twice.data(), &size, once.data(), once.size(), 9);
  twice.resize(size);
  PackedFile(path_, chunk_numbers, chunk_numbers, 2).write_packed(twice);
  EXPECT_NE(message_of_read(path_, chunk_numbers).find("packed twice by the HDF5 filter 1"), std::string::npos);
}

TEST_F(Hdf5Storage, MoreChunksThanTheFileHasBytesForAreRefused) {
  { const PackedFile file(path_, hsize_t{1} << 24, 1, 0); }
  EXPECT_NE(message_of_read(path_, std::size_t{1} << 24).find("claims 16777216 chunks"), std::string::npos);
}

TEST_F(Hdf5Storage, WhatIsWholeIsReadHoweverItIsPacked) {
  std::vector<unsigned char> numbers(std::size_t{3} << 20);
  std::uint32_t state = 1;
  for (unsigned char& number : numbers)
    number = static_cast<unsigned char>((state = state * 1664525 + 1013904223) >> 24);
  for (const int deflates : {0, 1})
    for (const bool with_checksum : {false, true}) {
      PackedFile(path_, numbers.size(), std::size_t{1} << 20, deflates, with_checksum).write(numbers);
      EXPECT_EQ(Hdf5Input(path_).read<std::uint8_t>("/numbers", {numbers.size()}), numbers);
    }
}

TEST_F(Hdf5Storage, OneTextThatThousandsOfReferencesNameIsRefused) {
  constexpr hsize_t count = 4000;
  const std::string text(20'000, 'x');
  {
    const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &count, nullptr);
    H5Tset_size(type, H5T_VARIABLE);
    const hid_t texts = H5Dcreate2(file, "/texts", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    std::vector<const char*> pointers(count, nullptr);
    pointers[0] = text.c_str();
    H5Dwrite(texts, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data());
    H5Dclose(texts);
    H5Tclose(type);
    H5Sclose(space);
    H5Fclose(file);
  }
  std::vector<std::byte> bytes = read_whole_file(path_);
  // A reference: the length of its text, the heap's place, the number in it. The others are empty yet.
  const std::array<unsigned char, 4> length{0x20, 0x4e, 0, 0};
  std::byte* at = bytes.data();
  while ((at = static_cast<std::byte*>(memmem(at, static_cast<std::size_t>(bytes.data() + bytes.size() - at),
                                              length.data(), length.size()))) != nullptr) {
    std::uint64_t heap = 0;
    std::memcpy(&heap, at + 4, sizeof heap);
    if (heap != 0 && heap < bytes.size() && std::memcmp(bytes.data() + heap, "GCOL", 4) == 0) break;
    ++at;
  }
  ASSERT_NE(at, nullptr);
  for (std::size_t i = 1; i < count; ++i) std::memcpy(at + 16 * i, at, 16);
  write_whole_file(path_, bytes);
  try {
    static_cast<void>(Hdf5Input(path_).read_texts("/texts", count));
    FAIL() << "80 MB were taken from a file of " << bytes.size() << " bytes";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("the same texts over and over"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gem::test
