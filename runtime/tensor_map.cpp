#include "runtime/tensor_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {
namespace {

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap));

constexpr std::uint64_t kMaxShape = std::uint64_t{1} << 32;
constexpr std::uint64_t kMaxStride = std::uint64_t{1} << 40;
constexpr std::uint32_t kMaxBox = 256;

// Types that the copy only moves are described by their size. A tensor map has no signed 8-bit and
// 16-bit integers, for instance; what is copied is the same.
CUtensorMapDataType element_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case DType::kFloat16:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case DType::kBFloat16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case DType::kFloat64:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT64;
    case DType::kFloat8E4M3:
    case DType::kFloat8E5M2:
    case DType::kInt8:
    case DType::kUInt8:
    case DType::kBool:
      return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    case DType::kInt16:
      return CU_TENSOR_MAP_DATA_TYPE_UINT16;
    case DType::kInt32:
      return CU_TENSOR_MAP_DATA_TYPE_INT32;
    case DType::kUInt32:
      return CU_TENSOR_MAP_DATA_TYPE_UINT32;
    case DType::kInt64:
      return CU_TENSOR_MAP_DATA_TYPE_INT64;
    case DType::kUInt64:
      return CU_TENSOR_MAP_DATA_TYPE_UINT64;
  }
  return CU_TENSOR_MAP_DATA_TYPE_UINT8;
}

bool is_floating(CUtensorMapDataType type) {
  return type == CU_TENSOR_MAP_DATA_TYPE_FLOAT16 || type == CU_TENSOR_MAP_DATA_TYPE_FLOAT32 ||
         type == CU_TENSOR_MAP_DATA_TYPE_FLOAT64 || type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
}

// Bytes within which 16-byte chunks are permuted; the inner side of a box may not be longer.
std::optional<std::uint64_t> swizzle_span(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::kNone:
      return std::nullopt;
    case Swizzle::k32B:
      return 32;
    case Swizzle::k64B:
      return 64;
    case Swizzle::k128B:
      return 128;
  }
  return std::nullopt;
}

CUtensorMapSwizzle swizzle_mode(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::kNone:
      return CU_TENSOR_MAP_SWIZZLE_NONE;
    case Swizzle::k32B:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case Swizzle::k64B:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case Swizzle::k128B:
      return CU_TENSOR_MAP_SWIZZLE_128B;
  }
  return CU_TENSOR_MAP_SWIZZLE_NONE;
}

std::unexpected<Error> refuse(std::string_view rule) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't describe a tensor for TMA: {}", rule));
}

Result<void> check_dimension(const TensorMapSpec& spec, int i) {
  const auto index = static_cast<std::size_t>(i);
  const std::uint64_t element = static_cast<std::uint64_t>(size_of(spec.dtype));
  const std::uint64_t stride = spec.stride[index];
  if (spec.shape[index] == 0 || spec.shape[index] > kMaxShape) {
    return refuse(
        fmt::format("shape[{}] is {}; 1 to 2^32 elements are possible", i, spec.shape[index]));
  }
  if (spec.box[index] == 0 || spec.box[index] > kMaxBox) {
    return refuse(
        fmt::format("box[{}] is {}; 1 to {} elements are possible", i, spec.box[index], kMaxBox));
  }
  if (i == 0 && stride != element) {
    return refuse(
        fmt::format("stride[0] is {} bytes; the innermost dimension is contiguous, so it "
                    "is the {} bytes of a {}",
                    stride, element, to_string(spec.dtype)));
  }
  if (i > 0 && (stride % 16 != 0 || stride >= kMaxStride)) {
    return refuse(
        fmt::format("stride[{}] is {} bytes; multiples of 16 below 2^40 are possible", i, stride));
  }
  return {};
}

// The rules of cuTensorMapEncodeTiled, which itself answers no more than "invalid value".
Result<void> check(const TensorMapSpec& spec) {
  if (spec.rank < 1 || spec.rank > 5) {
    return refuse(fmt::format("the rank is {}; 1 to 5 are possible", spec.rank));
  }
  if (spec.address == 0 || spec.address % 16 != 0) {
    return refuse(fmt::format("the address is {:#x}; it must be a multiple of 16 and not null",
                              spec.address));
  }
  for (int i = 0; i < spec.rank; ++i) {
    FMS_TRY_VOID(check_dimension(spec, i));
  }
  const std::uint64_t inner =
      std::uint64_t{spec.box[0]} * static_cast<std::uint64_t>(size_of(spec.dtype));
  if (inner % 16 != 0) {
    return refuse(
        fmt::format("box[0] is {} elements of {}, {} bytes; it must be a multiple of 16 "
                    "bytes",
                    spec.box[0], to_string(spec.dtype), inner));
  }
  if (const auto span = swizzle_span(spec.swizzle); span && inner > *span) {
    return refuse(
        fmt::format("box[0] is {} elements of {}, {} bytes; a {}-byte swizzle takes at most "
                    "{}",
                    spec.box[0], to_string(spec.dtype), inner, *span, *span));
  }
  if (spec.fill_nan && !is_floating(element_type(spec.dtype))) {
    return refuse(
        fmt::format("fill_nan is not possible for {}; only float16, bfloat16, float32 and "
                    "float64 are filled with NaN",
                    to_string(spec.dtype)));
  }
  return {};
}

