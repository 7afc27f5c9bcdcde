#include "compiler/nvrtc_compiler.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/compiler/test_toolkit.h"
#include "tests/sanitizers.h"

namespace fms {
namespace {

constexpr const char* kTemplate = R"cuda(#include "fms/parameter.cuh"
FMS_KERNEL(scale, "y = a * x");
FMS_TYPE(T, float32, "element type", choices(float32, float16, bfloat16));
FMS_INT(kBlock, 256, "threads", range(32, 1024));
FMS_SIZE(kN, "elements", range(0, 2147483647));

extern "C" __global__ void __launch_bounds__(kBlock)
    scale(int n_argument, float a, const T* x, T* y) {
  const int n = kN(n_argument);
  const int i = blockIdx.x * kBlock + threadIdx.x;
  if (i < n) y[i] = T(a * float(x[i]));
}
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
})cuda";

constexpr const char* kSerialized = R"cuda(
__device__ __noinline__ void product(float* d, unsigned long long a, unsigned long long b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %5, 1,1,1,0,0;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "l"(a), "l"(b));
}
extern "C" __global__ void serialized(float* x, unsigned long long a, unsigned long long b) {
  float d[4] = {0, 0, 0, 0};
  asm volatile("wgmma.fence.sync.aligned;");
  product(d, a, b);
  d[1] += x[3];
  product(d, b, a);
  asm volatile("wgmma.commit_group.sync.aligned;");
  asm volatile("wgmma.wait_group.sync.aligned 0;");
  x[0] = d[0] + d[1] + d[2] + d[3];
})cuda";

TEST(NvrtcCompilerTest, AMissingLibraryIsUnavailableAndTheErrorSaysWhatToDo) {
  const auto opened = NvrtcCompiler::open("/nonexistent/libnvrtc.so.13", {});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(opened.error().message.find("FMS_NVRTC"), std::string::npos);
}

TEST(NvrtcCompilerTest, ALibraryThatIsNotNvrtcIsUnavailable) {
  const auto opened = NvrtcCompiler::open("libm.so.6", {});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(opened.error().message.find("nvrtcVersion"), std::string::npos);
}

TEST(NvrtcCompilerTest, TheFingerprintHasVersionBuildBuiltinsAndHeaders) {
  FMS_REQUIRE_NVRTC(compiler);
  const std::string& text = compiler->fingerprint();
  const auto [major, minor] = compiler->version();
  EXPECT_TRUE(text.starts_with("nvrtc " + std::to_string(major) + "." + std::to_string(minor)));
  for (const char* part : {" build ", " builtins ", " headers "}) {
    const std::size_t at = text.find(part);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(text.substr(at + std::string(part).size(), 16).find_first_not_of("0123456789abcdef"),
              std::string::npos);
  }
  EXPECT_TRUE(compiler->library_path().starts_with("/"));
}

TEST(NvrtcCompilerTest, AHeadersNameAndTextChangeTheFingerprintAndTheirOrderDoesNot) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto fingerprint = [&](std::vector<SourceFile> headers) {
    return NvrtcCompiler::open(compiler->library_path(), std::move(headers)).value()->fingerprint();
  };
  const std::string base = fingerprint({{"a.h", "1"}, {"b.h", "2"}});
  EXPECT_EQ(fingerprint({{"b.h", "2"}, {"a.h", "1"}}), base);
  EXPECT_NE(fingerprint({{"a.h", "2"}, {"b.h", "2"}}), base);
  EXPECT_NE(fingerprint({{"a.h", "1"}, {"c.h", "2"}}), base);
  EXPECT_NE(fingerprint({}), base);
}

