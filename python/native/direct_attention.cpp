#include "python/native/direct_attention.h"

#include <tvm/ffi/error.h>

#include <array>
#include <optional>

#include "python/native/attention_call.h"
#include "python/native/exchange.h"
#include "python/native/functions.h"
#include "python/native/hooks.h"
#include "python/native/interrupt.h"
#include "python/native/session.h"
#include "python/native/torch_empty.h"
#include "python/native/torch_watch.h"

namespace fms::python {
namespace {

namespace ffi = tvm::ffi;

PyObject* none() { return Ref::borrow(Py_None).release(); }

bool read_tensor(const DLPackExchangeAPI& api, PyObject* object, DLTensor& tensor) {
  if (api.dltensor_from_py_object_no_sync(object, &tensor) == 0) return true;
  PyErr_Clear();
  return false;
}

// False if there is something about a tensor that its memory doesn't say: a gradient is wanted of
// it, or its memory has the other sign, as that of z.conj().imag. No complex numbers are of
// bfloat16.
bool is_as_its_memory(PyObject* object, const DLTensor& tensor, bool with_gradients) {
  static PyObject* const kRequiresGrad = PyUnicode_InternFromString("requires_grad");
  static PyObject* const kIsNegative = PyUnicode_InternFromString("is_neg");
  bool as_memory =
      !with_gradients || Ref(PyObject_GetAttr(object, kRequiresGrad)).get() == Py_False;
  if (as_memory && tensor.dtype.code != kDLBfloat) {
    as_memory = Ref(PyObject_CallMethodObjArgs(object, kIsNegative, nullptr)).get() == Py_False;
  }
  if (!as_memory) PyErr_Clear();
  return as_memory;
}

bool read_causal(PyObject* causal, Mask& mask) {
  if (causal != Py_False && causal != Py_True) return read_alignment(causal, mask);
  mask = causal == Py_True ? Mask::kCausal : Mask::kFull;
  return true;
}

// attention_direct(q, k, v, scale or None, causal, is bhsd and not bshd): see compute_directly().
PyObject* attention_direct(PyObject*, PyObject* const* given, Py_ssize_t count) {
  if (count != 6) return none();
  PlainCall call{.q = given[0], .k = given[1], .v = given[2], .is_bhsd = given[5] == Py_True};
  const bool plain = read_causal(given[4], call.mask) && read_scale(given[3], call.scale);
  return plain ? compute_directly(call) : none();
}

}  // namespace

bool is_text(PyObject* object, const char* text) {
  return PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, text) == 0;
}

bool read_alignment(PyObject* object, Mask& mask) {
  mask = is_text(object, "bottom-right") ? Mask::kCausal : Mask::kCausalTopLeft;
  return mask == Mask::kCausal || is_text(object, "top-left");
}

bool read_scale(PyObject* object, float& scale) {
  scale = 0;
  if (object == Py_None) return true;
  if (!PyFloat_Check(object) && !PyLong_Check(object)) return false;
  const double given = PyFloat_AsDouble(object);
  if (given == -1 && PyErr_Occurred() != nullptr) {  // an int that is too large
    PyErr_Clear();
    return false;
  }
  scale = static_cast<float>(given);
  return given != 0;
}

PyObject* compute_directly(const PlainCall& plain) {
  PyObject* const given[] = {plain.q, plain.k, plain.v};
  PyTypeObject* const type = Py_TYPE(plain.q);
  const DLPackExchangeAPI* const api = exchange_api_of(type);
  if (reinterpret_cast<PyObject*>(type) != torch().tensor_type || api == nullptr ||
      api->current_work_stream == nullptr || Py_TYPE(plain.k) != type || Py_TYPE(plain.v) != type ||
      Session::get().checks_addresses() || is_watched()) {
    return none();
  }
  const bool with_gradients = records_gradients();
  std::array<DLTensor, 4> tensors;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!read_tensor(*api, given[i], tensors[i]) ||
        !is_as_its_memory(given[i], tensors[i], with_gradients)) {
      return none();
    }
  }
  const auto view = [&](std::size_t i) { return ffi::TensorView(&tensors[i]); };
  Ref out;
  std::optional<Call> call;
  StreamView stream;
  try {
    call.emplace(view(0), view(1), view(2), static_cast<int>(plain.mask),
                 plain.is_bhsd ? "bhsd" : "bshd", "",
                 /*packed=*/false);
    if (call->is_empty() || call->problem.value_dim != 0) return none();
    out = make_empty_like(*api, plain.q, tensors[0], tensors[3]);
    if (!out) return nullptr;
    call->set_output(view(0), view(3), {});
  } catch (const ffi::Error&) {
    return none();
  }
  call->arguments.scale = plain.scale;
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
    return compute({.effort = Effort::kStored});
  }();
  if (done) return out.release();
  if (done.error().code != ErrorCode::kNotFound) return none();
  // The kernel must be compiled; Ctrl-C ends that.
  const bool finished =
      run_interruptible([&](const CancelToken& cancel) { done = compute({.cancel = &cancel}); });
  if (!finished) return nullptr;
  return done ? out.release() : raise(done.error());
}

PyMethodDef attention_functions[] = {
    {"attention_direct",
     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(attention_direct)), METH_FASTCALL,
     nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
