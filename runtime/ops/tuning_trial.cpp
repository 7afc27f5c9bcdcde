#include "runtime/ops/tuning_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <utility>

#include "runtime/ops/attention_arguments.h"
#include "runtime/ops/attention_elements.h"
#include "runtime/ops/attention_reference.h"

namespace fms::attention {
namespace {

enum Index { kQ, kK, kV, kO, kLse, kSinks, kFirstQueries, kFirstKeys };

// About a second of a core for the reference.
constexpr std::int64_t kReferenceOperations = std::int64_t{1} << 28;

std::size_t flush_bytes(const Device& device) {
  if (device.is_cpu()) return 0;
  return std::max(std::size_t{64} << 20, 4 * static_cast<std::size_t>(device.info().l2_bytes));
}

// A multiple of 2^-5 below 4: exact in every dtype.
std::uint16_t to_float16(float value) {
  if (value == 0) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

void store(float value, DType dtype, std::byte* to) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto half =
      dtype == DType::kBFloat16 ? static_cast<std::uint16_t>(bits >> 16) : to_float16(value);
  if (dtype == DType::kFloat32) {
    std::memcpy(to, &value, sizeof(value));
  } else {
    std::memcpy(to, &half, sizeof(half));
  }
}

// About normal: the sum of four bytes has the variance 4 * 2^16 / 12, which is 148^2.
std::vector<std::byte> random_array(DType dtype, std::size_t elements, std::mt19937& random) {
  const auto bytes = static_cast<std::size_t>(size_of(dtype));
  std::vector<std::byte> array(elements * bytes);
  for (std::size_t i = 0; i < elements; ++i) {
    const std::uint32_t word = random();
    const int sum =
        static_cast<int>((word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24)) -
        510;
    store(static_cast<float>(sum / 4 * 32 / 37) / 32, dtype, array.data() + i * bytes);
  }
  return array;
}

// The errors of two results that are both right: each rounds once, and may round weights. In the
// 2-norm over a row these come to about one unit roundoff of the row, or of rows like it.
double tolerance_of(const Problem& problem, double norm, double norm_of_neighbours) {
  if (problem.dtype == DType::kFloat32) return 0x1p-16 * (norm + norm_of_neighbours);
  const double unit = problem.dtype == DType::kFloat16 ? 0x1p-11 : 0x1p-8;
  const double of_rounding = 4 * unit * (norm + norm_of_neighbours);
  // Weights of float16 end at 2^-24.
  const double of_underflow =
      problem.dtype == DType::kFloat16
          ? 0x1p-22 * std::sqrt(double(problem.value_columns()) * problem.seq_k)
          : 0;
  return of_rounding + of_underflow + 0x1p-24;
}

// The first of these rows that differs by more than rounding explains; nothing: none does.
std::optional<std::string> fault_among(const Problem& problem, const std::byte* expected,
                                       const std::byte* got, std::size_t first, std::size_t end) {
  const int columns = problem.value_columns();
  std::vector<double> norms, differences;
  double mean = 0;
  for (std::size_t row = first; row < end; ++row) {
    double norm = 0, difference = 0;
    for (int d = 0; d < columns; ++d) {
      const auto at = static_cast<std::int64_t>(row) * columns + d;
      const double a = element(expected, at, problem.dtype), b = element(got, at, problem.dtype);
      norm += a * a;
      difference += (a - b) * (a - b);
    }
    norms.push_back(std::sqrt(norm));
    differences.push_back(std::sqrt(difference));
    mean += norms.back() / static_cast<double>(end - first);
  }
  for (std::size_t i = 0; i < norms.size(); ++i) {
    // Written so that NaN is a fault.
    if (differences[i] <= tolerance_of(problem, norms[i], mean)) continue;
    const auto queries = static_cast<std::size_t>(problem.seq_q);
    return fmt::format("row {} of head {} is off by {:.2g}, and its norm is {:.2g}",
                       (first + i) % queries, (first + i) / queries, differences[i], norms[i]);
  }
  return std::nullopt;
}

// What is wrong; empty: nothing. By all cores: hundreds of results of megabytes are looked at.
std::string fault_in_rows(const Problem& problem, const std::vector<std::byte>& expected,
                          const std::vector<std::byte>& got) {
  constexpr std::size_t kNeighbours = 64;
  if (expected == got) return {};
  const std::size_t rows = expected.size() / static_cast<std::size_t>(size_of(problem.dtype)) /
                           static_cast<std::size_t>(problem.value_columns());
  const std::size_t groups = (rows + kNeighbours - 1) / kNeighbours;
  const std::size_t cores = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 64);
  const std::size_t parts = std::min(cores, groups / 64 + 1);
  std::vector<std::optional<std::string>> faults(parts);
  const auto look = [&](std::size_t part) {
    for (std::size_t i = groups * part / parts; i < groups * (part + 1) / parts; ++i) {
      faults[part] = fault_among(problem, expected.data(), got.data(), i * kNeighbours,
                                 std::min((i + 1) * kNeighbours, rows));
      if (faults[part]) return;
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t part = 1; part < parts; ++part) others.emplace_back(look, part);
    look(0);
  }
  for (const auto& fault : faults) {
    if (fault) return *fault;
  }
  return {};
}

std::string fault_in_lse(const std::vector<float>& expected, const std::vector<float>& got) {
  for (std::size_t row = 0; row < expected.size(); ++row) {
    if (expected[row] == got[row]) continue;  // -inf too
    const double limit = 0x1p-14 * std::max(1.0F, std::abs(expected[row]));
    if (std::abs(double(expected[row]) - got[row]) <= limit) continue;
    return fmt::format("log-sum-exp {} is {}, and should be {}", row, got[row], expected[row]);
  }
  return {};
}

}  // namespace

