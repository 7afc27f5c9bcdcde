#include "tools/fms/figures.h"

#include <gtest/gtest.h>

namespace fms::program {
namespace {

TEST(FiguresTest, ColumnsButTheFirstAreAlignedAtTheirRight) {
  Figures figures({"what", "a", "longer"});
  figures.add({"one", "1,024", "7"});
  EXPECT_EQ(figures.size(), 1u);
  EXPECT_EQ(figures.text(),
            "what      a  longer\n"
            "one   1,024       7\n");
}

TEST(FiguresTest, CountsAreExactAsLongAsTheyAreShort) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1048576), "1,048,576");
  EXPECT_EQ(format_count(9999999), "9,999,999");
  EXPECT_EQ(format_count(4294967296.0), "4.29G");
  EXPECT_EQ(format_count(1953.125), "1953");
  EXPECT_EQ(format_count(0.125), "0.125");
  EXPECT_EQ(format_count(123456.7), "123,457");
}

TEST(FiguresTest, LinesBreakAtSpacesBeforeTheHundredthColumn) {
  std::string words;
  for (int i = 0; i < 60; ++i) words += "abc ";
  const std::string text = wrap(words, 2);
  EXPECT_EQ(text.substr(0, 6), "  abc ");
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n', start)) {
    EXPECT_LE(end - start, 100u);
    start = end + 1;
  }
  EXPECT_EQ(start, text.size());
  EXPECT_EQ(wrap("a\nb", 0), "a b\n");
}

}  // namespace
}  // namespace fms::program
