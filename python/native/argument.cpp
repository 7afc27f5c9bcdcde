#include "python/native/argument.h"

#include <fmt/format.h>

#include "python/native/hooks.h"

namespace fms::python {
namespace {

bool is_cuda(DLDeviceType type) { return type == kDLCUDA || type == kDLCUDAManaged; }

std::string to_text(DLDevice device) {
  if (device.device_type == kDLCPU || device.device_type == kDLCUDAHost) return "the CPU";
  if (is_cuda(device.device_type)) return fmt::format("cuda:{}", device.device_id);
  return fmt::format("a device of DLPack's type {}", static_cast<int>(device.device_type));
}

// False for an int that no 64 bits hold; the error is set.
bool read_integer(PyObject* object, HostValue& value) {
  int overflow = 0;
  value.kind = HostValue::Kind::kInteger;
  value.integer = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) return value.integer != -1 || !PyErr_Occurred();
  if (overflow > 0) {
    value.kind = HostValue::Kind::kUnsigned;
    value.unsigned_integer = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred()) return true;
    PyErr_Clear();
  }
  raise_type("an int that doesn't fit in 64 bits can't be an argument of a kernel");
  return false;
}

}  // namespace

bool Arguments::read(PyObject* tuple) {
  const Py_ssize_t count = PyTuple_Size(tuple);
  if (count > static_cast<Py_ssize_t>(kMost)) {
    raise_type(fmt::format("{} arguments; a launch takes at most {}", count, kMost));
    return false;
  }
  size_ = static_cast<std::size_t>(count);
  tuple_ = tuple;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!read_one(PyTuple_GetItem(tuple, i), values_[i])) return false;
  }
  return true;
}

// The likely kinds first: this runs for each argument of each launch.
bool Arguments::read_one(PyObject* object, HostValue& value) {
  PyTypeObject* const type = Py_TYPE(object);
  if (const DLPackExchangeAPI* api = exchange_api_of(type)) return read_array(object, api, value);
  if (type == &PyLong_Type) return read_integer(object, value);
  if (type == &PyFloat_Type) {
    value.kind = HostValue::Kind::kFloating;
    value.floating = PyFloat_AsDouble(object);
    return true;
  }
  if (type == &PyBool_Type) {
    value.kind = HostValue::Kind::kBoolean;
    value.integer = object == Py_True ? 1 : 0;
    return true;
  }
  if (object == Py_None) {
    value.kind = HostValue::Kind::kNone;
    value.address = nullptr;
    return true;
  }
  return convert(object, value);
}

namespace {

bool is_contiguous(const DLTensor& tensor) {
  if (tensor.strides == nullptr) return true;
  std::int64_t packed = 1;
  for (std::int32_t i = tensor.ndim; i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != packed) return false;
    packed *= tensor.shape[i];
  }
  return true;
}

// True of an object whose method of that name says so; false if it has none.
bool answers(PyObject* object, const char* method) {
  const Ref answer(PyObject_CallMethod(object, method, nullptr));
  if (!answer) PyErr_Clear();
  return answer && answer.get() == Py_True;
}

// PyTorch has tensors whose values aren't what their memory holds, and its DLPack doesn't say so:
// zeros without memory, and views that negate or conjugate, which come of x.conj().imag and
// x.conj() and so are no contiguous real ones. Those aren't asked: it would take half as long as a
// launch.
bool is_as_its_memory(PyObject* object, const DLTensor& tensor) {
  if (tensor.data == nullptr) {
    std::int64_t count = 1;
    for (std::int32_t i = 0; i < tensor.ndim; ++i) count *= tensor.shape[i];
    if (count == 0) return true;
    raise_type("an array has no memory (a tensor that only says that it is zeros?): clone it");
    return false;
  }
  if (tensor.dtype.code != kDLComplex && is_contiguous(tensor)) return true;
  if (!answers(object, "is_neg") && !answers(object, "is_conj")) return true;
  raise_type(
      "an array is a negated or conjugated view, and its memory holds other values: pass "
      "x.resolve_neg() or x.resolve_conj()");
  return false;
}

}  // namespace

bool Arguments::read_array(PyObject* object, const DLPackExchangeAPI* api, HostValue& value) {
  DLTensor tensor;
  if (api->dltensor_from_py_object_no_sync(object, &tensor) != 0) return false;
  if (!is_as_its_memory(object, tensor)) return false;
  value.kind = HostValue::Kind::kArray;
  value.type = {tensor.dtype.code, tensor.dtype.bits};
  value.device = tensor.device;
  value.address = static_cast<const std::byte*>(tensor.data) + tensor.byte_offset;
  value.is_read_only = false;
  if (api_ == nullptr && is_cuda(tensor.device.device_type)) api_ = api;
  return true;
}

