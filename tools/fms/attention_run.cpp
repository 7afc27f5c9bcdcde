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

// Of packed arrays.
struct HostStrides {
  explicit HostStrides(const attention::Problem& p)
      : q(attention::bhsd_strides(p.heads, p.seq_q, p.head_dim)),
        k(attention::bhsd_strides(p.kv_heads, p.seq_k, p.head_dim)),
        v(attention::bhsd_strides(p.kv_heads, p.seq_k, p.value_columns())),
        o(attention::bhsd_strides(p.heads, p.seq_q, p.value_columns())) {}

  attention::Strides q, k, v, o;
};

}  // namespace

Result<AttentionOutputs> run_attention(Jit& jit, const std::shared_ptr<Device>& device,
                                       const attention::Problem& problem,
                                       const AttentionInputs& inputs, int repeat) {
  FMS_TRY(const Stream stream, Stream::create(device));
  FMS_TRY(const DeviceBuffer q, to_device(device, inputs.q, stream));
  FMS_TRY(const DeviceBuffer k, to_device(device, inputs.k, stream));
  FMS_TRY(const DeviceBuffer v, to_device(device, inputs.v, stream));
  FMS_TRY(const DeviceBuffer sinks, to_device(device, std::as_bytes(inputs.sinks), stream));
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
    outputs.lse.resize(static_cast<std::size_t>(problem.batch) * problem.heads * problem.seq_q,
                       std::numeric_limits<float>::quiet_NaN());
  }
  const auto lse_bytes = std::as_writable_bytes(std::span(outputs.lse));
  FMS_TRY(const DeviceBuffer lse, to_device(device, lse_bytes, stream));
  const HostStrides strides(problem);
  const attention::Arguments arguments{
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
                                   .sinks = inputs.sinks};
  FMS_TRY(
      const attention::Reference expected,
      attention::reference(problem, host, attention::sample_rows(problem, rows_to_check(problem)),
                           /*threads=*/0, outputs.weights));
  AttentionCheck check{
      .output = attention::compare(problem, expected, outputs.o.data(), strides.o),
      .rows = expected.rows.size(),
      .all_rows = static_cast<std::size_t>(problem.batch) * problem.heads * problem.seq_q};
  if (problem.return_lse) {
    check.lse = attention::compare_lse(problem, expected, outputs.lse.data());
  }
  return check;
}

}  // namespace fms::program
