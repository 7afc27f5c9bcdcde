#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "runtime/ops/attention_reference.h"
#include "tests/templates/host_array.h"

namespace fms::attention {
namespace {

// Packed arrays of a problem, and its inputs.
struct Sample {
  explicit Sample(const Problem& p, float deviation = 1)
      : problem(p),
        q(p.dtype, size(p.heads, p.seq_q)),
        k(p.dtype, size(p.kv_heads, p.seq_k)),
        v(p.dtype, size(p.kv_heads, p.seq_k)) {
    q.fill_normal(1, deviation);
    k.fill_normal(2, deviation);
    v.fill_normal(3);
  }

  std::size_t size(int heads, int seq) const {
    return static_cast<std::size_t>(problem.batch) * heads * seq * problem.head_dim;
  }

  HostInputs inputs() const {
    const Strides kv = bhsd_strides(problem.kv_heads, problem.seq_k, problem.head_dim);
    return {.q = q.data(),
            .k = k.data(),
            .v = v.data(),
            .q_strides = bhsd_strides(problem.heads, problem.seq_q, problem.head_dim),
            .k_strides = kv,
            .v_strides = kv};
  }

  Reference all() const { return reference(problem, inputs(), all_rows(problem)).value(); }

  Problem problem;
  HostArray q, k, v;
};

Problem small(DType dtype = DType::kFloat32) {
  return {.dtype = dtype, .heads = 2, .kv_heads = 2, .seq_q = 3, .seq_k = 4, .head_dim = 5};
}

// Attention as a plain fp32 program computes it, online over tiles of 16 keys; `skip` leaves a key
// out, as a wrong kernel might.
std::vector<float> online_softmax(const Sample& sample, int skip = -1) {
  const Problem& p = sample.problem;
  const auto* q = static_cast<const float*>(sample.q.data());
  const auto* k = static_cast<const float*>(sample.k.data());
  const auto* v = static_cast<const float*>(sample.v.data());
  const float scale = 1 / std::sqrt(static_cast<float>(p.head_dim));
  std::vector<float> o(sample.size(p.heads, p.seq_q));
  for (int row = 0; row < p.batch * p.heads * p.seq_q; ++row) {
    const std::size_t head = row / p.seq_q;
    float max = -std::numeric_limits<float>::infinity(), sum = 0;
    float* out = &o[static_cast<std::size_t>(row) * p.head_dim];
    for (int key = 0; key < p.seq_k; ++key) {
      if (key == skip) continue;
      const std::size_t at = (head * p.seq_k + key) * p.head_dim;
      float score = 0;
      for (int d = 0; d < p.head_dim; ++d) {
        score += q[static_cast<std::size_t>(row) * p.head_dim + d] * k[at + d];
      }
      const float new_max = std::max(max, score * scale);
      const float rescale = std::exp(max - new_max), weight = std::exp(score * scale - new_max);
      max = new_max;
      sum = sum * rescale + weight;
      for (int d = 0; d < p.head_dim; ++d) out[d] = out[d] * rescale + weight * v[at + d];
    }
    for (int d = 0; d < p.head_dim; ++d) out[d] /= sum;
  }
  return o;
}

TEST(AttentionReferenceTest, OneKeyGivesItsValue) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    Problem problem = small(dtype);
    problem.seq_k = 1;
    const Sample sample(problem);
    const Reference result = sample.all();
    ASSERT_EQ(result.rows.size(), 6u);
    for (int query = 0; query < 3; ++query) {
      // Every row of head 1 is the only value of head 1.
      const Comparison same = compare(
          problem, reference(problem, sample.inputs(), {{.head = 1, .query = query}}).value(),
          sample.v.data(), {.head = problem.head_dim, .row = 0});
      EXPECT_EQ(same.max_error, 0) << to_string(dtype);
    }
  }
}