Result<TensorMap> encode(const Device& device, const TensorMapSpec& spec) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(device));
  const Driver& driver = device.driver();
  CUtensorMap encoded;
  std::array<cuuint64_t, 5> shape{};
  std::array<cuuint64_t, 5> outer_strides{};  // without the innermost, which has none
  std::copy(spec.shape.begin(), spec.shape.end(), shape.begin());
  std::copy(spec.stride.begin() + 1, spec.stride.end(), outer_strides.begin());
  const std::array<cuuint32_t, 5> steps{1, 1, 1, 1, 1};
  const CUresult code = driver.call.cuTensorMapEncodeTiled(
      &encoded, element_type(spec.dtype), static_cast<cuuint32_t>(spec.rank),
      reinterpret_cast<void*>(spec.address), shape.data(), outer_strides.data(), spec.box.data(),
      steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_mode(spec.swizzle),
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B,  // 256: 3 to 7 % slower on rows of 144 bytes
      spec.fill_nan ? CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA
                    : CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  FMS_TRY_VOID(driver.check(code, "cuTensorMapEncodeTiled", [&] {
    return fmt::format("can't describe a tensor of rank {} at {:#x} for TMA", spec.rank,
                       spec.address);
  }));
  TensorMap map;
  std::memcpy(map.bytes.data(), &encoded, sizeof(encoded));
  return map;
}

struct SpecHash {
  std::size_t operator()(const TensorMapSpec& spec) const {
    std::uint64_t hash = 0;
    // A round of splitmix64 for each value: neighbouring addresses spread over all buckets.
    const auto mix = [&](std::uint64_t value) {
      hash += value + 0x9e3779b97f4a7c15;
      hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
      hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
      hash ^= hash >> 31;
    };
    mix(spec.address);
    mix(static_cast<std::uint64_t>(spec.dtype) << 32 | static_cast<std::uint64_t>(spec.rank) << 16 |
        static_cast<std::uint64_t>(spec.swizzle) << 8 | static_cast<std::uint64_t>(spec.fill_nan));
    for (std::size_t i = 0; i < spec.shape.size(); ++i) {
      mix(spec.shape[i]);
      mix(spec.stride[i]);
      mix(spec.box[i]);
    }
    return static_cast<std::size_t>(hash);
  }
};

// What lies past the rank means nothing, and doesn't make two specs different.
TensorMapSpec normalised(TensorMapSpec spec) {
  for (auto i = static_cast<std::size_t>(std::clamp(spec.rank, 0, 5)); i < 5; ++i) {
    spec.shape[i] = spec.stride[i] = spec.box[i] = 0;
  }
  return spec;
}

}  // namespace

// A descriptor holds an address and no device, so one map serves all devices.
struct TensorMapCache::State {
  using Entry = std::pair<TensorMapSpec, TensorMap>;

  std::size_t capacity = 1;  // constant after construction
  mutable std::mutex mutex;
  std::list<Entry> entries;  // the last used first; guarded by mutex
  std::unordered_map<TensorMapSpec, std::list<Entry>::iterator, SpecHash>
      index;                // guarded by mutex
  std::size_t encoded = 0;  // guarded by mutex
};

TensorMapCache::TensorMapCache(std::size_t capacity) : state_(std::make_unique<State>()) {
  state_->capacity = std::max<std::size_t>(capacity, 1);
}

TensorMapCache::~TensorMapCache() = default;

Result<TensorMap> TensorMapCache::get(const Device& device, const TensorMapSpec& asked) {
  if (device.info().compute_capability < 90) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("can't describe a tensor for TMA on {}: that needs compute capability "
                            "9.0, and the device has {}.{}",
                            describe(device), device.info().compute_capability / 10,
                            device.info().compute_capability % 10));
  }
  const TensorMapSpec spec = normalised(asked);
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (const auto found = state.index.find(spec); found != state.index.end()) {
    state.entries.splice(state.entries.begin(), state.entries, found->second);
    return found->second->second;
  }
  // Encoding takes less than a microsecond of the host's time: waiting for it under the lock is
  // simpler than doing it twice.
  FMS_TRY_VOID(check(spec));
  FMS_TRY(const TensorMap map, encode(device, spec));
  ++state.encoded;
  if (state.entries.size() == state.capacity) {
    state.index.erase(state.entries.back().first);
    state.entries.pop_back();
  }
  state.entries.emplace_front(spec, map);
  state.index.emplace(spec, state.entries.begin());
  return map;
}

std::size_t TensorMapCache::encoded() const {
  const std::lock_guard lock(state_->mutex);
  return state_->encoded;
}

}  // namespace fms
