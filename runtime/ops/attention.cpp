#include "runtime/ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>
#include <optional>
#include <shared_mutex>
#include <unordered_map>

#include "runtime/ops/attention_plan.h"
#include "runtime/tensor_map.h"

namespace fms::attention {
namespace {

// An argument of attention_forward_simt: attention/strides.cuh.
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
  Access access = Access::kElements;

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
    mix(pair(key.room.sm_count,
             static_cast<int>(key.room.kind) << 1 | static_cast<int>(key.room.sm_90a)));
    mix(pair(key.room.max_smem_per_block_bytes,
             static_cast<int>(p.dtype) << 8 | static_cast<int>(p.mask) << 4 |
                 static_cast<int>(p.return_lse) << 2 | static_cast<int>(key.access)));
    return static_cast<std::size_t>(hash);
  }
};

// Plans that were made, so that a repeated call neither checks values nor allocates.
//
// Thread-safe. When full it starts anew: plans are cheap to make, and who has so many problems
// gains little from keeping them.
class PlanCache {
 public:
  Result<std::shared_ptr<const ForwardPlan>> get(const PlanKey& key) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
    }
    FMS_TRY(ForwardPlan made, plan_with(key.problem, key.room, key.access));
    auto plan = std::make_shared<const ForwardPlan>(std::move(made));
    const std::unique_lock lock(mutex_);
    if (plans_.size() >= kCapacity) plans_.clear();
    return plans_.try_emplace(key, std::move(plan)).first->second;
  }

 private:
  static constexpr std::size_t kCapacity = 4096;

  std::shared_mutex mutex_;
  // Guarded by mutex_.
  std::unordered_map<PlanKey, std::shared_ptr<const ForwardPlan>, PlanKeyHash> plans_;
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

// The scale of the scores in units of log2.
float scale_log2(const Problem& problem, const Arguments& arguments) {
  const double scale = arguments.scale != 0 ? arguments.scale : 1 / std::sqrt(problem.head_dim);
  return static_cast<float>(scale * std::numbers::log2e);
}

// Whether the array and its rows start at multiples of `bytes`.
bool starts_at_multiples(const Array& array, int batch, int element_bytes, int bytes) {
  const auto multiple = [&](std::int64_t stride) { return stride * element_bytes % bytes == 0; };
  return reinterpret_cast<std::uintptr_t>(array.data) % static_cast<unsigned>(bytes) == 0 &&
         (batch == 1 || multiple(array.strides.batch)) &&
         (array.heads == 1 || multiple(array.strides.head)) &&
         (array.rows == 1 || multiple(array.strides.row));
}

// Whether the copy engine can step by the array's strides: forwards, and by less than 2^40 bytes.
bool has_bulk_strides(const Array& array, int batch, int element_bytes) {
  const std::int64_t end = (std::int64_t{1} << 40) / element_bytes;
  const auto steps = [&](int extent, std::int64_t stride) {
    return extent == 1 || (stride > 0 && stride < end);
  };
  return steps(batch, array.strides.batch) && steps(array.heads, array.strides.head) &&
         steps(array.rows, array.strides.row);
}

