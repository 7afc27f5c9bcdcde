#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_plan.h"
#include "runtime/ops/attention_reference.h"
#include "runtime/ops/block_table.h"
#include "tests/templates/host_array.h"
#include "tests/templates/jit_fixture.h"

namespace fms::attention {

// How arrays lie in memory.
enum class Order {
  kHeadsFirst,  // (batch, heads, seq, dim), packed
  kRowsFirst,   // (batch, seq, heads, dim), packed
  kGaps,        // heads first, with gaps of 8 elements between rows
  kUnaligned,   // heads first, with gaps of 3 elements between rows, starting at element 1
};

// A user's functions, and the same on the host.
struct CaseMods {
  std::shared_ptr<const Mods> mods;
  std::vector<std::byte> bytes;  // of the struct
  std::function<double(double, int, int, int, int)> score;
  std::function<bool(int, int, int, int)> mask;

  template <typename Members>
  static std::vector<std::byte> bytes_of(const Members& members) {
    std::vector<std::byte> bytes(sizeof members);
    std::memcpy(bytes.data(), &members, sizeof members);
    return bytes;
  }
};

// What a CPU, for which a variant takes seconds to compile, is asked for; a GPU is for both. A
// packed problem has one.
enum class Variants { kExact, kDynamic, kBoth };

// Of two batches, in which two query heads share each key head.
inline Problem grouped_problem(DType dtype, int seq_q, int seq_k, int head_dim,
                               Mask mask = Mask::kFull) {
  return {.dtype = dtype,
          .batch = 2,
          .heads = 4,
          .kv_heads = 2,
          .seq_q = seq_q,
          .seq_k = seq_k,
          .head_dim = head_dim,
          .mask = mask};
}

struct Case {
  Problem problem;
  Order order = Order::kHeadsFirst;
  float deviation = 1;  // of q and k
  float scale = 0;
  bool return_lse = true;
  bool portable = false;  // on Hopper: the kernel of other GPUs, by their target
  int window_left = -1, window_right = -1;
  float softcap = 0;
  std::vector<float> sinks;
  std::vector<int> lengths_q, lengths_k;  // of packed sequences; the problem's are made from them
  CaseMods mods;
  bool block_table = false;
  BlockTableOptions table;
  // Keys and values of these rows, of every head, are NaN.
  std::vector<int> poisoned_keys;
  Variants on_cpu = Variants::kExact;
};

inline std::vector<std::int32_t> starts_of(const std::vector<int>& lengths) {
  std::vector<std::int32_t> starts{0};
  for (const int length : lengths) starts.push_back(starts.back() + length);
  if (lengths.empty()) starts.clear();
  return starts;
}

// Where an array's elements are: 64 elements stand in front of it and behind it.
struct Placement {
  static constexpr std::int64_t kGuard = 64;

  Placement(const Problem& p, Order order, int heads, int seq, int columns,
            const std::vector<std::int32_t>& starts) {
    const std::int64_t batch = starts.empty() ? p.batch : 1;
    const std::int64_t rows = starts.empty() ? seq : starts.back();
    const std::int64_t gap = order == Order::kUnaligned ? 3 : order == Order::kGaps ? 8 : 0;
    const std::int64_t row = columns + gap;
    start = kGuard + (order == Order::kUnaligned ? 1 : 0);
    strides = order == Order::kRowsFirst
                  ? Strides{.batch = rows * heads * row, .head = row, .row = heads * row}
                  : Strides{.batch = heads * rows * row, .head = rows * row, .row = row};
    size = start + batch * heads * rows * row + kGuard;
  }

  Strides strides;
  std::int64_t start = 0, size = 0;  // elements
};

// The arrays of a case.
struct CaseArrays {
  explicit CaseArrays(const Case& c)
      : starts_q(starts_of(c.lengths_q)),
        starts_k(starts_of(c.lengths_k)),
        q_at(c.problem, c.order, c.problem.heads, c.problem.seq_q, c.problem.head_dim, starts_q),
        k_at(c.problem, c.order, c.problem.kv_heads, c.problem.seq_k, c.problem.head_dim, starts_k),
        v_at(c.problem, c.order, c.problem.kv_heads, c.problem.seq_k, c.problem.value_columns(),
             starts_k),
        o_at(c.problem, c.order, c.problem.heads, c.problem.seq_q, c.problem.value_columns(),
             starts_q),
        q(c.problem.dtype, static_cast<std::size_t>(q_at.size)),
        k(c.problem.dtype, static_cast<std::size_t>(k_at.size)),
        v(c.problem.dtype, static_cast<std::size_t>(v_at.size)) {
    q.fill_normal(1, c.deviation);
    k.fill_normal(2, c.deviation);
    v.fill_normal(3);
    for (const int row : c.poisoned_keys) {
      poison(k, k_at, c.problem, row, c.problem.head_dim);
      poison(v, v_at, c.problem, row, c.problem.value_columns());
    }
  }