Result<TuningTrial> TuningTrial::create(std::shared_ptr<Device> device, const Problem& problem,
                                        unsigned seed) {
  FMS_TRY(Stream stream, Stream::create(device));
  TuningTrial trial(device, problem, std::move(stream));
  FMS_TRY_VOID(trial.make_arrays(seed));
  FMS_TRY(trial.flush_, DeviceBuffer::allocate(device, flush_bytes(*device)));
  return trial;
}

Result<void> TuningTrial::make_arrays(unsigned seed) {
  std::mt19937 random(seed);
  const auto elements = [&](int heads, int rows, int columns) {
    return static_cast<std::size_t>(problem_.batch) * heads * rows * columns;
  };
  const DType dtype = problem_.dtype;
  host_q_ =
      random_array(dtype, elements(problem_.heads, problem_.seq_q, problem_.head_dim), random);
  host_k_ =
      random_array(dtype, elements(problem_.kv_heads, problem_.seq_k, problem_.head_dim), random);
  host_v_ = random_array(
      dtype, elements(problem_.kv_heads, problem_.seq_k, problem_.value_columns()), random);
  const std::size_t rows = elements(problem_.heads, problem_.seq_q, 1);
  const std::vector<std::byte> o(rows * problem_.value_columns() * size_of(dtype));
  const std::vector<std::byte> lse(rows * sizeof(float));
  for (int i = 0; i < problem_.heads; ++i) {
    sinks_.push_back(static_cast<float>(static_cast<int>(random() % 64) - 32) / 16);
  }
  // Packed sequences are all of the length that is given.
  for (int i = 0; i <= problem_.batch; ++i) {
    first_queries_.push_back(i * problem_.seq_q);
    first_keys_.push_back(i * problem_.seq_k);
  }
  const auto bytes_of = [](const std::vector<std::int32_t>& firsts) {
    return std::as_bytes(std::span(firsts));
  };
  // In the order of Index.
  for (const std::span<const std::byte> bytes :
       {std::span<const std::byte>(host_q_), std::span<const std::byte>(host_k_),
        std::span<const std::byte>(host_v_), std::span<const std::byte>(o),
        std::span<const std::byte>(lse), std::as_bytes(std::span(sinks_)), bytes_of(first_queries_),
        bytes_of(first_keys_)}) {
    FMS_TRY(DeviceBuffer buffer, DeviceBuffer::allocate(device_, bytes.size()));
    FMS_TRY_VOID(buffer.upload(bytes, stream_));
    arrays_.push_back(std::move(buffer));
  }
  return {};
}

