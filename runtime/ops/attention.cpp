#include "runtime/ops/attention.h"

#include <fmt/format.h>

#include <cmath>
#include <mutex>
#include <numbers>
#include <shared_mutex>
#include <unordered_map>

#include "runtime/ops/attention_plan.h"

namespace fms::attention {
namespace {

// The last argument struct of the kernel: attention/strides.cuh.
struct Layout {
  Strides q, k, v, o;
};
static_assert(sizeof(Layout) == 96, "the kernel takes twelve 64-bit strides");

// Key tiles are counted in 32 bits, and the last may stand a tile's length over the end.
constexpr int kMaxLength = 1 << 30;

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::kInvalidArgument, "can't compute attention: " + std::move(message));
}

// All that decides a plan on a device.
struct PlanKey {
  Problem problem;
  Room room;
  bool vector_loads = false;

  bool operator==(const PlanKey&) const = default;
};

struct PlanKeyHash {
  std::size_t operator()(const PlanKey& key) const {
    std::uint64_t hash = 0;
    const auto mix = [&](std::uint64_t value) {
      hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 32;
    };
    const auto pair = [](int a, int b) {
      return static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32 |
             static_cast<std::uint32_t>(b);
    };
    const Problem& p = key.problem;
    mix(pair(p.seq_q, p.seq_k));
    mix(pair(p.heads, p.kv_heads));
    mix(pair(p.batch, p.head_dim));
    mix(static_cast<std::uint64_t>(key.room.kind));
    mix(pair(key.room.max_smem_per_block_bytes,
             static_cast<int>(p.dtype) << 8 | static_cast<int>(p.mask) << 4 |
                 static_cast<int>(p.return_lse) << 1 | static_cast<int>(key.vector_loads)));
    return static_cast<std::size_t>(hash);
  }
};

// Plans that were made, so that a repeated call neither checks values nor allocates.
//
// Thread-safe. When full it starts anew: plans are cheap to make, and who has so many problems
// gains little from keeping them.
class PlanCache {
 public:
  Result<std::shared_ptr<const Plan>> get(const PlanKey& key) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
    }
    FMS_TRY(Plan made, plan_with(key.problem, key.room, key.vector_loads));
    auto plan = std::make_shared<const Plan>(std::move(made));
    const std::unique_lock lock(mutex_);
    if (plans_.size() >= kCapacity) plans_.clear();
    return plans_.try_emplace(key, std::move(plan)).first->second;
  }

 private:
  static constexpr std::size_t kCapacity = 4096;

  std::shared_mutex mutex_;
  std::unordered_map<PlanKey, std::shared_ptr<const Plan>, PlanKeyHash> plans_;  // by mutex_
};

// One for the process: plans depend on facts of devices and on no Jit. Never destroyed, so that
// threads which outlive main() may still use it.
PlanCache& plan_cache() {
  static PlanCache& cache = *new PlanCache;
  return cache;
}

// One of the four arrays, as its checks need it.
struct Array {
  const char* name;
  const void* data;
  Strides strides;
  int heads, rows;
};

bool reads_vectors(const Array& array, int batch, int element_bytes) {
  const auto vectors = [](std::int64_t stride) { return stride % 4 == 0; };
  return reinterpret_cast<std::uintptr_t>(array.data) % (4u * element_bytes) == 0 &&
         (batch == 1 || vectors(array.strides.batch)) &&
         (array.heads == 1 || vectors(array.strides.head)) &&
         (array.rows == 1 || vectors(array.strides.row));
}

Result<void> check_array(const Array& array, int element_bytes) {
  if (array.rows == 0) return {};
  if (array.data == nullptr) {
    return invalid(fmt::format("{} is null, and has {} rows", array.name, array.rows));
  }
  if (reinterpret_cast<std::uintptr_t>(array.data) % element_bytes != 0) {
    return invalid(fmt::format("{} is at an address that isn't a multiple of {}, its element size",
                               array.name, element_bytes));
  }
  return {};
}

// Rows of the output that overlap would be written by several blocks at once.
Result<void> check_output_strides(const Problem& problem, const Strides& strides) {
  const auto apart = [&](int extent, std::int64_t stride) {
    return extent <= 1 || std::abs(stride) >= problem.head_dim;
  };
  if (problem.seq_q == 0) return {};
  if (apart(problem.batch, strides.batch) && apart(problem.heads, strides.head) &&
      apart(problem.seq_q, strides.row)) {
    return {};
  }
  return invalid(fmt::format("o's strides ({}, {}, {}) let its rows of {} elements overlap",
                             strides.batch, strides.head, strides.row, problem.head_dim));
}

