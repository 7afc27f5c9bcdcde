// Every template compiles for every architecture that is supported, without spills (law 10).

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_plan.h"
#include "runtime/ops/block_table.h"
#include "runtime/toolkit.h"
#include "tests/templates/toolkit.h"

namespace fms {
namespace {

void compile_for(const Target& target, const Specialization& specialization) {
  const NvrtcCompiler& compiler = *test_compiler();
  const auto object =
      compiler.compile(make_request(specialization, target, compiler.fingerprint()));
  ASSERT_TRUE(object) << specialization.to_string() << ": " << object.error().message << "\n"
                      << object.error().detail;
  EXPECT_EQ(object->resources.spill_stores, 0) << specialization.to_string();
}

Specialization dynamic_variant(const attention::Problem& problem, const Target& target,
                               attention::Access access) {
  return attention::plan_with(problem, attention::room_of(target), access)
      .value()
      .plan.specialization.dynamic();
}

class CompileTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  }

  static void compile(const Specialization& specialization) {
    compile_for(Target::parse(GetParam()).value(), specialization);
  }

  static void compile_attention(const attention::Problem& problem,
                                attention::Access access = attention::Access::kBulk) {
    const Target target = Target::parse(GetParam()).value();
    compile(dynamic_variant(problem, target, access));
  }

  static bool is_for(std::string_view target) { return target == GetParam(); }
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

// sm_80 and sm_90a have tests of their own below, of the same kernels.
TEST_P(CompileTest, AttentionOfEveryClassOfHeadDim) {
  for (const int head_dim : {1, 40, 96}) compile_attention(problem(DType::kBFloat16, head_dim));
  if (is_for("sm_80") || is_for("sm_90a")) return;
  for (const int head_dim : {64, 128, 192, 256}) {
    compile_attention(problem(DType::kBFloat16, head_dim));
  }
}

TEST_P(CompileTest, AttentionOfEveryDType) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
    if (dtype == DType::kFloat16 && is_for("sm_90a")) continue;
    for (const int head_dim : {64, 128, 256}) compile_attention(problem(dtype, head_dim));
  }
}

TEST_P(CompileTest, AttentionOfFewQueries) {
  if (is_for("sm_80")) return;
  for (const int head_dim : {64, 128, 256}) {
    compile_attention(problem(DType::kBFloat16, head_dim, 1));
  }
}

TEST_P(CompileTest, AttentionOfUnalignedRows) {
  for (const int head_dim : {64, 128}) {
    compile_attention(problem(DType::kBFloat16, head_dim), attention::Access::kElements);
  }
}

TEST_P(CompileTest, AttentionOfRowsThatStartAtMultiplesOfFourElements) {
  if (is_for("sm_75")) return;  // which copies all rows so
  for (const int head_dim : {64, 128}) {
    compile_attention(problem(DType::kBFloat16, head_dim), attention::Access::kVectors);
  }
}

TEST_P(CompileTest, AttentionWithEveryOption) {
  for (const int head_dim : {64, 128, 256}) {
    attention::Problem p = problem(DType::kBFloat16, head_dim);
    p.mask = attention::Mask::kWindow;
    p.softcap = p.sinks = p.packed = true;
    compile_attention(p, attention::Access::kVectors);
  }
}

TEST_P(CompileTest, BlockTables) {
  attention::Problem p = problem(DType::kBFloat16, 64);
  p.mods = attention::Mods::make("mods.cuh",
                                 "struct Mods { bool mask(int, int, int, int) const; };\n"
                                 "inline bool Mods::mask(int, int, int q, int k) const {\n"
                                 "  return q / 9 == k / 9;\n}\n")
               .value();
  p.block_table = true;
  compile_attention(p, attention::Access::kVectors);
  compile(attention::block_table_specialization(p, Target::parse(GetParam()).value()).value());
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

// attention_forward_sm80, for each amount of shared memory that a block may have; tiles that are
// those of sm_80 are compiled for it.
class Sm80CompileTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  }

  static void compile(const attention::Problem& problem, bool exact = false) {
    const Target target = Target::parse(GetParam()).value();
    const Specialization made = attention::plan(problem, target).value().specialization;
    EXPECT_EQ(made.kernel_template().name(), "attention_forward_sm80");
    const Target first = Target::parse("sm_80").value();
    if (target != first && made == attention::plan(problem, first).value().specialization) return;
    compile_for(target, exact ? made : made.dynamic());
  }
};

