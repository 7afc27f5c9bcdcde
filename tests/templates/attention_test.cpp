// attention::forward() on each target, against the fp64 reference. Every case is also a check that
// nothing but the output is written, that exact and dynamic variants and repeated runs give the
// same bits (law 11), and that lse is right. A CPU, for which compiling takes longer, runs few
// cases of each kind, and most of them in one of the variants. A Hopper GPU has a kernel of its own
// for 16-bit types, and is asked for that of other GPUs too.

#include "runtime/ops/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "tests/templates/attention_fixture.h"

namespace fms::attention {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

Problem problem(DType dtype, int seq_q, int seq_k, int head_dim, Mask mask = Mask::kFull) {
  return {.dtype = dtype,
          .batch = 2,
          .heads = 3,
          .kv_heads = 3,
          .seq_q = seq_q,
          .seq_k = seq_k,
          .head_dim = head_dim,
          .mask = mask};
}

TEST_P(AttentionTest, EveryClassOfHeadDimIsRightInEveryDType) {
  for (const DType dtype : kDTypes) {
    const auto all = dtype == DType::kFloat16 ? cases({40, 64, 128, 256}, {40})
                                              : cases({1, 8, 40, 64, 80, 96, 128, 192, 256}, {40});
    for (const int head_dim : all) {
      const int seq_q = on_cpu() ? 35 : 113;
      verify({.problem = problem(dtype, seq_q, 65, head_dim, Mask::kCausal)});
    }
  }
}

// Rows that are no multiple of 128 bytes, nor, some, of 32.
TEST_P(AttentionTest, HeadDimsInBetweenAreRightInAllForms) {
  if (on_cpu()) GTEST_SKIP() << "has one way to copy rows";
  for (const int head_dim : {8, 24, 40, 72, 80, 104, 136, 200}) {
    Problem p = problem(DType::kBFloat16, 300, 799, head_dim);
    p.heads = 4;
    p.kv_heads = 2;
    verify({.problem = p, .order = Order::kGaps});
  }
  for (const auto& [head_dim, value_dim] :
       {std::pair{40, 72}, {72, 24}, {104, 64}, {64, 40}, {24, 136}, {8, 16}}) {
    Problem p = problem(DType::kFloat16, 130, 513, head_dim, Mask::kCausal);
    p.value_dim = value_dim;
    verify({.problem = p, .order = Order::kRowsFirst, .return_lse = false});
  }
  for (const int head_dim : {40, 72}) {
    verify({.problem = problem(DType::kBFloat16, 300, 400, head_dim, Mask::kWindow),
            .window_left = 150,
            .window_right = 5});
    verify({.problem = problem(DType::kBFloat16, 0, 0, head_dim, Mask::kCausal),
            .order = Order::kRowsFirst,
            .lengths_q = {300, 1, 0, 129},
            .lengths_k = {400, 7, 3, 500}});
  }
}

TEST_P(AttentionTest, EveryPairOfLengthsIsRight) {
  for (const int seq_q : cases({0, 1, 63, 64, 65, 799}, {0, 1, 65})) {
    for (const int seq_k : cases({0, 1, 64, 113, 1023}, {0, 113})) {
      verify({.problem = problem(DType::kBFloat16, seq_q, seq_k, 64),
              .on_cpu = seq_q * seq_k > 0 ? Variants::kBoth : Variants::kDynamic});
    }
  }
}

TEST_P(AttentionTest, CausalMasksAlignToEitherEndWhateverTheLengths) {
  using Lengths = std::pair<int, int>;
  const auto lengths =
      cases<Lengths>({{1, 799}, {799, 1}, {65, 1023}, {1023, 65}, {128, 128}, {5, 0}}, {{70, 33}});
  for (const Mask mask : {Mask::kCausal, Mask::kCausalTopLeft}) {
    for (const auto& [seq_q, seq_k] : lengths) {
      verify({.problem = problem(DType::kFloat16, seq_q, seq_k, 64, mask),
              .on_cpu = mask == Mask::kCausal ? Variants::kBoth : Variants::kDynamic});
    }
    if (on_cpu()) continue;
    for (const auto& [seq_q, seq_k] : {Lengths{799, 1023}, Lengths{1023, 600}}) {
      verify({.problem = problem(DType::kBFloat16, seq_q, seq_k, 128, mask)});
    }
  }
}

TEST_P(AttentionTest, QueryHeadsShareKeyHeads) {
  for (const int kv_heads : cases({1, 2, 4, 8}, {2})) {
    for (const int seq_q : cases({65, 1}, {20})) {
      Problem p = problem(DType::kBFloat16, seq_q, 113, 128, Mask::kCausal);
      p.heads = 8;
      p.kv_heads = kv_heads;
      verify({.problem = p});
    }
  }
}

// As when a model decodes: keys are split over blocks, as their number and that of heads decides.
TEST_P(AttentionTest, FewQueriesOfManyKeysAreRight) {
  if (on_cpu()) GTEST_SKIP() << "has one way to compute them";
  for (const int head_dim : {64, 128, 256}) {
    for (const int kv_heads : {1, 2, 8}) {
      for (const auto& [seq_q, seq_k] : {std::pair{1, 4097}, {4, 1000}, {16, 300}}) {
        Problem p = problem(DType::kBFloat16, seq_q, seq_k, head_dim, Mask::kCausal);
        p.heads = 8;
        p.kv_heads = kv_heads;
        verify({.problem = p, .order = Order::kRowsFirst});
      }
    }
  }
  Problem p = problem(DType::kFloat16, 1, 3000, 128);
  p.heads = 40;
  p.kv_heads = 8;
  for (const int batch : {1, 3, 5}) {
    p.batch = batch;
    verify({.problem = p, .deviation = 8, .return_lse = false});
  }
}

TEST_P(AttentionTest, ArraysOfAnyStridesAreUsedInPlace) {
  for (const DType dtype :
       cases({DType::kFloat32, DType::kFloat16, DType::kBFloat16}, {DType::kBFloat16})) {
    for (const Order order : {Order::kRowsFirst, Order::kGaps, Order::kUnaligned}) {
      verify({.problem = problem(dtype, on_cpu() ? 17 : 113, 129, 64), .order = order});
    }
  }
}

TEST_P(AttentionTest, WithoutLogSumExpsTheOutputIsAsGood) {
  using Lengths = std::pair<int, int>;
  const auto lengths = cases<Lengths>(
      {{1, 1023}, {63, 65}, {64, 64}, {113, 799}, {799, 113}, {1023, 1023}, {65, 0}}, {{33, 40}});
  for (const Mask mask : cases({Mask::kFull, Mask::kCausal}, {Mask::kCausal})) {
    for (const auto& [seq_q, seq_k] : lengths) {
      for (const Order order : {Order::kHeadsFirst, Order::kRowsFirst}) {
        verify({.problem = problem(DType::kBFloat16, seq_q, seq_k, 64, mask),
                .order = order,
                .return_lse = false});
      }
    }
  }
}

TEST_P(AttentionTest, LargeLogitsNeitherOverflowNorVanish) {
  for (const DType dtype :
       cases({DType::kFloat32, DType::kFloat16, DType::kBFloat16}, {DType::kFloat16})) {
    // Scores of hundreds: one key has all the weight.
    verify({.problem = problem(dtype, on_cpu() ? 16 : 64, 799, 64), .deviation = 8});
  }
  if (on_cpu()) return;
  // The largest score of a row comes anywhere, and by far.
  for (const int head_dim : {64, 128, 256}) {
    for (const Mask mask : {Mask::kFull, Mask::kCausal}) {
      verify({.problem = problem(DType::kBFloat16, 300, 1023, head_dim, mask),
              .deviation = 20,
              .return_lse = false});
    }
  }
}

TEST_P(AttentionTest, AnyScaleIsTaken) {
  for (const DType dtype : cases({DType::kFloat32, DType::kBFloat16}, {DType::kFloat32})) {
    for (const float scale : cases({0.01f, 1.0f, -0.5f}, {-0.5f})) {
      verify({.problem = problem(dtype, 65, 113, 40), .scale = scale});
    }
  }
}

// A persistent block goes from tile to tile, and its buffers with it.
TEST_P(AttentionTest, MoreTilesThanMultiprocessorsAreAllComputed) {
  if (on_cpu()) GTEST_SKIP() << "has no multiprocessors";
  for (const int head_dim : {64, 128, 256}) {
    for (const Mask mask : {Mask::kFull, Mask::kCausal}) {
      Problem p = problem(DType::kBFloat16, 1025, 1023, head_dim, mask);
      p.batch = 3;
      p.heads = 9;  // 27 heads of 9 tiles of 128 queries
      p.kv_heads = 3;
      verify({.problem = p, .order = Order::kRowsFirst, .return_lse = false});
      if (head_dim == 64) verify({.problem = p});
    }
  }
}

TEST_P(AttentionTest, OtherGpusKernelIsRightWhereThereIsABetterOne) {
  if (on_cpu() || !is_hopper()) GTEST_SKIP() << "all other tests are of it";
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (const int head_dim : {8, 64, 128, 256}) {
      verify({.problem = problem(dtype, 113, 65, head_dim, Mask::kCausal), .portable = true});
    }
  }
  for (const int seq_q : {1, 63, 799}) {
    for (const int seq_k : {0, 1, 1023}) {
      verify({.problem = problem(DType::kBFloat16, seq_q, seq_k, 64), .portable = true});
    }
  }
  verify({.problem = problem(DType::kFloat16, 113, 129, 64),
          .order = Order::kRowsFirst,
          .portable = true});
  verify({.problem = problem(DType::kFloat16, 64, 799, 64), .deviation = 8, .portable = true});
}

TEST_P(AttentionTest, MoreBlocksThanOneGridRowHoldsAreLaunched) {
  if (on_cpu()) GTEST_SKIP() << "only a GPU's grid has rows that are too short for it";
  Problem p = problem(DType::kBFloat16, 1, 3, 8);
  p.batch = 1024;
  p.heads = p.kv_heads = 128;  // 131072 blocks: more than 65535
  verify({.problem = p});
  if (is_hopper()) verify({.problem = p, .portable = true});
  p.dtype = DType::kFloat32;
  verify({.problem = p});
}

FMS_ON_EVERY_TARGET(AttentionTest);

}  // namespace
}  // namespace fms::attention