// By the package's Python code, for all that isn't common: see _convert.py for what it returns.
bool Arguments::convert(PyObject* object, HostValue& value) {
  Ref made(PyObject_CallFunctionObjArgs(hooks().convert, object, nullptr));
  if (!made) return false;
  bool good = false;
  if (PyTuple_Check(made.get())) {
    good = read_converted_array(made.get(), value);
  } else if (PyBytes_Check(made.get())) {
    char* bytes = nullptr;
    Py_ssize_t size = 0;
    good = PyBytes_AsStringAndSize(made.get(), &bytes, &size) == 0;
    value.kind = HostValue::Kind::kBytes;
    value.address = bytes;
    value.size = static_cast<std::size_t>(size);
  } else if (Py_TYPE(made.get()) == &PyLong_Type || Py_TYPE(made.get()) == &PyFloat_Type) {
    good = read_one(made.get(), value);
  } else {
    raise_type("an argument of a kernel was converted to something else");
  }
  kept_.push_back(std::move(made));
  return good;
}

bool Arguments::read_converted_array(PyObject* tuple, HostValue& value) {
  unsigned long long address = 0;
  int code = 0, bits = 0, device_type = 0, device_id = 0, read_only = 0;
  long long stream = -1;
  const char* number = nullptr;
  Py_ssize_t size = 0;
  if (PyTuple_Size(tuple) == 3) {  // a number: (code, bits, bytes)
    if (!PyArg_ParseTuple(tuple, "iiy#", &code, &bits, &number, &size)) return false;
    value.kind = HostValue::Kind::kNumber;
    value.address = number;
    value.size = static_cast<std::size_t>(size);
  } else {  // (address, code, bits, device type, device, read-only, stream or -1, owner)
    if (!PyArg_ParseTuple(tuple, "KiiiipLO", &address, &code, &bits, &device_type, &device_id,
                          &read_only, &stream, &tuple)) {
      return false;
    }
    value.kind = HostValue::Kind::kArray;
    value.device = {static_cast<DLDeviceType>(device_type), device_id};
    value.is_read_only = read_only != 0;
    value.address = reinterpret_cast<const void*>(static_cast<std::uintptr_t>(address));
    if (stream >= 0 && !stream_) stream_ = static_cast<std::uintptr_t>(stream);
  }
  value.type = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits)};
  return true;
}

bool Arguments::find_device(std::optional<DLDevice>& device) const {
  std::size_t first = 0;
  bool host_memory = false;  // pinned: reachable from the CPU and from each GPU
  for (std::size_t i = 0; i < size_; ++i) {
    if (values_[i].kind != HostValue::Kind::kArray) continue;
    if (values_[i].type.code == kDLOpaqueHandle) continue;  // fms.pointer(): nobody knows where
    DLDevice own = values_[i].device;
    if (own.device_type == kDLCUDAHost) {
      host_memory = true;
      continue;
    }
    if (own.device_type == kDLCPU) own.device_id = 0;
    if (own.device_type == kDLCUDAManaged) own.device_type = kDLCUDA;
    if (own.device_type != kDLCPU && own.device_type != kDLCUDA) {
      raise_type(fmt::format("argument {} is on {}; kernels run on CUDA devices and the CPU", i + 1,
                             to_text(own)));
      return false;
    }
    if (!device) {
      device = own;
      first = i;
    } else if (device->device_type != own.device_type || device->device_id != own.device_id) {
      raise_type(
          fmt::format("argument {} is on {}, and argument {} on {}: all arrays must be on "
                      "one device",
                      first + 1, to_text(*device), i + 1, to_text(own)));
      return false;
    }
  }
  if (!device && host_memory) device = DLDevice{kDLCPU, 0};
  return true;
}

void* Arguments::current_stream(DLDevice device) const {
  if (device.device_type != kDLCUDA) return nullptr;
  if (api_ != nullptr && api_->current_work_stream != nullptr) {
    void* stream = nullptr;
    if (api_->current_work_stream(device.device_type, device.device_id, &stream) == 0) {
      return stream;
    }
    PyErr_Clear();
  }
  return reinterpret_cast<void*>(stream_.value_or(0));
}

}  // namespace fms::python
