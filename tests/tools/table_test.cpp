#include "tools/fms/table.h"

#include <gtest/gtest.h>

namespace fms::program {
namespace {

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"what", "ms"});
  table.add({"a long name", "1"});
  table.add({"b"});
  EXPECT_EQ(table.text(),
            "what         ms\n"
            "a long name  1\n"
            "b\n");
}

TEST(TableTest, MarkdownHasARuleUnderTheTitles) {
  Table table({"a", "bc"});
  table.add({"1", "2"});
  EXPECT_EQ(table.markdown(),
            "| a | bc |\n"
            "| - | -- |\n"
            "| 1 | 2  |\n");
}

TEST(TableTest, BytesAreShownInTheUnitThatFits) {
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(3.0 * (1 << 30)), "3.0 GiB");
}

}  // namespace
}  // namespace fms::program
