#include "compiler/specialization.h"

#include <gtest/gtest.h>

#include <limits>

#include "compiler/version.h"

namespace fms {
namespace {

constexpr const char* kText = R"cuda(#include "fms/parameter.cuh"
FMS_KERNEL(k, "a kernel");
FMS_TYPE(T, float32, "type");
FMS_INT(kBlock, 256, "threads", range(32, 1024));
FMS_INT(kAny, 0, "any integer");
FMS_BOOL(kFast, false, "fast");
FMS_FLOAT(kCap, 0.0, "cap");
FMS_ENUM(Mask, kMask, kFull, "mask", choices(kFull, kCausal));
FMS_SIZE(kN, "elements");
FMS_SIZE(kM, "rows");
extern "C" __global__ void k() {}
)cuda";

std::shared_ptr<const KernelTemplate> sample() {
  return KernelTemplate::parse("dir/k.cuh", kText).value();
}

Specialization parsed(const Specialization::NamedText& values) {
  auto result = Specialization::parse(sample(), values);
  if (!result) ADD_FAILURE() << result.error().message;
  return result.value();
}

TEST(SpecializationTest, ParametersNotNamedTakeTheirDefaults) {
  EXPECT_EQ(parsed({}).to_string(),
            "k<T=float32, kBlock=256, kAny=0, kFast=false, kCap=0, kMask=kFull, kN=dynamic, "
            "kM=dynamic>");
  EXPECT_EQ(parsed({{"kBlock", "64"}}).value("kBlock"), Value::integer(64));
}

TEST(SpecializationTest, TextAndValuesMakeTheSame) {
  const Specialization::NamedValue values[] = {{"T", Value::dtype(DType::kFloat16)},
                                               {"kN", Value::integer(7)}};
  const Specialization made = Specialization::make(sample(), values).value();
  EXPECT_EQ(made, parsed({{"T", "f16"}, {"kN", "7"}}));
  EXPECT_EQ(made.hash(), parsed({{"T", "f16"}, {"kN", "7"}}).hash());
}

TEST(SpecializationTest, DifferentValuesDifferInEqualityAndHash) {
  const Specialization a = parsed({{"kN", "1"}, {"kM", "2"}});
  const Specialization b = parsed({{"kN", "2"}, {"kM", "1"}});
  EXPECT_FALSE(a == b);
  EXPECT_NE(a.hash(), b.hash());
}

TEST(SpecializationTest, ErrorsNameTemplateAndWhatItHas) {
  const auto unknown = Specialization::parse(sample(), {{"kBlok", "1"}});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message,
            "can't specialise k: it has no parameter kBlok; it has T, kBlock, kAny, kFast, kCap, "
            "kMask, kN, kM");
  const auto bounds = Specialization::parse(sample(), {{"kBlock", "31"}});
  ASSERT_FALSE(bounds.has_value());
  EXPECT_EQ(bounds.error().message,
            "can't specialise k: kBlock can't be 31: expected int, 32..1024");
  const Specialization::NamedValue twice[] = {{"kN", Value::integer(1)}, {"kN", Value::integer(2)}};
  EXPECT_EQ(Specialization::make(sample(), twice).error().message,
            "can't specialise k: kN is given twice");
  EXPECT_FALSE(Specialization::parse(sample(), {{"kN", "-1"}}).has_value());
  EXPECT_FALSE(Specialization::parse(sample(), {{"kFast", "maybe"}}).has_value());
}

TEST(SpecializationTest, DynamicMakesEverySizeDynamicAndNothingElse) {
  const Specialization exact = parsed({{"kN", "8"}, {"kBlock", "64"}});
  EXPECT_TRUE(exact.has_exact_size());
  EXPECT_FALSE(exact.dynamic().has_exact_size());
  EXPECT_EQ(exact.dynamic(), parsed({{"kBlock", "64"}}));
}