TEST(AttentionReferenceTest, EqualKeysGiveTheMeanAndTheLogOfTheirNumber) {
  const Problem problem{
      .dtype = DType::kFloat32, .seq_q = 1, .seq_k = 4, .head_dim = 1, .return_lse = true};
  Sample sample(problem);
  for (int i = 0; i < 4; ++i) {
    sample.k.set(i, 0);
    sample.v.set(i, static_cast<float>(i));
  }
  const Reference result = sample.all();
  EXPECT_DOUBLE_EQ(result.o[0], 1.5);
  EXPECT_DOUBLE_EQ(result.lse[0], std::log(4.0));
}

TEST(AttentionReferenceTest, TwoKeysGiveTheLogisticFunction) {
  const Problem problem{.dtype = DType::kFloat16, .seq_q = 1, .seq_k = 2, .head_dim = 1};
  Sample sample(problem);
  sample.q.set(0, 2);
  sample.k.set(0, 0);
  sample.k.set(1, 1.5f);
  sample.v.set(0, 0);
  sample.v.set(1, 1);
  HostInputs inputs = sample.inputs();
  inputs.scale = 0.5f;
  const Reference result = reference(problem, inputs, all_rows(problem)).value();
  EXPECT_DOUBLE_EQ(result.o[0], 1 / (1 + std::exp(-1.5)));
}

TEST(AttentionReferenceTest, CausalQueriesSeeUpToTheirOwnKeyFromEitherEnd) {
  Problem problem{.dtype = DType::kFloat32, .seq_q = 3, .seq_k = 5, .head_dim = 1};
  Sample sample(problem);
  for (int i = 0; i < 5; ++i) {
    sample.k.set(i, 0);
    sample.v.set(i, static_cast<float>(i));
  }
  // Means of the first n values are (n - 1) / 2.
  sample.problem.mask = Mask::kCausal;
  EXPECT_EQ(sample.all().o, (std::vector<double>{1, 1.5, 2}));
  sample.problem.mask = Mask::kCausalTopLeft;
  EXPECT_EQ(sample.all().o, (std::vector<double>{0, 0.5, 1}));
}

TEST(AttentionReferenceTest, QueriesWithoutKeysAreZeroWithMinusInfinityLse) {
  Problem problem{
      .dtype = DType::kFloat32, .seq_q = 3, .seq_k = 1, .head_dim = 2, .mask = Mask::kCausal};
  Reference result = Sample(problem).all();
  EXPECT_EQ(result.o[0], 0);
  EXPECT_EQ(result.o[3], 0);
  EXPECT_NE(result.o[4], 0);
  EXPECT_EQ(result.lse[1], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isfinite(result.lse[2]));

  problem.seq_k = 0;
  result = Sample(problem).all();
  EXPECT_EQ(result.o, std::vector<double>(6, 0.0));
}

TEST(AttentionReferenceTest, QueryHeadsShareKeyHeadsInRuns) {
  Problem grouped = small();
  grouped.heads = 4;
  const Sample sample(grouped);
  // Heads 2 and 3 use key head 1: the same problem with one head, that starts there.
  HostInputs one = sample.inputs();
  one.q_strides.head = 0;
  one.k = static_cast<const float*>(one.k) + one.k_strides.head;
  one.v = static_cast<const float*>(one.v) + one.v_strides.head;
  Problem single = small();
  single.heads = single.kv_heads = 1;
  for (const int head : {2, 3}) {
    HostInputs from_head = one;
    from_head.q = static_cast<const float*>(sample.q.data()) + head * 3 * 5;
    const Reference expected = reference(single, from_head, all_rows(single)).value();
    const Reference actual =
        reference(
            grouped, sample.inputs(),
            {{.head = head, .query = 0}, {.head = head, .query = 1}, {.head = head, .query = 2}})
            .value();
    EXPECT_EQ(actual.o, expected.o);
  }
}

TEST(AttentionReferenceTest, ThreadsChangeNoBit) {
  Problem problem = small(DType::kBFloat16);
  problem.seq_q = 300;
  const Sample sample(problem);
  const auto with = [&](int threads) {
    return reference(problem, sample.inputs(), all_rows(problem), threads).value().o;
  };
  EXPECT_EQ(with(1), with(4));
}

