#include <gtest/gtest.h>

#include <random>
#include <set>
#include <unordered_set>

#include "compiler/digest.h"
#include "compiler/dtype.h"
#include "compiler/object_code.h"
#include "compiler/result.h"
#include "compiler/target.h"

namespace fms {
namespace {

TEST(ResultTest, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    names.insert(to_string(static_cast<ErrorCode>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::kInternal) + 1);
  EXPECT_EQ(to_string(ErrorCode::kOutOfMemory), "out_of_memory");
}

TEST(ResultTest, ContextGoesInFrontAndKeepsCodeAndDetail) {
  const Error error = with_context("can't warm m.jsonl", {ErrorCode::kIo, "line 3", "a log"});
  EXPECT_EQ(error.message, "can't warm m.jsonl: line 3");
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_EQ(error.detail, "a log");
}

Result<int> half(int x) {
  if (x % 2 != 0) return fail(ErrorCode::kInvalidArgument, "odd");
  return x / 2;
}

Result<int> quarter(int x) {
  FMS_TRY(const int once, half(x));
  FMS_TRY_VOID(half(once));
  return half(once);
}

TEST(ResultTest, TryReturnsTheFirstFailure) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(quarter(5).error().message, "odd");
}

TEST(DigestTest, MatchesTheStandardsKnownAnswers) {
  EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(DigestTest, HexReadsBackTheSame) {
  const Digest digest = sha256("x");
  EXPECT_EQ(Digest::from_hex(digest.hex()).value(), digest);
  std::string upper = digest.hex();
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Digest::from_hex(upper).value(), digest);
}

TEST(DigestTest, RefusesWhatIsNot64HexadecimalCharacters) {
  const std::string hex = sha256("x").hex();
  EXPECT_FALSE(Digest::from_hex("").has_value());
  EXPECT_FALSE(Digest::from_hex(hex.substr(1)).has_value());
  EXPECT_FALSE(Digest::from_hex(hex + "0").has_value());
  EXPECT_FALSE(Digest::from_hex("g" + hex.substr(1)).has_value());
}

Digest hash_of(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  FieldHasher hasher;
  for (const auto& [label, value] : fields) hasher.add(label, value);
  return hasher.finish();
}

TEST(FieldHasherTest, DoesNotDependOnFieldBoundariesAlone) {
  EXPECT_EQ(hash_of({{"a", "bc"}}), hash_of({{"a", "bc"}}));
  EXPECT_NE(hash_of({{"a", "bc"}}), hash_of({{"ab", "c"}}));
  EXPECT_NE(hash_of({{"a", "b"}, {"c", "d"}}), hash_of({{"a", "bcd"}}));
  EXPECT_NE(hash_of({{"a", ""}}), hash_of({{"", "a"}}));
  EXPECT_NE(hash_of({}), hash_of({{"", ""}}));
}

TEST(FieldHasherTest, FieldsEnterAsLengthThenBytesLittleEndian) {
  const std::string bytes("\x01\0\0\0\0\0\0\0a\x02\0\0\0\0\0\0\0bc", 19);
  EXPECT_EQ(hash_of({{"a", "bc"}}), sha256(bytes));
}

TEST(DTypeTest, EveryNameReadsBackAndIsUnique) {
  std::set<std::string_view> names;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    names.insert(to_string(dtype));
    EXPECT_EQ(parse_dtype(to_string(dtype)), dtype);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kDTypeCount));
}

TEST(DTypeTest, KnownAnswers) {
  EXPECT_EQ(to_string(DType::kFloat8E4M3), "float8_e4m3fn");
  EXPECT_EQ(parse_dtype("bf16"), DType::kBFloat16);
  EXPECT_EQ(parse_dtype("e5m2"), DType::kFloat8E5M2);
  EXPECT_EQ(parse_dtype("u64"), DType::kUInt64);
  EXPECT_EQ(parse_dtype("float"), std::nullopt);
  EXPECT_EQ(size_of(DType::kBFloat16), 2);
  EXPECT_EQ(size_of(DType::kInt64), 8);
  EXPECT_EQ(size_of(DType::kBool), 1);
  EXPECT_EQ(device_spelling(DType::kFloat16), "__half");
  EXPECT_EQ(device_header(DType::kFloat16), "cuda_fp16.h");
  EXPECT_EQ(device_header(DType::kFloat32), "");
}

TEST(TargetTest, ReadsBothSpellingsAndKeepsTheSuffix) {
  EXPECT_EQ(Target::parse("sm_90a").value().to_string(), "cuda:sm_90a");
  EXPECT_EQ(Target::parse("cuda:sm_90").value().to_string(), "cuda:sm_90");
  EXPECT_NE(Target::parse("sm_90").value(), Target::parse("sm_90a").value());
  EXPECT_EQ(Target::parse("cuda:sm_120f").value().compute_capability(), 120);
  EXPECT_EQ(Target::parse("cpu:x86-64-v3").value().to_string(), "cpu:x86-64-v3");
}

TEST(TargetTest, TheCpuHereHasTheLevelThatEveryBuildCanName) {
  const Target here = Target::parse("cpu").value();
  EXPECT_EQ(here.kind, Target::Kind::kCpu);
  EXPECT_TRUE(here.arch.starts_with("x86-64-v")) << here.arch;
  EXPECT_EQ(Target::parse("cpu:native").value(), here);
  EXPECT_EQ(Target::parse(here.to_string()).value(), here);
}

TEST(TargetTest, RefusesWhatIsNoTargetOfThisProject) {
  for (const char* text :
       {"", "cuda:", "sm_", "sm_a", "sm_70", "sm_122", "sm_090", "sm_-80", "sm_90b", "sm_90aa",
        "sm_9000000000", "compute_90", "cpu:", "cpu:a b", "rocm:gfx942", "SM_90"}) {
    const auto target = Target::parse(text);
    ASSERT_FALSE(target.has_value()) << text;
    EXPECT_EQ(target.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(target.error().message.find(text), std::string::npos);
  }
}

TEST(TargetTest, RunsOnTheSameMajorAndNoLesserMinor) {
  const auto runs = [](const char* arch, int capability) {
    return Target::parse(arch).value().runs_on(capability);
  };
  EXPECT_TRUE(runs("sm_80", 80));
  EXPECT_TRUE(runs("sm_80", 86));
  EXPECT_FALSE(runs("sm_86", 80));
  EXPECT_FALSE(runs("sm_80", 90));
  EXPECT_TRUE(runs("sm_90a", 90));
  EXPECT_FALSE(runs("sm_100a", 103));
  EXPECT_TRUE(runs("sm_100f", 103));
  EXPECT_FALSE(runs("sm_103f", 100));
  EXPECT_FALSE(runs("sm_100f", 120));
  EXPECT_FALSE(runs("cpu:x86-64-v3", 90));
}

TEST(ObjectFormatTest, NamesReadBack) {
  EXPECT_EQ(parse_object_format("cubin").value(), ObjectFormat::kCubin);
  EXPECT_EQ(parse_object_format(to_string(ObjectFormat::kPtx)).value(), ObjectFormat::kPtx);
  EXPECT_EQ(parse_object_format(to_string(ObjectFormat::kElf)).value(), ObjectFormat::kElf);
  EXPECT_FALSE(parse_object_format("sass").has_value());
}

}  // namespace
}  // namespace fms
