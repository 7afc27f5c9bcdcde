#include "tools/fms/cpu_code.h"

#include <gtest/gtest.h>

namespace fms::program {
namespace {

TEST(CpuCodeTest, RegionsAreTheLabelsOfStates) {
  const CpuCode code = read_assembly(
      "\t.type\tsum.state0,@function\n"
      "sum.state0:\n"
      "\tvmovups\t(%rdi), %ymm0\n"
      "\tvfmadd213ps\t%ymm1, %ymm0, %ymm2\n"
      ".LBB0_3:\n"
      "\tcallq\tsum.state12@PLT\n"
      "sum.state12:\n"
      "other_sum.state0:\n"
      "sum.states:\n"
      "sum.state0.thread:\n",
      "sum");
  EXPECT_EQ(code.regions, 2);
  EXPECT_EQ(code.vector_bits, 256);
}

TEST(CpuCodeTest, TheWidestRegistersCount) {
  EXPECT_EQ(read_assembly("\tvaddps\t%zmm0, %zmm1, %zmm2\n\tvaddps\t%ymm0, %ymm1, %ymm2\n", "k")
                .vector_bits,
            512);
  EXPECT_EQ(read_assembly("\taddps\t%xmm0, %xmm1\n", "k").vector_bits, 128);
  EXPECT_EQ(read_assembly("\tvpaddd\t%xmm0, %xmm1, %xmm2\n", "k").vector_bits, 128);
}

TEST(CpuCodeTest, ScalarsInVectorRegistersAreNoVectors) {
  EXPECT_EQ(read_assembly("\tvmulss\t%xmm0, %xmm1, %xmm2\n"
                          "\tvmovaps\t%xmm0, %xmm1\n"
                          "\tvxorps\t%xmm0, %xmm0, %xmm0\n"
                          "\tpushq\t%rax\n"
                          "\tpopq\t%rax\n",
                          "k")
                .vector_bits,
            0);
  EXPECT_EQ(read_assembly("", "k").regions, 0);
}

}  // namespace
}  // namespace fms::program