Arguments TuningTrial::arguments() const {
  const auto strides = [&](int heads, int rows, int columns) {
    // Packed: (rows of all sequences, heads, columns).
    if (problem_.packed) {
      return Strides{.batch = 0, .head = columns, .row = std::int64_t{heads} * columns};
    }
    return bhsd_strides(heads, rows, columns);
  };
  const Problem& p = problem_;
  Arguments arguments{.q = arrays_[kQ].data(),
                      .k = arrays_[kK].data(),
                      .v = arrays_[kV].data(),
                      .o = arrays_[kO].data(),
                      .q_strides = strides(p.heads, p.seq_q, p.head_dim),
                      .k_strides = strides(p.kv_heads, p.seq_k, p.head_dim),
                      .v_strides = strides(p.kv_heads, p.seq_k, p.value_columns()),
                      .o_strides = strides(p.heads, p.seq_q, p.value_columns())};
  if (p.return_lse) arguments.lse = static_cast<float*>(arrays_[kLse].data());
  if (has_window(p.mask)) {
    // As in models whose layers alternate with layers that see all: a quarter, up to the query.
    arguments.window_left = std::max(1, p.seq_k / 4);
    arguments.window_right = 0;
  }
  if (p.softcap) arguments.softcap = 30;
  if (p.sinks) arguments.sinks = static_cast<const float*>(arrays_[kSinks].data());
  if (p.packed) {
    arguments.cu_seqlens_q = static_cast<const std::int32_t*>(arrays_[kFirstQueries].data());
    arguments.cu_seqlens_k = static_cast<const std::int32_t*>(arrays_[kFirstKeys].data());
    arguments.total_q = std::int64_t{p.batch} * p.seq_q;
    arguments.total_k = std::int64_t{p.batch} * p.seq_k;
  }
  return arguments;
}

Result<void> TuningTrial::launch(const Entrant& entrant) {
  return launch_plan(stream_, entrant.kernel, entrant.plan, problem_, arguments());
}

