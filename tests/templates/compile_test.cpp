// Every template compiles for every architecture that is supported, without spills (law 10).

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/ops/attention_plan.h"
#include "runtime/toolkit.h"
#include "tests/templates/toolkit.h"

namespace fms {
namespace {

class CompileTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  }

  static void compile(const Specialization& specialization) {
    const Target target = Target::parse(GetParam()).value();
    const NvrtcCompiler& compiler = *test_compiler();
    const auto object =
        compiler.compile(make_request(specialization, target, compiler.fingerprint()));
    ASSERT_TRUE(object) << specialization.to_string() << ": " << object.error().message << "\n"
                        << object.error().detail;
    EXPECT_EQ(object->resources.spill_stores, 0) << specialization.to_string();
  }

  static void compile_attention(const attention::Problem& problem, bool vector_loads = true) {
    const Target target = Target::parse(GetParam()).value();
    const attention::Plan plan = attention::plan(problem, target).value();
    Specialization::NamedText values;
    const KernelTemplate& kernel_template = plan.specialization.kernel_template();
    for (const Parameter& parameter : kernel_template.parameters()) {
      values[parameter.name] = parameter.to_string(plan.specialization.value(parameter.name));
    }
    if (!vector_loads) values["kVectorLoads"] = "false";
    compile(Specialization::parse(plan.specialization.shared_template(), values).value().dynamic());
  }
};

attention::Problem problem(DType dtype, int head_dim, int seq_q = 128) {
  return {.dtype = dtype,
          .heads = 4,
          .kv_heads = 1,
          .seq_q = seq_q,
          .seq_k = 128,
          .head_dim = head_dim,
          .mask = attention::Mask::kCausal,
          .return_lse = true};
}

TEST_P(CompileTest, AttentionOfEveryClassOfHeadDim) {
  for (const int head_dim : {1, 40, 64, 96, 128, 192, 256}) {
    compile_attention(problem(DType::kBFloat16, head_dim));
  }
}

TEST_P(CompileTest, AttentionOfEveryDType) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
    for (const int head_dim : {64, 128, 256}) compile_attention(problem(dtype, head_dim));
  }
}

TEST_P(CompileTest, AttentionOfFewQueries) {
  for (const int head_dim : {64, 128, 256}) {
    compile_attention(problem(DType::kBFloat16, head_dim, 1));
  }
}

TEST_P(CompileTest, AttentionOfUnalignedRows) {
  for (const int head_dim : {64, 128}) {
    compile_attention(problem(DType::kBFloat16, head_dim), false);
  }
}

TEST_P(CompileTest, ExamplesInEveryDTypeTheyTake) {
  for (const char* name : {"saxpy", "block_reduce", "transpose", "gemm"}) {
    const auto kernel_template = KernelTemplate::embedded(name).value();
    const Parameter& element = *kernel_template->find_parameter("T");
    for (const Value& dtype : element.allowed) {
      compile(Specialization::parse(kernel_template, {{"T", element.to_string(dtype)}}).value());
    }
  }
}

TEST_P(CompileTest, ExamplesWithExactSizes) {
  const std::pair<const char*, Specialization::NamedText> cases[] = {
      {"saxpy", {{"kN", "1000"}}},
      {"block_reduce", {{"kN", "4096"}, {"kBlock", "1024"}}},
      {"transpose", {{"kRows", "100"}, {"kColumns", "64"}, {"kTile", "16"}, {"kRowsEach", "8"}}},
      {"gemm", {{"kM", "128"}, {"kN", "256"}, {"kK", "64"}, {"kBlockM", "128"}, {"kThreadM", "8"}}},
  };
  for (const auto& [name, values] : cases) {
    compile(Specialization::parse(KernelTemplate::embedded(name).value(), values).value());
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, CompileTest,
                         ::testing::Values("sm_75", "sm_80", "sm_90a", "sm_120"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace fms