  static void poison(HostArray& array, const Placement& at, const Problem& p, int row,
                     int columns) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (int batch = 0; batch < (p.packed ? 1 : p.batch); ++batch) {
      for (int head = 0; head < p.kv_heads; ++head) {
        for (int d = 0; d < columns; ++d) {
          const std::int64_t i = at.start + batch * at.strides.batch + head * at.strides.head +
                                 row * at.strides.row + d;
          array.set(static_cast<std::size_t>(i), nan);
        }
      }
    }
  }

  std::vector<std::int32_t> starts_q, starts_k;
  Placement q_at, k_at, v_at, o_at;
  HostArray q, k, v;
};

// Runs attention on each target and compares it with the reference. With FMS_TEST_PORTABLE in the
// environment every case on a GPU is for the kernels of other GPUs, as if it said so.
class AttentionTest : public JitTest {
 protected:
  // `all` on a GPU, and `few` of them on a CPU.
  template <typename T>
  static std::vector<T> cases(std::initializer_list<T> all, std::initializer_list<T> few) {
    return on_cpu() ? few : all;
  }

  static Case completed(Case c) {
    c.portable = !on_cpu() && (c.portable || std::getenv("FMS_TEST_PORTABLE") != nullptr);
    c.problem.return_lse = c.return_lse;
    c.problem.softcap = c.softcap != 0;
    c.problem.sinks = !c.sinks.empty();
    c.problem.mods = c.mods.mods;
    c.problem.block_table = c.block_table;
    if (!c.lengths_q.empty()) {
      c.problem.packed = true;
      c.problem.batch = static_cast<int>(c.lengths_q.size());
      c.problem.seq_q = *std::ranges::max_element(c.lengths_q);
      c.problem.seq_k = *std::ranges::max_element(c.lengths_k);
    }
    return c;
  }

  // Runs a case both ways, twice, and checks it in all respects. Gives the output array's bytes.
  std::vector<std::byte> verify(const Case& given) {
    const Case c = completed(given);
    const Problem& p = c.problem;
    SCOPED_TRACE(to_json_line(to_manifest_entry(p)));
    const CaseArrays arrays(c);
    const Variants asked = p.packed ? Variants::kExact : on_cpu() ? c.on_cpu : Variants::kBoth;
    const Policy policy = asked == Variants::kDynamic ? Policy::kDynamic : Policy::kExact;
    const std::vector<std::byte> o = run(policy, c, arrays);
    EXPECT_EQ(o, run(policy, c, arrays)) << "two runs differ";
    if (asked == Variants::kBoth) {
      EXPECT_EQ(o, run(Policy::kDynamic, c, arrays)) << "exact and dynamic variant differ";
    }
    if (!o.empty()) {
      compare_with_reference(c, arrays, o);
      expect_gaps_untouched(c, arrays, o);
    }
    return o;
  }

  void compare_with_reference(const Case& c, const CaseArrays& arrays,
                              const std::vector<std::byte>& o_bytes) {
    const Problem& p = c.problem;
    const int bytes = size_of(p.dtype);
    const auto at = [&](const HostArray& array, const Placement& place) {
      return static_cast<const std::byte*>(array.data()) + place.start * bytes;
    };
    const HostInputs inputs{.q = at(arrays.q, arrays.q_at),
                            .k = at(arrays.k, arrays.k_at),
                            .v = at(arrays.v, arrays.v_at),
                            .q_strides = arrays.q_at.strides,
                            .k_strides = arrays.k_at.strides,
                            .v_strides = arrays.v_at.strides,
                            .scale = c.scale,
                            .window_left = c.window_left,
                            .window_right = c.window_right,
                            .softcap = c.softcap,
                            .sinks = c.sinks,
                            .cu_seqlens_q = arrays.starts_q,
                            .cu_seqlens_k = arrays.starts_k,
                            .score = c.mods.score,
                            .mask = c.mods.mask};
    const Reference expected = reference(p, inputs, sample_rows(p, 2000, arrays.starts_q),
                                         /*threads=*/0, weights_for(c))
                                   .value();
    const Comparison o =
        compare(p, expected, o_bytes.data() + arrays.o_at.start * bytes, arrays.o_at.strides);
    EXPECT_TRUE(o.within_tolerance())
        << "error " << o.max_error << ", " << o.worst << " of the tolerance, at batch "
        << o.row.batch << " head " << o.row.head << " query " << o.row.query << " column "
        << o.column;
    if (c.return_lse) {
      const Comparison lse = compare_lse(p, expected, lse_.data());
      EXPECT_TRUE(lse.within_tolerance())
          << "lse: error " << lse.max_error << " at query " << lse.row.query;
    }
  }

  bool is_hopper() const { return device_->info().compute_capability == 90; }

  // Of the kernel that a case is for.
  Weights weights_for(const Case& c) const {
    const bool bulk = c.order != Order::kUnaligned && c.scale >= 0;
    const Access access = bulk ? Access::kBulk : Access::kElements;
    const Room room = room_for(jit_for(Policy::kDynamic, c.portable), *device_);
    return weights_of(plan_with(c.problem, room, access).value().plan);
  }

