#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/ops/attention.h"

namespace fms::attention {

// One query of one head; of packed sequences, `batch` is the sequence and `query` within it.
struct Row {
  int batch = 0, head = 0, query = 0;

  bool operator==(const Row&) const = default;
};

// `cu_seqlens_q` is what the problem's packed sequences have, and else empty.
std::vector<Row> all_rows(const Problem& problem, std::span<const std::int32_t> cu_seqlens_q = {});
// `count` rows, the first and the last among them, the same ones every time; all if there are no
// more.
std::vector<Row> sample_rows(const Problem& problem, std::int64_t count,
                             std::span<const std::int32_t> cu_seqlens_q = {});

// Arrays in host memory, of the problem's dtype; otherwise as Arguments.
struct HostInputs {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  Strides q_strides, k_strides, v_strides;
  float scale = 0;  // 0: 1 / sqrt(head_dim)
  int window_left = -1, window_right = -1;
  float softcap = 0;
  std::span<const float> sinks;
  std::span<const std::int32_t> cu_seqlens_q, cu_seqlens_k;
  // What the problem's mods compute; empty: there is no such function. Called by several threads.
  std::function<double(double score, int batch, int head, int query, int key)> score;
  std::function<bool(int batch, int head, int query, int key)> mask;
};

// What a kernel multiplies values by: tensor cores take weights of the values' dtype.
enum class Weights : std::uint8_t { kFloat32, kRounded };

Weights weights_of(const Plan& plan);

// Attention in double precision, row by row, with the error that a kernel may make which
// accumulates in fp32 and rounds its result to the problem's dtype.
//
// The tolerance of an output is u |o| + 2^-25 + (sum of p |v|) * w, where u is the dtype's unit
// roundoff and p the softmax; w bounds the relative error of a weight and of a sum of weights:
//   w = 2 * (4 sqrt(head_dim) e scale max_j(sum of |q k_j|) + 4 e max_j |score_j|)
//       + 4 sqrt(seq_k) e + 2^-20,    e = 2^-24
// with the largest of a score's values on its way (a cap, or a function of the user's, which is
// taken to have slopes of at most 1, may change it), of a sink too. A cap adds 16 e max_j |capped
// score_j| to w; or, where weights are rounded to bfloat16, 2^-9 of it: that is tanh.approx.f32.
// A kernel that rounds weights as well (Weights::kRounded) may add to that
//   2 u |o| + 4 u sqrt(sum of (p v)^2), and with float16, which ends at 2^-24,
//   2^-20 sqrt(sum of v^2).
// Rounding errors of long sums grow like the square root of their length; 4 is a margin of four
// standard deviations. 2^-20 covers ex2.approx (2^-22) and the division.
struct Reference {
  std::vector<Row> rows;
  std::vector<std::int32_t> cu_seqlens_q;  // of packed sequences
  int value_dim = 0;
  std::vector<double> o, o_tolerance;      // rows.size() x value_dim
  std::vector<double> lse, lse_tolerance;  // rows.size(); -inf where no key is seen
};

// Computes `rows` on `threads` threads, 0: all cores.
Result<Reference> reference(const Problem& problem, const HostInputs& inputs, std::vector<Row> rows,
                            int threads = 0, Weights weights = Weights::kFloat32);

// How far a result is from the reference, over the reference's rows.
struct Comparison {
  double max_error = 0;       // absolute; NaN if any element is
  double relative_error = 0;  // of all elements together, in the 2-norm
  double worst = 0;           // largest |error| / tolerance; at most 1 for a correct kernel
  Row row;                    // where that is
  int column = 0;

  bool within_tolerance() const { return worst <= 1; }  // false for NaN
};

// `o` is an array in host memory, of the problem's dtype.
Comparison compare(const Problem& problem, const Reference& expected, const void* o,
                   const Strides& o_strides);
// `lse` is (batch, heads, seq_q), or of packed sequences (heads, total_q).
Comparison compare_lse(const Problem& problem, const Reference& expected, const float* lse);

}  // namespace fms::attention
