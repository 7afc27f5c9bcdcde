#include "runtime/ops/attention_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

namespace fms::attention {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

float half_to_float(std::uint16_t bits) {
  const int sign = bits >> 15, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float magnitude = 0;
  if (exponent == 31) {
    magnitude = mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                              : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return sign != 0 ? -magnitude : magnitude;
}

float element(const void* array, std::int64_t index, DType dtype) {
  if (dtype == DType::kFloat32) return static_cast<const float*>(array)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(array)[index];
  if (dtype == DType::kFloat16) return half_to_float(bits);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

double unit_roundoff(DType dtype) {
  if (dtype == DType::kFloat32) return 0x1p-24;
  return dtype == DType::kFloat16 ? 0x1p-11 : 0x1p-8;
}

std::int64_t row_start(const Strides& strides, int batch, int head, int row) {
  return batch * strides.batch + head * strides.head + row * strides.row;
}

// How many keys, from the first on, a query sees.
int visible_keys(const Problem& problem, int query) {
  std::int64_t visible = problem.seq_k;
  if (problem.mask == Mask::kCausal) {
    visible = std::int64_t{query} + 1 + problem.seq_k - problem.seq_q;
  } else if (problem.mask == Mask::kCausalTopLeft) {
    visible = std::int64_t{query} + 1;
  }
  return static_cast<int>(std::clamp<std::int64_t>(visible, 0, problem.seq_k));
}

// Keys and values of one head as packed floats, which hold every dtype's values exactly. Converted
// once for all the rows that share them.
struct HeadCopy {
  int batch = -1, kv_head = -1;
  std::vector<float> k, v;

  void load(const Problem& problem, const HostInputs& inputs, int new_batch, int new_kv_head) {
    if (batch == new_batch && kv_head == new_kv_head) return;
    batch = new_batch;
    kv_head = new_kv_head;
    copy(problem, inputs.k, inputs.k_strides, k);
    copy(problem, inputs.v, inputs.v_strides, v);
  }

 private:
  void copy(const Problem& problem, const void* array, const Strides& strides,
            std::vector<float>& packed) const {
    packed.resize(static_cast<std::size_t>(problem.seq_k) * problem.head_dim);
    std::size_t at = 0;
    for (int row = 0; row < problem.seq_k; ++row) {
      const std::int64_t start = row_start(strides, batch, kv_head, row);
      for (int d = 0; d < problem.head_dim; ++d) {
        packed[at++] = element(array, start + d, problem.dtype);
      }
    }
  }
};

// What one worker needs from row to row.
struct Scratch {
  HeadCopy head;
  std::vector<float> q;
  std::vector<double> weights, o, o_absolute, o_squares, v_squares;
};

// What rounded weights add to the tolerance of an output `o`: see Reference.
double tolerance_of_rounding(DType dtype, double o, double squares, double v_squares) {
  const double u = unit_roundoff(dtype);
  return 2 * u * std::abs(o) + 4 * u * std::sqrt(squares) +
         (dtype == DType::kFloat16 ? 0x1p-20 * std::sqrt(v_squares) : 0);
}

double tolerance_of_weights(const Problem& problem, double absolute_score, double score) {
  constexpr double kE = 0x1p-24;
  return 2 * (4 * std::sqrt(problem.head_dim) * kE * absolute_score + 4 * kE * score) +
         4 * std::sqrt(problem.seq_k) * kE + 0x1p-20;
}

void compute_row(const Problem& problem, const HostInputs& inputs, double scale, Weights rounding,
                 std::size_t index, Scratch& scratch, Reference& result) {
  const Row row = result.rows[index];
  const int dim = problem.head_dim;
  scratch.head.load(problem, inputs, row.batch, row.head / (problem.heads / problem.kv_heads));
  scratch.q.resize(dim);
  const std::int64_t start = row_start(inputs.q_strides, row.batch, row.head, row.query);
  for (int d = 0; d < dim; ++d) scratch.q[d] = element(inputs.q, start + d, problem.dtype);

  const int keys = visible_keys(problem, row.query);
  std::vector<double>& weights = scratch.weights;
  weights.resize(keys);
  double max = -kInfinity, largest = 0, largest_absolute = 0;
  for (int key = 0; key < keys; ++key) {
    const float* k = scratch.head.k.data() + static_cast<std::size_t>(key) * dim;
    double dot = 0, absolute = 0;
    for (int d = 0; d < dim; ++d) {
      const double product = double{scratch.q[d]} * k[d];
      dot += product;
      absolute += std::abs(product);
    }
    weights[key] = dot * scale;
    max = std::max(max, weights[key]);
    largest = std::max(largest, std::abs(weights[key]));
    largest_absolute = std::max(largest_absolute, absolute * std::abs(scale));
  }

  double sum = 0;
  scratch.o.assign(dim, 0);
  scratch.o_absolute.assign(dim, 0);
  scratch.o_squares.assign(dim, 0);
  scratch.v_squares.assign(dim, 0);
  for (int key = 0; key < keys; ++key) {
    const double weight = std::exp(weights[key] - max);
    const float* v = scratch.head.v.data() + static_cast<std::size_t>(key) * dim;
    sum += weight;
    for (int d = 0; d < dim; ++d) {
      scratch.o[d] += weight * v[d];
      scratch.o_absolute[d] += weight * std::abs(double{v[d]});
    }
    if (rounding == Weights::kFloat32) continue;
    for (int d = 0; d < dim; ++d) {
      const double square = double{v[d]} * v[d];
      scratch.o_squares[d] += weight * weight * square;
      scratch.v_squares[d] += square;
    }
  }

  const double weight_tolerance = tolerance_of_weights(problem, largest_absolute, largest);
  for (int d = 0; d < dim; ++d) {
    const double o = keys == 0 ? 0 : scratch.o[d] / sum;
    const double absolute = keys == 0 ? 0 : scratch.o_absolute[d] / sum;
    result.o[index * dim + d] = o;
    result.o_tolerance[index * dim + d] =
        unit_roundoff(problem.dtype) * std::abs(o) + 0x1p-25 + absolute * weight_tolerance;
    if (rounding == Weights::kRounded && keys > 0) {
      result.o_tolerance[index * dim + d] += tolerance_of_rounding(
          problem.dtype, o, scratch.o_squares[d] / (sum * sum), scratch.v_squares[d]);
    }
  }
  result.lse[index] = keys == 0 ? -kInfinity : max + std::log(sum);
  result.lse_tolerance[index] =
      weight_tolerance + 4 * 0x1p-24 * (largest + std::abs(std::log(std::max(sum, 1.0))));
}

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

}  // namespace

std::vector<Row> all_rows(const Problem& problem) {
  return sample_rows(problem, std::numeric_limits<std::int64_t>::max());
}

std::vector<Row> sample_rows(const Problem& problem, std::int64_t count) {
  const std::int64_t total = std::int64_t{problem.batch} * problem.heads * problem.seq_q;
  count = std::min(count, total);
  std::vector<Row> rows;
  rows.reserve(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
  for (std::int64_t i = 0; i < count; ++i) {
    // Evenly spread, ends included; in double, since i * total may not fit.
    std::int64_t at = i;
    if (count < total) {
      at = count == 1
               ? 0
               : static_cast<std::int64_t>(static_cast<double>(i) * static_cast<double>(total - 1) /
                                           static_cast<double>(count - 1));
      at = std::min(at, total - 1);
    }
    const std::int64_t head = at / problem.seq_q;
    rows.push_back({.batch = static_cast<int>(head / problem.heads),
                    .head = static_cast<int>(head % problem.heads),
                    .query = static_cast<int>(at % problem.seq_q)});
  }
  return rows;
}

Weights weights_of(const Plan& plan) {
  const bool simt = plan.specialization.kernel_template().name() == "attention_forward_simt";
  return simt ? Weights::kFloat32 : Weights::kRounded;
}

Result<Reference> reference(const Problem& problem, const HostInputs& inputs, std::vector<Row> rows,
                            int threads, Weights weights) {
  FMS_TRY_VOID(check(problem));
  for (const Row& row : rows) {
    if (row.batch < 0 || row.batch >= problem.batch || row.head < 0 || row.head >= problem.heads ||
        row.query < 0 || row.query >= problem.seq_q) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("can't compute the attention reference: there is no row (batch {}, "
                              "head {}, query {})",
                              row.batch, row.head, row.query));
    }
  }
  const double scale = inputs.scale != 0 ? inputs.scale : 1 / std::sqrt(problem.head_dim);
  Reference result;
  result.head_dim = problem.head_dim;
  result.rows = std::move(rows);
  const std::size_t count = result.rows.size();
  result.o.resize(count * problem.head_dim);
  result.o_tolerance.resize(count * problem.head_dim);
  result.lse.resize(count);
  result.lse_tolerance.resize(count);

  // Chunks of neighbouring rows, which share a head's keys and values.
  constexpr std::size_t kChunk = 64;
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    Scratch scratch;
    for (std::size_t first = next.fetch_add(kChunk); first < count;
         first = next.fetch_add(kChunk)) {
      for (std::size_t i = first; i < std::min(first + kChunk, count); ++i) {
        compute_row(problem, inputs, scale, weights, i, scratch, result);
      }
    }
  };
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  threads = static_cast<int>(std::min<std::size_t>(threads, (count + kChunk - 1) / kChunk));
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  others.clear();
  return result;
}

Comparison compare(const Problem& problem, const Reference& expected, const void* o,
                   const Strides& o_strides) {
  Measure measure;
  for (std::size_t i = 0; i < expected.rows.size(); ++i) {
    const Row& row = expected.rows[i];
    const std::int64_t start = row_start(o_strides, row.batch, row.head, row.query);
    for (int d = 0; d < expected.head_dim; ++d) {
      const std::size_t at = i * expected.head_dim + d;
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
    const std::int64_t at =
        (std::int64_t{row.batch} * problem.heads + row.head) * problem.seq_q + row.query;
    measure.add(lse[at], expected.lse[i], expected.lse_tolerance[i], row, 0);
  }
  return measure.finish();
}

}  // namespace fms::attention
