#include <tvm/ffi/error.h>

#include <array>
#include <optional>

#include "python/native/attention_call.h"
#include "python/native/exchange.h"
#include "python/native/functions.h"
#include "python/native/session.h"

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

PyObject* none() { return Ref::borrow(Py_None).release(); }

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
  std::array<DLTensor, 4> tensors;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!read_tensor(*api, given[i], tensors[i])) return none();
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
    out = Ref(PyObject_CallFunctionObjArgs(given[6], given[0], nullptr));
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
  bool done = false;
  {
    const WithoutGil unlocked;  // a CPU's kernel runs here; a full queue of a GPU is waited for
    const Result<void> result = [&]() -> Result<void> {
      FMS_TRY(Jit jit, Session::get().jit());
      FMS_TRY(const auto where, Session::get().device(device));
      return attention::forward(jit, where, stream, call->problem, call->arguments,
                                {.may_build = false});
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
