#include "compiler/compile_log.h"

#include <gtest/gtest.h>

#include "compiler/object_code.h"

namespace fms {
namespace {

constexpr const char* kLog = R"(unit.cu(3): warning #177-D: variable "unused" was declared
  int unused;
      ^

dir/a (1).cuh(2): error: identifier "foo" is undefined
    x[0] = foo;
           ^

dir/a (1).cuh(40): error #20: no such line
b.h(1): catastrophic error: cannot open source file "x.h"
  #include "x.h"
                ^

2 errors detected in the compilation of "unit.cu".
)";

TEST(CompileLogTest, FindsErrorsWithPlaceAndColumn) {
  const std::vector<Diagnostic> errors = find_errors(kLog);
  ASSERT_EQ(errors.size(), 3u);
  EXPECT_EQ(errors[0].to_string(), "dir/a (1).cuh(2): identifier \"foo\" is undefined");
  EXPECT_EQ(errors[0].column, 10);
  EXPECT_EQ(errors[1].to_string(), "dir/a (1).cuh(40): no such line");
  EXPECT_EQ(errors[2].to_string(), "b.h(1): cannot open source file \"x.h\"");
}

TEST(CompileLogTest, ShowsTheLinesAroundAnErrorWithACaret) {
  const SourceFile source{.name = "dir/a (1).cuh", .text = "void f() {\r\n\tx[0] = foo;\n}\n"};
  const std::vector<Diagnostic> errors = find_errors(kLog);
  EXPECT_EQ(show_errors(std::span(errors).first(2), std::span(&source, 1)),
            "dir/a (1).cuh(2): identifier \"foo\" is undefined\n"
            "     1 | void f() {\n"
            "     2 | \tx[0] = foo;\n"
            "       | \t        ^\n"
            "     3 | }\n"
            "dir/a (1).cuh(40): no such line\n");
}

TEST(CompileLogTest, FallsBackToPtxas) {
  const std::vector<Diagnostic> errors = find_errors("ptxas fatal   : Unresolved extern 'g'\n");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].to_string(), "ptxas fatal   : Unresolved extern 'g'");
  EXPECT_TRUE(find_errors("").empty());
}

constexpr const char* kPtxas = R"(ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_90a'
ptxas info    : Function properties for one
ptxas         .     608 bytes stack frame, 384 bytes spill stores, 464 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers, 608 bytes cumulative stack size
ptxas info    : Function properties for _Z6calleev
ptxas         .     112 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
ptxas info    : (C7510) wgmma.mma_async instructions are serialized in the function 'two'
ptxas info    : Compiling entry function 'two' for 'sm_90a'
ptxas info    : Function properties for two
ptxas         .     0 bytes stack frame, 16 bytes spill stores, 0 bytes spill loads
)";

TEST(PtxasLogTest, CountsTheEntryAndWhatIsNoOtherEntry) {
  Resources one;
  read_ptxas_log(kPtxas, "one", one);
  EXPECT_EQ(one.spill_stores, 392);
  EXPECT_EQ(one.spill_loads, 468);
  EXPECT_FALSE(one.serialized_wgmma);
  Resources two;
  read_ptxas_log(kPtxas, "two", two);
  EXPECT_EQ(two.spill_stores, 24);
  EXPECT_TRUE(two.serialized_wgmma);
}

TEST(PtxasLogTest, EachCodeOfSerialisedWgmmaCounts) {
  for (const char* code : {"C7510", "C7511", "C7515", "C7517", "C7519"}) {
    Resources resources;
    read_ptxas_log("ptxas info : (" + std::string(code) + ") it's in function 'k'", "k", resources);
    EXPECT_TRUE(resources.serialized_wgmma) << code;
  }
  Resources other;
  read_ptxas_log("ptxas info : (C7600) in function 'k'\n99999999999999 bytes spill stores", "k",
                 other);
  EXPECT_FALSE(other.serialized_wgmma);
  EXPECT_EQ(other.spill_stores, 0);
}

}  // namespace
}  // namespace fms
