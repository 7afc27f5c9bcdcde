#include "python/native/operators.h"

#include <fmt/format.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/optional.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "python/native/interrupt.h"
#include "python/native/session.h"
#include "python/native/signature.h"
#include "runtime/ops/attention.h"

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

// The package's Python code makes an exception of the class that the code names, and finds message
// and detail apart again by the separator.
[[noreturn]] void throw_error(const Error& error) {
  throw ffi::Error(fmt::format("flashmoe_science.{}", to_string(error.code)),
                   error.message + '\x1e' + error.detail, "");
}

[[noreturn]] void throw_invalid(std::string message) {
  throw_error({ErrorCode::kInvalidArgument, "can't compute attention: " + std::move(message), {}});
}

// Where a layout has batch, head and row; the last dimension is the head's.
struct Axes {
  int batch, head, row;
};

Axes axes_of(const std::string& layout) {
  if (layout == "bshd") return {.batch = 0, .head = 2, .row = 1};
  if (layout == "bhsd") return {.batch = 0, .head = 1, .row = 2};
  if (layout == "sbhd") return {.batch = 1, .head = 2, .row = 0};
  throw_invalid(fmt::format("layout is '{}'; it may be bshd, bhsd or sbhd", layout));
}

// An array in the words of attention.
struct Array {
  void* data;
  int batch, heads, rows, head_dim;
  attention::Strides strides;
};

int extent(const ffi::TensorView& tensor, int axis, const char* name) {
  const std::int64_t value = tensor.size(axis);
  if (value > std::numeric_limits<int>::max()) {
    throw_invalid(fmt::format("{} has {} elements along axis {}", name, value, axis));
  }
  return static_cast<int>(value);
}

Array read(const ffi::TensorView& tensor, const Axes& axes, const char* name) {
  if (tensor.ndim() != 4) {
    throw_invalid(fmt::format("{} has {} dimensions, and must have 4", name, tensor.ndim()));
  }
  const Array array{.data = static_cast<std::byte*>(tensor.data_ptr()) + tensor.byte_offset(),
                    .batch = extent(tensor, axes.batch, name),
                    .heads = extent(tensor, axes.head, name),
                    .rows = extent(tensor, axes.row, name),
                    .head_dim = extent(tensor, 3, name),
                    .strides = {.batch = tensor.stride(axes.batch),
                                .head = tensor.stride(axes.head),
                                .row = tensor.stride(axes.row)}};
  // Arrays with no element, or one, have any strides.
  if (tensor.numel() > 1 && array.head_dim > 1 && tensor.stride(3) != 1) {
    throw_invalid(
        fmt::format("{} has a stride of {} in its last dimension, and must have 1: make "
                    "it contiguous",
                    name, tensor.stride(3)));
  }
  return array;
}

// `named`: what the elements really are, where the array can only say their size (bfloat16 in
// NumPy); empty: what it says.
DType element_type(const ffi::TensorView& q, const std::string& named) {
  if (!named.empty()) {
    if (const auto dtype = parse_dtype(named)) return *dtype;
    throw_invalid(fmt::format("'{}' is no type", named));
  }
  const NumberType type{q.dtype().code, q.dtype().bits};
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    if (number_type_of(dtype) == type) return dtype;
  }
  throw_invalid(
      fmt::format("dtype is {}; it may be float32, float16 or bfloat16", to_string(type)));
}

void check_alike(const ffi::TensorView& q, const ffi::TensorView& other, const char* name) {
  const DLDataType a = q.dtype(), b = other.dtype();
  if (a.code != b.code || a.bits != b.bits || b.lanes != 1) {
    throw_invalid(fmt::format("{} has another dtype than q: {}, and q {}", name,
                              to_string(NumberType{b.code, b.bits}),
                              to_string(NumberType{a.code, a.bits})));
  }
  if (q.device().device_type != other.device().device_type ||
      q.device().device_id != other.device().device_id) {
    throw_invalid(fmt::format("{} is on another device than q", name));
  }
}

void check_equal(int got, int expected, const char* what) {
  if (got == expected) return;
  throw_invalid(fmt::format("{} is {}, and must be {}", what, got, expected));
}

