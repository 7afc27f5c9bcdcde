#include "compiler/source_lexer.h"

#include <gtest/gtest.h>

#include "compiler/includes.h"

namespace fms {
namespace {

// Every token's text, with a blank between.
std::string tokens(std::string_view source) {
  SourceLexer lexer(source);
  std::string text;
  for (SourceToken token = lexer.next(); token.kind != SourceToken::Kind::kEnd;
       token = lexer.next()) {
    const bool include = token.kind == SourceToken::Kind::kInclude;
    const bool invalid = token.kind == SourceToken::Kind::kInvalid;
    text += (text.empty() ? "" : " ") +
            std::string(include   ? "#"
                        : invalid ? "!"
                                  : "") +
            token.text;
  }
  return text;
}

TEST(SourceLexerTest, SkipsCommentsAndPreprocessorLines) {
  EXPECT_EQ(tokens("a /* b \n c */ d // e \\\n f\ng"), "a d g");
  EXPECT_EQ(tokens("#define X \\\n  y\n z\n  # if 0 // c \\\n d\ne"), "z e");
  EXPECT_EQ(tokens("#define S \"/*\"\nx"), "x");
  EXPECT_EQ(tokens("#define A /* open\n still */ B\nx"), "x");
  EXPECT_EQ(tokens("a # b"), "a # b");
}

TEST(SourceLexerTest, ReadsStringsWithEscapesAndRawOnes) {
  EXPECT_EQ(tokens(R"("a\"b\\c" d)"), "a\"b\\c d");
  EXPECT_EQ(tokens("R\"x(a\")\" // )x\" b"), "a\")\" //  b");
  EXPECT_EQ(tokens("u8\"a\" LR\"(b)\" Rx\"c\""), "a b Rx c");
  EXPECT_EQ(tokens("'\"' '\\'' a"), "a");
}

TEST(SourceLexerTest, ReadsNumbersWhole) {
  EXPECT_EQ(tokens("1'000 0x1.8p+3f 1e-5 .5 2147483647u"), "1000 0x1.8p+3f 1e-5 .5 2147483647u");
  EXPECT_EQ(tokens("0xe+1"), "0xe + 1");
}

TEST(SourceLexerTest, TakesByteOrderMarkCarriageReturnsAndSplices) {
  EXPECT_EQ(tokens("\xEF\xBB\xBF#include \"a.h\"\r\nint\\\r\n x;\r\n"), "#a.h int x ;");
}

TEST(SourceLexerTest, CountsLinesAndColumnsFromOne) {
  SourceLexer lexer("/* \n */ a\r\n\tbc");
  SourceToken token = lexer.next();
  EXPECT_EQ(token.line, 2);
  EXPECT_EQ(token.column, 5);
  token = lexer.next();
  EXPECT_EQ(token.line, 3);
  EXPECT_EQ(token.column, 2);
}

TEST(SourceLexerTest, WhatIsNotClosedIsInvalidAndTheRestIsStillRead) {
  EXPECT_EQ(tokens("a \"b\nc"), "a !a string that isn't closed on its line c");
  EXPECT_EQ(tokens("a /* b"), "a !a comment that isn't closed");
  EXPECT_EQ(tokens("R\"(a"), "!a raw string that isn't closed a");
}

TEST(IncludesTest, ListsEachSpellingOnceInOrder) {
  const std::vector<IncludeName> expected = {
      {"b.h", true}, {"a.h", false}, {"dir/c.cuh", false}, {"a.h", true}};
  EXPECT_EQ(scan_includes("#include <b.h>\n # include \"a.h\" // x\n#include<b.h>\n"
                          "#if 0\n#  include /* c */ \"dir/c.cuh\"\n#endif\n#include <a.h>\n"
                          "// #include \"no.h\"\n/*\n#include \"no.h\"\n*/\n"
                          "const char* s = R\"(\n#include \"no.h\"\n)\";\n"
                          "#include MACRO\n#include \"open\n#import \"no.h\"\n"),
            expected);
}

TEST(IncludesTest, TheLastOneIsFoundHoweverItIsWritten) {
  const auto last = [](std::string_view text) {
    const auto includes = scan_includes(text);
    return includes.empty() ? std::string() : includes.back().name;
  };
  EXPECT_EQ(last("int a;\n#/* c */include \"a.h\"\nint b;\n"), "a.h");
  EXPECT_EQ(last("#define A\n#\\\ninclude \"a.h\"\n#define B\n"), "a.h");
  EXPECT_EQ(last("#\t include <a.h>"), "a.h");
  EXPECT_EQ(last("// a comment \\\n#include \"a.h\"\n"), "");
  EXPECT_EQ(last("#define A\n"), "");
  EXPECT_EQ(last("#"), "");
  EXPECT_EQ(last(""), "");
}

}  // namespace
}  // namespace fms