TEST_P(Sm80CompileTest, EveryClassOfDims) {
  for (const int head_dim : {8, 64, 72, 128, 192, 256}) {
    compile(problem(DType::kBFloat16, head_dim, 2048));
  }
  attention::Problem p = problem(DType::kFloat16, 192, 2048);
  p.value_dim = 128;
  compile(p);
}

TEST_P(Sm80CompileTest, EveryClassOfDimsWithAllOptions) {
  for (const int head_dim : {64, 96, 128, 192, 256}) {
    attention::Problem p = problem(DType::kBFloat16, head_dim, 2048);
    p.mask = attention::Mask::kWindow;
    p.softcap = p.sinks = p.packed = true;
    compile(p);
  }
}

TEST_P(Sm80CompileTest, FunctionsOfTheUsers) {
  const auto mods = attention::Mods::make("mods.cuh", R"(
struct Mods {
  const float* slopes;
  __device__ float score(float score, int, int head, int query, int key) const {
    return score + slopes[head] * float(key - query);
  }
  __device__ bool mask(int, int, int query, int key) const { return query / 100 == key / 100; }
};
)");
  for (const int head_dim : {64, 128, 256}) {
    attention::Problem p = problem(DType::kBFloat16, head_dim, 2048);
    p.mods = mods.value();
    compile(p);
  }
}

TEST_P(Sm80CompileTest, FewQueries) {
  for (const int head_dim : {64, 128, 256}) {
    attention::Problem p = problem(DType::kBFloat16, head_dim, 2);
    compile(p);
    p.seq_q = 16;
    p.heads = 8;  // 128 rows
    compile(p);
  }
}