// Waits for the stream, with an eye on the clock.
Result<void> TuningTrial::wait_for(const Entrant& entrant) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begun = Clock::now();
  while (stuck_) {
    FMS_TRY(const bool idle, is_idle(*device_, stream_));
    if (idle) break;
    if (Clock::now() - begun > patience_) {
      stuck_(entrant);
      break;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return stream_.synchronize();
}

Result<void> TuningTrial::compute(const Entrant& entrant, Results& results) {
  // What a kernel leaves out shows as NaN.
  FMS_TRY_VOID(arrays_[kO].fill(0xff, stream_));
  FMS_TRY_VOID(arrays_[kLse].fill(0xff, stream_));
  FMS_TRY_VOID(launch(entrant));
  FMS_TRY_VOID(wait_for(entrant));
  results.o.resize(arrays_[kO].size());
  FMS_TRY_VOID(arrays_[kO].download(results.o, stream_));
  if (problem_.return_lse) {
    results.lse.resize(arrays_[kLse].size() / sizeof(float));
    FMS_TRY_VOID(arrays_[kLse].download(std::as_writable_bytes(std::span(results.lse)), stream_));
  }
  return {};
}

Result<void> TuningTrial::expect(const Entrant& first) {
  FMS_TRY_VOID(compute(first, expected_));
  const HostInputs inputs{
      .q = host_q_.data(),
      .k = host_k_.data(),
      .v = host_v_.data(),
      .q_strides = arguments().q_strides,
      .k_strides = arguments().k_strides,
      .v_strides = arguments().v_strides,
      .window_left = arguments().window_left,
      .window_right = arguments().window_right,
      .softcap = arguments().softcap,
      .sinks = problem_.sinks ? std::span<const float>(sinks_) : std::span<const float>(),
      .cu_seqlens_q = problem_.packed ? std::span<const std::int32_t>(first_queries_)
                                      : std::span<const std::int32_t>(),
      .cu_seqlens_k = problem_.packed ? std::span<const std::int32_t>(first_keys_)
                                      : std::span<const std::int32_t>()};
  const std::int64_t per_row =
      std::max<std::int64_t>(1, std::int64_t{2} * problem_.seq_k * problem_.head_dim);
  const std::int64_t rows = std::clamp<std::int64_t>(kReferenceOperations / per_row, 16, 4096);
  FMS_TRY(const Reference reference,
          attention::reference(problem_, inputs, sample_rows(problem_, rows), /*threads=*/0,
                               weights_of(first.plan.plan)));
  const Comparison o =
      attention::compare(problem_, reference, expected_.o.data(), arguments().o_strides);
  if (o.within_tolerance()) return {};
  return fail(ErrorCode::kInternal,
              fmt::format("can't tune {}: it is wrong on {}, {:.1f} times over its bound at batch "
                          "{}, head {}, query {}; nothing can be compared with it",
                          first.plan.plan.specialization.to_string(), device_->info().name, o.worst,
                          o.row.batch, o.row.head, o.row.query));
}

Result<TuningTrial::Verdict> TuningTrial::compare(const Entrant& other) {
  if (const Result<void> launched = launch(other); !launched) {
    // A launch that is refused leaves the device as it was; a device that is lost says so here.
    FMS_TRY_VOID(stream_.synchronize());
    return Verdict{.launched = false, .fault = launched.error().message};
  }
  FMS_TRY_VOID(compute(other, got_));
  std::string fault = fault_in_rows(problem_, expected_.o, got_.o);
  if (fault.empty()) fault = fault_in_lse(expected_.lse, got_.lse);
  return Verdict{.fault = std::move(fault)};
}

Result<bool> TuningTrial::same_bits(const Entrant& a, const Entrant& b) {
  Results of_a;
  FMS_TRY_VOID(compute(a, of_a));
  FMS_TRY_VOID(compute(b, got_));
  const auto equal = [](const std::vector<float>& x, const std::vector<float>& y) {
    return std::ranges::equal(std::as_bytes(std::span(x)), std::as_bytes(std::span(y)));
  };
  return of_a.o == got_.o && equal(of_a.lse, got_.lse);
}

Result<void> TuningTrial::time(std::span<Entrant* const> entrants, int rounds) {
  std::vector<std::pair<Event, Event>> events;
  for (std::size_t i = 0; i < entrants.size(); ++i) {
    FMS_TRY(Event start, Event::create(device_));
    FMS_TRY(Event end, Event::create(device_));
    events.emplace_back(std::move(start), std::move(end));
  }
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < entrants.size(); ++i) {
      // Filling takes longer than the host needs to start the work, and so hides that.
      FMS_TRY_VOID(flush_->fill(0, stream_));
      FMS_TRY_VOID(events[i].first.record(stream_));
      FMS_TRY_VOID(launch(*entrants[i]));
      FMS_TRY_VOID(events[i].second.record(stream_));
    }
    FMS_TRY_VOID(stream_.synchronize());
    for (std::size_t i = 0; i < entrants.size(); ++i) {
      FMS_TRY(const float ms, elapsed_ms(events[i].first, events[i].second));
      entrants[i]->ms.push_back(ms);
    }
  }
  return {};
}

}  // namespace fms::attention