TEST(NvrtcCompilerTest, CompilesATemplateForEveryArchitectureWithNoGpu) {
  FMS_REQUIRE_NVRTC(compiler);
  const std::vector<std::string> archs = testable_archs(*compiler);
  ASSERT_GE(archs.size(), kSanitized ? 2u : 8u);
  for (const std::string& arch : archs) {
    SCOPED_TRACE(arch);
    const auto object = compiler->compile(
        template_request(*compiler, arch, kTemplate, {{"T", "bfloat16"}, {"kN", "1000"}}));
    ASSERT_TRUE(object.has_value()) << object.error().message << "\n" << object.error().detail;
    EXPECT_EQ(object->entry, "scale");
    EXPECT_EQ(object->target.arch, arch);
    EXPECT_EQ(object->compiler, compiler->fingerprint());
    EXPECT_EQ(object->resources.parameters.size(), 4u);
    EXPECT_EQ(object->resources.max_threads, 256);
    EXPECT_GT(object->resources.registers, 0);
    EXPECT_GT(object->compile_ms, 0);
  }
}

TEST(NvrtcCompilerTest, EqualRequestsGiveEqualBytes) {
  FMS_REQUIRE_NVRTC(compiler);
  const CompileRequest request =
      template_request(*compiler, "sm_90a", kTemplate, {{"T", "float16"}});
  const auto first = compiler->compile(request);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  for (int i = 0; i < 3; ++i) {
    const auto again = compiler->compile(request);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->bytes, first->bytes);
    EXPECT_EQ(again->resources, first->resources);
  }
}

TEST(NvrtcCompilerTest, AFileNamedAfterItsKernelCompiles) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto kernel_template = KernelTemplate::parse("scale.cu", kTemplate).value();
  const auto object =
      compiler->compile(make_request(Specialization::make(kernel_template, {}).value(),
                                     Target::parse("sm_90a").value(), compiler->fingerprint()));
  EXPECT_TRUE(object.has_value()) << object.error().message;
}

TEST(NvrtcCompilerTest, PrecompiledHeadersChangeNoByte) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto precompiling = test_compiler_that_precompiles();
  ASSERT_EQ(precompiling->fingerprint(), compiler->fingerprint());
  for (const char* type : {"float16", "bfloat16", "float32"}) {
    for (const char* size : {"1", "2", "3"}) {
      const CompileRequest request =
          template_request(*compiler, "sm_90a", kTemplate, {{"T", type}, {"kN", size}});
      const auto plain = compiler->compile(request);
      const auto precompiled = precompiling->compile(request);
      ASSERT_TRUE(plain.has_value()) << plain.error().message;
      ASSERT_TRUE(precompiled.has_value()) << precompiled.error().message;
      EXPECT_EQ(precompiled->bytes, plain->bytes);
    }
  }
}

TEST(NvrtcCompilerTest, APrecompiledHeaderIsNotUsedForAnotherTextOfItsName) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto precompiling = test_compiler_that_precompiles();
  const auto compile = [&](const NvrtcCompiler& by, const char* number) {
    CompileRequest request =
        plain_request(by, "sm_80", "k",
                      "#include <cuda_fp16.h>\n#include \"x.h\"\n"
                      "extern \"C\" __global__ void k(int* x) { *x = kNumber; }\n");
    request.headers = {{"x.h", std::string("#ifndef X_\n#define X_\nconstexpr int kNumber = ") +
                                   number + ";\n#endif\n"}};
    return by.compile(request).value().bytes;
  };
  for (const char* number : {"11", "12", "11"}) {
    EXPECT_EQ(compile(*precompiling, number), compile(*compiler, number)) << number;
  }
}

TEST(NvrtcCompilerTest, EveryValueOfATypeCompiles) {
  FMS_REQUIRE_NVRTC(compiler);
  for (int i = 0; i < kDTypeCount; ++i) {
    const std::string type(to_string(static_cast<DType>(i)));
    SCOPED_TRACE(type);
    const auto object = compiler->compile(
        template_request(*compiler, "sm_90", R"cuda(#include "fms/parameter.cuh"
FMS_TYPE(T, float32, "type");
FMS_FLOAT(kCap, 0.1, "a float");
FMS_INT(kLong, 1, "an integer");
FMS_ENUM(Mask, kMask, kFull, "an enum", choices(kFull, kCausal));
extern "C" __global__ void copy(const T* x, T* y, float* f) {
  static_assert(kMask == Mask::kCausal && kLong == -9223372036854775807LL - 1);
  y[threadIdx.x] = x[threadIdx.x];
  *f = kCap;
})cuda",
                         {{"T", type}, {"kMask", "causal"}, {"kLong", "-9223372036854775808"}}));
    ASSERT_TRUE(object.has_value()) << object.error().message;
  }
}

