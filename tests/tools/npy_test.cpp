#include "tools/fms/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <string>

#include "tools/fms/file.h"

namespace fms::program {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// A file with this header text and data, of version 1, 2 or 3.
std::vector<std::byte> npy_file(std::string header, std::string_view data, int major = 1) {
  std::string file("\x93NUMPY");
  file += static_cast<char>(major);
  file += '\0';
  const std::size_t size = header.size();
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) file += static_cast<char>(size >> (8 * i) & 0xff);
  return bytes_of(file + header + std::string(data));
}

Error error_of(const std::vector<std::byte>& file) {
  const auto array = parse_npy(file, "a.npy");
  EXPECT_FALSE(array.has_value());
  return array ? Error{} : array.error();
}

TEST(NpyTest, ReadsWhatNumPyWrites) {
  // numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], dtype=int16), NumPy 2.
  const std::string data("\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0", 12);
  const auto file = npy_file(
      "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }"
      "                                                          \n",
      data);
  const auto array = parse_npy(file, "a.npy");
  ASSERT_TRUE(array.has_value()) << array.error().message;
  EXPECT_EQ(array->dtype, DType::kInt16);
  EXPECT_EQ(array->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(array->data, bytes_of(data));
}

TEST(NpyTest, ReadsAllThreeVersions) {
  for (const int major : {1, 2, 3}) {
    const auto file =
        npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", "abc", major);
    const auto array = parse_npy(file, "a.npy");
    ASSERT_TRUE(array.has_value()) << major << ": " << array.error().message;
    EXPECT_EQ(array->shape, std::vector<std::int64_t>{3});
  }
}

TEST(NpyTest, AScalarHasOneElement) {
  const auto file = npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", "abcd");
  const auto array = parse_npy(file, "a.npy");
  ASSERT_TRUE(array.has_value()) << array.error().message;
  EXPECT_TRUE(array->shape.empty());
}

TEST(NpyTest, KeysMayComeInAnyOrder) {
  const auto file = npy_file("{'shape':(1,),'fortran_order':False,\"descr\":'|b1'}\n", "\x01");
  const auto array = parse_npy(file, "a.npy");
  ASSERT_TRUE(array.has_value()) << array.error().message;
  EXPECT_EQ(array->dtype, DType::kBool);
}

TEST(NpyTest, BfloatComesAsUint16OrTwoOpaqueBytes) {
  for (const char* descr : {"<u2", "|V2", "<V2"}) {
    const auto file = npy_file(
        std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (1,), }\n", "ab");
    const auto array = parse_npy(file, "a.npy");
    ASSERT_TRUE(array.has_value()) << descr << ": " << array.error().message;
    EXPECT_EQ(array->dtype, DType::kBFloat16);
    EXPECT_TRUE(array->stored_as_bits);
  }
}

TEST(NpyTest, WhatIsWrittenReadsBackTheSame) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    NpyArray array{.dtype = static_cast<DType>(random() % kDTypeCount)};
    for (unsigned d = random() % 5; d > 0; --d) array.shape.push_back(random() % 5);
    array.data.resize(*byte_count(array.dtype, array.shape));
    for (std::byte& byte : array.data) byte = std::byte(random() & 0xff);
    const auto file = format_npy(array);
    const auto back = parse_npy(file, "a.npy");
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(back->shape, array.shape);
    EXPECT_EQ(back->data, array.data);
    const bool fp8 = array.dtype == DType::kFloat8E4M3 || array.dtype == DType::kFloat8E5M2;
    EXPECT_EQ(back->dtype, fp8 ? DType::kUInt8 : array.dtype);
    EXPECT_EQ((file.size() - array.data.size()) % 64, 0u) << "the data isn't aligned";
  }
}

TEST(NpyTest, EveryPrefixOfAFileIsRefused) {
  const NpyArray array{.dtype = DType::kFloat32, .shape = {2}, .data = std::vector<std::byte>(8)};
  const auto file = format_npy(array);
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(parse_npy(std::span(file).first(size), "a.npy").has_value()) << size;
  }
}

TEST(NpyTest, BytesAfterTheArrayAreRefused) {
  auto file = format_npy({.dtype = DType::kInt8, .shape = {1}, .data = {std::byte{1}}});
  file.push_back(std::byte{0});
  EXPECT_EQ(error_of(file).code, ErrorCode::kCorrupt);
}

TEST(NpyTest, FortranOrderIsRefusedWithWhatToDo) {
  const auto file =
      npy_file("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }\n", "abcd");
  const Error error = error_of(file);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_NE(error.message.find("ascontiguousarray"), std::string::npos) << error.message;
}

TEST(NpyTest, BigEndianIsRefusedWithWhatToDo) {
  const Error error =
      error_of(npy_file("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }\n", "abcd"));
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_NE(error.message.find("newbyteorder"), std::string::npos) << error.message;
}

TEST(NpyTest, StructuredAndUnknownTypesAreRefused) {
  for (const char* descr : {"[('x', '<f4')]", "'<c8'", "'|O'", "''", "'f4'"}) {
    const auto file = npy_file(
        std::string("{'descr': ") + descr + ", 'fortran_order': False, 'shape': (1,), }\n", "abcd");
    EXPECT_EQ(error_of(file).code, ErrorCode::kUnsupported) << descr;
  }
}

TEST(NpyTest, HeadersThatDontParseAreCorrupt) {
  const char* const headers[] = {
      "",
      "{",
      "{}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
      "{'descr': '<f4', 'fortran_order': False}",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
  };
  for (const char* header : headers) {
    EXPECT_EQ(error_of(npy_file(header, "abcd")).code, ErrorCode::kCorrupt) << header;
  }
}

TEST(NpyTest, AShapeThatOverflowsIsCorrupt) {
  const auto file = npy_file(
      "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", "");
  EXPECT_EQ(error_of(file).code, ErrorCode::kCorrupt);
}

TEST(NpyTest, AZeroLengthMakesAnEmptyArrayHoweverLongTheOthers) {
  const auto file = npy_file(
      "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 0), }\n", "");
  const auto array = parse_npy(file, "a.npy");
  ASSERT_TRUE(array.has_value()) << array.error().message;
  EXPECT_TRUE(array->data.empty());
}

TEST(NpyTest, AFailedWriteLeavesTheOldFile) {
  char folder[] = "npy_test_XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::filesystem::path file = std::filesystem::path(folder) / "a.npy";
  const NpyArray array{.dtype = DType::kInt8, .shape = {1}, .data = {std::byte{7}}};
  ASSERT_TRUE(write_npy(file, array).has_value());
  const auto back = read_npy(file);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->data, array.data);
  const auto missing = write_npy(std::filesystem::path(folder) / "none" / "a.npy", array);
  EXPECT_FALSE(missing.has_value());
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder)) ++files;
  EXPECT_EQ(files, 1u) << "a temporary file is left";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace fms::program
