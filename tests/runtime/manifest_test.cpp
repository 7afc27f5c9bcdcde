#include "runtime/manifest.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "runtime/manifest_recorder.h"
#include "tests/runtime/fake_compiler.h"

namespace fms {
namespace {

using testing::TemporaryFolder;

constexpr std::string_view kAttention =
    R"({"op": "attention", "dtype": "bf16", "batch": 4, "heads": 8, "kv_heads": 8, "seq_q": 2048, )"
    R"("seq_k": 2048, "head_dim": 64, "causal": false})";

TEST(ManifestTest, ReadsBothKindsOfLine) {
  const std::string text = "# recorded\n\n" + std::string(kAttention) +
                           "\r\n  {\"template\": \"saxpy\", \"parameters\": {\"T\": \"float16\", "
                           "\"kN\": \"dynamic\", \"kBlock\": 256, \"kFast\": true, \"kA\": 0.5}}";
  const Result<Manifest> manifest = Manifest::parse(text);
  ASSERT_TRUE(manifest) << manifest.error().message;
  ASSERT_EQ(manifest->entries.size(), 2u);
  EXPECT_EQ(manifest->entries[0].op, "attention");
  EXPECT_EQ(manifest->entries[0].problem.at("seq_k"), "2048");
  EXPECT_EQ(manifest->entries[0].problem.at("causal"), "false");
  EXPECT_EQ(manifest->entries[0].line, 3);
  EXPECT_EQ(manifest->entries[1].template_name, "saxpy");
  EXPECT_EQ(manifest->entries[1].parameters,
            (std::map<std::string, std::string>{{"T", "float16"},
                                                {"kA", "0.5"},
                                                {"kBlock", "256"},
                                                {"kFast", "true"},
                                                {"kN", "dynamic"}}));
  EXPECT_EQ(manifest->entries[1].line, 4);
}

TEST(ManifestTest, AWrongLineIsNamed) {
  for (const std::string_view line :
       {"{", "[]", "3", "{}", R"({"op": "convolution"})", R"({"op": ["attention"]})",
        R"({"template": 3, "parameters": {}})", R"({"template": "", "parameters": {}})",
        R"({"template": "saxpy", "parameters": []})",
        R"({"template": "saxpy", "parameters": {"T": null}})",
        R"({"template": "saxpy", "extra": 1})", "\xff\xfe"}) {
    const Result<Manifest> manifest = Manifest::parse("\n" + std::string(line) + "\n");
    ASSERT_FALSE(manifest) << line;
    EXPECT_EQ(manifest.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(manifest.error().message.find("line 2"), std::string::npos)
        << manifest.error().message;
  }
}

TEST(ManifestTest, ALineReadsBackAsItWasWritten) {
  ManifestEntry entry;
  entry.template_name = "x";
  entry.parameters = {{"a", "1"},   {"b", "-7"},    {"c", "0.5"}, {"d", "true"}, {"e", "007"},
                      {"f", "kOn"}, {"g", "\"\\n"}, {"h", ""},    {"i", "1e3"},  {"j", "false"}};
  Result<Manifest> read = Manifest::parse(to_json_line(entry));
  ASSERT_TRUE(read) << read.error().message;
  read->entries[0].line = 0;
  EXPECT_EQ(read->entries[0], entry);

  Result<Manifest> attention = Manifest::parse(kAttention);
  Result<Manifest> again = Manifest::parse(to_json_line(attention->entries[0]));
  EXPECT_EQ(again->entries[0], attention->entries[0]);
}

TEST(ManifestTest, AnAttentionLineGivesTheDynamicAndTheExactVariant) {
  const Result<Manifest> manifest = Manifest::parse(kAttention);
  const Result<std::vector<Specialization>> variants =
      resolve(manifest->entries[0], *Target::parse("sm_90a"));
  ASSERT_TRUE(variants) << variants.error().message;
  ASSERT_EQ(variants->size(), 2u);
  EXPECT_FALSE((*variants)[0].has_exact_size());
  EXPECT_TRUE((*variants)[1].has_exact_size());
  EXPECT_EQ((*variants)[1].dynamic(), (*variants)[0]);
}

TEST(ManifestTest, ATemplateFileIsFoundBesideTheManifest) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "mine.cu") << testing::sample_template()->text();
  ManifestEntry entry{.template_name = "mine.cu", .parameters = {{"kN", "100"}}, .line = 1};
  const auto variants = resolve(entry, *Target::parse("sm_80"), folder.path());
  ASSERT_TRUE(variants) << variants.error().message;
  EXPECT_EQ((*variants)[1].value("kN"), Value::integer(100));
  entry.parameters["kNope"] = "1";
  EXPECT_FALSE(resolve(entry, *Target::parse("sm_80"), folder.path()));
}

TEST(ManifestTest, AMissingFileIsAnError) {
  EXPECT_EQ(Manifest::read("/nonexistent.jsonl").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(Manifest::read("/"));
}

TEST(ManifestRecorderTest, RecordsEachEntryOnceOverRuns) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "m.jsonl";
  const ManifestEntry one{.template_name = "one"}, two{.template_name = "two"};
  for (int run = 0; run < 2; ++run) {
    ManifestRecorder recorder(file);
    recorder.record(one);
    recorder.record(two);
    recorder.record(one);
  }
  EXPECT_EQ(Manifest::read(file)->entries.size(), 2u);
}

TEST(ManifestRecorderTest, LinesOfSeveralProcessesDontMix) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "m.jsonl";
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      ManifestRecorder recorder(file);
      for (int j = 0; j < 50; ++j) {
        recorder.record({.template_name = "t" + std::to_string(i) + "_" + std::to_string(j),
                         .parameters = {{"padding", std::string(200, 'x')}}});
      }
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  const Result<Manifest> manifest = Manifest::read(file);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->entries.size(), 400u);
}

}  // namespace
}  // namespace fms
