#include "python/native/attention_call.h"

#include <fmt/format.h>

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

DLDevice device_of(const ffi::TensorView& q) {
  DLDevice device = q.device();
  if (device.device_type == kDLCUDAManaged) device.device_type = kDLCUDA;
  if (device.device_type == kDLCUDAHost) device = {kDLCPU, 0};
  return device;
}

// A kernel reads and writes the rows that they say, whatever these are: on the CPU a look costs
// nothing beside the rest. For a GPU the Python code looks where it waits for the device anyway.
void check_starts(const std::int32_t* starts, std::int64_t count, int rows, const char* name) {
  if (starts[0] != 0) {
    throw_invalid(
        fmt::format("cu_seqlens_{} begins with {}, and must begin with 0", name, starts[0]));
  }
  for (std::int64_t i = 1; i < count; ++i) {
    if (starts[i] < starts[i - 1]) {
      throw_invalid(fmt::format("cu_seqlens_{} falls from {} to {}, at {}; it must not fall", name,
                                starts[i - 1], starts[i], i));
    }
  }
  if (starts[count - 1] != rows) {
    throw_invalid(fmt::format("cu_seqlens_{} ends with {}, and must end with {}, the rows of {}",
                              name, starts[count - 1], rows, name));
  }
}

}  // namespace

Call::Call(const ffi::TensorView& q, const ffi::TensorView& k, const ffi::TensorView& v, int mask,
           const std::string& layout, const std::string& dtype, bool packed)
    : device(device_of(q)), axes(axes_of(layout, packed)) {
  queries = read_array(q, axes, "q");
  const Array keys = read_array(k, axes, "k"), values = read_array(v, axes, "v");
  check_alike(q, k, "k");
  check_alike(q, v, "v");
  check_equal(keys.batch, queries.batch, "k's batch");
  check_equal(values.batch, queries.batch, "v's batch");
  check_equal(values.heads, keys.heads, "v's number of heads");
  check_equal(values.rows, keys.rows, "v's length");
  check_equal(keys.columns, queries.columns, "k's head dimension");
  if (mask < 0 || mask > 4) throw_invalid(fmt::format("mask is {}; it may be 0 to 4", mask));
  problem = {.dtype = element_type(q, dtype),
             .batch = queries.batch,
             .heads = queries.heads,
             .kv_heads = keys.heads,
             .seq_q = queries.rows,
             .seq_k = keys.rows,
             .head_dim = queries.columns,
             .value_dim = values.columns,
             .mask = static_cast<attention::Mask>(mask)};
  arguments.q = queries.data;
  arguments.k = keys.data;
  arguments.v = values.data;
  arguments.q_strides = queries.strides;
  arguments.k_strides = keys.strides;
  arguments.v_strides = values.strides;
  if (values.columns == 0) throw_invalid("v's head dimension is 0");
  if (values.columns == queries.columns) problem.value_dim = 0;
}

void Call::set_output(const ffi::TensorView& q, const ffi::TensorView& out,
                      const ffi::Optional<ffi::TensorView>& lse) {
  const Array results = read_array(out, axes, "out");
  check_alike(q, out, "out");
  check_equal(results.batch, queries.batch, "out's batch");
  check_equal(results.heads, queries.heads, "out's number of heads");
  check_equal(results.rows, queries.rows, "out's length");
  check_equal(results.columns, problem.value_columns(), "out's head dimension");
  arguments.o = results.data;
  arguments.o_strides = results.strides;
  problem.return_lse = lse.has_value();
  if (lse.has_value()) arguments.lse = read_lse(*lse, q, queries, axes);
}

void Call::set_window(int left, int right) {
  arguments.window_left = left;
  arguments.window_right = right;
}

void Call::set_packed(const ffi::TensorView& q, const ffi::TensorView& starts_q,
                      const ffi::TensorView& starts_k, int max_q, int max_k) {
  const std::int64_t count = starts_q.ndim() == 1 ? starts_q.size(0) : 0;
  if (count < 1) throw_invalid("cu_seqlens_q must be int32, (batch + 1,), with a first 0");
  problem.packed = true;
  problem.batch = static_cast<int>(count) - 1;
  arguments.total_q = problem.seq_q;
  arguments.total_k = problem.seq_k;
  problem.seq_q = max_q;
  problem.seq_k = max_k;
  arguments.cu_seqlens_q = static_cast<const std::int32_t*>(
      read_list(starts_q, q, DType::kInt32, count, "cu_seqlens_q"));
  arguments.cu_seqlens_k = static_cast<const std::int32_t*>(
      read_list(starts_k, q, DType::kInt32, count, "cu_seqlens_k"));
  if (device.device_type == kDLCPU) {
    check_starts(arguments.cu_seqlens_q, count, static_cast<int>(arguments.total_q), "q");
    check_starts(arguments.cu_seqlens_k, count, static_cast<int>(arguments.total_k), "k");
  }
}

}  // namespace fms::python
