#include "runtime/ops/attention_maps.h"

#include <algorithm>
#include <functional>

#include "runtime/ops/remembered.h"

namespace fms::attention {
namespace {

// An array of (batch, heads, rows, columns), and the rows of a box that is copied at once.
struct MappedArray {
  const void* data = nullptr;
  Strides strides;
  std::int64_t rows = 0;
  int batch = 1, heads = 1, columns = 0, box_rows = 0;

  bool operator==(const MappedArray&) const = default;
};

// All that decides the maps of a call. They hold addresses and no device.
struct MapsKey {
  MappedArray q, k, v;
  DType dtype = DType::kBFloat16;

  bool operator==(const MapsKey&) const = default;
};

struct MapsKeyHash {
  std::size_t operator()(const MapsKey& key) const {
    // Calls differ in their addresses, or in the length of one array that grows.
    std::uint64_t hash = 0;
    for (const MappedArray* each : {&key.q, &key.k, &key.v}) {
      hash = (hash ^ reinterpret_cast<std::uintptr_t>(each->data)) * 0x9E3779B97F4A7C15u;
      hash = (hash ^ hash >> 32) + static_cast<std::uint64_t>(each->rows);
    }
    return static_cast<std::size_t>(hash * 0x9E3779B97F4A7C15u >> 16);
  }
};

MapsKey key_of(const ForwardPlan& plan, const Problem& problem, const Arguments& arguments) {
  // Packed sequences are one batch of all rows.
  const int batch = problem.packed ? 1 : problem.batch;
  MapsKey key{.q = {.data = arguments.q,
                    .strides = arguments.q_strides,
                    .rows = problem.packed ? arguments.total_q : problem.seq_q,
                    .batch = batch,
                    .heads = problem.heads,
                    .columns = problem.head_dim,
                    .box_rows = plan.query_rows},
              .k = {.data = arguments.k,
                    .strides = arguments.k_strides,
                    .rows = problem.packed ? arguments.total_k : problem.seq_k,
                    .batch = batch,
                    .heads = problem.kv_heads,
                    .columns = problem.head_dim,
                    .box_rows = plan.key_rows},
              .dtype = problem.dtype};
  key.v = key.k;
  key.v.data = arguments.v;
  key.v.strides = arguments.v_strides;
  key.v.columns = problem.value_columns();
  return key;
}

// For the whole process. Never destroyed, so that threads which outlive main() may still use it.
TensorMapCache& tensor_maps() {
  static TensorMapCache& cache = *new TensorMapCache;
  return cache;
}

// Describes (columns, rows, heads, batch), in boxes of `box_columns`.
Result<TensorMap> map_of(const Device& device, DType dtype, const MappedArray& array,
                         int box_columns) {
  const auto bytes = static_cast<std::uint64_t>(size_of(dtype));
  const auto width = static_cast<std::uint64_t>(array.columns);
  // Of one there is no step; any will do that is one.
  const auto step = [&](std::int64_t extent, std::int64_t stride) {
    return bytes * (extent == 1 ? width : static_cast<std::uint64_t>(stride));
  };
  TensorMapSpec spec{.address = reinterpret_cast<std::uintptr_t>(array.data),
                     .dtype = dtype,
                     .rank = 4,
                     .swizzle = Swizzle::k128B};
  spec.shape = {width, static_cast<std::uint64_t>(array.rows),
                static_cast<std::uint64_t>(array.heads), static_cast<std::uint64_t>(array.batch)};
  spec.stride = {bytes, step(array.rows, array.strides.row), step(array.heads, array.strides.head),
                 step(array.batch, array.strides.batch)};
  spec.box = {static_cast<std::uint32_t>(box_columns), static_cast<std::uint32_t>(array.box_rows),
              1, 1};
  return tensor_maps().get(device, spec);
}

Result<PanelMaps> panel_maps_of(const Device& device, DType dtype, const MappedArray& array) {
  constexpr int kPanel = PanelMaps::kPanel;
  FMS_TRY(const TensorMap whole, map_of(device, dtype, array, std::min(array.columns, kPanel)));
  PanelMaps maps{.whole = whole, .last = whole, .columns = array.columns};
  if (maps.count() == 2) {
    FMS_TRY(maps.last, map_of(device, dtype, array, array.columns % kPanel));
  }
  return maps;
}

Result<Maps> make_maps(const Device& device, const MapsKey& key) {
  FMS_TRY(const PanelMaps q, panel_maps_of(device, key.dtype, key.q));
  // Without keys there may be no arrays to describe, and nothing is copied from them.
  Maps maps{.q = q, .k = q, .v = q};
  maps.v.columns = key.v.columns;
  if (key.k.rows > 0) {
    FMS_TRY(maps.k, panel_maps_of(device, key.dtype, key.k));
    FMS_TRY(maps.v, panel_maps_of(device, key.dtype, key.v));
  }
  return maps;
}

}  // namespace

Result<std::shared_ptr<const Maps>> maps_of(const Device& device, const ForwardPlan& plan,
                                            const Problem& problem, const Arguments& arguments) {
  // As tensor_maps() is. One look for all arrays: to hash each, and to lock for it, was a third of
  // what a call takes.
  static auto& all = *new Remembered<MapsKey, Maps, MapsKeyHash>;
  const MapsKey key = key_of(plan, problem, arguments);
  return all.get(key, [&] { return make_maps(device, key); });
}

}  // namespace fms::attention