// Whether rows may be read four elements at a time, if the arguments can be used at all.
Result<bool> check_arguments(const Problem& problem, const Arguments& arguments) {
  const int element_bytes = size_of(problem.dtype);
  const Array arrays[] = {
      {"q", arguments.q, arguments.q_strides, problem.heads, problem.seq_q},
      {"k", arguments.k, arguments.k_strides, problem.kv_heads, problem.seq_k},
      {"v", arguments.v, arguments.v_strides, problem.kv_heads, problem.seq_k},
      {"o", arguments.o, arguments.o_strides, problem.heads, problem.seq_q},
  };
  bool vector_loads = problem.head_dim % 4 == 0;
  for (const Array& array : arrays) {
    FMS_TRY_VOID(check_array(array, element_bytes));
    vector_loads = vector_loads && reads_vectors(array, problem.batch, element_bytes);
  }
  FMS_TRY_VOID(check_output_strides(problem, arguments.o_strides));
  if (!problem.return_lse && arguments.lse != nullptr) {
    return invalid("lse is given, and the problem's return_lse is false");
  }
  if (problem.return_lse && arguments.lse == nullptr && problem.seq_q > 0) {
    return invalid("lse is null, and the problem's return_lse is true");
  }
  if (!std::isfinite(arguments.scale)) {
    return invalid(fmt::format("scale is {}; it may be any finite number, or 0 for the default",
                               arguments.scale));
  }
  return vector_loads;
}

}  // namespace

Result<void> check(const Problem& problem) {
  const auto bad = [](std::string_view field, auto value, std::string_view may_be) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("can't compute attention with {} {}: it may be {}", field, value, may_be));
  };
  if (problem.dtype != DType::kFloat32 && problem.dtype != DType::kFloat16 &&
      problem.dtype != DType::kBFloat16) {
    return bad("dtype", to_string(problem.dtype), "float32, float16 or bfloat16");
  }
  if (problem.batch < 1) return bad("batch", problem.batch, "1 or more");
  if (problem.heads < 1) return bad("heads", problem.heads, "1 or more");
  if (problem.kv_heads < 1 || problem.heads % problem.kv_heads != 0) {
    return bad("kv_heads", problem.kv_heads,
               fmt::format("any divisor of heads, which is {}", problem.heads));
  }
  if (problem.heads / problem.kv_heads > 65536) {
    return bad("heads", problem.heads, "at most 65536 times kv_heads");
  }
  const auto length_fits = [](int length) { return length >= 0 && length <= kMaxLength; };
  if (!length_fits(problem.seq_q)) return bad("seq_q", problem.seq_q, "0 to 1073741824");
  if (!length_fits(problem.seq_k)) return bad("seq_k", problem.seq_k, "0 to 1073741824");
  if (problem.head_dim < 1 || problem.head_dim > 256) {
    return bad("head_dim", problem.head_dim, "1 to 256");
  }
  if (std::int64_t{problem.batch} * problem.heads > 0x7fffffff) {
    return bad("batch", problem.batch, "at most 2147483647 / heads");
  }
  if (problem.mask > Mask::kCausalTopLeft) {
    return bad("mask", static_cast<int>(problem.mask), "one of the three that Mask names");
  }
  return {};
}

Strides bhsd_strides(int heads, int seq, int head_dim) {
  const std::int64_t head = std::int64_t{seq} * head_dim;
  return {.batch = heads * head, .head = head, .row = head_dim};
}

Result<void> forward(Jit& jit, const std::shared_ptr<Device>& device, StreamView stream,
                     const Problem& problem, const Arguments& arguments,
                     const GetOptions& options) {
  FMS_TRY_VOID(check(problem));
  FMS_TRY(const bool vector_loads, check_arguments(problem, arguments));
  // A manifest's attention entry means the variant for aligned rows; the other one is recorded as
  // the specialisation it is.
  const bool in_own_words = vector_loads || problem.head_dim % 4 != 0;
  if (in_own_words && jit.recording()) jit.record(to_manifest_entry(problem));
  if (problem.seq_q == 0) return {};

  FMS_TRY(const std::shared_ptr<const Plan> plan,
          plan_cache().get(
              {.problem = problem, .room = room_of(device->info()), .vector_loads = vector_loads}));
  GetOptions how = options;
  how.stream = stream;
  how.record = !in_own_words;
  FMS_TRY(const Kernel kernel, jit.get(plan->specialization, device, how));
  const double scale = arguments.scale != 0 ? arguments.scale : 1 / std::sqrt(problem.head_dim);
  const Layout layout{.q = arguments.q_strides,
                      .k = arguments.k_strides,
                      .v = arguments.v_strides,
                      .o = arguments.o_strides};
  return launch(stream, plan->config, kernel, arguments.q, arguments.k, arguments.v, arguments.o,
                arguments.lse, layout, problem.heads, problem.batch * problem.heads, problem.seq_q,
                problem.seq_k, static_cast<float>(scale * std::numbers::log2e));
}

}  // namespace fms::attention
