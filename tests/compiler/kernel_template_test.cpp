#include "compiler/kernel_template.h"

#include <gtest/gtest.h>

#include <map>

#include "templates/embedded.h"

namespace fms {
namespace {

constexpr const char* kKernel = "extern \"C\" __global__ void k() {}\n";

HeaderResolver files(std::map<std::string, std::string> texts) {
  return [texts = std::move(texts)](std::string_view name,
                                    std::string_view) -> std::optional<std::string> {
    const auto found = texts.find(std::string(name));
    if (found == texts.end()) return std::nullopt;
    return found->second;
  };
}

std::vector<std::string> header_names(const KernelTemplate& kernel_template) {
  std::vector<std::string> names;
  for (const SourceFile& header : kernel_template.headers()) names.push_back(header.name);
  return names;
}

TEST(KernelTemplateTest, KnowsItsNameParametersAndDoc) {
  const auto parsed = KernelTemplate::parse(
      "t.cuh",
      std::string("FMS_KERNEL(k, \"a doc\");\nFMS_INT(kA, 1, \"a\");\nFMS_SIZE(kN, \"n\");") +
          kKernel);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  const KernelTemplate& k = **parsed;
  EXPECT_EQ(k.name(), "k");
  EXPECT_EQ(k.doc(), "a doc");
  EXPECT_EQ(k.file_name(), "t.cuh");
  EXPECT_EQ(k.index_of("kN"), 1);
  EXPECT_EQ(k.index_of("kX"), -1);
  EXPECT_EQ(k.find_parameter("kA")->line, 2);
  EXPECT_EQ(k.find_parameter("kX"), nullptr);
  EXPECT_FALSE(k.allows_spills());
}

TEST(KernelTemplateTest, TheEntryIsAskedForDeclaredOrTheOnlyOne) {
  const std::string two = std::string(kKernel) + "extern \"C\" __global__ void l() {}\n";
  EXPECT_EQ(KernelTemplate::parse("t", kKernel).value()->name(), "k");
  EXPECT_EQ(KernelTemplate::parse("t", two, "l").value()->name(), "l");
  EXPECT_EQ(KernelTemplate::parse("t", "FMS_KERNEL(l, \"\");" + two).value()->name(), "l");
  EXPECT_EQ(KernelTemplate::parse("t", "FMS_KERNEL(l, \"\");" + two, "k").value()->name(), "k");
  const auto several = KernelTemplate::parse("t", two);
  ASSERT_FALSE(several.has_value());
  EXPECT_EQ(several.error().message,
            "t:1:1: several kernels: k, l; say which one is meant, by name or by "
            "FMS_KERNEL(name, \"...\")");
  EXPECT_FALSE(KernelTemplate::parse("t", "int x;").has_value());
  EXPECT_FALSE(KernelTemplate::parse("t", kKernel, "not a name").has_value());
}

TEST(KernelTemplateTest, GathersOwnAndEmbeddedHeadersSortedByName) {
  const auto parsed = KernelTemplate::parse(
      "dir/t.cuh",
      std::string("#include \"a.h\"\n#include <b.h>\n#include <cuda_fp16.h>\n") + kKernel, {},
      files({{"dir/a.h", "#include \"sub/c.h\"\n"},
             {"b.h", "#include <b.h>\n#include <missing.h>\n"},
             {"dir/sub/c.h", "#include \"../a.h\"\n"},
             {"cuda_fp16.h", "not ours"}}));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(header_names(**parsed),
            (std::vector<std::string>{"../a.h", "a.h", "b.h", "dir/t.cuh", "fms/parameter.cuh",
                                      "fms/size.cuh", "sub/c.h"}));
}

TEST(KernelTemplateTest, TwoFilesUnderOneSpellingAreAnError) {
  const auto parsed = KernelTemplate::parse(
      "t.cuh", std::string("#include \"a/x.h\"\n#include \"b/x.h\"\n") + kKernel, {},
      files({{"a/x.h", "#include \"y.h\"\n"},
             {"b/x.h", "#include \"y.h\"\n"},
             {"a/y.h", "int a;\n"},
             {"b/y.h", "int b;\n"}}));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(parsed.error().message.find("two files are included as \"y.h\""), std::string::npos);
}

TEST(KernelTemplateTest, EmbeddedFilesComeBeforeTheResolvers) {
  const auto parsed =
      KernelTemplate::parse("t.cuh", kKernel, {}, files({{"fms/size.cuh", "shadowed"}}));
  for (const SourceFile& header : parsed.value()->headers()) EXPECT_NE(header.text, "shadowed");
}

TEST(KernelTemplateTest, EmbeddedFilesComeWithTheirDigests) {
  for (const EmbeddedFile& file : embedded_files()) {
    EXPECT_EQ(Digest{file.sha256}, sha256(file.text)) << file.name;
  }
}

TEST(KernelTemplateTest, TheDigestCoversNameTextAndHeaders) {
  const auto digest = [](const std::string& file, const std::string& text, std::string header,
                         std::string_view entry = {}) {
    return KernelTemplate::parse(file, text, entry, files({{"a.h", std::move(header)}}))
        .value()
        ->digest();
  };
  const std::string text = std::string("#include \"a.h\"\n") + kKernel;
  const Digest base = digest("t.cuh", text, "int a;");
  EXPECT_EQ(digest("t.cuh", text, "int a;"), base);
  EXPECT_NE(digest("t.cuh", text + " ", "int a;"), base);
  EXPECT_NE(digest("t.cuh", text, "int b;"), base);
  EXPECT_NE(digest("u.cuh", text, "int a;"), base);
  EXPECT_NE(digest("t.cuh", text, "int a;", "other"), base);
}

TEST(KernelTemplateTest, AFileNameThatCanNotStandInAnIncludeIsRefused) {
  EXPECT_FALSE(KernelTemplate::parse("", kKernel).has_value());
  EXPECT_FALSE(KernelTemplate::parse("a\"b.cuh", kKernel).has_value());
  EXPECT_FALSE(KernelTemplate::parse("a\nb.cuh", kKernel).has_value());
}

TEST(KernelTemplateTest, EveryEmbeddedTemplateParsesAndIsFoundByItsName) {
  for (const std::string& name : KernelTemplate::embedded_names()) {
    const auto found = KernelTemplate::embedded(name);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ((*found)->name(), name);
    EXPECT_FALSE((*found)->doc().empty());
  }
  const auto missing = KernelTemplate::embedded("no_such");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(missing.error().message.starts_with("no template is named no_such; there are"));
}

}  // namespace
}  // namespace fms
