#include "runtime/ops/attention_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "runtime/ops/attention_elements.h"

namespace fms::attention {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double unit_roundoff(DType dtype) {
  if (dtype == DType::kFloat32) return 0x1p-24;
  return dtype == DType::kFloat16 ? 0x1p-11 : 0x1p-8;
}

int length_of(int seq, std::span<const std::int32_t> cu_seqlens, int batch) {
  if (cu_seqlens.empty()) return seq;
  return cu_seqlens[static_cast<std::size_t>(batch) + 1] -
         cu_seqlens[static_cast<std::size_t>(batch)];
}

// The keys that a query sees by the problem's mask: from `begin` to before `end`.
struct Visible {
  int begin = 0, end = 0;

  Visible(const Problem& problem, const HostInputs& inputs, const Row& row) {
    const std::int64_t seq_q = length_of(problem.seq_q, inputs.cu_seqlens_q, row.batch);
    const std::int64_t seq_k = length_of(problem.seq_k, inputs.cu_seqlens_k, row.batch);
    const bool window = problem.mask == Mask::kWindow || problem.mask == Mask::kWindowTopLeft;
    const bool bottom_right = problem.mask == Mask::kCausal || problem.mask == Mask::kWindow;
    const std::int64_t diagonal = row.query + (bottom_right ? seq_k - seq_q : 0);
    std::int64_t first = 0, last = seq_k;
    if (window && inputs.window_left >= 0) first = diagonal - inputs.window_left;
    if (window && inputs.window_right >= 0) last = diagonal + inputs.window_right + 1;
    if (problem.mask == Mask::kCausal || problem.mask == Mask::kCausalTopLeft) last = diagonal + 1;
    end = static_cast<int>(std::clamp<std::int64_t>(last, 0, seq_k));
    begin = static_cast<int>(std::clamp<std::int64_t>(first, 0, end));
  }
};

// Keys and values of one head as packed floats, which hold every dtype's values exactly. Converted
// once for all the rows that share them.
struct HeadCopy {
  int batch = -1, kv_head = -1;
  std::vector<float> k, v;

  void load(const Problem& problem, const HostInputs& inputs, int new_batch, int new_kv_head) {
    if (batch == new_batch && kv_head == new_kv_head) return;
    batch = new_batch;
    kv_head = new_kv_head;
    copy(problem, inputs, inputs.k, inputs.k_strides, problem.head_dim, k);
    copy(problem, inputs, inputs.v, inputs.v_strides, problem.value_columns(), v);
  }

 private:
  void copy(const Problem& problem, const HostInputs& inputs, const void* array,
            const Strides& strides, int columns, std::vector<float>& packed) const {
    const int rows = length_of(problem.seq_k, inputs.cu_seqlens_k, batch);
    packed.resize(static_cast<std::size_t>(rows) * columns);
    std::size_t at = 0;
    for (int row = 0; row < rows; ++row) {
      const std::int64_t start = row_start(strides, inputs.cu_seqlens_k, batch, kv_head, row);
      for (int d = 0; d < columns; ++d) packed[at++] = element(array, start + d, problem.dtype);
    }
  }
};

// The scores of a row, and the largest numbers on the way to them.
struct Scores {
  std::vector<int> keys;  // those seen
  std::vector<double> values;
  double max = -kInfinity;
  double largest = 0, largest_absolute = 0, largest_capped = 0;