float* read_lse(const ffi::TensorView& lse, const ffi::TensorView& q, const Array& queries) {
  const NumberType type{lse.dtype().code, lse.dtype().bits};
  if (lse.ndim() != 3 || lse.size(0) != queries.batch || lse.size(1) != queries.heads ||
      lse.size(2) != queries.rows || !lse.IsContiguous() ||
      type != number_type_of(DType::kFloat32) ||
      lse.device().device_type != q.device().device_type) {
    throw_invalid("lse must be float32, contiguous, (batch, heads, seq_q), and on q's device");
  }
  return reinterpret_cast<float*>(static_cast<std::byte*>(lse.data_ptr()) + lse.byte_offset());
}

// Runs at once if the kernel is loaded; else on another thread, where Ctrl-C ends its compile.
void run(DLDevice which, StreamView stream, const attention::Problem& problem,
         const attention::Arguments& arguments) {
  const auto attempt = [&](const GetOptions& options) -> Result<void> {
    FMS_TRY(Jit jit, Session::get().jit());
    FMS_TRY(const auto device, Session::get().device(which));
    return attention::forward(jit, device, stream, problem, arguments, options);
  };
  Result<void> done = attempt({.may_build = false});
  if (!done && done.error().code == ErrorCode::kNotFound) {
    const PyGILState_STATE gil = PyGILState_Ensure();
    const bool finished =
        run_interruptible([&](const CancelToken& cancel) { done = attempt({.cancel = &cancel}); });
    PyGILState_Release(gil);
    if (!finished) throw ffi::EnvErrorAlreadySet();
  }
  if (!done) throw_error(done.error());
}

// flashmoe_science.attention_forward: writes softmax(scale * q k^T, masked) v to `out`.
//
// mask: 0 none, 1 causal aligned to the last key, 2 causal aligned to the first. stream: -1 is the
// current one of the tensors' framework.
void attention_forward(ffi::TensorView q, ffi::TensorView k, ffi::TensorView v, ffi::TensorView out,
                       ffi::Optional<ffi::TensorView> lse, double scale, int mask,
                       ffi::String layout, ffi::String dtype, std::int64_t stream) {
  const Axes axes = axes_of(layout);
  const Array queries = read(q, axes, "q"), keys = read(k, axes, "k"), values = read(v, axes, "v"),
              results = read(out, axes, "out");
  check_alike(q, k, "k");
  check_alike(q, v, "v");
  check_alike(q, out, "out");
  check_equal(keys.batch, queries.batch, "k's batch");
  check_equal(values.batch, queries.batch, "v's batch");
  check_equal(values.heads, keys.heads, "v's number of heads");
  check_equal(values.rows, keys.rows, "v's length");
  check_equal(keys.head_dim, queries.head_dim, "k's head dimension");
  check_equal(values.head_dim, queries.head_dim, "v's head dimension");
  check_equal(results.batch, queries.batch, "out's batch");
  check_equal(results.heads, queries.heads, "out's number of heads");
  check_equal(results.rows, queries.rows, "out's length");
  check_equal(results.head_dim, queries.head_dim, "out's head dimension");
  if (mask < 0 || mask > 2) throw_invalid(fmt::format("mask is {}; it may be 0, 1 or 2", mask));
  const attention::Problem problem{.dtype = element_type(q, dtype),
                                   .batch = queries.batch,
                                   .heads = queries.heads,
                                   .kv_heads = keys.heads,
                                   .seq_q = queries.rows,
                                   .seq_k = keys.rows,
                                   .head_dim = queries.head_dim,
                                   .mask = static_cast<attention::Mask>(mask),
                                   .return_lse = lse.has_value()};
  if (problem.batch == 0) return;
  const attention::Arguments arguments{
      .q = queries.data,
      .k = keys.data,
      .v = values.data,
      .o = results.data,
      .lse = lse.has_value() ? read_lse(*lse, q, queries) : nullptr,
      .q_strides = queries.strides,
      .k_strides = keys.strides,
      .v_strides = values.strides,
      .o_strides = results.strides,
      .scale = static_cast<float>(scale)};
  DLDevice device = q.device();
  if (device.device_type == kDLCUDAManaged) device.device_type = kDLCUDA;
  if (device.device_type == kDLCUDAHost) device = {kDLCPU, 0};
  StreamView on{reinterpret_cast<void*>(stream)};
  if (stream < 0) {
    on.handle = device.device_type == kDLCUDA
                    ? TVMFFIEnvGetStream(device.device_type, device.device_id)
                    : nullptr;
  }
  run(device, on, problem, arguments);
}

}  // namespace

void register_operators() {
  ffi::reflection::GlobalDef().def("flashmoe_science.attention_forward", attention_forward);
}

}  // namespace fms::python
