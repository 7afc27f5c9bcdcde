// The compiler of CPU targets, by what it makes and what it refuses. That what it makes computes
// the right thing is tests/conformance's to show.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "compiler/compile_request.h"
#include "compiler/llvm_library.h"
#include "compiler/specialization.h"

namespace fms {
namespace {

class LlvmCompilerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto opened = open_llvm();
    const char* required = std::getenv("FMS_TEST_REQUIRE_LLVM");
    if (!opened && required != nullptr && *required != '\0') FAIL() << opened.error().message;
    if (!opened) GTEST_SKIP() << opened.error().message;
    library_ = *opened;
  }

  CompileRequest request(std::string text, const std::string& arch = host_target().arch) const {
    const auto parsed = KernelTemplate::parse("k.cu", std::move(text)).value();
    const auto values = Specialization::parse(parsed, {}).value();
    return make_request(values, {Target::Kind::kCpu, arch}, library_->compiler()->fingerprint(),
                        {.format = ObjectFormat::kElf});
  }

  Result<ObjectCode> compile(std::string text) const {
    return library_->compiler()->compile(request(std::move(text)));
  }

  // The message of what can't be compiled.
  std::string refusal(std::string text) const {
    const auto compiled = compile(std::move(text));
    if (compiled) return "compiled";
    EXPECT_EQ(compiled.error().code, ErrorCode::kCompileFailed);
    return compiled.error().message;
  }

  std::shared_ptr<const LlvmLibrary> library_;
};

constexpr const char* kAdd =
    "extern \"C\" __global__ void add(float* x, float y) { x[threadIdx.x] += y; }";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(LlvmCompilerTest, EqualRequestsGiveEqualBytes) {
  const auto first = compile(kAdd), second = compile(kAdd);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->bytes, second->bytes);
  EXPECT_EQ(first->format, ObjectFormat::kElf);
  EXPECT_EQ(first->compiler, library_->compiler()->fingerprint());
}

TEST_F(LlvmCompilerTest, TheFingerprintNamesLlvmAndItsBuild) {
  const std::string& fingerprint = library_->compiler()->fingerprint();
  EXPECT_TRUE(fingerprint.starts_with("llvm " + library_->version() + " build ")) << fingerprint;
  for (const char* part : {" clang ", " regions ", " abi ", " prelude "}) {
    EXPECT_TRUE(contains(fingerprint, part)) << fingerprint;
  }
}

TEST_F(LlvmCompilerTest, ARequestForAnotherCompilerIsOurOwnMistake) {
  CompileRequest other = request(kAdd);
  other.compiler = "nvrtc 13.0";
  const auto compiled = library_->compiler()->compile(other);
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().code, ErrorCode::kInternal);
}

TEST_F(LlvmCompilerTest, ParametersLieAsCudaLaysThemOut) {
  const auto object = compile(R"(
    struct Mixed { char a; double b; short c; };
    struct Small { float x, y, z; };
    extern "C" __global__ void k(char a, float3 b, Mixed c, Small d, short e, float4 f, int* g) {}
  )");
  ASSERT_TRUE(object) << object.error().message;
  const std::vector<ParameterLayout> expected{{0, 1},  {4, 12},  {16, 24}, {40, 12},
                                              {52, 2}, {64, 16}, {80, 8}};
  EXPECT_EQ(object->resources.parameters, expected);
}

TEST_F(LlvmCompilerTest, LaunchBoundsAndSharedMemoryAreRead) {
  const auto object = compile(R"(
    constexpr int kThreads = 96;
    extern "C" __global__ void __launch_bounds__(kThreads * 2, 2) k(int* x) {
      __shared__ int tile[40];
      __shared__ double sum;
      tile[threadIdx.x % 40] = x[threadIdx.x];
      if (threadIdx.x == 0) sum = 1;
      __syncthreads();
      x[threadIdx.x] = tile[39 - threadIdx.x % 40] + int(sum);
    }
  )");
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(object->resources.max_threads, 192);
  EXPECT_EQ(object->resources.static_smem_bytes, 40 * 4 + 8);
}