Access access_to(const Array& array, int batch, int element_bytes) {
  if (array.rows == 0) return Access::kBulk;
  if (!starts_at_multiples(array, batch, element_bytes, 4 * element_bytes)) {
    return Access::kElements;
  }
  const bool bulk = starts_at_multiples(array, batch, element_bytes, 16) &&
                    has_bulk_strides(array, batch, element_bytes);
  return bulk ? Access::kBulk : Access::kVectors;
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

// How the arrays may be reached, if the arguments can be used at all.
Result<Access> check_arguments(const Problem& problem, const Arguments& arguments) {
  const int element_bytes = size_of(problem.dtype);
  const Array arrays[] = {
      {"q", arguments.q, arguments.q_strides, problem.heads, problem.seq_q},
      {"k", arguments.k, arguments.k_strides, problem.kv_heads, problem.seq_k},
      {"v", arguments.v, arguments.v_strides, problem.kv_heads, problem.seq_k},
      {"o", arguments.o, arguments.o_strides, problem.heads, problem.seq_q},
  };
  Access access = Access::kBulk;
  for (const Array& array : arrays) {
    FMS_TRY_VOID(check_array(array, element_bytes));
    access = std::min(access, access_to(array, problem.batch, element_bytes));
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
  // attention_forward_sm90 takes the largest product for that of the largest score.
  return scale_log2(problem, arguments) > 0 ? access : std::min(access, Access::kVectors);
}

// Of `device`, and of the code that `jit` has for it.
Room room_for(const Jit& jit, const Device& device) {
  Room room = room_of(device.info());
  const std::optional<Target>& target = jit.options().target;
  if (target && target->kind == Target::Kind::kCuda && target->arch != "sm_90a") {
    room.sm_90a = false;
    room.sm_count = 0;
  }
  return room;
}

// For the whole process, as plan_cache() is.
TensorMapCache& tensor_maps() {
  static TensorMapCache& cache = *new TensorMapCache;
  return cache;
}

// Describes `array` as attention_forward_sm90 wants it: (head_dim, rows, heads, batch), 64 columns
// of `box_rows` rows a copy.
Result<TensorMap> map_of(const Device& device, const Problem& problem, const Array& array,
                         int box_rows) {
  const auto bytes = static_cast<std::uint64_t>(size_of(problem.dtype));
  const auto head_dim = static_cast<std::uint64_t>(problem.head_dim);
  // Of one there is no step; any will do that is one.
  const auto step = [&](int extent, std::int64_t stride) {
    return bytes * (extent == 1 ? head_dim : static_cast<std::uint64_t>(stride));
  };
  TensorMapSpec spec{.address = reinterpret_cast<std::uintptr_t>(array.data),
                     .dtype = problem.dtype,
                     .rank = 4,
                     .swizzle = Swizzle::k128B};
  spec.shape = {head_dim, static_cast<std::uint64_t>(array.rows),
                static_cast<std::uint64_t>(array.heads), static_cast<std::uint64_t>(problem.batch)};
  spec.stride = {bytes, step(array.rows, array.strides.row), step(array.heads, array.strides.head),
                 step(problem.batch, array.strides.batch)};
  spec.box = {64, static_cast<std::uint32_t>(box_rows), 1, 1};
  return tensor_maps().get(device, spec);
}

Result<void> launch_sm90(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                         const Problem& problem, const Arguments& arguments) {
  const Device& device = *kernel.device();
  const Array q{"q", arguments.q, arguments.q_strides, problem.heads, problem.seq_q};
  const Array k{"k", arguments.k, arguments.k_strides, problem.kv_heads, problem.seq_k};
  const Array v{"v", arguments.v, arguments.v_strides, problem.kv_heads, problem.seq_k};
  FMS_TRY(const TensorMap q_map, map_of(device, problem, q, plan.query_rows));
  // Without keys there may be no arrays to describe, and nothing is copied from them.
  TensorMap k_map = q_map, v_map = q_map;
  if (problem.seq_k > 0) {
    FMS_TRY(k_map, map_of(device, problem, k, plan.key_rows));
    FMS_TRY(v_map, map_of(device, problem, v, plan.key_rows));
  }
  return launch(stream, plan.plan.config, kernel, q_map, k_map, v_map, arguments.o, arguments.lse,
                arguments.o_strides, problem.heads, problem.batch * problem.heads, problem.seq_q,
                problem.seq_k, scale_log2(problem, arguments));
}

Result<void> launch_simt(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                         const Problem& problem, const Arguments& arguments) {
  const Layout layout{.q = arguments.q_strides,
                      .k = arguments.k_strides,
                      .v = arguments.v_strides,
                      .o = arguments.o_strides};
  return launch(stream, plan.plan.config, kernel, arguments.q, arguments.k, arguments.v,
                arguments.o, arguments.lse, layout, problem.heads, problem.batch * problem.heads,
                problem.seq_q, problem.seq_k, scale_log2(problem, arguments));
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
  FMS_TRY(Access access, check_arguments(problem, arguments));
  const Room room = room_for(jit, *device);
  // A manifest's attention entry means the variant for arrays that can be reached at best; others
  // are recorded as the specialisations they are.
  const Access best = best_access(problem, room);
  access = std::min(access, best);
  if (access == best && jit.recording()) jit.record(to_manifest_entry(problem));
  if (problem.seq_q == 0) return {};

  FMS_TRY(const std::shared_ptr<const ForwardPlan> plan,
          plan_cache().get({.problem = problem, .room = room, .access = access}));
  GetOptions how = options;
  how.stream = stream;
  how.record = access != best;
  FMS_TRY(const Kernel kernel, jit.get(plan->plan.specialization, device, how));
  const auto launch_it = plan->query_rows == 0 ? launch_simt : launch_sm90;
  return launch_it(stream, kernel, *plan, problem, arguments);
}

}  // namespace fms::attention