TEST_P(Sm80CompileTest, ExactLengths) {
  for (const int head_dim : {64, 96, 128}) {
    compile(problem(DType::kBFloat16, head_dim, 1023), true);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, Sm80CompileTest,
                         ::testing::Values("sm_80", "sm_86", "sm_90"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(Sm80OtherTargetsTest, HaveTheSameTilesAndNoSpills) {
  if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  for (const char* name : {"sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_120a"}) {
    const Target target = Target::parse(name).value();
    for (const int head_dim : {64, 128}) {
      compile_for(target, dynamic_variant(problem(DType::kBFloat16, head_dim, 2048), target,
                                          attention::Access::kUnits));
    }
  }
}

// Every variant of attention_forward_sm90 that a plan chooses. Serialised wgmma is an error of the
// compiler (law 10).
struct Sm90Case {
  attention::Mask mask;
  bool return_lse;
};

class Sm90CompileTest : public ::testing::TestWithParam<Sm90Case> {
 protected:
  void SetUp() override {
    if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  }

  static attention::Problem problem(DType dtype, int head_dim, int length) {
    return {.dtype = dtype,
            .heads = 4,
            .kv_heads = 1,
            .seq_q = length,
            .seq_k = length,
            .head_dim = head_dim,
            .mask = GetParam().mask,
            .return_lse = GetParam().return_lse};
  }

  static void compile_exact(const attention::Problem& problem) {
    const Target target = Target::parse("sm_90a").value();
    const Specialization exact = attention::plan(problem, target).value().specialization;
    EXPECT_EQ(exact.kernel_template().name(), "attention_forward_sm90");
    compile_for(target, exact);
  }
  static void compile_dynamic(const attention::Problem& problem) {
    const Target target = Target::parse("sm_90a").value();
    compile_for(target, dynamic_variant(problem, target, attention::Access::kBulk));
  }
};

TEST_P(Sm90CompileTest, EveryClassOfHeadDimWithLengthsAsArguments) {
  for (const int head_dim : {64, 128, 192, 256}) {
    compile_dynamic(problem(DType::kBFloat16, head_dim, 4096));
  }
}

// What changes a kernel of one mask as it does that of another: asked of three masks and not of
// all, since a compile takes a second.
class Sm90FormsCompileTest : public Sm90CompileTest {};

TEST_P(Sm90FormsCompileTest, EveryClassOfHeadDimWithExactLengths) {
  for (const int head_dim : {64, 128, 192, 256}) {
    compile_exact(problem(DType::kBFloat16, head_dim, 2048));
  }
}

TEST_P(Sm90FormsCompileTest, HeadDimsInBetween) {
  for (const int head_dim : {8, 40, 72, 136, 200}) {
    compile_dynamic(problem(DType::kBFloat16, head_dim, 4096));
  }
}

TEST_P(Sm90FormsCompileTest, ExactLengthsThatNoTileDivides) {
  for (const int head_dim : {64, 128}) compile_exact(problem(DType::kBFloat16, head_dim, 1023));
}

TEST_P(Sm90FormsCompileTest, Float16) {
  for (const int head_dim : {64, 128, 256}) {
    compile_dynamic(problem(DType::kFloat16, head_dim, 4096));
  }
}

TEST_P(Sm90FormsCompileTest, FewKeys) {
  for (const int head_dim : {72, 128}) {
    compile_dynamic(problem(DType::kBFloat16, head_dim, 512));
    compile_exact(problem(DType::kBFloat16, head_dim, 512));
  }
}

TEST_P(Sm90FormsCompileTest, Options) {
  const auto with = [](int head_dim, auto change) {
    attention::Problem p = problem(DType::kBFloat16, head_dim, 4096);
    change(p);
    return p;
  };
  for (const int head_dim : {64, 128}) {
    compile_dynamic(with(head_dim, [](auto& p) { p.softcap = p.sinks = true; }));
    compile_dynamic(with(head_dim, [](auto& p) { p.packed = true; }));
  }
  if (GetParam().mask != attention::Mask::kFull) return;
  compile_dynamic(with(128, [](auto& p) {
    p.softcap = true;
    p.dtype = DType::kFloat16;
  }));
  for (const auto& [head_dim, value_dim] :
       {std::pair{192, 128}, std::pair{64, 128}, std::pair{128, 64}, std::pair{64, 256}}) {
    compile_dynamic(with(head_dim, [&](auto& p) { p.value_dim = value_dim; }));
  }
}

TEST_P(Sm90FormsCompileTest, FunctionsOfTheUsers) {
  const auto mods = attention::Mods::make("mods.cuh", R"(
struct Mods {
  const float* slopes;
  const int* document;
  __device__ float score(float score, int, int head, float query, float key) const {
    return score + slopes[head] * (key - query);
  }
  __device__ bool mask(int, int, int query, int key) const {
    return document[query] == document[key];
  }
};
)")
                        .value();
  for (const int head_dim : {64, 128}) {
    attention::Problem p = problem(DType::kBFloat16, head_dim, 4096);
    p.mods = mods;
    p.block_table = head_dim == 128;
    compile_dynamic(p);
  }
}

TEST_P(Sm90FormsCompileTest, Slopes) {
  for (const int head_dim : {64, 128}) {
    attention::Problem p = problem(DType::kBFloat16, head_dim, 4096);
    p.mods = attention::Mods::embedded("alibi").value();
    compile_dynamic(p);
  }
}

std::string sm90_case_name(const ::testing::TestParamInfo<Sm90Case>& info) {
  constexpr const char* kNames[] = {"Full", "Causal", "CausalTopLeft", "Window"};
  return std::string(kNames[static_cast<int>(info.param.mask)]) +
         (info.param.return_lse ? "WithLse" : "");
}

INSTANTIATE_TEST_SUITE_P(Masks, Sm90CompileTest,
                         ::testing::Values(Sm90Case{attention::Mask::kFull, false},
                                           Sm90Case{attention::Mask::kFull, true},
                                           Sm90Case{attention::Mask::kCausal, false},
                                           Sm90Case{attention::Mask::kCausal, true},
                                           Sm90Case{attention::Mask::kCausalTopLeft, true},
                                           Sm90Case{attention::Mask::kWindow, false}),
                         sm90_case_name);
INSTANTIATE_TEST_SUITE_P(Masks, Sm90FormsCompileTest,
                         ::testing::Values(Sm90Case{attention::Mask::kFull, false},
                                           Sm90Case{attention::Mask::kCausal, true},
                                           Sm90Case{attention::Mask::kWindow, false}),
                         sm90_case_name);

}  // namespace
}  // namespace fms
