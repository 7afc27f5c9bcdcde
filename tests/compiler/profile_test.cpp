#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "compiler/llvm_library.h"

namespace fms {
namespace {

constexpr auto kGlobal = std::size_t(MemorySpace::kGlobal);
constexpr auto kSharedSpace = std::size_t(MemorySpace::kShared);
constexpr auto kLocal = std::size_t(MemorySpace::kLocal);
constexpr auto kArgument = std::size_t(MemorySpace::kArgument);

class ProfileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::shared_ptr<const LlvmLibrary>> opened = open_llvm();
    if (opened) {
      library_ = *opened;
      return;
    }
    const char* required = std::getenv("FMS_TEST_REQUIRE_LLVM");
    if (required != nullptr && std::string_view(required) == "1") {
      FAIL() << opened.error().message;
    }
    GTEST_SKIP() << opened.error().message;
  }

  KernelProfile profile(std::shared_ptr<const KernelTemplate> kernel_template,
                        const Specialization::NamedText& values, const ProfileOptions& options) {
    const auto specialization = Specialization::parse(std::move(kernel_template), values);
    if (!specialization) {
      ADD_FAILURE() << specialization.error().message;
      return {};
    }
    const CompileRequest request = make_request(*specialization, {Target::Kind::kCpu, "x86-64-v3"},
                                                library_->compiler()->fingerprint());
    const auto result = library_->profile(request, options);
    if (!result) ADD_FAILURE() << result.error().message << result.error().detail;
    return result ? *result : KernelProfile{};
  }
  KernelProfile of(const char* name, const Specialization::NamedText& values = {},
                   const ProfileOptions& options = {}) {
    return profile(KernelTemplate::embedded(name).value(), values, options);
  }
  // The body of a kernel of float* x, float* y, int n.
  KernelProfile of_body(const std::string& body, const ProfileOptions& options = {}) {
    const std::string text =
        "extern \"C\" __global__ void __launch_bounds__(256) body(float* x, "
        "float* y, int n) {\n" +
        body + "\n}\n";
    const auto kernel_template = KernelTemplate::parse("body.cu", text);
    if (!kernel_template) {
      ADD_FAILURE() << kernel_template.error().message;
      return {};
    }
    return profile(*kernel_template, {}, options);
  }

  std::shared_ptr<const LlvmLibrary> library_;
};

TEST_F(ProfileTest, SaxpyIsOneMultiplyAddOnThreeAccesses) {
  const KernelProfile result = of("saxpy", {{"kN", "4096"}});
  EXPECT_EQ(result.thread.flops32, 2);
  EXPECT_EQ(result.thread.flops(), 2);
  EXPECT_EQ(result.thread.loaded_bytes[kGlobal], 8);
  EXPECT_EQ(result.thread.stored_bytes[kGlobal], 4);
  EXPECT_EQ(result.thread.loaded_bytes[kSharedSpace] + result.thread.loaded_bytes[kLocal], 0);
  EXPECT_EQ(result.thread.loaded_bytes[kArgument], 8 + 8 + 4) << "x, y and a: n is a constant";
  EXPECT_EQ(result.thread.barriers + result.thread.atomics + result.thread.branches, 0);
  EXPECT_EQ(result.max_threads, 256);
  EXPECT_TRUE(result.loops.empty());
}

TEST_F(ProfileTest, PrecisionsAreToldApart) {
  EXPECT_EQ(of("saxpy", {{"T", "float64"}, {"kN", "4096"}}).thread.flops64, 2);
  const OperationCounts integers = of("saxpy", {{"T", "int32"}, {"kN", "4096"}}).thread;
  EXPECT_EQ(integers.flops(), 0);
  EXPECT_GE(integers.integer, 2);
}

TEST_F(ProfileTest, AnEdgeCountsByTheThreadsThatAreInside) {
  // Without a grid the check is true.
  EXPECT_EQ(of("saxpy", {{"kN", "1000"}}).thread.flops32, 2);
  const KernelProfile result = of("saxpy", {{"kN", "1000"}}, {.grid = {4, 1, 1}});
  EXPECT_DOUBLE_EQ(result.thread.flops32, 2 * 1000.0 / 1024);
  EXPECT_DOUBLE_EQ(result.thread.stored_bytes[kGlobal], 4 * 1000.0 / 1024);
}

TEST_F(ProfileTest, AGridTooLargeToVisitStillHasItsEdges) {
  constexpr int kN = 100'000'001;
  const std::uint32_t blocks = (kN + 255) / 256;
  const KernelProfile result = of("saxpy", {{"kN", std::to_string(kN)}}, {.grid = {blocks, 1, 1}});
  EXPECT_DOUBLE_EQ(result.thread.flops32 * blocks * 256, 2.0 * kN);
}