TEST_F(LlvmCompilerTest, ErrorsNameFileAndLine) {
  const std::string message =
      refusal("extern \"C\" __global__ void k(int* x) {\n  x[0] = missing;\n}\n");
  EXPECT_TRUE(contains(message, "k.cu(2): ")) << message;
  EXPECT_TRUE(contains(message, "missing")) << message;
}

TEST_F(LlvmCompilerTest, InlinePtxIsRefusedEvenWhereItsConstraintsMeanSomethingHere) {
  const std::string message = refusal(
      "extern \"C\" __global__ void k(int* x) {\n"
      "  int y;\n"
      "  asm volatile(\"mov.u32 %0, %%laneid;\" : \"=r\"(y));\n"
      "  x[0] = y;\n"
      "}\n");
  EXPECT_TRUE(contains(message, "k.cu(3): inline PTX can't run on a CPU target")) << message;
}

TEST_F(LlvmCompilerTest, RecursionThatAsksForItsThreadIsRefusedWithItsLine) {
  const std::string message = refusal(
      "__device__ __noinline__ int deep(int n) {\n"
      "  if (n == 0) return threadIdx.x;\n"
      "  return deep(n - 1) + deep(n / 2);\n"
      "}\n"
      "extern \"C\" __global__ void k(int* x, int n) { x[0] = deep(n); }\n");
  EXPECT_TRUE(contains(message, "recursive")) << message;
  EXPECT_TRUE(contains(message, "k.cu(")) << message;
}

TEST_F(LlvmCompilerTest, HeadersOfTheSystemAreNotRead) {
  EXPECT_TRUE(contains(refusal("#include <stdlib.h>\nextern \"C\" __global__ void k() {}\n"),
                       "'stdlib.h' file not found"));
}

TEST_F(LlvmCompilerTest, AnUnknownProcessorIsUnsupported) {
  const auto compiled = library_->compiler()->compile(request(kAdd, "no-such-cpu"));
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(contains(compiled.error().message, "no-such-cpu"));
}

TEST_F(LlvmCompilerTest, EveryLevelOfX86CanBeCompiledForAnywhere) {
  for (const char* arch : {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "znver4"}) {
    EXPECT_TRUE(library_->compiler()->compile(request(kAdd, arch))) << arch;
  }
}

TEST_F(LlvmCompilerTest, CodeForFeaturesThatThisProcessorLacksIsNotLoaded) {
  // No processor has both.
  const char* foreign = library_->host_cpu().starts_with("znver") ? "sapphirerapids" : "bdver4";
  const auto object = library_->compiler()->compile(request(kAdd, foreign)).value();
  const auto loaded = library_->load(object, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(contains(loaded.error().message, "this processor lacks")) << loaded.error().message;
}

TEST_F(LlvmCompilerTest, DamagedObjectCodeIsCorruptAndNeverRuns) {
  ObjectCode object = compile(kAdd).value();
  ASSERT_TRUE(library_->load(object, {}));
  object.bytes.resize(object.bytes.size() / 2);
  const auto cut = library_->load(object, {});
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
  object.bytes.assign(100, std::byte{1});
  EXPECT_FALSE(library_->load(object, {}));
}

TEST_F(LlvmCompilerTest, AKernelMayNotCallWhatTheProcessHasBesideMath) {
  const auto object = compile(
      "extern \"C\" __device__ int system(const char*);\n"
      "extern \"C\" __global__ void k(int* x) { x[0] = system(\"true\"); }\n");
  ASSERT_TRUE(object) << object.error().message;
  const auto loaded = library_->load(*object, {});
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(contains(loaded.error().message, "system")) << loaded.error().message;
}

TEST_F(LlvmCompilerTest, AKernelWithNoBarrierAndNoLoopIsOneRegionWithNoFrame) {
  const auto image = library_->load(compile(kAdd).value(), {});
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->kernel().state_count, 1u);
  EXPECT_EQ((*image)->kernel().frame_bytes, 0u);
  EXPECT_EQ((*image)->kernel().states[0].next, 1u);  // the end
}

