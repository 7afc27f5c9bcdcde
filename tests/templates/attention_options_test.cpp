// The options of attention::forward() on each target, against the fp64 reference, and what holds
// between them: an option that changes nothing changes no bit.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "runtime/ops/attention_elements.h"
#include "runtime/ops/attention_mods.h"
#include "tests/templates/attention_fixture.h"

namespace fms::attention {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class AttentionOptionsTest : public AttentionTest {
 protected:
  // Of a linear bias: slope * (key - query), in which a head's slope is 2^-head.
  CaseMods alibi() {
    if (!slopes_) slopes_ = upload(std::vector<float>{1, 0.5f, 0.25f, 0.125f});
    struct Members {
      const float* slopes;
    };
    return {.mods = Mods::make("alibi.cuh",
                               "struct Mods {\n"
                               "  const float* slopes;\n"
                               "  __device__ float score(float score, int batch, int head,\n"
                               "                         int query, int key) const {\n"
                               "    return score + slopes[head] * float(key - query);\n"
                               "  }\n"
                               "};\n")
                        .value(),
            .bytes = CaseMods::bytes_of(Members{static_cast<const float*>(slopes_->data())}),
            .score = [](double score, int, int head, int query, int key) {
              return score + std::ldexp(1.0, -head) * (key - query);
            }};
  }

  // A query sees the keys of its own document; documents are of `length` tokens.
  static CaseMods documents(int length) {
    struct Members {
      int length;
    };
    return {
        .mods = Mods::make("documents.cuh",
                           "struct Mods {\n"
                           "  int length;\n"
                           "  __device__ bool mask(int, int, int query, int key) const {\n"
                           "    return query / length == key / length;\n"
                           "  }\n"
                           "};\n")
                    .value(),
        .bytes = CaseMods::bytes_of(Members{length}),
        .mask = [length](int, int, int query, int key) { return query / length == key / length; }};
  }

  // Both functions, of all indices; every fifth query sees nothing.
  static CaseMods mixed() {
    struct Members {
      float step;
      int period;
    };
    return {.mods = Mods::make("mixed.cuh",
                               "struct Mods {\n"
                               "  float step; int period;\n"
                               "  float score(float s, int b, int h, int q, int k) const {\n"
                               "    return s + step * float((b + 2 * h + q + 3 * k) % period);\n"
                               "  }\n"
                               "  bool mask(int b, int h, int q, int k) const {\n"
                               "    return q % 5 != 2 && (k + h + b) % 3 != 0;\n"
                               "  }\n"
                               "};\n")
                        .value(),
            .bytes = CaseMods::bytes_of(Members{0.25f, 7}),
            .score = [](double s, int b, int h, int q,
                        int k) { return s + 0.25 * ((b + 2 * h + q + 3 * k) % 7); },
            .mask = [](int b, int h, int q, int k) { return q % 5 != 2 && (k + h + b) % 3 != 0; }};
  }

  // An array of numbers to add, of all batches and heads or of one that all share, in rows of `row`
  // elements.
  CaseMods bias(const Problem& p, bool shared, int row) {
    const int heads = shared ? 1 : p.heads, batch = shared ? 1 : p.batch;
    const auto count = static_cast<std::size_t>(batch) * heads * p.seq_q * row;
    const auto array = std::make_shared<HostArray>(p.dtype, count);
    array->fill_normal(4);
    bias_ = upload(std::vector<std::byte>(array->bytes().begin(), array->bytes().end()));
    const Strides strides{.batch = shared ? 0 : std::int64_t{heads} * p.seq_q * row,
                          .head = shared ? 0 : std::int64_t{p.seq_q} * row,
                          .row = row};
    struct Members {
      const void* bias;
      Strides strides;
      std::int64_t key_stride;
    };
    return {.mods = Mods::embedded("bias", "#define FMS_BIAS_ELEMENT T\n").value(),
            .bytes = CaseMods::bytes_of(Members{bias_->data(), strides, 1}),
            .score = [array, strides, dtype = p.dtype](double score, int b, int h, int q, int k) {
              const std::int64_t at = b * strides.batch + h * strides.head + q * strides.row + k;
              return score + element(array->data(), at, dtype);
            }};
  }