TEST(NvrtcCompilerTest, PtxIsTextForTheVirtualArchitecture) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto kernel_template = KernelTemplate::parse("k.cuh", kTemplate).value();
  const CompileRequest request = make_request(
      Specialization::make(kernel_template, {}).value(), Target::parse("sm_90a").value(),
      compiler->fingerprint(), {.format = ObjectFormat::kPtx});
  const auto object = compiler->compile(request);
  ASSERT_TRUE(object.has_value()) << object.error().message;
  const std::string text(reinterpret_cast<const char*>(object->bytes.data()), object->bytes.size());
  EXPECT_NE(text.find(".target sm_90a"), std::string::npos);
  EXPECT_NE(text.find(".entry scale("), std::string::npos);
}

TEST(NvrtcCompilerTest, ACompileErrorHasTheLineTheValuesAndTheVersions) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(template_request(*compiler, "sm_90a",
                                                         R"cuda(#include "fms/parameter.cuh"
FMS_INT(kBlock, 96, "threads");
extern "C" __global__ void broken(float* x) {
  const int i = threadIdx.x;
  x[i] = foo * kBlock;
}
)cuda"));
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().code, ErrorCode::kCompileFailed);
  EXPECT_EQ(object.error().message,
            "can't compile broken for cuda:sm_90a: test/kernel.cuh(5): identifier \"foo\" is "
            "undefined");
  const std::string& detail = object.error().detail;
  for (const std::string& part :
       {std::string("broken"), std::string("cuda:sm_90a"), compiler->fingerprint(),
        std::string("FlashMoE-Science 0."), std::string("constexpr int kBlock = 96;"),
        std::string("     4 |   const int i = threadIdx.x;\n     5 |   x[i] = foo * kBlock;\n"
                    "       |          ^\n     6 | }\n"),
        std::string("1 error detected")}) {
    EXPECT_NE(detail.find(part), std::string::npos) << part << "\nin\n" << detail;
  }
}

TEST(NvrtcCompilerTest, PtxasErrorsAreCompileErrors) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(
      plain_request(*compiler, "sm_80", "k",
                    "__device__ float g(float);\n"
                    "extern \"C\" __global__ void k(float* x) { x[0] = g(x[1]); }"));
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().code, ErrorCode::kCompileFailed);
  EXPECT_NE(object.error().message.find("Unresolved extern function"), std::string::npos);
}

TEST(NvrtcCompilerTest, AnEntryThatIsNotThereIsNotFound) {
  FMS_REQUIRE_NVRTC(compiler);
  const auto object = compiler->compile(plain_request(
      *compiler, "sm_80", "missing", "extern \"C\" __global__ void there(float* x) { *x = 1; }"));
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().code, ErrorCode::kNotFound);
  EXPECT_NE(object.error().message.find("there"), std::string::npos);
}

TEST(NvrtcCompilerTest, AnArchitectureItDoesNotKnowIsUnsupportedAndTheKnownAreListed) {
  FMS_REQUIRE_NVRTC(compiler);
  for (const char* arch : {"sm_99", "sm_80a"}) {
    const auto object = compiler->compile(
        plain_request(*compiler, arch, "k", "extern \"C\" __global__ void k() {}"));
    ASSERT_FALSE(object.has_value()) << arch;
    EXPECT_EQ(object.error().code, ErrorCode::kUnsupported) << object.error().message;
    EXPECT_NE(object.error().message.find("sm_80"), std::string::npos);
  }
}

