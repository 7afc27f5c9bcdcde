#include <gtest/gtest.h>

#include <set>
#include <string>

#include "runtime/manifest.h"
#include "runtime/ops/attention.h"
#include "templates/embedded.h"

namespace fms::attention {
namespace {

ManifestEntry entry(std::map<std::string, std::string> changes = {}) {
  ManifestEntry entry;
  entry.op = "attention";
  entry.problem = {{"dtype", "bf16"}, {"batch", "4"},    {"heads", "8"},     {"kv_heads", "2"},
                   {"seq_q", "2048"}, {"seq_k", "1024"}, {"head_dim", "64"}, {"causal", "false"}};
  for (const auto& [key, text] : changes) {
    if (text.empty()) {
      entry.problem.erase(key);
    } else {
      entry.problem[key] = text;
    }
  }
  return entry;
}

std::string refusal(std::map<std::string, std::string> changes) {
  const Result<Problem> result = from_manifest_entry(entry(std::move(changes)));
  return result ? "accepted" : result.error().message;
}

TEST(AttentionManifestTest, AnEntrySaysTheWholeProblem) {
  const Problem expected{.dtype = DType::kBFloat16,
                         .batch = 4,
                         .heads = 8,
                         .kv_heads = 2,
                         .seq_q = 2048,
                         .seq_k = 1024,
                         .head_dim = 64};
  EXPECT_EQ(from_manifest_entry(entry()).value(), expected);
}

TEST(AttentionManifestTest, EveryProblemReadsBackThroughItsJsonLine) {
  for (const Mask mask : {Mask::kFull, Mask::kCausal, Mask::kCausalTopLeft}) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      for (const bool lse : {false, true}) {
        const Problem problem{.dtype = dtype,
                              .batch = 3,
                              .heads = 6,
                              .kv_heads = 2,
                              .seq_q = 0,
                              .seq_k = 77,
                              .head_dim = 40,
                              .mask = mask,
                              .return_lse = lse};
        const std::string line = to_json_line(to_manifest_entry(problem));
        const Manifest manifest = Manifest::parse(line).value();
        ASSERT_EQ(manifest.entries.size(), 1u) << line;
        EXPECT_EQ(from_manifest_entry(manifest.entries[0]).value(), problem) << line;
      }
    }
  }
}

TEST(AttentionManifestTest, CausalIsABooleanOfTheLine) {
  Problem problem;
  problem.mask = Mask::kCausal;
  EXPECT_NE(to_json_line(to_manifest_entry(problem)).find("\"causal\":true"), std::string::npos);
}

TEST(AttentionManifestTest, KvHeadsDefaultToHeadsAndCausalToFalse) {
  const Problem problem = from_manifest_entry(entry({{"kv_heads", ""}, {"causal", ""}})).value();
  EXPECT_EQ(problem.kv_heads, 8);
  EXPECT_EQ(problem.mask, Mask::kFull);
}

TEST(AttentionManifestTest, UnknownMissingAndWrongKeysAreNamed) {
  EXPECT_NE(refusal({{"head_dims", "64"}}).find("no \"head_dims\""), std::string::npos);
  EXPECT_NE(refusal({{"seq_k", ""}}).find("no \"seq_k\""), std::string::npos);
  EXPECT_NE(refusal({{"batch", "4.5"}}).find("batch is \"4.5\""), std::string::npos);
  EXPECT_NE(refusal({{"seq_q", "99999999999"}}).find("seq_q is"), std::string::npos);
  EXPECT_NE(refusal({{"causal", "1"}}).find("causal is \"1\""), std::string::npos);
  EXPECT_NE(refusal({{"dtype", "int4"}}).find("dtype is \"int4\""), std::string::npos);
  EXPECT_NE(refusal({{"mask", "band"}}).find("mask is \"band\""), std::string::npos);
  EXPECT_NE(refusal({{"head_dim", "512"}}).find("head_dim 512"), std::string::npos);
}

TEST(AttentionManifestTest, CausalAndMaskMustAgree) {
  EXPECT_NE(refusal({{"causal", "false"}, {"mask", "causal"}}).find("leave one out"),
            std::string::npos);
  EXPECT_EQ(refusal({{"causal", "true"}, {"mask", "causal_top_left"}}), "accepted");
}

TEST(EmbeddedManifestsTest, EveryLineResolvesForEveryArchitecture) {
  std::set<std::string_view> names;
  for (const EmbeddedFile& file : embedded_manifests()) {
    names.insert(file.name);
    const Manifest manifest = Manifest::parse(file.text).value();
    EXPECT_FALSE(manifest.entries.empty()) << file.name;
    for (const ManifestEntry& line : manifest.entries) {
      for (const char* arch : {"sm_75", "sm_80", "sm_90a", "sm_120"}) {
        const auto variants = resolve(line, Target::parse(arch).value());
        ASSERT_TRUE(variants) << file.name << ": " << variants.error().message;
        EXPECT_EQ(variants->size(), 2u);
      }
    }
  }
  for (const char* model : {"llama-3.1-8b", "mixtral-8x7b", "qwen3-30b-a3b"}) {
    EXPECT_TRUE(names.contains("manifests/" + std::string(model) + ".jsonl")) << model;
  }
}

}  // namespace
}  // namespace fms::attention
