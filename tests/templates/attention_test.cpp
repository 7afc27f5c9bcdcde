// attention::forward() on each target, against the fp64 reference. Every case is also a check that
// nothing but the output is written, that exact and dynamic variants and repeated runs give the
// same bits (law 11), and that lse is right. A CPU, for which compiling takes longer, runs few
// cases of each kind. A Hopper GPU has a kernel of its own for 16-bit types, and is asked for the
// portable one too.

#include "runtime/ops/attention.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ops/attention_reference.h"
#include "tests/templates/host_array.h"
#include "tests/templates/jit_fixture.h"

namespace fms::attention {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

// How arrays lie in memory.
enum class Order {
  kHeadsFirst,  // (batch, heads, seq, head_dim), packed
  kRowsFirst,   // (batch, seq, heads, head_dim), packed
  kGaps,        // heads first, with gaps of 8 elements between rows
  kUnaligned,   // heads first, with gaps of 3 elements between rows, starting at element 1
};

struct Case {
  Problem problem;
  Order order = Order::kHeadsFirst;
  float deviation = 1;  // of q and k
  float scale = 0;
  bool return_lse = true;
  bool portable = false;  // the kernel of other GPUs, by their target
};

// Where an array's elements are: 64 elements stand in front of it and behind it.
struct Placement {
  static constexpr std::int64_t kGuard = 64;

  Placement(const Problem& p, Order order, int heads, int seq) {
    const std::int64_t gap = order == Order::kUnaligned ? 3 : order == Order::kGaps ? 8 : 0;
    const std::int64_t row = p.head_dim + gap;
    start = kGuard + (order == Order::kUnaligned ? 1 : 0);
    strides = order == Order::kRowsFirst
                  ? Strides{.batch = seq * heads * row, .head = row, .row = heads * row}
                  : Strides{.batch = heads * seq * row, .head = seq * row, .row = row};
    size = start + p.batch * heads * seq * row + kGuard;
  }

  Strides strides;
  std::int64_t start = 0, size = 0;  // elements
};

class AttentionTest : public JitTest {
 protected:
  // `all` on a GPU, and `few` of them on a CPU.
  template <typename T>
  static std::vector<T> cases(std::initializer_list<T> all, std::initializer_list<T> few) {
    return on_cpu() ? few : all;
  }

  // Runs a case both ways, twice, and checks it in all respects.
  void verify(Case c) {
    c.problem.return_lse = c.return_lse;
    const Problem& p = c.problem;
    SCOPED_TRACE(to_json_line(to_manifest_entry(p)));
    const Placement q_at(p, c.order, p.heads, p.seq_q), kv_at(p, c.order, p.kv_heads, p.seq_k);
    HostArray q(p.dtype, q_at.size), k(p.dtype, kv_at.size), v(p.dtype, kv_at.size);
    q.fill_normal(1, c.deviation);
    k.fill_normal(2, c.deviation);
    v.fill_normal(3);

    const std::vector<std::byte> exact = run(Policy::kExact, c, q, k, v);
    EXPECT_EQ(exact, run(Policy::kExact, c, q, k, v)) << "two runs differ";
    EXPECT_EQ(exact, run(Policy::kDynamic, c, q, k, v)) << "exact and dynamic variant differ";
    if (exact.empty()) return;

    const int bytes = size_of(p.dtype);
    const HostInputs inputs{.q = static_cast<const std::byte*>(q.data()) + q_at.start * bytes,
                            .k = static_cast<const std::byte*>(k.data()) + kv_at.start * bytes,
                            .v = static_cast<const std::byte*>(v.data()) + kv_at.start * bytes,
                            .q_strides = q_at.strides,
                            .k_strides = kv_at.strides,
                            .v_strides = kv_at.strides,
                            .scale = c.scale};
    const Reference expected =
        reference(p, inputs, sample_rows(p, 2000), /*threads=*/0, weights_for(c)).value();
    const Comparison o = compare(p, expected, exact.data() + q_at.start * bytes, q_at.strides);
    EXPECT_TRUE(o.within_tolerance())
        << "error " << o.max_error << ", " << o.worst << " of the tolerance, at batch "
        << o.row.batch << " head " << o.row.head << " query " << o.row.query << " column "
        << o.column;
    if (c.return_lse) {
      const Comparison lse = compare_lse(p, expected, lse_.data());
      EXPECT_TRUE(lse.within_tolerance())
          << "lse: error " << lse.max_error << " at query " << lse.row.query;
    }
    expect_gaps_untouched(c, exact);
  }

  bool is_hopper() const { return device_->info().compute_capability == 90; }

