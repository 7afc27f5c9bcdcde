#include "compiler/template_parser.h"

#include <gtest/gtest.h>

namespace fms {
namespace {

TemplateDeclarations parsed(std::string_view text) {
  auto result = parse_declarations("t.cuh", text);
  if (!result) ADD_FAILURE() << result.error().message;
  return result ? *result : TemplateDeclarations{};
}

std::string error_of(std::string_view text) {
  const auto result = parse_declarations("t.cuh", text);
  if (result) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  return result.error().message;
}

TEST(TemplateParserTest, ReadsEveryKindOfDeclaration) {
  const TemplateDeclarations read = parsed(R"cuda(
#include "fms/parameter.cuh"
FMS_KERNEL(saxpy, "y = a * x "
                  "+ y");
FMS_INT(kBlock, 0x100, "threads", range(32, 1'024), divisible(32), choices(128, 256));
FMS_BOOL(kCausal, true, "causal");
FMS_FLOAT(kSoftcap, -1.5e+1f, "cap");
FMS_TYPE(T, float32, "type", choices(float32, bfloat16));
FMS_ENUM(Mask, kMask, kCausal, "keys", choices(kFull, kCausal));
FMS_SIZE(kN, "elements", range(1, 2147483647), divisible(8));
FMS_ALLOW(spills, serialized_wgmma);
)cuda");
  EXPECT_EQ(read.kernel, "saxpy");
  EXPECT_EQ(read.doc, "y = a * x + y");
  EXPECT_TRUE(read.allows_spills);
  EXPECT_TRUE(read.allows_serialized_wgmma);
  ASSERT_EQ(read.parameters.size(), 6u);
  const auto& p = read.parameters;
  EXPECT_EQ(p[0].describe(), "int, 32..1024, a multiple of 32, 128 or 256, default 256");
  EXPECT_EQ(p[0].line, 5);
  EXPECT_EQ(p[0].doc, "threads");
  EXPECT_EQ(p[1].default_value, Value::boolean(true));
  EXPECT_EQ(p[2].default_value, Value::floating(-15.0));
  EXPECT_EQ(p[3].describe(), "dtype, float32 or bfloat16, default float32");
  EXPECT_EQ(p[4].enum_type, "Mask");
  EXPECT_EQ(p[4].default_value, Value::choice(1));
  EXPECT_EQ(p[5].describe(), "size, 1..2147483647, a multiple of 8, or dynamic, default dynamic");
}

TEST(TemplateParserTest, PlainCudaHasNoDeclarations) {
  const TemplateDeclarations read =
      parsed("extern \"C\" __global__ void __launch_bounds__(256, 2) k(float* x) { *x = 1; }");
  EXPECT_TRUE(read.parameters.empty());
  EXPECT_EQ(read.entries, std::vector<std::string>{"k"});
}

TEST(TemplateParserTest, FindsEntriesInAllTheirForms) {
  const TemplateDeclarations read = parsed(R"cuda(
extern "C" __global__ void a(int (*f)(int), int n = int{3});
extern "C" { namespace x { __global__ __launch_bounds__(kB * (1 + 1)) void b() {} } }
extern "C" void __global__ LAUNCH(128) c() { if (true) { } }
extern "C" __global__ void a(int (*f)(int), int n) {}
__global__ void mangled() {}
extern "C" __device__ int helper() { return 0; }
namespace { extern "C++" __global__ void no() {} }
struct S { static void d() {} } s;
template <int N> __global__ void e() {}
extern "C" __global__ void __attribute__((used)) f() {}
)cuda");
  EXPECT_EQ(read.entries, (std::vector<std::string>{"a", "b", "c", "f"}));
}

TEST(TemplateParserTest, SkipsCommentsStringsAndMacroBodies) {
  const TemplateDeclarations read = parsed(
      "// FMS_INT(kA, 1, \"a\");\n/* FMS_INT(kB, 1, \"b\"); */\n"
      "#define MAKE FMS_INT(kC, 1, \"c\"); \\\n FMS_INT(kD, 1, \"d\");\n"
      "const char* s = \"FMS_INT(kE, 1, e);\"; const char* r = R\"(FMS_INT(kF, 1, \"f\");)\";\n"
      "FMS_INT(kG, 1, \"g\");\n");
  ASSERT_EQ(read.parameters.size(), 1u);
  EXPECT_EQ(read.parameters[0].name, "kG");
}

TEST(TemplateParserTest, ReadsDeclarationsInNamespacesAndWithCarriageReturns) {
  const TemplateDeclarations read = parsed(
      "\xEF\xBB\xBFnamespace a::b {\r\ninline namespace c {\r\nFMS_INT(kA,\r\n 1,\r\n "
      "\"a\");\r\n}\r\n}\r\n"
      "extern \"C\" {\r\nFMS_BOOL(kB, false, \"b\");\r\n}\r\n");
  EXPECT_EQ(read.parameters.size(), 2u);
}

TEST(TemplateParserTest, AnFmsNameThatIsNoCallIsNoDeclaration) {
  EXPECT_TRUE(parsed("FMS_DEVICE int f() { return FMS_MAX(1, 2); }\n"
                     "constexpr int x = FMS_MAX(1, 2);")
                  .parameters.empty());
}

struct Case {
  const char* text;
  const char* message;
};

TEST(TemplateParserTest, ErrorsSayWhereAndWhatWasExpected) {
  const Case cases[] = {
      {"FMS_INT", "no error"},
      {"\n  FMS_INT(kA 1, \"a\");",
       "t.cuh:2:14: expected ',' after the parameter's name, found '1'"},
      {"FMS_INT(kA, x, \"a\");", "t.cuh:1:13: expected an integer as the default, found 'x'"},
      {"FMS_INT(kA, 1.5, \"a\");",
       "t.cuh:1:13: expected an integer as the default of at most 63 bits, found '1.5'"},
      {"FMS_INT(kA, 99999999999999999999, \"a\");",
       "t.cuh:1:13: expected an integer as the default of at most 63 bits, found "
       "'99999999999999999999'"},
      {"FMS_INT(kA, 1);",
       "t.cuh:1:14: expected ',' and a description after the default, found ')'"},
      {"FMS_INT(kA, 1, a);", "t.cuh:1:16: expected a \"description\", found 'a'"},
      {"FMS_INT(kA, 1, \"a\")",
       "t.cuh:1:20: expected ';' behind FMS_INT(...), found the end of the file"},
      {"FMS_INT(kA, 1, \"a\", range(2, 3));",
       "t.cuh:1:1: the default is refused: kA can't be 1: expected int, 2..3"},
      {"FMS_INT(kA, 1, \"a\", range(3, 2));", "t.cuh:1:27: range(3, 2) holds no value"},
      {"FMS_INT(kA, 1, \"a\", range(0, 3), range(0, 3));", "t.cuh:1:34: a second range of kA"},
      {"FMS_INT(kA, 1, \"a\", divisible(0));", "t.cuh:1:31: a divisor is at least 1"},
      {"FMS_INT(kA, 1, \"a\", even);",
       "t.cuh:1:21: a int parameter takes range(...), divisible(...) or choices(...), not 'even'"},
      {"FMS_BOOL(kA, 1, \"a\");", "t.cuh:1:14: expected true or false as the default, found '1'"},
      {"FMS_FLOAT(kA, 1e999, \"a\");",
       "t.cuh:1:15: expected a finite number as the default, found '1e999'"},
      {"FMS_FLOAT(kA, 1e39, \"a\");",
       "t.cuh:1:1: the default is refused: kA can't be 1e+39: expected float"},
      {"FMS_TYPE(T, half, \"a\");",
       "t.cuh:1:13: expected a dtype as the default, as in float32 or bfloat16, found 'half'"},
      {"FMS_TYPE(T, float32, \"a\", choices(float16));",
       "t.cuh:1:1: the default is refused: T can't be float32: expected dtype, float16"},
      {"FMS_ENUM(M, kM, kA, \"a\");", "t.cuh:1:1: kM needs choices(...): its enumerators"},
      {"FMS_ENUM(M, kM, kA, \"a\", choices(kB));",
       "t.cuh:1:1: the default kA of kM isn't one of kB"},
      {"FMS_ENUM(M, kM, kAb, \"a\", choices(kAb, kA_b));", "t.cuh:1:40: a choice twice: 'kA_b'"},
      {"FMS_ENUM(M, M, kA, \"a\", choices(kA));", "t.cuh:1:1: M is declared twice"},
      {"FMS_SIZE(kN, \"n\", range(-1, 5));", "t.cuh:1:25: a size can't be negative"},
      {"FMS_SIZE(kN, 5, \"n\");", "t.cuh:1:14: expected a \"description\", found '5'"},
      {"FMS_INT(kA, 1, \"a\");\nFMS_BOOL(kA, true, \"a\");", "t.cuh:2:1: kA is declared twice"},
      {"FMS_KERNEL(k, \"a\"); FMS_KERNEL(k, \"a\");",
       "t.cuh:1:21: a second FMS_KERNEL; the first names k"},
      {"FMS_ALLOW(everything);",
       "t.cuh:1:11: can't allow 'everything'; spills and serialized_wgmma can be"},
      {"FMS_ITN(kA, 1, \"a\");",
       "t.cuh:1:1: no declaration is named FMS_ITN; there are FMS_KERNEL, FMS_INT, FMS_BOOL, "
       "FMS_FLOAT, FMS_TYPE, FMS_ENUM, FMS_SIZE, FMS_ALLOW"},
      {"void f() { FMS_INT(kA, 1, \"a\"); }",
       "t.cuh:1:12: FMS_INT stands inside another declaration; move it to the top level of the "
       "file, behind a ; or }"},
      {"int x = \"", "t.cuh:1:9: found a string that isn't closed"},
      {"/* ", "t.cuh:1:1: found a comment that isn't closed"},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(c.text), c.message) << c.text;
}

TEST(TemplateParserTest, HostileTextIsRefusedNotFollowed) {
  EXPECT_NE(error_of(std::string(5u << 20, ' ')), "no error");
  EXPECT_EQ(error_of(std::string(1u << 20, '{')), "no error");
  EXPECT_EQ(error_of(std::string(1u << 20, '}')), "no error");
  EXPECT_NE(error_of("FMS_INT(" + std::string(200, 'a') + ", 1, \"a\");"), "no error");
  EXPECT_NE(error_of("FMS_INT(kA, 1, \"" + std::string(5000, 'a') + "\");"), "no error");
  std::string many;
  for (int i = 0; i < 300; ++i) many += "FMS_BOOL(k" + std::to_string(i) + ", true, \"a\");\n";
  EXPECT_EQ(error_of(many), "t.cuh:257:1: more than 256 parameters");
  EXPECT_EQ(error_of(std::string("FMS_INT(k\0A, 1, \"a\");", 21)),
            std::string("t.cuh:1:10: expected ',' after the parameter's name, found '\0'", 62));
}

}  // namespace
}  // namespace fms
