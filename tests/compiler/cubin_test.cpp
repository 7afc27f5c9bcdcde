#include <gtest/gtest.h>

#include <random>

#include "compiler/elf_file.h"
#include "compiler/object_code.h"
#include "tests/compiler/test_toolkit.h"

namespace fms {
namespace {

// Parameters of every alignment, shared memory, and a bound on the block.
constexpr const char* kShared = R"cuda(
struct Five { int a[5]; };
extern "C" __global__ void __launch_bounds__(256)
    shared(float* x, int n, Five s, char c, double d) {
  __shared__ float tile[100];
  const int i = threadIdx.x;
  tile[i % 100] = x[i];
  __syncthreads();
  x[i] = tile[(i + 1) % 100] + s.a[n & 3] + c + d;
}
extern "C" __global__ void empty() {}
)cuda";

constexpr const char* kSpilling = R"cuda(
extern "C" __global__ void __launch_bounds__(512, 2) spilling(float* x, int n, int m) {
  float v[64];
  for (int i = 0; i < 64; i++) v[i] = x[i * n];
  float t = 0;
  for (int j = 0; j < m; j++) {
    for (int i = 0; i < 64; i++) {
      v[i] = v[i] * v[(i * 7 + j) % 64] + t;
      t += v[i];
    }
  }
  for (int i = 0; i < 64; i++) x[i * n] = v[i] + t;
}
)cuda";

// The number in front of `unit` in the lines that ptxas prints of `entry`; 0 if there is none.
int ptxas_says(const std::string& log, const std::string& entry, const std::string& unit) {
  const std::size_t first = log.find("Function properties for " + entry + "\n");
  if (first == std::string::npos) return -1;
  std::size_t last = log.find("Function properties for ", first + 1);
  last = std::min(last, log.find("Compiling entry", first));
  const std::string part = log.substr(first, last == std::string::npos ? last : last - first);
  const std::size_t at = part.find(" " + unit);
  if (at == std::string::npos) return 0;
  const std::size_t begin = part.find_last_not_of("0123456789", at - 1) + 1;
  return std::stoi(part.substr(begin, at - begin));
}

TEST(CubinTest, AgreesWithPtxasOnEveryArchitecture) {
  FMS_REQUIRE_NVRTC(compiler);
  for (const std::string& arch : testable_archs(*compiler)) {
    SCOPED_TRACE(arch);
    CompileRequest request =
        plain_request(*compiler, arch, "shared", std::string(kShared) + kSpilling);
    const auto object = compiler->compile(request);
    ASSERT_TRUE(object.has_value()) << object.error().message;
    for (const char* entry : {"shared", "spilling", "empty"}) {
      SCOPED_TRACE(entry);
      auto read = read_cubin(object->bytes, entry);
      ASSERT_TRUE(read.has_value()) << read.error().message;
      read_ptxas_log(object->log, entry, *read);
      EXPECT_EQ(read->registers, ptxas_says(object->log, entry, "registers"));
      EXPECT_EQ(read->stack_bytes, ptxas_says(object->log, entry, "bytes stack frame"));
      EXPECT_EQ(read->static_smem_bytes, ptxas_says(object->log, entry, "bytes smem"));
      EXPECT_EQ(read->spill_stores, ptxas_says(object->log, entry, "bytes spill stores"));
      EXPECT_EQ(read->spill_loads, ptxas_says(object->log, entry, "bytes spill loads"));
    }
  }
}

TEST(CubinTest, ParametersAreThoseOfTheSource) {
  FMS_REQUIRE_NVRTC(compiler);
  for (const std::string& arch : testable_archs(*compiler)) {
    SCOPED_TRACE(arch);
    const auto object = compiler->compile(plain_request(*compiler, arch, "shared", kShared));
    ASSERT_TRUE(object.has_value()) << object.error().message;
    EXPECT_EQ(object->resources.parameters,
              (std::vector<ParameterLayout>{{0, 8}, {8, 4}, {12, 20}, {32, 1}, {40, 8}}));
    EXPECT_EQ(object->resources.max_threads, 256);
    EXPECT_EQ(object->resources.static_smem_bytes, 400);
    const auto empty = read_cubin(object->bytes, "empty");
    ASSERT_TRUE(empty.has_value());
    EXPECT_TRUE(empty->parameters.empty());
    EXPECT_EQ(empty->max_threads, 0);
  }
}

