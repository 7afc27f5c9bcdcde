#include "runtime/ops/attention_mods.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/ops/attention_plan.h"
#include "runtime/ops/attention_sm90.h"
#include "tests/sanitizers.h"
#include "tests/templates/toolkit.h"

namespace fms::attention {
namespace {

constexpr const char* kAlibi =
    "struct Mods {\n"
    "  const float* slopes;\n"
    "  __device__ float score(float s, int, int head, int query, int key) const {\n"
    "    return s + slopes[head] * float(key - query);\n"
    "  }\n"
    "};\n";

std::shared_ptr<const Mods> mods(const std::string& text, const char* name = "mine.cuh") {
  return Mods::make(name, text).value();
}

Problem problem(std::shared_ptr<const Mods> mods) {
  Problem p{.heads = 4, .kv_heads = 1, .seq_q = 128, .seq_k = 128, .mask = Mask::kCausal};
  p.mods = std::move(mods);
  return p;
}

CompileRequest request_for(const Problem& p) {
  const Target target = Target::parse("sm_80").value();
  return make_request(plan(p, target).value().specialization, target, "a compiler");
}

TEST(AttentionModsTest, EqualSourcesAreOneObject) {
  EXPECT_EQ(mods(kAlibi), mods(kAlibi));
  EXPECT_NE(mods(kAlibi), mods(std::string(kAlibi) + "\n"));
  EXPECT_NE(mods(kAlibi), mods(kAlibi, "other.cuh"));
  EXPECT_EQ(problem(mods(kAlibi)), problem(mods(kAlibi)));
}

TEST(AttentionModsTest, EveryCharacterChangesTheKey) {
  const Digest plain = cache_key(request_for(problem(nullptr)));
  const Digest alibi = cache_key(request_for(problem(mods(kAlibi))));
  EXPECT_NE(plain, alibi);
  EXPECT_NE(cache_key(request_for(problem(mods(std::string(kAlibi) + " ")))), alibi);
  EXPECT_EQ(cache_key(request_for(problem(mods(kAlibi)))), alibi);
}

TEST(AttentionModsTest, AFileWithoutTheStructIsRefused) {
  for (const char* text : {"", "struct Mod {};", "// struct Mods {};\n", "int Mods;"}) {
    const auto made = Mods::make("mine.cuh", text);
    ASSERT_FALSE(made) << text;
    EXPECT_NE(made.error().message.find("declares no struct Mods"), std::string::npos);
  }
  EXPECT_FALSE(Mods::make("folder/mine.cuh", kAlibi));
  EXPECT_FALSE(Mods::make("", kAlibi));
}

TEST(AttentionModsTest, IncludesAreGatheredAndRecorded) {
  const std::map<std::string, std::string, std::less<>> files{
      {"slopes.cuh", "#include \"tile/tanh.cuh\"\ninline float slope() { return 1; }\n"}};
  const HeaderResolver resolver = [&](std::string_view name,
                                      std::string_view) -> std::optional<std::string> {
    const auto found = files.find(name);
    if (found == files.end()) return std::nullopt;
    return found->second;
  };
  const std::string text = "#include \"slopes.cuh\"\n" + std::string(kAlibi);
  const auto made = Mods::make("mine.cuh", text, resolver).value();
  ASSERT_EQ(made->files().size(), 2u);
  EXPECT_EQ(made->files()[0].name, "mine.cuh");
  EXPECT_EQ(made->files()[1].name, "slopes.cuh");
  const Problem p = problem(made);
  const Manifest manifest = Manifest::parse(to_json_line(to_manifest_entry(p))).value();
  EXPECT_EQ(from_manifest_entry(manifest.entries.at(0)).value(), p);
}

TEST(AttentionModsTest, AManifestThatLacksTheTextIsRefused) {
  ManifestEntry entry = to_manifest_entry(problem(mods(kAlibi)));
  entry.problem.erase("file:mine.cuh");
  const auto made = from_manifest_entry(entry);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("there is no \"file:mine.cuh\""), std::string::npos);
}

TEST(AttentionModsTest, OptionsAreRecorded) {
  Problem p = problem(nullptr);
  p.value_dim = 32;
  p.mask = Mask::kWindowTopLeft;
  p.softcap = p.sinks = p.packed = p.return_lse = true;
  EXPECT_EQ(from_manifest_entry(to_manifest_entry(p)).value(), p);
  p.mask = Mask::kWindow;
  EXPECT_EQ(from_manifest_entry(to_manifest_entry(p)).value(), p);
}

// A run with arrays that aren't aligned asks for another kernel than one with arrays that are.
TEST(AttentionModsTest, AnEntrySaysHowArraysCanBeReached) {
  const Problem p = problem(mods(kAlibi));
  const Target target = Target::parse("sm_90a").value();
  const auto kernels = [&](const ManifestEntry& entry) {
    std::set<std::string> names;
    const std::vector<Specialization> all = resolve(entry, target).value();
    for (const Specialization& each : all) {
      names.insert(each.kernel_template().name());
    }
    return names;
  };
  EXPECT_EQ(kernels(to_manifest_entry(p)), std::set<std::string>{"attention_forward_sm90"});
  EXPECT_EQ(to_manifest_entry(p, Access::kBulk), to_manifest_entry(p));
  ManifestEntry entry = to_manifest_entry(p, Access::kElements);
  EXPECT_EQ(kernels(entry), std::set<std::string>{"attention_forward_simt"});
  EXPECT_EQ(from_manifest_entry(entry).value(), p);
  entry.problem["access"] = "bulky";
  EXPECT_NE(from_manifest_entry(entry).error().message.find("elements, vectors, units"),
            std::string::npos);
}

TEST(AttentionModsTest, ATableIsWarmedWithItsKernel) {
  Problem p = problem(mods(kAlibi));
  p.block_table = true;
  const auto variants = resolve(to_manifest_entry(p), Target::parse("sm_75").value()).value();
  ASSERT_EQ(variants.size(), 3u);
  EXPECT_EQ(variants[0].kernel_template().name(), "attention_block_table");
  EXPECT_EQ(variants[0].value("kBlockM").as_integer(), variants[1].value("kBlockM").as_integer());
  EXPECT_TRUE(variants[1].value("kBlockTable").as_boolean());
}

// Hopper's tensor cores add them, for which there is room.
TEST(AttentionModsTest, SlopesAloneTakeTheTileOfNoFunctions) {
  for (int head_dim = 8; head_dim <= 256; head_dim += 8) {
    for (const int seq_k : {512, 2048}) {
      Problem p{.seq_q = 128, .seq_k = seq_k, .head_dim = head_dim};
      const Sm90Tile plain = choose_sm90_tile(p);
      p.mods = Mods::embedded("alibi").value();
      EXPECT_EQ(choose_sm90_tile(p), plain) << head_dim;
      EXPECT_LE(smem_bytes(plain, p), 227 << 10) << head_dim;
    }
  }
}

// What the compiler says of a user's text.
class AttentionModsCompileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "its time is NVRTC's";
    if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  }

  static std::string complaint(const std::string& text) {
    const NvrtcCompiler& compiler = *test_compiler();
    const Target target = Target::parse("sm_80").value();
    const auto made = plan(problem(mods(text)), target).value();
    const auto object = compiler.compile(
        make_request(made.specialization.dynamic(), target, compiler.fingerprint()));
    return object ? "" : object.error().message + "\n" + object.error().detail;
  }
};