TEST_F(ProfileTest, GemmOfExactSizesIsCountedExactly) {
  const KernelProfile result =
      of("gemm", {{"kM", "256"}, {"kN", "192"}, {"kK", "320"}}, {.grid = {3, 4, 1}});
  const OperationCounts& thread = result.thread;
  EXPECT_EQ(thread.flops32, 2.0 * 320 * 4 * 4);
  EXPECT_EQ(thread.barriers, 2.0 * 320 / 16);
  // A block of 256 threads loads 64 x 16 elements of A and of B for each step.
  EXPECT_EQ(thread.loaded_bytes[kGlobal], 320 / 16 * 2 * (64 * 16 / 256) * 4.0);
  EXPECT_EQ(thread.stored_bytes[kSharedSpace], 320 / 16 * 2 * (64 * 16 / 256) * 4.0);
  EXPECT_EQ(thread.loaded_bytes[kSharedSpace], 320 * (4 + 4) * 4.0);
  EXPECT_EQ(thread.stored_bytes[kGlobal], 4 * 4 * 4.0);
  EXPECT_EQ(result.static_smem_bytes, (16 * 65 + 16 * 64) * 4u);
  EXPECT_TRUE(result.all_known());
  ASSERT_FALSE(result.loops.empty());
  EXPECT_EQ(result.loops.front().trips, 20);
  EXPECT_EQ(result.loops.front().file, "examples/gemm.cuh");
}

TEST_F(ProfileTest, TheTilesOfGemmScaleItsWork) {
  const Specialization::NamedText values{{"kM", "128"},     {"kN", "128"},     {"kK", "64"},
                                         {"kThreadM", "8"}, {"kThreadN", "2"}, {"kBlockK", "8"}};
  const OperationCounts thread = of("gemm", values, {.grid = {2, 2, 1}}).thread;
  EXPECT_EQ(thread.flops32, 2.0 * 64 * 8 * 2);
  EXPECT_EQ(thread.barriers, 2.0 * 64 / 8);
}

TEST_F(ProfileTest, ALoopOverAnArgumentRunsAsOftenAsIsAssumed) {
  for (const double trips : {1.0, 20.0}) {
    const KernelProfile result = of("gemm", {}, {.assumed_trips = trips});
    EXPECT_FALSE(result.all_known());
    EXPECT_EQ(result.thread.flops32, trips * 2 * 16 * 4 * 4);
    EXPECT_EQ(result.thread.barriers, trips * 2);
  }
}

TEST_F(ProfileTest, BlockReduceCountsTheWarpThatAddsTheSums) {
  const KernelProfile result = of("block_reduce", {{"kN", "1048576"}}, {.grid = {128, 1, 1}});
  const OperationCounts& thread = result.thread;
  ASSERT_EQ(result.loops.size(), 1u);
  EXPECT_TRUE(result.loops[0].known);
  EXPECT_EQ(result.loops[0].trips, 1048576 / (128 * 256));
  EXPECT_EQ(thread.loaded_bytes[kGlobal], 32 * 4);
  EXPECT_EQ(thread.barriers, 1);
  // Five shuffles of all eight warps, and five of one.
  EXPECT_DOUBLE_EQ(thread.warp_operations, 5 + 5.0 / 8);
  EXPECT_DOUBLE_EQ(thread.stored_bytes[kSharedSpace], 4.0 / 32);
  EXPECT_DOUBLE_EQ(thread.loaded_bytes[kSharedSpace], 4.0 * 8 / 256);
  EXPECT_DOUBLE_EQ(thread.stored_bytes[kGlobal], 4.0 / 256);
}

TEST_F(ProfileTest, TransposeMovesEachElementOnce) {
  const KernelProfile result = of("transpose", {{"kRows", "1024"}, {"kColumns", "2048"}},
                                  {.grid = {64, 32, 1}, .block = {32, 8, 1}});
  EXPECT_EQ(result.thread.loaded_bytes[kGlobal], 16);
  EXPECT_EQ(result.thread.stored_bytes[kGlobal], 16);
  EXPECT_EQ(result.thread.loaded_bytes[kSharedSpace], 16);
  EXPECT_EQ(result.thread.stored_bytes[kSharedSpace], 16);
  EXPECT_EQ(result.thread.barriers, 1);
  EXPECT_EQ(result.thread.flops(), 0);
}

TEST_F(ProfileTest, AttentionIsTwoProductsAndOneExponentialForAScore) {
  const Specialization::NamedText values{{"kHeadDim", "64"}, {"T", "float32"}};
  const KernelProfile one = of("attention_forward_simt", values, {.assumed_trips = 1});
  const KernelProfile three = of("attention_forward_simt", values, {.assumed_trips = 3});
  EXPECT_GT(one.thread.special, 0);
  EXPECT_GT(three.thread.flops32, 2.5 * one.thread.flops32);
  EXPECT_EQ(three.thread.flops64, 0);
}

