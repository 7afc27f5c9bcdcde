#include <array>
#include <limits>
#include <optional>

#include "python/native/attention_arrays.h"
#include "python/native/exchange.h"
#include "python/native/functions.h"
#include "python/native/session.h"
#include "python/native/signature.h"

namespace fms::python {
namespace {

PyObject* none() { return Ref::borrow(Py_None).release(); }

// As read_array() of what needs no word of explanation: four dimensions with numbers in them, the
// last one contiguous.
bool read_plain(const DLTensor& tensor, const Axes& axes, Array& array) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  if (tensor.ndim != 4 || tensor.data == nullptr || tensor.strides == nullptr) return false;
  if (tensor.strides[3] != 1) return false;
  for (int i = 0; i < 4; ++i) {
    if (tensor.shape[i] < 1 || tensor.shape[i] > kMost) return false;
  }
  array = {.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset,
           .batch = static_cast<int>(tensor.shape[axes.batch]),
           .heads = static_cast<int>(tensor.shape[axes.head]),
           .rows = static_cast<int>(tensor.shape[axes.row]),
           .columns = static_cast<int>(tensor.shape[3]),
           .strides = {.batch = tensor.strides[axes.batch],
                       .head = tensor.strides[axes.head],
                       .row = tensor.strides[axes.row]}};
  return true;
}

bool is_alike(const DLTensor& a, const DLTensor& b) {
  return a.dtype.code == b.dtype.code && a.dtype.bits == b.dtype.bits && b.dtype.lanes == 1 &&
         a.device.device_type == b.device.device_type && a.device.device_id == b.device.device_id;
}

std::optional<DType> plain_dtype(const DLTensor& tensor) {
  const NumberType type{tensor.dtype.code, tensor.dtype.bits};
  for (const DType dtype : {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
    if (number_type_of(dtype) == type) return dtype;
  }
  return std::nullopt;
}

// Reads an array of the framework; false if there is something about it that memory doesn't say.
bool read_tensor(const DLPackExchangeAPI& api, PyObject* object, DLTensor& tensor) {
  static PyObject* const kRequiresGrad = PyUnicode_InternFromString("requires_grad");
  const Ref requires_grad(PyObject_GetAttr(object, kRequiresGrad));
  if (requires_grad.get() == Py_False &&
      api.dltensor_from_py_object_no_sync(object, &tensor) == 0) {
    return true;
  }
  PyErr_Clear();
  return false;
}

// attention_direct(q, k, v, scale or 0, mask, is bhsd and not bshd, empty_like) -> the result, or
// None: it takes the long way, which also says what is wrong, or compiles.
//
// What takes part in the cost of a small problem is left out: the operator's way through tvm-ffi
// and its arguments. REQUIRES of PyTorch's tensors that nothing watches the call, and that their
// values are what their memory holds.
PyObject* attention_direct(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (count != 7) return none();
  PyTypeObject* const type = Py_TYPE(given[0]);
  const DLPackExchangeAPI* const api = exchange_api_of(type);
  if (api == nullptr || api->current_work_stream == nullptr || Py_TYPE(given[1]) != type ||
      Py_TYPE(given[2]) != type || Session::get().checks_addresses()) {
    return none();
  }
  const Axes axes = given[5] == Py_True ? Axes{.batch = 0, .head = 1, .row = 2}
                                        : Axes{.batch = 0, .head = 2, .row = 1};
  std::array<DLTensor, 4> tensors;
  std::array<Array, 4> arrays;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!read_tensor(*api, given[i], tensors[i]) || !read_plain(tensors[i], axes, arrays[i]) ||
        !is_alike(tensors[0], tensors[i])) {
      return none();
    }
  }
  const auto& [q, k, v, o] = arrays;
  const DLDevice device = tensors[0].device;
  const std::optional<DType> dtype = plain_dtype(tensors[0]);
  if ((device.device_type != kDLCUDA && device.device_type != kDLCPU) || !dtype ||
      k.batch != q.batch || v.batch != q.batch || v.heads != k.heads || v.rows != k.rows ||
      k.columns != q.columns || v.columns != q.columns) {
    return none();
  }
  const double scale = PyFloat_AsDouble(given[3]);
  const long mask = PyLong_AsLong(given[4]);
  if (PyErr_Occurred()) return nullptr;

  Ref out(PyObject_CallFunctionObjArgs(given[6], given[0], nullptr));
  if (!out) return nullptr;
  if (!read_tensor(*api, out.get(), tensors[3]) || !read_plain(tensors[3], axes, arrays[3])) {
    return none();
  }
  StreamView stream;
  if (device.device_type == kDLCUDA &&
      api->current_work_stream(device.device_type, device.device_id, &stream.handle) != 0) {
    PyErr_Clear();
    return none();
  }
  const attention::Problem problem{.dtype = *dtype,
                                   .batch = q.batch,
                                   .heads = q.heads,
                                   .kv_heads = k.heads,
                                   .seq_q = q.rows,
                                   .seq_k = k.rows,
                                   .head_dim = q.columns,
                                   .mask = static_cast<attention::Mask>(mask)};
  const attention::Arguments arguments{.q = q.data,
                                       .k = k.data,
                                       .v = v.data,
                                       .o = o.data,
                                       .q_strides = q.strides,
                                       .k_strides = k.strides,
                                       .v_strides = v.strides,
                                       .o_strides = o.strides,
                                       .scale = static_cast<float>(scale)};
  bool done = false;
  {
    const WithoutGil unlocked;  // a CPU's kernel runs here; a full queue of a GPU is waited for
    const Result<void> result = [&]() -> Result<void> {
      FMS_TRY(Jit jit, Session::get().jit());
      FMS_TRY(const auto where, Session::get().device(device));
      return attention::forward(jit, where, stream, problem, arguments, {.may_build = false});
    }();
    done = result.has_value();
  }
  return done ? out.release() : none();
}

}  // namespace

PyMethodDef attention_functions[] = {
    {"attention_direct",
     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(attention_direct)), METH_FASTCALL,
     nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
