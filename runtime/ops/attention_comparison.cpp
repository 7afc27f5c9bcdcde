#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/attention_elements.h"
#include "runtime/ops/attention_reference.h"

namespace fms::attention {
namespace {

// The largest of |error| / tolerance, and a norm, as elements come by.
struct Measure {
  Comparison comparison;
  double error_squares = 0, squares = 0;

  void add(double value, double expected, double tolerance, const Row& row, int column) {
    const double error = value == expected ? 0 : std::abs(value - expected);  // -inf too
    error_squares += error * error;
    if (std::isfinite(expected)) squares += expected * expected;
    // A NaN replaces anything and is replaced by nothing.
    if (!(error <= comparison.max_error)) {
      if (!std::isnan(comparison.max_error)) comparison.max_error = error;
    }
    if (!(error / tolerance <= comparison.worst) && !std::isnan(comparison.worst)) {
      comparison.worst = error / tolerance;
      comparison.row = row;
      comparison.column = column;
    }
  }

  Comparison finish() {
    comparison.relative_error =
        squares > 0 ? std::sqrt(error_squares / squares) : std::sqrt(error_squares);
    return comparison;
  }
};

// `count` of `total` indices, evenly spread, ends included.
std::vector<std::int64_t> spread(std::int64_t total, std::int64_t count) {
  count = std::max<std::int64_t>(std::min(count, total), 0);
  std::vector<std::int64_t> indices;
  indices.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t at = i;
    // In double, since i * total may not fit.
    if (count < total) {
      at = count == 1
               ? 0
               : static_cast<std::int64_t>(static_cast<double>(i) * static_cast<double>(total - 1) /
                                           static_cast<double>(count - 1));
      at = std::min(at, total - 1);
    }
    indices.push_back(at);
  }
  return indices;
}

}  // namespace

std::vector<Row> all_rows(const Problem& problem, std::span<const std::int32_t> cu_seqlens_q) {
  return sample_rows(problem, std::numeric_limits<std::int64_t>::max(), cu_seqlens_q);
}

std::vector<Row> sample_rows(const Problem& problem, std::int64_t count,
                             std::span<const std::int32_t> cu_seqlens_q) {
  std::vector<Row> rows;
  if (!problem.packed) {
    const std::int64_t total = std::int64_t{problem.batch} * problem.heads * problem.seq_q;
    for (const std::int64_t at : spread(total, count)) {
      const std::int64_t head = at / problem.seq_q;
      rows.push_back({.batch = static_cast<int>(head / problem.heads),
                      .head = static_cast<int>(head % problem.heads),
                      .query = static_cast<int>(at % problem.seq_q)});
    }
    return rows;
  }
  const std::int64_t total_q = cu_seqlens_q.empty() ? 0 : cu_seqlens_q.back();
  for (const std::int64_t at : spread(total_q * problem.heads, count)) {
    const auto row = static_cast<std::int32_t>(at % total_q);
    const auto after = std::ranges::upper_bound(cu_seqlens_q, row);
    rows.push_back({.batch = static_cast<int>(after - cu_seqlens_q.begin()) - 1,
                    .head = static_cast<int>(at / total_q),
                    .query = row - *(after - 1)});
  }
  return rows;
}

Comparison compare(const Problem& problem, const Reference& expected, const void* o,
                   const Strides& o_strides) {
  Measure measure;
  for (std::size_t i = 0; i < expected.rows.size(); ++i) {
    const Row& row = expected.rows[i];
    const std::int64_t start =
        row_start(o_strides, expected.cu_seqlens_q, row.batch, row.head, row.query);
    for (int d = 0; d < expected.value_dim; ++d) {
      const std::size_t at = i * expected.value_dim + d;
      measure.add(element(o, start + d, problem.dtype), expected.o[at], expected.o_tolerance[at],
                  row, d);
    }
  }
  return measure.finish();
}

Comparison compare_lse(const Problem& problem, const Reference& expected, const float* lse) {
  Measure measure;
  for (std::size_t i = 0; i < expected.rows.size(); ++i) {
    const Row& row = expected.rows[i];
    const auto& starts = expected.cu_seqlens_q;
    const std::int64_t at =
        starts.empty()
            ? (std::int64_t{row.batch} * problem.heads + row.head) * problem.seq_q + row.query
            : std::int64_t{row.head} * starts.back() + starts[row.batch] + row.query;
    measure.add(lse[at], expected.lse[i], expected.lse_tolerance[i], row, 0);
  }
  return measure.finish();
}

}  // namespace fms::attention