TEST_F(ProfileTest, SpecialFunctionsAreNotWhatTheyAreMadeOf) {
  const OperationCounts thread = of_body(
                                     "x[0] = expf(x[0]) + logf(x[1]) + sinf(x[2]) + "
                                     "rsqrtf(x[3]) + sqrtf(x[4]) + exp2f(x[5]);")
                                     .thread;
  EXPECT_EQ(thread.special, 6);
  EXPECT_EQ(thread.flops32, 5);
  EXPECT_EQ(thread.flops64, 0);
}

TEST_F(ProfileTest, OfTwoSidesEachCountsHalfUnlessThePlaceDecides) {
  const char* const by_data =
      "if (x[0] > 0) { y[0] = x[1]; y[1] = x[2]; y[2] = x[3]; } else { y[4] = x[4] / x[5]; }";
  EXPECT_EQ(of_body(by_data).thread.stored_bytes[kGlobal], 8);
  const char* const by_place =
      "if (threadIdx.x < 64) { y[0] = x[1]; y[1] = x[2]; y[2] = x[3]; } else { y[4] = x[4]; }";
  EXPECT_EQ(of_body(by_place).thread.stored_bytes[kGlobal], (12 * 64 + 4 * 192) / 256.0);
}

TEST_F(ProfileTest, ATrapCostsNothing) {
  const char* const body =
      "const float v = x[threadIdx.x]; if (v == 5) __trap(); y[threadIdx.x] = v;";
  const OperationCounts thread = of_body(body).thread;
  EXPECT_EQ(thread.loaded_bytes[kGlobal], 4);
  EXPECT_EQ(thread.stored_bytes[kGlobal], 4);
}

TEST_F(ProfileTest, AWayOutOfALoopDoesNotThinWhatFollows) {
  const char* const body =
      "float s = 0;\n"
      "for (int i = 0; i < 1000; ++i) { if (x[i] < 0) break; s = s * x[i] + 1; }\n"
      "y[threadIdx.x] = s;";
  const KernelProfile result = of_body(body, {.assumed_trips = 100});
  EXPECT_EQ(result.thread.stored_bytes[kGlobal], 4);
  ASSERT_EQ(result.loops.size(), 1u);
  EXPECT_EQ(result.loops[0].trips, 100);
  EXPECT_FALSE(result.loops[0].known);
  EXPECT_EQ(of_body(body, {.assumed_trips = 5000}).loops[0].trips, 1000) << "no more can be";
}

TEST_F(ProfileTest, ATriangularLoopHasItsAverage) {
  const char* const body =
      "float s = 0;\n"
      "for (int i = 0; i <= int(blockIdx.x); ++i) s += x[i];\n"
      "y[threadIdx.x] = s;";
  const KernelProfile result = of_body(body, {.grid = {64, 1, 1}});
  ASSERT_EQ(result.loops.size(), 1u);
  EXPECT_TRUE(result.loops[0].known);
  EXPECT_EQ(result.loops[0].trips, 32.5);
  EXPECT_EQ(result.loops[0].line, 3u);
  EXPECT_EQ(result.thread.loaded_bytes[kGlobal], 4 * 32.5);
}

TEST_F(ProfileTest, NestedLoopsMultiply) {
  const char* const body =
      "float s = 0;\n"
      "for (int i = 0; i < n; ++i)\n"
      "  for (int j = 0; j < 100; ++j) { __syncthreads(); s += x[i * j]; }\n"
      "y[threadIdx.x] = s;";
  const KernelProfile result = of_body(body, {.assumed_trips = 7});
  EXPECT_EQ(result.thread.barriers, 700);
  ASSERT_EQ(result.loops.size(), 2u);
  EXPECT_EQ(result.loops[1].depth, 2);
  EXPECT_EQ(result.loops[1].trips, 100);
  EXPECT_TRUE(result.loops[1].known);
  EXPECT_FALSE(result.loops[0].known);
}

TEST_F(ProfileTest, AtomicsReadAndWriteAndAFenceIsNone) {
  const OperationCounts thread =
      of_body("atomicAdd(&y[0], x[threadIdx.x]); __threadfence();").thread;
  EXPECT_EQ(thread.atomics, 1);
  EXPECT_EQ(thread.loaded_bytes[kGlobal], 8);
  EXPECT_EQ(thread.stored_bytes[kGlobal], 4);
}

TEST_F(ProfileTest, AnArrayOfTheThreadsOwnIsLocal) {
  const char* const body =
      "float own[64];\n"
      "for (int i = 0; i < 64; ++i) own[i] = x[i];\n"
      "y[0] = own[n & 63];";
  const OperationCounts thread = of_body(body).thread;
  EXPECT_EQ(thread.loaded_bytes[kLocal], 4);
  EXPECT_EQ(thread.stored_bytes[kLocal], 256);
}

}  // namespace
}  // namespace fms
