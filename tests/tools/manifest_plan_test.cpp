#include "tools/fms/manifest_plan.h"

#include <gtest/gtest.h>

namespace fms::program {
namespace {

Target target(std::string_view name) { return *Target::parse(name); }

LocatedManifest manifest(std::string_view text) { return {*Manifest::parse(text), {}}; }

TEST(ManifestPlanTest, AnExactSizeBringsItsDynamicVariant) {
  const auto kernels = plan_kernels(manifest(R"({"template": "saxpy", "parameters": {"kN": 64}})"),
                                    {target("sm_90a")});
  ASSERT_TRUE(kernels.has_value()) << kernels.error().message;
  EXPECT_EQ(kernels->size(), 2u);
}

TEST(ManifestPlanTest, AKernelAskedForTwiceIsPlannedOncePerTarget) {
  const auto kernels = plan_kernels(manifest("{\"template\": \"saxpy\", \"parameters\": {}}\n"
                                             "{\"template\": \"saxpy\", \"parameters\": {}}\n"),
                                    {target("sm_80"), target("sm_90a")});
  ASSERT_TRUE(kernels.has_value()) << kernels.error().message;
  EXPECT_EQ(kernels->size(), 2u);
}

TEST(ManifestPlanTest, EveryIncludedManifestResolves) {
  ASSERT_GE(included_manifest_names().size(), 3u);
  for (const std::string& name : included_manifest_names()) {
    const auto located = load_manifest(name);
    ASSERT_TRUE(located.has_value()) << located.error().message;
    const auto kernels = plan_kernels(*located, {target("sm_80"), target("sm_90a")});
    ASSERT_TRUE(kernels.has_value()) << name << ": " << kernels.error().message;
    EXPECT_FALSE(kernels->empty()) << name;
  }
}

TEST(ManifestPlanTest, AnUnknownManifestNamesTheIncludedOnes) {
  const auto located = load_manifest("no-such-model");
  ASSERT_FALSE(located.has_value());
  EXPECT_NE(located.error().message.find("llama-3.1-8b"), std::string::npos)
      << located.error().message;
}

TEST(ManifestPlanTest, AWorkItemIsTheSameKernelAtTheOtherEnd) {
  for (const std::string& name : included_manifest_names()) {
    const auto kernels = plan_kernels(*load_manifest(name), {target("sm_90a")});
    ASSERT_TRUE(kernels.has_value());
    for (const PlannedKernel& kernel : *kernels) {
      const std::string line = to_work_item(kernel);
      EXPECT_EQ(line.find('\n'), std::string::npos);
      const auto back = from_work_item(line);
      ASSERT_TRUE(back.has_value()) << back.error().message;
      EXPECT_EQ(back->specialization, kernel.specialization) << line;
      EXPECT_EQ(back->target, kernel.target);
    }
  }
}

TEST(ManifestPlanTest, AWorkItemThatIsNoneIsRefused) {
  for (const char* line : {"", "[]", "{}", "{\"template\": 3}", "{\"template\": \"saxpy\"}",
                           R"({"template": "saxpy", "parameters": {}, "target": "sm_1"})"}) {
    EXPECT_FALSE(from_work_item(line).has_value()) << line;
  }
}

}  // namespace
}  // namespace fms::program
