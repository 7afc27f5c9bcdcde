#include "tools/fms/attention_run.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "runtime/device_buffer.h"
#include "tools/fms/gpu_timing.h"

namespace fms::program {
namespace {

// About a second of one core, in multiplications and additions of doubles.
constexpr std::int64_t kReferenceOperations = std::int64_t{2} << 30;
constexpr std::int64_t kFewestRows = 64;

Result<DeviceBuffer> to_device(const std::shared_ptr<Device>& device,
                               std::span<const std::byte> bytes, StreamView stream) {
  FMS_TRY(DeviceBuffer buffer, DeviceBuffer::allocate(device, bytes.size()));
  FMS_TRY_VOID(buffer.upload(bytes, stream));
  return buffer;
}

std::size_t flush_bytes(const Device& device) {
  if (device.is_cpu()) return 0;
  return std::max(std::size_t{64} << 20, 4 * static_cast<std::size_t>(device.info().l2_bytes));
}

std::int64_t rows_to_check(const attention::Problem& problem) {
  const std::int64_t per_row =
      std::max<std::int64_t>(1, std::int64_t{2} * problem.seq_k * problem.head_dim);
  return std::max(kFewestRows, kReferenceOperations / per_row);
}

// Of arrays without gaps.
struct HostStrides {
  explicit HostStrides(const attention::Problem& p)
      : q(strides(p, p.heads, p.seq_q, p.head_dim)),
        k(strides(p, p.kv_heads, p.seq_k, p.head_dim)),
        v(strides(p, p.kv_heads, p.seq_k, p.value_columns())),
        o(strides(p, p.heads, p.seq_q, p.value_columns())) {}

  static attention::Strides strides(const attention::Problem& p, int heads, int rows, int columns) {
    if (!p.packed) return attention::bhsd_strides(heads, rows, columns);
    return {.batch = 0, .head = columns, .row = std::int64_t{heads} * columns};
  }

