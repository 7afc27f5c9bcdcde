#include <fmt/format.h>

#include "python/native/hooks.h"
#include "python/native/launchable.h"

namespace fms::python {
namespace {

// launchable[grid, block, ...]: where and how, waiting for its arguments. Immutable.
struct LaunchObject {
  PyObject_HEAD;
  PyObject* launchable;
  LaunchConfig config;
  StreamView stream;
  bool has_stream;
};

PyTypeObject* launch_type = nullptr;

bool read_extent(PyObject* object, std::uint32_t& extent, const char* what) {
  const Ref number(PyNumber_Index(object));
  const long long value = number ? PyLong_AsLongLong(number.get()) : -1;
  if (value >= 0 && value <= 0xffffffffLL) {
    extent = static_cast<std::uint32_t>(value);
    return true;
  }
  PyErr_Clear();
  raise_type(fmt::format("{} must be an int that isn't negative, or a tuple of up to three", what));
  return false;
}

bool read_dim3(PyObject* object, Dim3& dim, const char* what) {
  if (PyLong_Check(object) || !PySequence_Check(object)) return read_extent(object, dim.x, what);
  const Ref list(PySequence_Tuple(object));
  const Py_ssize_t count = list ? PyTuple_Size(list.get()) : 0;
  if (count < 1 || count > 3) {
    PyErr_Clear();
    raise_type(fmt::format("{} must have one to three numbers", what));
    return false;
  }
  std::uint32_t* const extents[] = {&dim.x, &dim.y, &dim.z};
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!read_extent(PyTuple_GetItem(list.get(), i), *extents[i], what)) return false;
  }
  return true;
}

// None: the framework's current stream.
bool read_stream(PyObject* object, LaunchObject& launch) {
  if (object == Py_None) return true;
  const Ref handle(PyObject_CallFunctionObjArgs(hooks().stream_handle, object, nullptr));
  if (!handle) return false;
  launch.stream.handle = PyLong_AsVoidPtr(handle.get());
  launch.has_stream = true;
  return launch.stream.handle != nullptr || !PyErr_Occurred();
}

bool read_smem(PyObject* object, LaunchConfig& config) {
  return object == Py_None ||
         read_extent(object, config.dynamic_smem_bytes, "the bytes of dynamic shared memory");
}

// grid, block[, shared memory[, stream]]
bool read_short(PyObject* key, LaunchObject& launch) {
  const Py_ssize_t count = PyTuple_Size(key);
  if (count < 2 || count > 4) {
    raise_type(
        "a launch is kernel[grid, block], kernel[grid, block, smem_bytes], "
        "kernel[grid, block, smem_bytes, stream] or kernel[fms.LaunchConfig(...)]");
    return false;
  }
  return read_dim3(PyTuple_GetItem(key, 0), launch.config.grid, "the grid") &&
         read_dim3(PyTuple_GetItem(key, 1), launch.config.block, "the block") &&
         (count < 3 || read_smem(PyTuple_GetItem(key, 2), launch.config)) &&
         (count < 4 || read_stream(PyTuple_GetItem(key, 3), launch));
}

// A LaunchConfig of the package: its members in order.
bool read_config(PyObject* key, LaunchObject& launch) {
  const Ref all(PyObject_CallMethod(key, "_members", nullptr));
  PyObject *grid = nullptr, *block = nullptr, *smem = nullptr, *stream = nullptr,
           *cluster = nullptr;
  int cooperative = 0, programmatic = 0;
  if (!all || !PyArg_ParseTuple(all.get(), "OOOOOpp", &grid, &block, &smem, &stream, &cluster,
                                &cooperative, &programmatic)) {
    PyErr_Clear();
    raise_type("a launch is kernel[grid, block] or kernel[fms.LaunchConfig(...)]");
    return false;
  }
  launch.config.cooperative = cooperative != 0;
  launch.config.programmatic_launch = programmatic != 0;
  return read_dim3(grid, launch.config.grid, "the grid") &&
         read_dim3(block, launch.config.block, "the block") && read_smem(smem, launch.config) &&
         read_dim3(cluster, launch.config.cluster, "the cluster") && read_stream(stream, launch);
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  Py_XDECREF(reinterpret_cast<LaunchObject*>(self)->launchable);
  const auto release = reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free));
  release(self);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}

PyObject* call(PyObject* self, PyObject* arguments, PyObject* keywords) {
  const LaunchObject& launch = *reinterpret_cast<LaunchObject*>(self);
  LaunchableState* const state = state_of(launch.launchable);
  if (state == nullptr) return nullptr;
  const std::shared_ptr<Specialized> kernel = state->specialize(keywords);
  if (!kernel) return nullptr;
  Arguments given;
  if (!given.read(arguments)) return nullptr;
  const bool done = kernel->launch(given, launch.config,
                                   launch.has_stream ? std::optional(launch.stream) : std::nullopt);
  return done ? Ref::borrow(Py_None).release() : nullptr;
}

// _raw_seconds(tuple of arguments, count): what the driver takes for so many of these launches. For
// benchmarks. What launch() checks isn't checked, so that the launch itself must have been seen to
// work.
PyObject* raw_seconds(PyObject* self, PyObject* arguments) {
  PyObject* tuple = nullptr;
  int count = 0;
  if (!PyArg_ParseTuple(arguments, "O!i", &PyTuple_Type, &tuple, &count)) return nullptr;
  const LaunchObject& launch = *reinterpret_cast<LaunchObject*>(self);
  LaunchableState* const state = state_of(launch.launchable);
  if (state == nullptr) return nullptr;
  const std::shared_ptr<Specialized> kernel = state->specialize(nullptr);
  Arguments given;
  if (!kernel || !given.read(tuple)) return nullptr;
  const std::optional<double> seconds = kernel->time_raw(
      given, launch.config, launch.has_stream ? std::optional(launch.stream) : std::nullopt, count);
  return seconds ? PyFloat_FromDouble(*seconds) : nullptr;
}

PyMethodDef methods[] = {
    {"_raw_seconds", raw_seconds, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* make_launch(PyObject* launchable, PyObject* key) {
  static const auto allocate =
      reinterpret_cast<allocfunc>(PyType_GetSlot(launch_type, Py_tp_alloc));
  Ref made(allocate(launch_type, 0));
  if (!made) return nullptr;
  LaunchObject& launch = *reinterpret_cast<LaunchObject*>(made.get());
  launch.launchable = Ref::borrow(launchable).release();
  launch.config = {};
  launch.stream = {};
  launch.has_stream = false;
  const bool good = PyTuple_Check(key) ? read_short(key, launch) : read_config(key, launch);
  return good ? made.release() : nullptr;
}

PyObject* make_launch_type() {
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(&dealloc)},
      {Py_tp_call, reinterpret_cast<void*>(&call)},
      {Py_tp_methods, methods},
      {Py_tp_doc, const_cast<char*>("A kernel with grid and block: call it with its arguments.")},
      {0, nullptr},
  };
  static PyType_Spec spec = {"flashmoe_science._C.Launch", sizeof(LaunchObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  PyObject* const type = PyType_FromSpec(&spec);
  launch_type = reinterpret_cast<PyTypeObject*>(type);
  return type;
}

}  // namespace fms::python