TEST_F(AttentionModsCompileTest, ErrorsPointToTheUsersFileAndLine) {
  const std::string said = complaint(
      "struct Mods {\n"
      "  int period;\n"
      "  bool mask(int, int, int query, int key) const { return query % perod == 0; }\n"
      "};\n");
  EXPECT_NE(said.find("mine.cuh"), std::string::npos) << said;
  EXPECT_NE(said.find("perod"), std::string::npos) << said;
  EXPECT_EQ(said.find("attention/simt"), std::string::npos) << said;
}

TEST_F(AttentionModsCompileTest, AFunctionThatCantBeCalledIsAnErrorAndNotNone) {
  EXPECT_NE(complaint("struct Mods { bool mask(int, int, int) const { return true; } };")
                .find("Mods::mask must be"),
            std::string::npos);
  EXPECT_NE(complaint("struct Mods { float score(float s, int, int, int, int) { return s; } };")
                .find("Mods::score must be"),
            std::string::npos);
  EXPECT_NE(complaint("struct Mods { float slope(int, int) const { return 1; } };")
                .find("Mods::slope must be"),
            std::string::npos);
  EXPECT_NE(complaint("struct Mods {\n"
                      "  float slope(int, int) const { return 1; }\n"
                      "  int slope_offset(int) const { return 0; }\n"
                      "  float score(float s, int, int, int, int) const { return s; }\n"
                      "};\n")
                .find("Mods has slope and score"),
            std::string::npos);
  EXPECT_NE(complaint("struct Mods { int nothing; };").find("none of the functions score"),
            std::string::npos);
}

TEST_F(AttentionModsCompileTest, AStructOfNoMembersIsEnough) {
  EXPECT_EQ(complaint("struct Mods {\n"
                      "  bool mask(int, int, int query, int key) const { return query >= key; }\n"
                      "};\n"),
            "");
  EXPECT_EQ(complaint(kAlibi), "");
}

TEST_F(AttentionModsCompileTest, SlopesStandBesideBiasesAndMasks) {
  EXPECT_EQ(complaint("struct Mods {\n"
                      "  const T* biases;\n"
                      "  float slope(int, int head) const { return 1.0f / float(head + 1); }\n"
                      "  int slope_offset(int) const { return 0; }\n"
                      "  const T* bias_row(int, int, int) const { return biases; }\n"
                      "  bool mask(int, int, int query, int key) const { return query >= key; }\n"
                      "};\n"),
            "");
}

}  // namespace
}  // namespace fms::attention