TEST_F(LlvmCompilerTest, ABarrierIsACutPointAtItsLine) {
  const auto object = compile(
      "extern \"C\" __global__ void k(int* x) {\n"
      "  __shared__ int y[32];\n"
      "  y[threadIdx.x] = x[threadIdx.x];\n"
      "  __syncthreads();\n"
      "  x[threadIdx.x] = y[31 - threadIdx.x];\n"
      "}\n");
  const auto image = library_->load(object.value(), {});
  ASSERT_TRUE(image);
  const cpu::Kernel& kernel = (*image)->kernel();
  ASSERT_EQ(kernel.state_count, 2u);
  EXPECT_EQ(kernel.states[0].next, 1u);
  EXPECT_EQ(kernel.states[1].wait, cpu::Wait::kBlock);
  EXPECT_STREQ(kernel.states[1].file, "k.cu");
  EXPECT_EQ(kernel.states[1].line, 4u);
}

TEST_F(LlvmCompilerTest, ThreadsOfARowBecomeVectors) {
  const auto text = library_->emit(request(kAdd, "x86-64-v3"), "optimized");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_TRUE(contains(*text, "fadd <16 x float>")) << *text;
}

TEST_F(LlvmCompilerTest, EveryStageCanBeShownAndOthersAreRefusedByName) {
  for (const char* stage : {"llvm-ir", "regions", "optimized", "asm"}) {
    const auto text = library_->emit(request(kAdd), stage);
    EXPECT_TRUE(text && !text->empty()) << stage;
  }
  const auto other = library_->emit(request(kAdd), "sass");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LlvmCompilerTest, LinesAreKeptForDebuggersWhenAskedFor) {
  CompileRequest with_lines = request(kAdd);
  with_lines.options.emplace_back("-lineinfo");
  const auto has = [](const ObjectCode& object, std::string_view name) {
    const auto* text = reinterpret_cast<const char*>(object.bytes.data());
    return std::string_view(text, object.bytes.size()).find(name) != std::string_view::npos;
  };
  EXPECT_TRUE(has(library_->compiler()->compile(with_lines).value(), ".debug_line"));
  EXPECT_FALSE(has(compile(kAdd).value(), ".debug_line"));
}

TEST_F(LlvmCompilerTest, ACancelledCompileSaysSo) {
  const CancelToken token;
  token.cancel();
  const auto compiled = library_->compiler()->compile(request(kAdd), token);
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().code, ErrorCode::kCancelled);
}

TEST_F(LlvmCompilerTest, AProfileCountsWhatAThreadDoes) {
  const auto profile = library_->profile(
      request("extern \"C\" __global__ void __launch_bounds__(64) k(const float* x, double* y) {\n"
              "  __shared__ float s[64];\n"
              "  s[threadIdx.x] = x[threadIdx.x];\n"
              "  __syncthreads();\n"
              "  double sum = 0;\n"
              "  for (int i = 0; i < 64; ++i) sum += s[i];\n"
              "  y[threadIdx.x] = sum;\n"
              "}\n"),
      {});
  ASSERT_TRUE(profile) << profile.error().message;
  const OperationCounts& counts = profile->thread;
  EXPECT_EQ(counts.flops64, 64);
  EXPECT_EQ(counts.loaded_bytes[std::size_t(MemorySpace::kGlobal)], 4);
  EXPECT_EQ(counts.loaded_bytes[std::size_t(MemorySpace::kShared)], 64 * 4);
  EXPECT_EQ(counts.stored_bytes[std::size_t(MemorySpace::kShared)], 4);
  EXPECT_EQ(counts.stored_bytes[std::size_t(MemorySpace::kGlobal)], 8);
  EXPECT_EQ(counts.barriers, 1);
  EXPECT_EQ(profile->max_threads, 64);
  EXPECT_EQ(profile->static_smem_bytes, 256u);
  EXPECT_TRUE(profile->all_known());
}

}  // namespace
}  // namespace fms