  attention::Strides q, k, v, o;
};

// The struct Mods with the members on a device.
struct DeviceMods {
  std::vector<DeviceBuffer> arrays;
  std::vector<std::byte> bytes;
};

// Members lie as in C++: each at a multiple of its size.
Result<DeviceMods> upload_mods(const std::shared_ptr<Device>& device,
                               std::span<const ModsMember> members, StreamView stream) {
  DeviceMods mods;
  std::size_t widest = 1;
  const auto pad = [&](std::size_t size) {
    mods.bytes.resize((mods.bytes.size() + size - 1) / size * size);
    widest = std::max(widest, size);
  };
  for (const ModsMember& member : members) {
    std::uint64_t address = 0;
    std::span<const std::byte> bytes = member.bytes;
    if (member.is_array) {
      FMS_TRY(DeviceBuffer array, to_device(device, member.bytes, stream));
      address = array.address();
      mods.arrays.push_back(std::move(array));
      bytes = std::as_bytes(std::span(&address, 1));
    }
    pad(bytes.size());
    mods.bytes.insert(mods.bytes.end(), bytes.begin(), bytes.end());
  }
  if (members.empty()) mods.bytes.resize(1);  // as an empty struct has
  pad(widest);
  return mods;
}

std::size_t rows_of(const attention::Problem& problem, const AttentionInputs& inputs) {
  return inputs.q.size() / static_cast<std::size_t>(size_of(problem.dtype)) /
         static_cast<std::size_t>(problem.head_dim);
}

}  // namespace

Result<AttentionOutputs> run_attention(Jit& jit, const std::shared_ptr<Device>& device,
                                       const attention::Problem& problem,
                                       const AttentionInputs& inputs, int repeat) {
  FMS_TRY(const Stream stream, Stream::create(device));
  FMS_TRY(const DeviceBuffer q, to_device(device, inputs.q, stream));
  FMS_TRY(const DeviceBuffer k, to_device(device, inputs.k, stream));
  FMS_TRY(const DeviceBuffer v, to_device(device, inputs.v, stream));
  FMS_TRY(const DeviceBuffer sinks, to_device(device, std::as_bytes(inputs.sinks), stream));
  FMS_TRY(const DeviceBuffer first_queries,
          to_device(device, std::as_bytes(inputs.first_queries), stream));
  FMS_TRY(const DeviceBuffer first_keys,
          to_device(device, std::as_bytes(inputs.first_keys), stream));
  FMS_TRY(const DeviceMods mods, upload_mods(device, inputs.members, stream));
  const std::size_t o_bytes =
      inputs.q.size() / static_cast<std::size_t>(problem.head_dim) * problem.value_columns();
  FMS_TRY(DeviceBuffer o, DeviceBuffer::allocate(device, o_bytes));
  // What a kernel leaves out shows as NaN in the check.
  FMS_TRY_VOID(o.fill(0xff, stream));
  AttentionOutputs outputs;
  FMS_TRY(const attention::Plan plan,
          attention::plan(problem, jit.options().target.value_or(device->target())));
  outputs.weights = attention::weights_of(plan);
  outputs.o.resize(o_bytes);
  if (problem.return_lse) {
    outputs.lse.resize(rows_of(problem, inputs), std::numeric_limits<float>::quiet_NaN());
  }
  const auto lse_bytes = std::as_writable_bytes(std::span(outputs.lse));
  FMS_TRY(const DeviceBuffer lse, to_device(device, lse_bytes, stream));
  const HostStrides strides(problem);
  attention::Arguments arguments{
      .q = q.data(),
      .k = k.data(),
      .v = v.data(),
      .o = o.data(),
      .lse = problem.return_lse ? static_cast<float*>(lse.data()) : nullptr,
      .q_strides = strides.q,
      .k_strides = strides.k,
      .v_strides = strides.v,
      .o_strides = strides.o,
      .scale = inputs.scale,
      .window_left = inputs.window_left,
      .window_right = inputs.window_right,
      .softcap = inputs.softcap,
      .sinks = problem.sinks ? static_cast<const float*>(sinks.data()) : nullptr};
  if (problem.packed) {
    arguments.cu_seqlens_q = static_cast<const std::int32_t*>(first_queries.data());
    arguments.cu_seqlens_k = static_cast<const std::int32_t*>(first_keys.data());
    arguments.total_q = inputs.first_queries.back();
    arguments.total_k = inputs.first_keys.back();
  }
  if (problem.mods != nullptr) {
    arguments.mods = mods.bytes.data();
    arguments.mods_bytes = mods.bytes.size();
  }
  const auto compute = [&] { return attention::forward(jit, device, stream, problem, arguments); };
  FMS_TRY_VOID(compute());
  FMS_TRY_VOID(stream.synchronize());
  FMS_TRY_VOID(o.download(outputs.o, stream));
  FMS_TRY_VOID(lse.download(lse_bytes, stream));
  if (repeat > 0) {
    // On a GPU nothing is left of the arrays in its L2 cache, as where other layers come between.
    FMS_TRY(DeviceBuffer flush, DeviceBuffer::allocate(device, flush_bytes(*device)));
    const auto empty_cache = [&] { return flush.fill(0, stream); };
    FMS_TRY(outputs.median_ms, median_gpu_ms(device, stream, repeat, compute, empty_cache));
  }
  return outputs;
}

Result<AttentionCheck> check_attention(const attention::Problem& problem,
                                       const AttentionInputs& inputs,
                                       const AttentionOutputs& outputs) {
  const HostStrides strides(problem);
  const attention::HostInputs host{.q = inputs.q.data(),
                                   .k = inputs.k.data(),
                                   .v = inputs.v.data(),
                                   .q_strides = strides.q,
                                   .k_strides = strides.k,
                                   .v_strides = strides.v,
                                   .scale = inputs.scale,
                                   .window_left = inputs.window_left,
                                   .window_right = inputs.window_right,
                                   .softcap = inputs.softcap,
                                   .sinks = inputs.sinks,
                                   .cu_seqlens_q = inputs.first_queries,
                                   .cu_seqlens_k = inputs.first_keys,
                                   .score = inputs.score};
  std::vector<attention::Row> rows =
      attention::sample_rows(problem, rows_to_check(problem), inputs.first_queries);
  FMS_TRY(const attention::Reference expected,
          attention::reference(problem, host, std::move(rows), /*threads=*/0, outputs.weights));
  AttentionCheck check{.output = attention::compare(problem, expected, outputs.o.data(), strides.o),
                       .rows = expected.rows.size(),
                       .all_rows = rows_of(problem, inputs)};
  if (problem.return_lse) {
    check.lse = attention::compare_lse(problem, expected, outputs.lse.data());
  }
  return check;
}

}  // namespace fms::program