TEST(RenderTest, TheUnitNamesEveryValue) {
  const std::string unit = render(parsed({{"T", "bfloat16"},
                                          {"kAny", "2147483648"},
                                          {"kFast", "true"},
                                          {"kCap", "0.1"},
                                          {"kMask", "causal"},
                                          {"kN", "2048"}}));
  EXPECT_EQ(unit, "// k, specialised by FlashMoE-Science " + std::string(version()) + R"cuda(
#define FMS_SPECIALIZED 1
#include <cuda_bf16.h>
#include "fms/parameter.cuh"

using T = __nv_bfloat16;
constexpr int kBlock = 256;
constexpr long long kAny = 2147483648LL;
constexpr bool kFast = true;
constexpr float kCap = 0x1.99999ap-4f;  // 0.1
enum class Mask { kFull, kCausal };
constexpr Mask kMask = Mask::kCausal;
constexpr fms::Size<2048> kN{};
constexpr fms::Size<fms::kDynamic> kM{};

#include "dir/k.cuh"
)cuda");
}

TEST(RenderTest, IntegersKeepTheirValueAtTheEdges) {
  const auto line = [](const std::string& value) {
    const std::string unit = render(parsed({{"kAny", value}}));
    const std::size_t at = unit.find(" kAny = ");
    const std::size_t first = unit.rfind('\n', at) + 1;
    return unit.substr(first, unit.find('\n', at) - first);
  };
  EXPECT_EQ(line("2147483647"), "constexpr int kAny = 2147483647;");
  EXPECT_EQ(line("-2147483647"), "constexpr int kAny = -2147483647;");
  EXPECT_EQ(line("-2147483648"), "constexpr long long kAny = -2147483648LL;");
  EXPECT_EQ(line("9223372036854775807"), "constexpr long long kAny = 9223372036854775807LL;");
  EXPECT_EQ(line("-9223372036854775808"), "constexpr long long kAny = -9223372036854775807LL - 1;");
}

TEST(RenderTest, AMacroStandsForAnIntegerOrABooleanThatATemplateNamesAsOne) {
  const auto made = KernelTemplate::parse("k.cu", R"cuda(
FMS_INT(kBlock, 256, "threads");
FMS_INT(kBlockN, 64, "keys");
FMS_INT(kLowest, 0, "any");
FMS_BOOL(kFast, true, "fast");
FMS_FLOAT(kCap, 0.0, "cap");
#if FMS_VALUE_kBlockN > 8 && FMS_VALUE_kFast && FMS_VALUE_kLowest < 0 && FMS_VALUE_kCap
#endif
extern "C" __global__ void k() {}
#define LAST FMS_VALUE_)cuda");
  ASSERT_TRUE(made) << made.error().message;
  const std::string unit =
      render(Specialization::parse(*made, {{"kLowest", "-9223372036854775808"}, {"kBlockN", "32"}})
                 .value());
  EXPECT_EQ(unit.substr(unit.find("#define FMS_VALUE_")),
            "#define FMS_VALUE_kBlockN 32\n"
            "#define FMS_VALUE_kLowest (-9223372036854775807 - 1)\n"
            "#define FMS_VALUE_kFast 1\n\n#include \"k.cu\"\n");
}

TEST(RenderTest, HeadersComeOnlyWhereAValueNeedsThem) {
  EXPECT_EQ(render(parsed({})).find("cuda_"), std::string::npos);
  EXPECT_NE(render(parsed({{"T", "e4m3"}})).find("#include <cuda_fp8.h>"), std::string::npos);
}

TEST(RenderTest, ATemplateWithoutParametersIsAnInclude) {
  const auto plain =
      KernelTemplate::parse("my.cu", "extern \"C\" __global__ void mine() {}").value();
  EXPECT_EQ(render(Specialization::make(plain, {}).value()),
            "// mine, specialised by FlashMoE-Science " + std::string(version()) +
                "\n#define FMS_SPECIALIZED 1\n#include \"fms/parameter.cuh\"\n\n"
                "#include \"my.cu\"\n");
}

}  // namespace
}  // namespace fms