TEST(NvrtcCompilerTest, SpillsAreRejectedUnlessAllowed) {
  FMS_REQUIRE_NVRTC(compiler);
  CompileRequest request = plain_request(*compiler, "sm_90", "spilling", kSpilling);
  const auto refused = compiler->compile(request);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kRejected);
  EXPECT_NE(refused.error().message.find("FMS_ALLOW(spills)"), std::string::npos);
  request.allow_spills = true;
  const auto allowed = compiler->compile(request);
  ASSERT_TRUE(allowed.has_value()) << allowed.error().message;
  EXPECT_GT(allowed->resources.spill_stores, 0);
  EXPECT_NE(refused.error().message.find(std::to_string(allowed->resources.spill_stores) +
                                         " bytes of stores"),
            std::string::npos);
}

TEST(NvrtcCompilerTest, SerialisedWgmmaIsRejectedUnlessAllowed) {
  FMS_REQUIRE_NVRTC(compiler);
  CompileRequest request = plain_request(*compiler, "sm_90a", "serialized", kSerialized);
  const auto refused = compiler->compile(request);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kRejected) << refused.error().message;
  EXPECT_NE(refused.error().message.find("FMS_ALLOW(serialized_wgmma)"), std::string::npos);
  request.allow_serialized_wgmma = true;
  const auto allowed = compiler->compile(request);
  ASSERT_TRUE(allowed.has_value()) << allowed.error().message;
  EXPECT_TRUE(allowed->resources.serialized_wgmma);
}

TEST(NvrtcCompilerTest, ACancelledCompileDoesNotStart) {
  FMS_REQUIRE_NVRTC(compiler);
  const CancelToken cancel;
  cancel.cancel();
  const auto object = compiler->compile(
      plain_request(*compiler, "sm_90", "k", "extern \"C\" __global__ void k() {}"), cancel);
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().code, ErrorCode::kCancelled);
}

TEST(NvrtcCompilerTest, ALongCompileStopsWhenItIsCancelled) {
  FMS_REQUIRE_NVRTC(compiler);
  if (compiler->version() < std::pair(12, 8)) GTEST_SKIP() << "NVRTC before 12.8 can't be stopped";
  // Unrolled, it is far more work than the moment that the other thread waits.
  const std::string source = R"cuda(
extern "C" __global__ void slow(float* x, int n) {
  float v[32];
  for (int i = 0; i < 32; ++i) v[i] = x[i];
#pragma unroll
  for (int j = 0; j < 4000; ++j) {
#pragma unroll
    for (int i = 0; i < 32; ++i) v[i] = v[i] * v[(i * 7 + j) % 32] + v[(i + 1) % 32];
  }
  for (int i = 0; i < 32; ++i) x[i] = v[i];
})cuda";
  const CancelToken cancel;
  std::thread other([cancel] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel.cancel();
  });
  const auto object = compiler->compile(plain_request(*compiler, "sm_90", "slow", source), cancel);
  other.join();
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().code, ErrorCode::kCancelled) << object.error().message;
}

TEST(NvrtcCompilerTest, ManyThreadsCompileAtOnce) {
  FMS_REQUIRE_NVRTC(compiler);
  const CompileRequest request = template_request(*compiler, "sm_80", kTemplate);
  const auto expected = compiler->compile(request);
  ASSERT_TRUE(expected.has_value()) << expected.error().message;
  std::vector<std::thread> threads;
  std::vector<std::vector<std::byte>> bytes(4);
  for (auto& result : bytes) {
    threads.emplace_back([&] {
      const auto object = compiler->compile(request);
      if (object) result = object->bytes;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : bytes) EXPECT_EQ(result, expected->bytes);
}

TEST(NvrtcCompilerTest, ARequestForAnotherCompilerIsOurMistake) {
  FMS_REQUIRE_NVRTC(compiler);
  CompileRequest request =
      plain_request(*compiler, "sm_90", "k", "extern \"C\" __global__ void k() {}");
  request.compiler = "nvrtc 1.0";
  EXPECT_EQ(compiler->compile(request).error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace fms