  static Jit& jit_for(Policy policy, bool portable) {
    if (!portable) return jit(policy);
    static const Target target = Target::parse("sm_90").value();
    static Jit exact = make_jit(Policy::kExact, target);
    static Jit dynamic = make_jit(Policy::kDynamic, target);
    return policy == Policy::kExact ? exact : dynamic;
  }

  template <typename T>
  std::optional<DeviceBuffer> upload_any(const std::vector<T>& values) const {
    if (values.empty()) return std::nullopt;
    return upload(values);
  }
  template <typename T>
  static const T* address(const std::optional<DeviceBuffer>& buffer) {
    return buffer ? static_cast<const T*>(buffer->data()) : nullptr;
  }

  // The bytes of the output array, guards and gaps included; lse_ has the lse.
  std::vector<std::byte> run(Policy policy, const Case& c, const CaseArrays& arrays) {
    const Problem& p = c.problem;
    const DeviceBuffer q = upload(arrays.q.bytes()), k = upload(arrays.k.bytes()),
                       v = upload(arrays.v.bytes());
    const auto o_size = static_cast<std::size_t>(arrays.o_at.size);
    const DeviceBuffer o = upload(HostArray(p.dtype, o_size).bytes());
    const std::size_t rows = p.packed ? static_cast<std::size_t>(arrays.starts_q.back()) * p.heads
                                      : static_cast<std::size_t>(p.batch) * p.heads * p.seq_q;
    const DeviceBuffer lse = upload(HostArray(DType::kFloat32, rows + 1).bytes());
    const auto sinks = upload_any(c.sinks);
    const auto starts_q = upload_any(arrays.starts_q), starts_k = upload_any(arrays.starts_k);
    const auto at = [&](const DeviceBuffer& buffer, const Placement& place) {
      return static_cast<std::byte*>(buffer.data()) + place.start * size_of(p.dtype);
    };
    Arguments arguments{.q = at(q, arrays.q_at),
                        .k = at(k, arrays.k_at),
                        .v = at(v, arrays.v_at),
                        .o = at(o, arrays.o_at),
                        .lse = p.return_lse ? static_cast<float*>(lse.data()) : nullptr,
                        .q_strides = arrays.q_at.strides,
                        .k_strides = arrays.k_at.strides,
                        .v_strides = arrays.v_at.strides,
                        .o_strides = arrays.o_at.strides,
                        .scale = c.scale,
                        .window_left = c.window_left,
                        .window_right = c.window_right,
                        .softcap = c.softcap,
                        .sinks = address<float>(sinks),
                        .cu_seqlens_q = address<std::int32_t>(starts_q),
                        .cu_seqlens_k = address<std::int32_t>(starts_k),
                        .total_q = p.packed ? arrays.starts_q.back() : 0,
                        .total_k = p.packed ? arrays.starts_k.back() : 0,
                        .mods = c.mods.mods ? c.mods.bytes.data() : nullptr,
                        .mods_bytes = c.mods.bytes.size()};
    Jit& jit = jit_for(policy, c.portable);
    std::optional<BlockTable> table;
    if (c.block_table) {
      auto made = make_block_table(jit, device_, {}, p, arguments, c.table);
      if (!made) {
        ADD_FAILURE() << made.error().message << "\n" << made.error().detail;
        return {};
      }
      table = *std::move(made);
      arguments.block_table = table->view();
      visits_ = download_counts(*table);
    }
    const auto done = forward(jit, device_, {}, p, arguments);
    if (!done) {
      ADD_FAILURE() << done.error().message << "\n" << done.error().detail;
      return {};
    }
    lse_ = download<float>(lse);
    EXPECT_TRUE(std::isnan(lse_.back())) << "written behind lse";
    return download<std::byte>(o);
  }

  // The bytes of the output of a run that is to succeed.
  std::vector<std::byte> run(const Case& given) {
    const Case c = completed(given);
    return run(Policy::kDynamic, c, CaseArrays(c));
  }

  std::vector<std::int32_t> download_counts(const BlockTable& table) const {
    std::vector<std::int32_t> all = download<std::int32_t>(table.memory());
    all.resize(static_cast<std::size_t>(table.shape().rows()));
    return all;
  }

  // Every byte that no row covers is still as it was.
  static void expect_gaps_untouched(const Case& c, const CaseArrays& arrays,
                                    std::vector<std::byte> bytes) {
    const Problem& p = c.problem;
    const Placement& at = arrays.o_at;
    const int size = size_of(p.dtype);
    for (const Row& row : all_rows(p, arrays.starts_q)) {
      const std::int64_t query =
          row.query + (p.packed ? arrays.starts_q[static_cast<std::size_t>(row.batch)] : 0);
      const std::int64_t start = at.start + (p.packed ? 0 : row.batch * at.strides.batch) +
                                 row.head * at.strides.head + query * at.strides.row;
      std::fill_n(bytes.begin() + start * size, p.value_columns() * size, std::byte{0xff});
    }
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xff}), std::ssize(bytes))
        << "written outside the output";
  }

  std::vector<float> lse_;
  std::vector<std::int32_t> visits_;  // the counts of the last block table
};

}  // namespace fms::attention
