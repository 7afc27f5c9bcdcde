#include "python/native/attention_arrays.h"

#include <fmt/format.h>
#include <tvm/ffi/error.h>

#include <limits>
#include <optional>

#include "python/native/signature.h"

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

int checked_extent(std::int64_t value, int axis, const char* name) {
  if (value > std::numeric_limits<int>::max()) {
    throw_invalid(fmt::format("{} has {} elements along axis {}", name, value, axis));
  }
  return static_cast<int>(value);
}

}  // namespace

// The package's Python code makes an exception of the class that the code names, and finds message
// and detail apart again by the separator.
[[noreturn]] void throw_error(const Error& error) {
  throw ffi::Error(fmt::format("flashmoe_science.{}", to_string(error.code)),
                   error.message + '\x1e' + error.detail, "");
}

[[noreturn]] void throw_invalid(std::string message) {
  throw_error({ErrorCode::kInvalidArgument, "can't compute attention: " + std::move(message), {}});
}

Axes axes_of(const std::string& layout, bool packed) {
  if (packed) return {.batch = -1, .head = 1, .row = 0};
  if (layout == "bshd") return {.batch = 0, .head = 2, .row = 1};
  if (layout == "bhsd") return {.batch = 0, .head = 1, .row = 2};
  if (layout == "sbhd") return {.batch = 1, .head = 2, .row = 0};
  throw_invalid(fmt::format("layout is '{}'; it may be bshd, bhsd or sbhd", layout));
}

Array read_array(const ffi::TensorView& tensor, const Axes& axes, const char* name) {
  const int last = axes.packed() ? 2 : 3;
  if (tensor.ndim() != last + 1) {
    throw_invalid(
        fmt::format("{} has {} dimensions, and must have {}", name, tensor.ndim(), last + 1));
  }
  // Taken once: each of the view's own accessors checks its index.
  const std::int64_t* const shape = tensor.shape().data();
  const std::int64_t* const strides = tensor.strides().data();
  const auto extent = [&](int axis) { return checked_extent(shape[axis], axis, name); };
  const Array array{.data = static_cast<std::byte*>(tensor.data_ptr()) + tensor.byte_offset(),
                    .batch = axes.packed() ? 1 : extent(axes.batch),
                    .heads = extent(axes.head),
                    .rows = extent(axes.row),
                    .columns = extent(last),
                    .strides = {.batch = axes.packed() ? 0 : strides[axes.batch],
                                .head = strides[axes.head],
                                .row = strides[axes.row]}};
  // Arrays with no element, or one, have any strides.
  if (strides[last] != 1 && array.columns > 1 && tensor.numel() > 1) {
    throw_invalid(
        fmt::format("{} has a stride of {} in its last dimension, and must have 1: make "
                    "it contiguous",
                    name, strides[last]));
  }
  return array;
}

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

void* read_list(const ffi::TensorView& tensor, const ffi::TensorView& q, DType dtype,
                std::int64_t count, const char* name) {
  const NumberType type{tensor.dtype().code, tensor.dtype().bits};
  if (tensor.ndim() != 1 || tensor.size(0) != count || !tensor.IsContiguous() ||
      type != number_type_of(dtype) || tensor.device().device_type != q.device().device_type ||
      tensor.device().device_id != q.device().device_id) {
    throw_invalid(fmt::format("{} must be {}, contiguous, ({},), and on q's device", name,
                              to_string(dtype), count));
  }
  return static_cast<std::byte*>(tensor.data_ptr()) + tensor.byte_offset();
}

float* read_lse(const ffi::TensorView& lse, const ffi::TensorView& q, const Array& queries,
                const Axes& axes) {
  const NumberType type{lse.dtype().code, lse.dtype().bits};
  const int head = axes.packed() ? 0 : 1;
  if (lse.ndim() != head + 2 || (!axes.packed() && lse.size(0) != queries.batch) ||
      lse.size(head) != queries.heads || lse.size(head + 1) != queries.rows ||
      !lse.IsContiguous() || type != number_type_of(DType::kFloat32) ||
      lse.device().device_type != q.device().device_type) {
    throw_invalid(fmt::format("lse must be float32, contiguous, ({}), and on q's device",
                              axes.packed() ? "heads, total_q" : "batch, heads, seq_q"));
  }
  return reinterpret_cast<float*>(static_cast<std::byte*>(lse.data_ptr()) + lse.byte_offset());
}

}  // namespace fms::python
