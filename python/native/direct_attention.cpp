#include <tvm/ffi/error.h>

#include <array>
#include <optional>

#include "python/native/attention_call.h"
#include "python/native/exchange.h"
#include "python/native/functions.h"
#include "python/native/hooks.h"
#include "python/native/interrupt.h"
#include "python/native/session.h"

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

PyObject* none() { return Ref::borrow(Py_None).release(); }

bool read_tensor(const DLPackExchangeAPI& api, PyObject* object, DLTensor& tensor) {
  if (api.dltensor_from_py_object_no_sync(object, &tensor) == 0) return true;
  PyErr_Clear();
  return false;
}

// False if there is something about a tensor that its memory doesn't say: it requires a gradient,
// or its memory has the other sign, as that of z.conj().imag. No complex numbers are of bfloat16.
bool is_as_its_memory(PyObject* object, const DLTensor& tensor) {
  static PyObject* const kRequiresGrad = PyUnicode_InternFromString("requires_grad");
  static PyObject* const kIsNegative = PyUnicode_InternFromString("is_neg");
  bool as_memory = Ref(PyObject_GetAttr(object, kRequiresGrad)).get() == Py_False;
  if (as_memory && tensor.dtype.code != kDLBfloat) {
    as_memory = Ref(PyObject_CallMethodObjArgs(object, kIsNegative, nullptr)).get() == Py_False;
  }
  if (!as_memory) PyErr_Clear();
  return as_memory;
}

// attention_direct(q, k, v, scale or 0, mask, is bhsd and not bshd, Tensor, empty_like) -> the
// result, or None: it takes the long way, which also says what is wrong with the arrays.
//
// What takes part in the cost of a small problem is left out: the operator's way through tvm-ffi
// and its arguments. Takes tensors of no other type than Tensor. REQUIRES that nothing watches the
// call.
PyObject* attention_direct(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (count != 8) return none();
  PyTypeObject* const type = Py_TYPE(given[0]);
  const DLPackExchangeAPI* const api = exchange_api_of(type);
  if (reinterpret_cast<PyObject*>(type) != given[6] || api == nullptr ||
      api->current_work_stream == nullptr || Py_TYPE(given[1]) != type ||
      Py_TYPE(given[2]) != type || Session::get().checks_addresses()) {
    return none();
  }
  std::array<DLTensor, 4> tensors;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!read_tensor(*api, given[i], tensors[i]) || !is_as_its_memory(given[i], tensors[i])) {
      return none();
    }
  }
  const auto view = [&](std::size_t i) { return ffi::TensorView(&tensors[i]); };
  const double scale = PyFloat_AsDouble(given[3]);
  const long mask = PyLong_AsLong(given[4]);
  if (PyErr_Occurred()) return nullptr;

  Ref out;
  std::optional<Call> call;
  StreamView stream;
  try {
    call.emplace(view(0), view(1), view(2), static_cast<int>(mask),
                 given[5] == Py_True ? "bhsd" : "bshd", "", /*packed=*/false);
    if (call->is_empty() || call->problem.value_dim != 0) return none();
    out = Ref(PyObject_CallFunctionObjArgs(given[7], given[0], nullptr));
    if (!out) return nullptr;
    if (!read_tensor(*api, out.get(), tensors[3])) return none();
    call->set_output(view(0), view(3), {});
  } catch (const ffi::Error&) {
    return none();
  }
  call->arguments.scale = static_cast<float>(scale);
  const DLDevice device = call->device;
  if (device.device_type == kDLCUDA &&
      api->current_work_stream(device.device_type, device.device_id, &stream.handle) != 0) {
    PyErr_Clear();
    return none();
  }
  const auto compute = [&](const GetOptions& options) -> Result<void> {
    FMS_TRY(Jit jit, Session::get().jit());
    FMS_TRY(const auto where, Session::get().device(device));
    return attention::forward(jit, where, stream, call->problem, call->arguments, options);
  };
  Result<void> done = [&] {
    const WithoutGil unlocked;  // a CPU's kernel runs here; a full queue of a GPU is waited for
    return compute({.may_build = false});
  }();
  if (done) return out.release();
  if (done.error().code != ErrorCode::kNotFound) return none();
  // The kernel must be loaded, or compiled; Ctrl-C ends that.
  const bool finished =
      run_interruptible([&](const CancelToken& cancel) { done = compute({.cancel = &cancel}); });
  if (!finished) return nullptr;
  return done ? out.release() : raise(done.error());
}

}  // namespace

PyMethodDef attention_functions[] = {
    {"attention_direct",
     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(attention_direct)), METH_FASTCALL,
     nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
