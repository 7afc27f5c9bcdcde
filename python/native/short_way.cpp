#include <optional>

#include "python/native/direct_attention.h"
#include "python/native/torch_watch.h"

namespace fms::python {
namespace {

// Immutable.
struct ShortWay {
  PyObject_HEAD;
  PyObject* original;  // what calls the dispatcher; owned
};

ShortWay* state_of(PyObject* self) { return reinterpret_cast<ShortWay*>(self); }

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject*) {
  PyObject* original = nullptr;
  if (!PyArg_ParseTuple(arguments, "O", &original)) return nullptr;
  const auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
  PyObject* const self = allocate(type, 0);
  if (self != nullptr) state_of(self)->original = Ref::borrow(original).release();
  return self;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  Py_XDECREF(state_of(self)->original);
  const auto release = reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free));
  release(self);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}

bool read_mask(PyObject* object, PlainCall& call) {
  return is_text(object, "none") || read_alignment(object, call.mask);
}

bool read_layout(PyObject* object, PlainCall& call) {
  call.is_bhsd = is_text(object, "bhsd");
  return call.is_bhsd || is_text(object, "bshd");
}

// Null: it isn't among them, or they can't be asked.
PyObject* find(PyObject* keywords, PyObject* name, Py_ssize_t& found) {
  PyObject* const value = PyDict_GetItemWithError(keywords, name);
  if (value != nullptr) {
    ++found;
  } else {
    PyErr_Clear();
  }
  return value;
}

bool read_keywords(PyObject* keywords, PlainCall& call) {
  static PyObject* const kScale = PyUnicode_InternFromString("softmax_scale");
  static PyObject* const kMask = PyUnicode_InternFromString("mask");
  static PyObject* const kLayout = PyUnicode_InternFromString("layout");
  Py_ssize_t found = 0;
  PyObject* const layout = find(keywords, kLayout, found);
  PyObject* const mask = find(keywords, kMask, found);
  PyObject* const scale = find(keywords, kScale, found);
  return found == PyDict_Size(keywords) && (layout == nullptr || read_layout(layout, call)) &&
         (mask == nullptr || read_mask(mask, call)) &&
         (scale == nullptr || read_scale(scale, call.scale));
}

constexpr Py_ssize_t kPositional = 9;  // q, k, v and the arrays of options

// Nothing: it isn't attention without options, or not by these arguments alone.
std::optional<PlainCall> read(PyObject* arguments, PyObject* keywords) {
  const Py_ssize_t count = PyTuple_Size(arguments);
  if (count < 3 || count > kPositional) return {};
  for (Py_ssize_t i = 3; i < count; ++i) {  // graphs have the absent arrays too
    if (PyTuple_GetItem(arguments, i) != Py_None) return {};
  }
  PlainCall call{.q = PyTuple_GetItem(arguments, 0),
                 .k = PyTuple_GetItem(arguments, 1),
                 .v = PyTuple_GetItem(arguments, 2)};
  if (keywords != nullptr && !read_keywords(keywords, call)) return {};
  return call;
}

PyObject* call(PyObject* self, PyObject* arguments, PyObject* keywords) {
  const std::optional<PlainCall> plain = read(arguments, keywords);
  if (plain && !has_function_mode()) {
    Ref out(compute_directly(*plain));
    if (out.get() != Py_None) return out.release();
  }
  return PyObject_Call(state_of(self)->original, arguments, keywords);
}

// PyTorch hashes overloads by their callable, and they may be keys already.
Py_hash_t hash(PyObject* self) { return PyObject_Hash(state_of(self)->original); }

PyObject* get_attribute(PyObject* self, PyObject* name) {
  return PyObject_GetAttr(state_of(self)->original, name);
}

}  // namespace

PyObject* make_short_way_type() {
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("ShortWay(original): an operator's callable that goes around "
                                    "the dispatcher where nothing would take note.")},
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_call, reinterpret_cast<void*>(call)},
      {Py_tp_hash, reinterpret_cast<void*>(hash)},
      {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
      {0, nullptr},
  };
  static PyType_Spec spec = {"flashmoe_science._C.ShortWay", sizeof(ShortWay), 0,
                             Py_TPFLAGS_DEFAULT, slots};
  return PyType_FromSpec(&spec);
}

}  // namespace fms::python