  std::optional<DeviceBuffer> slopes_, bias_;
};

TEST_P(AttentionOptionsTest, ValuesMayHaveAnotherDimThanKeys) {
  using Dims = std::pair<int, int>;
  for (const auto& [head_dim, value_dim] : cases<Dims>(
           {{192, 128}, {128, 192}, {64, 256}, {256, 8}, {7, 13}, {40, 1}}, {{24, 13}, {8, 72}})) {
    Problem p = grouped_problem(DType::kBFloat16, on_cpu() ? 20 : 113, 65, head_dim, Mask::kCausal);
    p.value_dim = value_dim;
    verify({.problem = p, .order = Order::kRowsFirst});
    if (!on_cpu()) verify({.problem = p, .order = Order::kUnaligned});
  }
}

TEST_P(AttentionOptionsTest, WindowsLimitKeysOnBothSides) {
  using Window = std::tuple<int, int, int, int>;  // seq_q, seq_k, left, right
  const auto all = cases<Window>({{113, 113, 16, 0},
                                  {113, 113, 0, 0},
                                  {300, 300, 64, 64},
                                  {65, 799, 100, 5},
                                  {799, 65, 5, 3},
                                  {1, 500, 63, 0},
                                  {129, 500, -1, 17},
                                  {500, 129, 17, -1},
                                  {130, 130, -1, -1},
                                  {700, 700, 250, 0}},
                                 {{113, 100, 16, 3}, {90, 20, 5, -1}});
  for (const auto& [seq_q, seq_k, left, right] : all) {
    for (const Mask mask : {Mask::kWindow, Mask::kWindowTopLeft}) {
      verify(
          {.problem = grouped_problem(DType::kBFloat16, seq_q, seq_k, 64, mask),
           .window_left = left,
           .window_right = right,
           .on_cpu = mask == Mask::kWindow && left == 16 ? Variants::kBoth : Variants::kDynamic});
    }
  }
}

TEST_P(AttentionOptionsTest, AWindowWithoutALimitIsNone) {
  const auto with = [&](Mask mask, int left, int right) {
    return run({.problem = grouped_problem(DType::kFloat32, 70, 90, 24, mask),
                .window_left = left,
                .window_right = right});
  };
  EXPECT_EQ(with(Mask::kWindow, -1, -1), with(Mask::kFull, -1, -1));
  EXPECT_EQ(with(Mask::kWindowTopLeft, 1000, 1 << 30), with(Mask::kFull, -1, -1));
  EXPECT_EQ(with(Mask::kWindow, -1, 0), with(Mask::kCausal, -1, -1));
  EXPECT_EQ(with(Mask::kWindowTopLeft, 1 << 30, 0), with(Mask::kCausalTopLeft, -1, -1));
}

TEST_P(AttentionOptionsTest, ScoresAreCapped) {
  for (const float softcap : cases({0.5f, 5.0f, 50.0f}, {5.0f})) {
    for (const DType dtype : cases({DType::kFloat32, DType::kBFloat16}, {DType::kFloat32})) {
      verify({.problem = grouped_problem(dtype, 65, 113, 64, Mask::kCausal),
              .deviation = 3,
              .softcap = softcap});
    }
  }
  // Scores of hundreds, and a scale below 0.
  if (!on_cpu()) {
    verify(
        {.problem = grouped_problem(DType::kFloat16, 64, 799, 64), .deviation = 8, .softcap = 30});
    verify(
        {.problem = grouped_problem(DType::kFloat32, 64, 799, 64), .scale = -0.5f, .softcap = 2});
  }
}

TEST_P(AttentionOptionsTest, SinksTakeWeightAndGiveNothing) {
  const std::vector<float> sinks{0.5f, -kInfinity, -3, 40};
  for (const int seq_k : cases({0, 1, 113}, {0, 113})) {
    verify({.problem = grouped_problem(DType::kFloat32, 65, seq_k, 40, Mask::kCausal),
            .sinks = sinks,
            .on_cpu = Variants::kDynamic});
  }
  if (on_cpu()) return;
  for (const int head_dim : {64, 128, 256}) {
    verify({.problem = grouped_problem(DType::kBFloat16, 300, 200, head_dim, Mask::kWindow),
            .window_left = 20,
            .window_right = 0,
            .sinks = sinks});
    verify({.problem = grouped_problem(DType::kBFloat16, 300, 200, head_dim),
            .return_lse = false,
            .sinks = sinks});
  }
}

TEST_P(AttentionOptionsTest, ASinkOfNoWeightIsNone) {
  const Problem p = grouped_problem(DType::kFloat32, 70, 90, 24, Mask::kCausal);
  const std::vector<float> none(4, -kInfinity);
  EXPECT_EQ(run({.problem = p, .sinks = none}), run({.problem = p}));
}

TEST_P(AttentionOptionsTest, ARowThatSeesNothingHasTheLogSumExpOfItsSink) {
  run({.problem = grouped_problem(DType::kFloat32, 3, 0, 24), .sinks = {1, -kInfinity, 0, 80}});
  const float expected[] = {1, -kInfinity, 0, 80};
  for (int head = 0; head < 4; ++head) {
    EXPECT_FLOAT_EQ(lse_[static_cast<std::size_t>(head) * 3 + 1], expected[head]);
  }
}

TEST_P(AttentionOptionsTest, PackedSequencesAreEachTheirOwn) {
  using Lengths = std::pair<std::vector<int>, std::vector<int>>;
  const auto all = cases<Lengths>({{{1, 65, 0, 200, 3}, {1, 65, 7, 200, 0}},
                                   {{113}, {799}},
                                   {{1, 1, 1, 1}, {500, 3, 64, 129}},
                                   {{300, 5}, {20, 400}},
                                   {{0, 0, 4}, {0, 5, 4}}},
                                  {{{1, 65, 0, 70, 3}, {1, 40, 7, 150, 0}}});
  for (const auto& [lengths_q, lengths_k] : all) {
    for (const Mask mask :
         cases({Mask::kFull, Mask::kCausal, Mask::kCausalTopLeft}, {Mask::kFull, Mask::kCausal})) {
      for (const Order order :
           cases({Order::kRowsFirst, Order::kHeadsFirst, Order::kUnaligned}, {Order::kRowsFirst})) {
        verify({.problem = grouped_problem(DType::kBFloat16, 0, 0, 64, mask),
                .order = order,
                .lengths_q = lengths_q,
                .lengths_k = lengths_k});
      }
    }
    verify({.problem = grouped_problem(DType::kFloat32, 0, 0, 40, Mask::kWindow),
            .order = Order::kRowsFirst,
            .window_left = 9,
            .window_right = 2,
            .lengths_q = lengths_q,
            .lengths_k = lengths_k});
  }
}

// What stands beside a sequence is another user's, and may be anything.
TEST_P(AttentionOptionsTest, NoNumberOfANeighbouringSequenceIsSeen) {
  using Kind = std::pair<DType, int>;
  for (const auto& [dtype, head_dim] : cases<Kind>({{DType::kBFloat16, 64},
                                                    {DType::kBFloat16, 40},
                                                    {DType::kBFloat16, 72},
                                                    {DType::kFloat32, 64}},
                                                   {{DType::kFloat32, 64}})) {
    Case c{.problem = grouped_problem(dtype, 0, 0, head_dim),
           .order = Order::kRowsFirst,
           .lengths_q = {30, 41, 17},
           .lengths_k = {70, 33, 90}};
    const CaseArrays arrays(completed(c));
    const int bytes = size_of(dtype);
    const auto rows_of_second = [&](const std::vector<std::byte>& o) {
      const std::int64_t row = arrays.o_at.strides.row * bytes;
      const auto begin = o.begin() + arrays.o_at.start * bytes + 30 * row;
      return std::vector<std::byte>(begin, begin + 41 * row);
    };
    const std::vector<std::byte> clean = rows_of_second(run(c));
    c.poisoned_keys.resize(193);
    std::iota(c.poisoned_keys.begin(), c.poisoned_keys.end(), 0);
    std::erase_if(c.poisoned_keys, [](int row) { return row >= 70 && row < 103; });
    EXPECT_EQ(rows_of_second(run(c)), clean);
  }
}

TEST_P(AttentionOptionsTest, PackedSequencesOfOneLengthAreABatch) {
  const Problem p = grouped_problem(DType::kFloat32, 37, 50, 24, Mask::kCausal);
  EXPECT_EQ(
      run({.problem = p, .order = Order::kRowsFirst, .lengths_q = {37, 37}, .lengths_k = {50, 50}}),
      run({.problem = p, .order = Order::kRowsFirst}));
}

TEST_P(AttentionOptionsTest, FunctionsOfTheUsersChangeScoresAndHideKeys) {
  for (const DType dtype : cases({DType::kFloat32, DType::kBFloat16}, {DType::kBFloat16})) {
    const int seq_q = on_cpu() ? 40 : 113, seq_k = on_cpu() ? 75 : 230;
    verify({.problem = grouped_problem(dtype, seq_q, seq_k, 64, Mask::kCausal), .mods = alibi()});
    verify({.problem = grouped_problem(dtype, seq_q, seq_k, 64), .mods = documents(19)});
    verify({.problem = grouped_problem(dtype, seq_q, seq_k, 40, Mask::kWindow),
            .window_left = 60,
            .window_right = 10,
            .softcap = 20,
            .sinks = {1, 0, -kInfinity, 2},
            .mods = mixed(),
            .on_cpu = Variants::kDynamic});
    if (on_cpu()) return;
    for (const int head_dim : {128, 192, 256}) {
      verify({.problem = grouped_problem(dtype, seq_q, seq_k, head_dim), .mods = mixed()});
    }
  }
}

// In rows that a copy engine can copy, and in others.
TEST_P(AttentionOptionsTest, AnArrayOfBiasesIsAdded) {
  for (const DType dtype :
       cases({DType::kFloat32, DType::kFloat16, DType::kBFloat16}, {DType::kBFloat16})) {
    for (const bool shared : {false, true}) {
      for (const int row : {144, 139}) {
        if (on_cpu() && shared == (row == 144)) continue;
        const Problem p =
            grouped_problem(dtype, on_cpu() ? 20 : 300, 137, 64, Mask::kCausalTopLeft);
        verify({.problem = p, .mods = bias(p, shared, row)});
        if (on_cpu()) continue;
        const Problem wide = grouped_problem(dtype, 200, 137, 128);
        verify({.problem = wide, .mods = bias(wide, shared, row)});
      }
    }
  }
  if (on_cpu()) return;
  const Problem many = grouped_problem(DType::kBFloat16, 700, 1000, 128);
  verify({.problem = many, .softcap = 10, .mods = bias(many, false, 1000)});
  const Problem large = grouped_problem(DType::kBFloat16, 130, 260, 256);
  verify({.problem = large, .mods = bias(large, false, 264)});
}

TEST_P(AttentionOptionsTest, FunctionsOfTheUsersCountWithinAPackedSequence) {
  verify({.problem = grouped_problem(DType::kBFloat16, 0, 0, 64, Mask::kCausal),
          .order = Order::kRowsFirst,
          .lengths_q = {5, 0, 70, 33},
          .lengths_k = {9, 4, 70, 100},
          .mods = mixed()});
}

TEST_P(AttentionOptionsTest, AMaskFunctionThatHidesNothingChangesNothing) {
  const Problem p = grouped_problem(DType::kFloat32, 37, 50, 24, Mask::kCausal);
  EXPECT_EQ(run({.problem = p, .mods = documents(1000)}), run({.problem = p}));
}

TEST_P(AttentionOptionsTest, ABlockTableChangesNoBit) {
  const auto both = [&](Case c) {
    const std::vector<std::byte> without = verify(c);
    c.block_table = true;
    EXPECT_EQ(verify(c), without);
  };
  const int seq = on_cpu() ? 150 : 500;
  both({.problem = grouped_problem(DType::kBFloat16, seq, seq, 64), .mods = documents(70)});
  both({.problem = grouped_problem(DType::kFloat32, seq, seq + 40, 40, Mask::kCausal),
        .mods = documents(33)});
  if (on_cpu()) return;
  both({.problem = grouped_problem(DType::kBFloat16, seq, seq, 128), .mods = mixed()});
  both({.problem = grouped_problem(DType::kBFloat16, seq, seq, 256, Mask::kWindow),
        .window_left = 100,
        .window_right = 100,
        .mods = mixed()});
}

TEST_P(AttentionOptionsTest, ATileThatNobodySeesIsNotRead) {
  // Documents of 128 tokens, and the keys of the second one are no numbers.
  Case c{.problem = grouped_problem(DType::kFloat32, 384, 384, 24),
         .mods = documents(128),
         .block_table = true,
         .table = {.per_batch = false, .per_head = false}};
  c.poisoned_keys.resize(128);
  std::iota(c.poisoned_keys.begin(), c.poisoned_keys.end(), 128);
  const CaseArrays arrays(completed(c));
  const std::vector<std::byte> o = run(c);
  const auto* values = reinterpret_cast<const float*>(o.data()) + arrays.o_at.start;
  for (int query = 0; query < 384; ++query) {
    const bool poisoned = query / 128 == 1;
    EXPECT_EQ(std::isnan(values[query * arrays.o_at.strides.row]), poisoned) << query;
  }
  // Six tiles of 64 queries see two of 64 keys each, and it is one row for all heads.
  EXPECT_EQ(visits_, std::vector<std::int32_t>(6, 2));
}

TEST_P(AttentionOptionsTest, ATableOfPackedSequencesIsOfEachSequence) {
  Case c{.problem = grouped_problem(DType::kBFloat16, 0, 0, 64, Mask::kCausal),
         .order = Order::kRowsFirst,
         .lengths_q = {5, 0, 150, 33},
         .lengths_k = {9, 4, 150, 100},
         .mods = documents(40)};
  const std::vector<std::byte> without = run(c);
  c.block_table = true;
  EXPECT_EQ(verify(c), without);
}

FMS_ON_EVERY_TARGET(AttentionOptionsTest);

}  // namespace
}  // namespace fms::attention
