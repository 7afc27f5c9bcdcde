#include "compiler/compile_request.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

namespace fms {
namespace {

CompileRequest sample_request() {
  return {.compiler = "nvrtc 13.0 build 0123456789abcdef",
          .target = {.kind = Target::Kind::kCuda, .arch = "sm_90a"},
          .format = ObjectFormat::kCubin,
          .entry = "saxpy",
          .source = "#include \"saxpy.cuh\"\n",
          .options = {"--std=c++20", "--gpu-architecture=sm_90a"},
          .headers = {{"fms/size.cuh", "struct Size;\n"}, {"saxpy.cuh", "int x;\n"}}};
}

TEST(CompileRequestTest, EveryFieldChangesTheKey) {
  const std::function<void(CompileRequest&)> edits[] = {
      [](auto&) {},
      [](auto& r) { r.compiler += ' '; },
      [](auto& r) { r.target.arch = "sm_90"; },
      [](auto& r) { r.target.kind = Target::Kind::kCpu; },
      [](auto& r) { r.format = ObjectFormat::kPtx; },
      [](auto& r) { r.entry += "2"; },
      [](auto& r) { r.source += ' '; },
      [](auto& r) { r.options.push_back(""); },
      [](auto& r) { r.options.pop_back(); },
      [](auto& r) { std::swap(r.options[0], r.options[1]); },
      [](auto& r) { r.headers[0].text += ' '; },
      [](auto& r) { r.headers[0].name = "fms/siz.cuh"; },
      [](auto& r) { r.headers.pop_back(); },
      [](auto& r) {
        r.headers.push_back({"z", ""});
      },
      [](auto& r) { r.allow_spills = true; },
      [](auto& r) { r.allow_serialized_wgmma = true; },
  };
  std::set<Digest> keys;
  for (const auto& edit : edits) {
    CompileRequest request = sample_request();
    edit(request);
    keys.insert(cache_key(request));
  }
  EXPECT_EQ(keys.size(), std::size(edits));
  // A new member needs a line above. This size is that of the members there are.
  struct Members {
    std::string compiler;
    Target target;
    ObjectFormat format;
    std::string entry, source;
    std::vector<std::string> options;
    std::vector<SourceFile> headers;
    bool allow_spills, allow_serialized_wgmma;
  };
  EXPECT_EQ(sizeof(CompileRequest), sizeof(Members));
}

TEST(CompileRequestTest, KeyDoesNotDependOnFieldBoundaries) {
  CompileRequest a = sample_request();
  CompileRequest b = sample_request();
  a.options = {"-a", "b"};
  b.options = {"-ab", ""};
  EXPECT_NE(cache_key(a), cache_key(b));
  a = b = sample_request();
  a.headers = {{"a", "bc"}};
  b.headers = {{"ab", "c"}};
  EXPECT_NE(cache_key(a), cache_key(b));
  a = b = sample_request();
  a.entry = "x";
  a.source = "yz";
  b.entry = "xy";
  b.source = "z";
  EXPECT_NE(cache_key(a), cache_key(b));
}

// A changed key makes every store recompile. If that is meant, raise kKeySchema as well.
TEST(CompileRequestTest, TheKeyIsTheOneOfEarlierVersions) {
  EXPECT_EQ(cache_key(sample_request()).hex(),
            "1ae055c3447466793f6485252b73a98b"
            "45fb0610bddb3337ec5b2a1990160c45");
}

TEST(CompileRequestTest, ExplainListsEveryFieldOfTheKey) {
  std::vector<std::string> labels;
  for (const KeyField& field : explain_key(sample_request())) labels.push_back(field.label);
  EXPECT_EQ(labels, (std::vector<std::string>{"schema", "compiler", "target", "format", "entry",
                                              "source", "option[0]", "option[1]",
                                              "header[fms/size.cuh]", "header[saxpy.cuh]",
                                              "allow_spills", "allow_serialized_wgmma"}));
}

TEST(CompileRequestTest, ExplainSummarisesWhatIsLong) {
  const std::vector<KeyField> fields = explain_key(sample_request());
  EXPECT_EQ(fields[2].summary, "cuda:sm_90a");
  EXPECT_EQ(fields[8].summary, "sha256 " + sha256("struct Size;\n").hex() + ", 13 bytes");
}

TEST(CompileRequestTest, MakeRequestPutsInOnlyWhatDecidesTheBytes) {
  const auto kernel_template =
      KernelTemplate::parse("k.cuh", "FMS_ALLOW(spills);\nextern \"C\" __global__ void k() {}")
          .value();
  const Specialization s = Specialization::make(kernel_template, {}).value();
  const Target target = Target::parse("sm_90a").value();
  const CompileRequest cubin = make_request(s, target, "a compiler");
  EXPECT_EQ(cubin.options, (std::vector<std::string>{"--std=c++20", "--gpu-architecture=sm_90a",
                                                     "-default-device"}));
  EXPECT_EQ(cubin.entry, "k");
  EXPECT_EQ(cubin.compiler, "a compiler");
  EXPECT_TRUE(cubin.allow_spills);
  EXPECT_FALSE(cubin.allow_serialized_wgmma);
  EXPECT_TRUE(std::ranges::is_sorted(cubin.headers, {}, &SourceFile::name));
  const CompileRequest ptx =
      make_request(s, target, "a compiler", {.format = ObjectFormat::kPtx, .lineinfo = true});
  EXPECT_EQ(ptx.options, (std::vector<std::string>{"--std=c++20", "--gpu-architecture=compute_90a",
                                                   "-default-device", "-lineinfo"}));
  EXPECT_NE(cache_key(cubin), cache_key(ptx));
  const CompileRequest elf = make_request(s, Target::parse("cpu:x86-64-v3").value(), "a compiler");
  EXPECT_EQ(elf.options, (std::vector<std::string>{"--std=c++20", "-O3"}));
  EXPECT_EQ(elf.format, ObjectFormat::kElf);
  const CompileRequest checked =
      make_request(s, elf.target, "a compiler",
                   {.lineinfo = true, .sanitize = {Sanitizer::kAddress, Sanitizer::kThread}});
  EXPECT_EQ(checked.options, (std::vector<std::string>{"--std=c++20", "-O3", "-sanitize=address",
                                                       "-sanitize=thread", "-lineinfo"}));
}

TEST(SanitizerTest, AListIsPutInOrderAndANameThatIsntOneIsRefused) {
  EXPECT_EQ(parse_sanitizers("thread,address,thread").value(),
            (std::vector{Sanitizer::kAddress, Sanitizer::kThread}));
  EXPECT_EQ(parse_sanitizers("undefined").value(), std::vector{Sanitizer::kUndefined});
  EXPECT_TRUE(parse_sanitizers("").value().empty());
  for (const char* wrong : {"leak", "address,,thread", "Address", " address", ","}) {
    const auto refused = parse_sanitizers(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace fms
