#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/hdf5/crash.hpp"
#include "platform/hdf5/heap.hpp"
#include "platform/hdf5/input.hpp"
#include "platform/hdf5/output.hpp"
#include "temporary_directory.hpp"

namespace gem::test {
namespace {

/// What was thrown, or "" if nothing was.
template <class Work>
std::string message_of(Work work) {
  try {
    work();
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

template <class T>
void expect_round_trip(const std::vector<T>& values) {
  const TemporaryDirectory directory;
  const std::string path = directory / "numbers.h5";
  Hdf5Output output(path);
  output.write({"/group/deeper/numbers", "m", "row, column"}, values, {2, values.size() / 2});
  output.commit();
  const Hdf5Input input(path);
  EXPECT_EQ(input.read<T>("/group/deeper/numbers", {2, values.size() / 2}), values);
  EXPECT_EQ(input.units("/group/deeper/numbers"), "m");
}

template <class T>
std::vector<T> extremes() {
  return {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max(), T{0}, T{1}};
}

TEST(Hdf5, NumbersOfEveryType) {
  expect_round_trip(extremes<std::uint8_t>());
  expect_round_trip(extremes<std::uint16_t>());
  expect_round_trip(extremes<std::int32_t>());
  expect_round_trip(extremes<std::uint32_t>());
  expect_round_trip(extremes<std::int64_t>());
  expect_round_trip(extremes<std::uint64_t>());
  expect_round_trip(extremes<float>());
  expect_round_trip(extremes<double>());
  expect_round_trip(std::vector<double>(100000, 3.5));  // compressed, in chunks
}

TEST(Hdf5, RowsOfALargeDatasetAreReadAlone) {
  const TemporaryDirectory directory;
  const std::string path = directory / "file.h5";
  std::vector<std::uint32_t> values(1000 * 7 * 11);  // compressed, in several chunks
  std::iota(values.begin(), values.end(), 0u);
  Hdf5Output output(path);
  output.write({"/counts", "token", "step, layer, expert"}, values, {1000, 7, 11});
  output.commit();
  Hdf5Input file(path);
  for (const auto& [first, count] :
       {std::pair<std::size_t, std::size_t>{0, 1}, {0, 1000}, {999, 1}, {331, 402}, {5, 0}}) {
    file.limit_rows("/counts", first, count);
    EXPECT_EQ(file.extents("/counts", 3), (Extents{count, 7, 11}));
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first * 77);
    EXPECT_EQ(file.read<std::uint32_t>("/counts", {count, 7, 11}),
              std::vector<std::uint32_t>(begin, begin + static_cast<std::ptrdiff_t>(count * 77)));
  }
  EXPECT_THROW(file.limit_rows("/counts", 999, 2), DataError);
  EXPECT_THROW(file.limit_rows("/counts", SIZE_MAX, 2), DataError);
  EXPECT_THROW(file.limit_rows("/none", 0, 1), DataError);
}

TEST(Hdf5, TextsKeepTheirBytes) {
  const TemporaryDirectory directory;
  const std::string path = directory / "texts.h5";
  const std::vector<std::string> texts = {"", "Prozessor für Matrizen", std::string(300, 'x')};
  Hdf5Output output(path);
  output.write({"/texts", "1", "entry"}, texts);
  output.attribute("empty", std::string());
  output.attribute("text", std::string("größer"));
  output.commit();
  const Hdf5Input input(path);
  EXPECT_EQ(input.read_texts("/texts", 3), texts);
  EXPECT_EQ(input.text_attribute("empty"), "");
  EXPECT_EQ(input.text_attribute("text"), "größer");
}

TEST(Hdf5, WholeNumbersOfOtherWidthsReadWhereTheyFit) {
  const TemporaryDirectory directory;
  const std::string path = directory / "widths.h5";
  Hdf5Output output(path);
  output.write<std::int64_t>({"/wide", "1", ""}, std::vector<std::int64_t>{0, 255}, {2});
  output.write<std::int64_t>({"/negative", "1", ""}, std::vector<std::int64_t>{0, -1}, {2});
  output.write<std::uint64_t>({"/huge", "1", ""}, std::vector<std::uint64_t>{0, 1ull << 63}, {2});
  output.write<double>({"/fraction", "1", ""}, std::vector<double>{0.5, NAN}, {2});
  output.write<double>({"/large", "1", ""}, std::vector<double>{0.0, 1e300}, {2});
  output.commit();
  const Hdf5Input input(path);
  EXPECT_EQ(input.read<std::uint8_t>("/wide", {2})[1], 255);
  EXPECT_EQ(input.read<double>("/wide", {2})[1], 255.0);
  EXPECT_TRUE(std::isnan(input.read<float>("/fraction", {2})[1]));
  EXPECT_NE(message_of([&] { input.read<std::uint8_t>("/negative", {2}); }).find("out of range"), std::string::npos);
  EXPECT_NE(message_of([&] { input.read<std::int64_t>("/huge", {2}); }).find("out of range"), std::string::npos);
  EXPECT_NE(message_of([&] { input.read<float>("/large", {2}); }).find("out of range"), std::string::npos);
  EXPECT_NE(message_of([&] { input.read<std::int32_t>("/fraction", {2}); }).find("whole numbers"), std::string::npos);
}

TEST(Hdf5, CountAttributesOfAnyKind) {
  const TemporaryDirectory directory;
  const std::string path = directory / "counts.h5";
  Hdf5Output output(path);
  output.attribute("small", std::uint64_t{3});
  output.attribute("largest", std::numeric_limits<std::uint64_t>::max());
  output.attribute("text", std::string("3"));
  output.commit();
  const Hdf5Input input(path);
  EXPECT_EQ(input.count_attribute("small"), 3u);
  EXPECT_EQ(input.count_attribute("largest"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_NE(message_of([&] { input.count_attribute("text"); }), "");
  EXPECT_NE(message_of([&] { input.text_attribute("small"); }), "");
  EXPECT_NE(message_of([&] { input.count_attribute("none"); }).find("missing"), std::string::npos);
}

/// A file of another writer, made with the library itself.
class ForeignFile {
 public:
  explicit ForeignFile(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~ForeignFile() { H5Fclose(file_); }
  ForeignFile(const ForeignFile&) = delete;
  ForeignFile& operator=(const ForeignFile&) = delete;

  void attribute(const char* name, hid_t type, const void* value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file_, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, value);
    H5Aclose(attribute);
    H5Sclose(space);
  }
  /// One dimension; `value` may be null for no data.
  void dataset(const char* name, hid_t type, hsize_t extent, const void* values, hid_t properties = H5P_DEFAULT) {
    const hsize_t unlimited = H5S_UNLIMITED;
    const hid_t space = H5Screate_simple(1, &extent, properties == H5P_DEFAULT ? nullptr : &unlimited);
    const hid_t dataset = H5Dcreate2(file_, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (values != nullptr) H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Sclose(space);
  }
  hid_t id() const { return file_; }

 private:
  hid_t file_;
};

hid_t text_of_length(std::size_t length, H5T_str_t padding) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, length);
  H5Tset_strpad(type, padding);
  return type;
}

TEST(Hdf5, FilesOfOtherWriters) {
  const TemporaryDirectory directory;
  const std::string path = directory / "foreign.h5";
  {
    ForeignFile file(path);
    const std::int16_t small = 7;
    const std::int32_t negative = -7;
    file.attribute("small", H5T_NATIVE_INT16, &small);
    file.attribute("negative", H5T_NATIVE_INT32, &negative);
    file.attribute("padded", text_of_length(6, H5T_STR_SPACEPAD), "gem   ");
    file.attribute("terminated", text_of_length(6, H5T_STR_NULLTERM), "gem\0xx");
    const unsigned char big_endian[] = {0, 1, 1, 0};
    file.dataset("/big_endian", H5T_STD_U16BE, 2, big_endian);
    const hid_t variable = H5Tcopy(H5T_C_S1);  // ASCII; ours are UTF-8
    H5Tset_size(variable, H5T_VARIABLE);
    const char* texts[] = {"a", nullptr, "ccc"};
    file.dataset("/variable", variable, 3, texts);
  }
  const Hdf5Input input(path);
  EXPECT_EQ(input.count_attribute("small"), 7u);
  EXPECT_NE(message_of([&] { input.count_attribute("negative"); }).find("-7"), std::string::npos);
  EXPECT_EQ(input.text_attribute("padded"), "gem");
  EXPECT_EQ(input.text_attribute("terminated"), "gem");
  EXPECT_EQ(input.read<std::int64_t>("/big_endian", {2}), (std::vector<std::int64_t>{1, 256}));
  EXPECT_EQ(input.read_texts("/variable", 3), (std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_EQ(input.units("/variable"), "");
}

TEST(Hdf5, WhatCannotBeTrueIsRefusedBeforeMemoryIsTaken) {
  const TemporaryDirectory directory;
  const std::string path = directory / "hostile.h5";
  {
    ForeignFile file(path);
    const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk = 1 << 10;
    H5Pset_chunk(chunked, 1, &chunk);
    file.dataset("/endless", H5T_NATIVE_DOUBLE, hsize_t{1} << 50, nullptr, chunked);
    const hid_t wide = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t wide_chunk = hsize_t{1} << 28;
    H5Pset_chunk(wide, 1, &wide_chunk);
    file.dataset("/wide_chunk", H5T_NATIVE_DOUBLE, 4, nullptr, wide);
    const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(external, "/dev/zero", 0, H5F_UNLIMITED);
    file.dataset("/elsewhere", H5T_NATIVE_DOUBLE, 4, nullptr, external);
    H5Lcreate_external("other.h5", "/data", file.id(), "/linked", H5P_DEFAULT, H5P_DEFAULT);
    const hid_t group = H5Gcreate2(file.id(), "/group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
  }
  const Hdf5Input input(path);
  const auto message = [&](const char* name) { return message_of([&] { input.extents(name, 1); }); };
  EXPECT_NE(message("/endless").find("more than a file of this size can hold"), std::string::npos);
  EXPECT_NE(message("/wide_chunk").find("chunks"), std::string::npos);
  EXPECT_NE(message("/elsewhere").find("in this file"), std::string::npos);
  EXPECT_NE(message("/linked").find("missing"), std::string::npos);
  EXPECT_NE(message("/group").find("not a readable dataset"), std::string::npos);
  EXPECT_NE(message("/group/none").find("missing"), std::string::npos);
}

TEST(Hdf5, ImagesReadLikeFilesAndTheirEndIsKnown) {
  const TemporaryDirectory directory;
  Hdf5Output output(directory / "image.h5");
  output.attribute("count", std::uint64_t{5});
  const auto image = output.image();
  std::vector<std::byte> bytes(image.begin(), image.end());
  EXPECT_EQ(Hdf5Input("memory", bytes).count_attribute("count"), 5u);
  EXPECT_EQ(message_of([&] { Hdf5Input("memory", std::span(bytes).first(bytes.size() / 2)); }).find("memory: "), 0u);
  const std::size_t size = bytes.size();
  bytes.resize(size + 1000, std::byte{1});
  write_whole_file(directory / "image.h5", bytes);
  const Hdf5Input input(directory / "image.h5");
  EXPECT_EQ(input.count_attribute("count"), 5u);
  EXPECT_EQ(input.end(), size);
}

TEST(Hdf5, HeapsOfTextsAreCheckedFirst) {
  Hdf5Output output("image");
  output.attribute("text", std::string(100, 'x'));
  const auto image = output.image();
  std::vector<std::byte> bytes(image.begin(), image.end());
  EXPECT_TRUE(hdf5::global_heaps_are_whole(bytes));
  void* const heap = memmem(bytes.data(), bytes.size(), "GCOL", 4);
  ASSERT_NE(heap, nullptr);
  const auto heap_offset = static_cast<std::size_t>(static_cast<std::byte*>(heap) - bytes.data());
  bytes[heap_offset + 16 + 8 + 3] = std::byte{1};  // the first object's size grows by 16 MiB
  EXPECT_FALSE(hdf5::global_heaps_are_whole(bytes));
  EXPECT_NE(message_of([&] { Hdf5Input("memory", bytes); }).find("heap"), std::string::npos);
  EXPECT_FALSE(hdf5::global_heaps_are_whole(std::span(bytes).first(heap_offset + 12)));
}

TEST(CrashSentence, NamesTheFileAndEndsAsBadData) {
  const auto crash_while_reading = [](const std::string& path) {
    const hdf5::CrashSentence outer("outer.h5");
    { const hdf5::CrashSentence inner("inner.h5"); }
    const hdf5::CrashSentence sentence(path);
    std::raise(SIGSEGV);
  };
  EXPECT_EXIT(crash_while_reading("foreign.h5"), testing::ExitedWithCode(3), "foreign.h5: is damaged .*crashed");
}

TEST(CrashSentence, LeavesOtherCrashesAsTheyAre) {
  const auto crash_afterwards = [] {
    { const hdf5::CrashSentence sentence("foreign.h5"); }
    std::raise(SIGABRT);
  };
  EXPECT_EXIT(crash_afterwards(), testing::KilledBySignal(SIGABRT), "");
}

}  // namespace
}  // namespace gem::test