TEST(AttentionReferenceTest, SampledRowsAreSpreadAndHoldBothEnds) {
  Problem problem = small();
  problem.batch = 7;
  problem.seq_q = 1000;
  const std::vector<Row> rows = sample_rows(problem, 50);
  ASSERT_EQ(rows.size(), 50u);
  EXPECT_EQ(rows.front(), (Row{}));
  EXPECT_EQ(rows.back(), (Row{.batch = 6, .head = 1, .query = 999}));
  EXPECT_EQ(sample_rows(small(), 1000).size(), 6u);
  problem.seq_q = 0;
  EXPECT_TRUE(sample_rows(problem, 10).empty());
}

TEST(AttentionReferenceTest, AnFp32KernelIsWithinTheTolerance) {
  for (const int seq_k : {1, 64, 2000}) {
    for (const float deviation : {1.0f, 8.0f}) {
      const Sample sample({.dtype = DType::kFloat32,
                           .heads = 1,
                           .kv_heads = 1,
                           .seq_q = 16,
                           .seq_k = seq_k,
                           .head_dim = 64},
                          deviation);
      const std::vector<float> o = online_softmax(sample);
      const Comparison result =
          compare(sample.problem, sample.all(), o.data(), bhsd_strides(1, 16, 64));
      EXPECT_TRUE(result.within_tolerance()) << seq_k << " keys: " << result.worst;
    }
  }
}

TEST(AttentionReferenceTest, AKernelThatDropsOneKeyOfManyIsOutsideTheTolerance) {
  const Sample sample({.dtype = DType::kFloat32,
                       .heads = 1,
                       .kv_heads = 1,
                       .seq_q = 16,
                       .seq_k = 2000,
                       .head_dim = 64});
  const std::vector<float> o = online_softmax(sample, 777);
  const Comparison result =
      compare(sample.problem, sample.all(), o.data(), bhsd_strides(1, 16, 64));
  EXPECT_FALSE(result.within_tolerance()) << result.worst;
}

TEST(AttentionReferenceTest, NaNIsOutsideTheToleranceAndItsPlaceIsNamed) {
  const Problem problem = small();
  const Sample sample(problem);
  std::vector<float> o = online_softmax(sample);
  o[1 * 15 + 2 * 5 + 4] = std::numeric_limits<float>::quiet_NaN();
  const Comparison result = compare(problem, sample.all(), o.data(), bhsd_strides(2, 3, 5));
  EXPECT_FALSE(result.within_tolerance());
  EXPECT_TRUE(std::isnan(result.max_error));
  EXPECT_EQ(result.row, (Row{.head = 1, .query = 2}));
  EXPECT_EQ(result.column, 4);
}

TEST(AttentionReferenceTest, LseIsComparedWithMinusInfinityAsAValue) {
  Problem problem = small();
  problem.seq_k = 0;
  const Reference expected = Sample(problem).all();
  std::vector<float> lse(6, -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(compare_lse(problem, expected, lse.data()).within_tolerance());
  lse[3] = -1e30f;
  EXPECT_FALSE(compare_lse(problem, expected, lse.data()).within_tolerance());
}

TEST(AttentionReferenceTest, RowsThatDoNotExistAreRefused) {
  const Sample sample(small());
  const auto result = reference(small(), sample.inputs(), {{.query = 3}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
}

TEST(HostArrayTest, Float16RoundsToNearestEven) {
  EXPECT_EQ(to_float16(0), 0);
  EXPECT_EQ(to_float16(1), 0x3c00);
  EXPECT_EQ(to_float16(1 + 0x1p-11f), 0x3c00);      // a tie, down to even
  EXPECT_EQ(to_float16(1 + 3 * 0x1p-11f), 0x3c02);  // a tie, up to even
  EXPECT_EQ(to_float16(65504), 0x7bff);
  EXPECT_EQ(to_float16(-0x1p-24f), 0x8001);
  EXPECT_EQ(from_float16(to_float16(0.333251953125f)), 0.333251953125f);
  EXPECT_EQ(to_bfloat16(1), 0x3f80);
}

}  // namespace
}  // namespace fms::attention