TEST(CubinTest, ParametersBeyondFourKibibytesAreRead) {
  FMS_REQUIRE_NVRTC(compiler);
  if (compiler->version() < std::pair(12, 1)) GTEST_SKIP() << "NVRTC before 12.1 allows 4 KiB";
  const auto object = compiler->compile(plain_request(*compiler, "sm_90", "k", R"cuda(
struct Big { int a[4500]; };
struct Mid { int a[1000]; };
extern "C" __global__ void k(Big b, float* o, Mid m, int z) {
  o[threadIdx.x] = b.a[threadIdx.x] + m.a[z];
})cuda"));
  ASSERT_TRUE(object.has_value()) << object.error().message;
  EXPECT_EQ(object->resources.parameters,
            (std::vector<ParameterLayout>{{0, 18000}, {18000, 8}, {18008, 4000}, {22008, 4}}));
}

TEST(CubinTest, SharedMemoryOfALargeAlignmentIsCountedWithoutTheSystems) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(plain_request(*compiler, "sm_90", "k", R"cuda(
extern "C" __global__ void k(float* o) {
  extern __shared__ float d[];
  __shared__ __align__(1024) float s[33];
  s[threadIdx.x % 33] = o[0];
  __syncthreads();
  o[threadIdx.x] = s[2] + d[3];
})cuda"));
  ASSERT_TRUE(object.has_value()) << object.error().message;
  EXPECT_EQ(object->resources.static_smem_bytes, ptxas_says(object->log, "k", "bytes smem"));
}

TEST(CubinTest, AnUnknownKernelIsNotFoundAndTheErrorListsThoseThere) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(plain_request(*compiler, "sm_80", "empty", kShared));
  ASSERT_TRUE(object.has_value()) << object.error().message;
  const auto missing = read_cubin(object->bytes, "emtpy");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("shared"), std::string::npos);
}

TEST(CubinTest, WhatIsNoCubinIsCorrupt) {
  for (const std::size_t size : {0u, 1u, 63u, 64u, 1000u}) {
    const auto read = read_cubin(std::vector<std::byte>(size), "k");
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  }
}

TEST(CubinTest, EveryTruncationIsRefused) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(plain_request(*compiler, "sm_90", "empty", kShared));
  ASSERT_TRUE(object.has_value()) << object.error().message;
  for (std::size_t size = 0; size < object->bytes.size(); size += 7) {
    const std::vector<std::byte> cut(object->bytes.begin(),
                                     object->bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto read = read_cubin(cut, "shared");
    EXPECT_FALSE(read.has_value()) << size;  // the table of its segments is its end
  }
}

TEST(CubinTest, RandomDamageNeverReadsOutside) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(plain_request(*compiler, "sm_90", "empty", kShared));
  ASSERT_TRUE(object.has_value()) << object.error().message;
  std::mt19937_64 random(3);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> damaged = object->bytes;
    for (std::uint64_t flips = 1 + random() % 8; flips > 0; --flips) {
      // Half of them in the headers, where offsets and sizes stand.
      const std::size_t range = random() % 2 == 0 ? damaged.size() : 64;
      const std::size_t from = random() % 2 == 0 ? 0 : damaged.size() - range;
      damaged[from + random() % range] = static_cast<std::byte>(random());
    }
    const auto read = read_cubin(damaged, "shared");
    if (read) {
      EXPECT_GE(read->registers, 0);
    }
  }
}

}  // namespace
}  // namespace fms