  void clear() {
    keys.clear();
    values.clear();
    max = -kInfinity;
    largest = largest_absolute = largest_capped = 0;
  }
  void meet(double score) {
    if (std::isfinite(score)) largest = std::max(largest, std::abs(score));
  }
};

// What one worker needs from row to row.
struct Scratch {
  HeadCopy head;
  std::vector<float> q;
  Scores scores;
  std::vector<double> o, o_absolute, o_squares, v_squares;
};

// What rounded weights add to the tolerance of an output `o`: see Reference.
double tolerance_of_rounding(DType dtype, double o, double squares, double v_squares) {
  const double u = unit_roundoff(dtype);
  return 2 * u * std::abs(o) + 4 * u * std::sqrt(squares) +
         (dtype == DType::kFloat16 ? 0x1p-20 * std::sqrt(v_squares) : 0);
}

double tolerance_of_weights(const Problem& problem, const Scores& scores, Weights rounding) {
  constexpr double kE = 0x1p-24;
  const bool approximate = rounding == Weights::kRounded && problem.dtype == DType::kBFloat16;
  const double cap = problem.softcap ? (approximate ? 0x1p-10 : 8 * kE) : 0;
  return 2 * (4 * std::sqrt(problem.head_dim) * kE * scores.largest_absolute +
              4 * kE * scores.largest + cap * scores.largest_capped) +
         4 * std::sqrt(problem.seq_k) * kE + 0x1p-20;
}

void compute_scores(const Problem& problem, const HostInputs& inputs, double scale, const Row& row,
                    Scratch& scratch) {
  Scores& scores = scratch.scores;
  scores.clear();
  const int dim = problem.head_dim;
  const Visible visible(problem, inputs, row);
  for (int key = visible.begin; key < visible.end; ++key) {
    if (inputs.mask && !inputs.mask(row.batch, row.head, row.query, key)) continue;
    const float* k = scratch.head.k.data() + static_cast<std::size_t>(key) * dim;
    double dot = 0, absolute = 0;
    for (int d = 0; d < dim; ++d) {
      const double product = double{scratch.q[d]} * k[d];
      dot += product;
      absolute += std::abs(product);
    }
    double score = dot * scale;
    scores.meet(score);
    if (problem.softcap) {
      score = inputs.softcap * std::tanh(score / inputs.softcap);
      scores.largest_capped = std::max(scores.largest_capped, std::abs(score));
    }
    if (inputs.score) score = inputs.score(score, row.batch, row.head, row.query, key);
    scores.meet(score);
    scores.keys.push_back(key);
    scores.values.push_back(score);
    scores.max = std::max(scores.max, score);
    scores.largest_absolute = std::max(scores.largest_absolute, absolute * std::abs(scale));
  }
}

void compute_row(const Problem& problem, const HostInputs& inputs, double scale, Weights rounding,
                 std::size_t index, Scratch& scratch, Reference& result) {
  const Row row = result.rows[index];
  const int dim = problem.value_columns();
  scratch.head.load(problem, inputs, row.batch, row.head / (problem.heads / problem.kv_heads));
  scratch.q.resize(problem.head_dim);
  const std::int64_t start =
      row_start(inputs.q_strides, inputs.cu_seqlens_q, row.batch, row.head, row.query);
  for (int d = 0; d < problem.head_dim; ++d) {
    scratch.q[d] = element(inputs.q, start + d, problem.dtype);
  }
  compute_scores(problem, inputs, scale, row, scratch);
  Scores& scores = scratch.scores;
  const double sink = problem.sinks ? inputs.sinks[static_cast<std::size_t>(row.head)] : -kInfinity;
  const double max = std::max(scores.max, sink);
  const bool none = max == -kInfinity;
  scores.meet(sink);

  double sum = none ? 0 : std::exp(sink - max);
  scratch.o.assign(dim, 0);
  scratch.o_absolute.assign(dim, 0);
  scratch.o_squares.assign(dim, 0);
  scratch.v_squares.assign(dim, 0);
  for (std::size_t i = 0; i < scores.keys.size() && !none; ++i) {
    const double weight = std::exp(scores.values[i] - max);
    const float* v = scratch.head.v.data() + static_cast<std::size_t>(scores.keys[i]) * dim;
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

  const double weight_tolerance = tolerance_of_weights(problem, scores, rounding);
  for (int d = 0; d < dim; ++d) {
    const double o = none ? 0 : scratch.o[d] / sum;
    const double absolute = none ? 0 : scratch.o_absolute[d] / sum;
    result.o[index * dim + d] = o;
    result.o_tolerance[index * dim + d] =
        unit_roundoff(problem.dtype) * std::abs(o) + 0x1p-25 + absolute * weight_tolerance;
    if (rounding == Weights::kRounded && !none) {
      result.o_tolerance[index * dim + d] += tolerance_of_rounding(
          problem.dtype, o, scratch.o_squares[d] / (sum * sum), scratch.v_squares[d]);
    }
  }
  result.lse[index] = none ? -kInfinity : max + std::log(sum);
  result.lse_tolerance[index] =
      weight_tolerance + 4 * 0x1p-24 * (scores.largest + std::abs(std::log(std::max(sum, 1.0))));
}

Result<void> check_inputs(const Problem& problem, const HostInputs& inputs) {
  const std::size_t starts = problem.packed ? static_cast<std::size_t>(problem.batch) + 1 : 0;
  if (inputs.cu_seqlens_q.size() == starts && inputs.cu_seqlens_k.size() == starts &&
      inputs.sinks.size() == static_cast<std::size_t>(problem.sinks ? problem.heads : 0)) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument,
              "can't compute the attention reference: cu_seqlens or sinks have another length than "
              "the problem says");
}

}  // namespace

Weights weights_of(const Plan& plan) {
  const bool simt = plan.specialization.kernel_template().name() == "attention_forward_simt";
  return simt ? Weights::kFloat32 : Weights::kRounded;
}

Result<Reference> reference(const Problem& problem, const HostInputs& inputs, std::vector<Row> rows,
                            int threads, Weights weights) {
  FMS_TRY_VOID(check(problem));
  FMS_TRY_VOID(check_inputs(problem, inputs));
  for (const Row& row : rows) {
    if (row.batch < 0 || row.batch >= problem.batch || row.head < 0 || row.head >= problem.heads ||
        row.query < 0 || row.query >= length_of(problem.seq_q, inputs.cu_seqlens_q, row.batch)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("can't compute the attention reference: there is no row (batch {}, "
                              "head {}, query {})",
                              row.batch, row.head, row.query));
    }
  }
  const double scale = inputs.scale != 0 ? inputs.scale : 1 / std::sqrt(problem.head_dim);
  Reference result;
  result.value_dim = problem.value_columns();
  result.cu_seqlens_q.assign(inputs.cu_seqlens_q.begin(), inputs.cu_seqlens_q.end());
  result.rows = std::move(rows);
  const std::size_t count = result.rows.size();
  result.o.resize(count * result.value_dim);
  result.o_tolerance.resize(count * result.value_dim);
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

}  // namespace fms::attention