  // Of the kernel that a case is for.
  Weights weights_for(const Case& c) const {
    const bool bulk = c.order != Order::kUnaligned && c.scale >= 0;
    const bool tensor_cores =
        is_hopper() && bulk && c.problem.dtype != DType::kFloat32 && c.problem.head_dim % 8 == 0;
    return tensor_cores && !c.portable ? Weights::kRounded : Weights::kFloat32;
  }

  static Jit& jit_for(Policy policy, bool portable) {
    if (!portable) return jit(policy);
    static const Target target = Target::parse("sm_90").value();
    static Jit exact = make_jit(Policy::kExact, target);
    static Jit dynamic = make_jit(Policy::kDynamic, target);
    return policy == Policy::kExact ? exact : dynamic;
  }

  // The bytes of the output array, guards and gaps included; lse_ has the lse.
  std::vector<std::byte> run(Policy policy, const Case& c, const HostArray& q, const HostArray& k,
                             const HostArray& v) {
    const Problem& p = c.problem;
    const Placement q_at(p, c.order, p.heads, p.seq_q), kv_at(p, c.order, p.kv_heads, p.seq_k);
    const int bytes = size_of(p.dtype);
    const DeviceBuffer q_buffer = upload(q.bytes()), k_buffer = upload(k.bytes()),
                       v_buffer = upload(v.bytes());
    const DeviceBuffer o_buffer = upload(HostArray(p.dtype, q_at.size).bytes());
    const std::size_t rows = static_cast<std::size_t>(p.batch) * p.heads * p.seq_q;
    const DeviceBuffer lse_buffer = upload(HostArray(DType::kFloat32, rows + 1).bytes());
    const auto at = [&](const DeviceBuffer& buffer, std::int64_t start) {
      return static_cast<std::byte*>(buffer.data()) + start * bytes;
    };
    const auto done =
        forward(jit_for(policy, c.portable), device_, {}, p,
                {.q = at(q_buffer, q_at.start),
                 .k = at(k_buffer, kv_at.start),
                 .v = at(v_buffer, kv_at.start),
                 .o = at(o_buffer, q_at.start),
                 .lse = p.return_lse ? static_cast<float*>(lse_buffer.data()) : nullptr,
                 .q_strides = q_at.strides,
                 .k_strides = kv_at.strides,
                 .v_strides = kv_at.strides,
                 .o_strides = q_at.strides,
                 .scale = c.scale});
    if (!done) {
      ADD_FAILURE() << done.error().message << "\n" << done.error().detail;
      return {};
    }
    lse_ = download<float>(lse_buffer);
    EXPECT_TRUE(std::isnan(lse_.back())) << "written behind lse";
    return download<std::byte>(o_buffer);
  }

  // Every byte that no row covers is still as it was.
  static void expect_gaps_untouched(const Case& c, std::vector<std::byte> bytes) {
    const Problem& p = c.problem;
    const Placement at(p, c.order, p.heads, p.seq_q);
    const int size = size_of(p.dtype);
    for (const Row& row : all_rows(p)) {
      const std::int64_t start = at.start + row.batch * at.strides.batch +
                                 row.head * at.strides.head + row.query * at.strides.row;
      std::fill_n(bytes.begin() + start * size, p.head_dim * size, std::byte{0xff});
    }
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xff}), std::ssize(bytes))
        << "written outside the output";
  }

  std::vector<float> lse_;
};

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

TEST_P(AttentionTest, EveryPairOfLengthsIsRight) {
  for (const int seq_q : cases({0, 1, 63, 64, 65, 799}, {0, 1, 65})) {
    for (const int seq_k : cases({0, 1, 64, 113, 1023}, {0, 113})) {
      verify({.problem = problem(DType::kBFloat16, seq_q, seq_k, 64)});
    }
  }
}

TEST_P(AttentionTest, CausalMasksAlignToEitherEndWhateverTheLengths) {
  using Lengths = std::pair<int, int>;
  const auto lengths =
      cases<Lengths>({{1, 799}, {799, 1}, {65, 1023}, {1023, 65}, {128, 128}, {5, 0}}, {{70, 33}});
  for (const Mask mask : {Mask::kCausal, Mask::kCausalTopLeft}) {
    for (const auto& [seq_q, seq_k] : lengths) {
      verify({.problem = problem(DType::kFloat16, seq_q, seq_k, 64, mask)});
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

TEST_P(AttentionTest, ThePortableKernelIsRightWhereThereIsABetterOne) {
  if (on_cpu() || !is_hopper()) GTEST_SKIP() << "all other tests are of the portable kernel";
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
}

FMS_ON_EVERY_TARGET(AttentionTest);

}  // namespace
}  // namespace fms::attention
