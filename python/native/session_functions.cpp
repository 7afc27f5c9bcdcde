#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "python/native/dict.h"
#include "python/native/functions.h"
#include "python/native/hooks.h"
#include "python/native/session.h"

namespace fms::python {
namespace {

constexpr const char* kCapsule = "flashmoe_science._C.session";

void destroy(PyObject* capsule) {
  auto* const state = static_cast<Session::State*>(PyCapsule_GetPointer(capsule, kCapsule));
  const WithoutGil unlocked;  // a compile in the background is waited for
  delete state;
}

bool is_true(PyObject* value) { return PyObject_IsTrue(value) == 1; }

Result<std::string> text_of(PyObject* value) {
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(value, &size);
  if (text != nullptr) return std::string(text, static_cast<std::size_t>(size));
  PyErr_Clear();
  return fail(ErrorCode::kInvalidArgument, "it must be a str");
}

// One folder a line.
std::vector<std::filesystem::path> folders_of(std::string_view list) {
  std::vector<std::filesystem::path> folders;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find('\n'), list.size());
    if (end > 0) folders.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return folders;
}

Result<void> set_text_option(JitOptions& options, std::string_view name, const std::string& text) {
  if (name == "cache_dirs") {
    FMS_TRY(options.cache_dirs, parse_cache_dirs(text));
  } else if (name == "cache_max_bytes") {
    FMS_TRY(options.cache_max_bytes, parse_bytes(text));
  } else if (name == "record") {
    options.record = text;
  } else if (name == "dump_dir") {
    options.dump_dir = text;
  } else if (name == "sanitize") {
    FMS_TRY(options.sanitize, parse_sanitizers(text));
  } else if (name == "target") {
    FMS_TRY(options.target, Target::parse(text));
  } else if (name == "policy") {
    FMS_TRY(options.policy, parse_policy(text));
  } else if (name == "log_level") {
    FMS_TRY(options.log_level, parse_log_level(text));
  } else if (name == "llvm") {
    options.llvm = text;
  } else if (name == "nvrtc") {
    options.toolkit.nvrtc = text;
  } else {
    return fail(ErrorCode::kInvalidArgument, "there is no such option");
  }
  return {};
}

Result<JitOptions> read_options(PyObject* dict) {
  FMS_TRY(JitOptions options, Session::get().from_environment());
  Py_ssize_t at = 0;
  PyObject *key = nullptr, *value = nullptr;
  while (PyDict_Next(dict, &at, &key, &value)) {
    FMS_TRY(const std::string name, text_of(key));
    Result<void> done;
    if (name == "offline") {
      options.offline = is_true(value);
    } else if (name == "lineinfo") {
      options.lineinfo = is_true(value);
    } else {
      const Result<std::string> text = text_of(value);
      done = text ? set_text_option(options, name, *text) : std::unexpected(text.error());
    }
    if (!done) {
      return std::unexpected(with_context(fmt::format("can't use {}", name), done.error()));
    }
  }
  return options;
}

// configure(dict): the session's options from now on; gives what restore() takes.
PyObject* configure(PyObject*, PyObject* dict) {
  if (!PyDict_Check(dict)) return raise_type("options must be a dict");
  Result<JitOptions> options = read_options(dict);
  if (!options) return raise(options.error());
  auto before = std::make_unique<Session::State>(Session::get().configure(*std::move(options)));
  PyObject* const capsule = PyCapsule_New(before.get(), kCapsule, destroy);
  if (capsule != nullptr) before.release();
  return capsule;
}

PyObject* restore(PyObject*, PyObject* capsule) {
  auto* const state = static_cast<Session::State*>(PyCapsule_GetPointer(capsule, kCapsule));
  if (state == nullptr) return nullptr;
  const WithoutGil unlocked;
  Session::get().restore(std::exchange(*state, {}));
  return Ref::borrow(Py_None).release();
}

PyObject* options(PyObject*, PyObject*) {
  const Result<JitOptions> all = Session::get().options();
  if (!all) return raise(all.error());
  const Ref folders = to_list(all->cache_dirs, [](const auto& folder) { return folder.string(); });
  return Dict()
      .set("cache_dirs", Ref::borrow(folders.get()))
      .set("cache_max_bytes", all->cache_max_bytes)
      .set("offline", all->offline)
      .set("record", all->record.string())
      .set("dump_dir", all->dump_dir.string())
      .set("lineinfo", all->lineinfo)
      .set("policy", to_string(all->policy))
      .set("target", all->target ? all->target->to_string() : std::string())
      .set("max_jobs", all->max_jobs)
      .set("llvm", all->llvm)
      .set("nvrtc", all->toolkit.nvrtc)
      .release();
}

PyObject* stats(PyObject*, PyObject*) {
  const std::optional<Jit> jit = Session::get().opened();
  const JitStats counts = jit ? jit->stats() : JitStats{};
  return Dict()
      .set("loaded_hits", counts.loaded_hits)
      .set("store_hits", counts.store_hits)
      .set("compiles", counts.compiles)
      .set("failures", counts.failures)
      .set("waits", counts.waits)
      .set("background_compiles", counts.background_compiles)
      .set("dynamic_served", counts.dynamic_served)
      .set("compile_ms", counts.compile_ms)
      .set("wait_ms", counts.wait_ms)
      .set("load_us", counts.load_us)
      .release();
}

PyObject* wait_for_background(PyObject*, PyObject*) {
  std::optional<Jit> jit = Session::get().opened();
  {
    const WithoutGil unlocked;
    if (jit) jit->wait_for_background();
    jit.reset();
  }
  return Ref::borrow(Py_None).release();
}

PyObject* set_site_packages(PyObject*, PyObject* list) {
  const Result<std::string> text = text_of(list);
  if (!text) return raise(text.error());
  Session::get().set_site_packages(folders_of(*text));
  return Ref::borrow(Py_None).release();
}

// Ends the background thread and writes what the store has still to note: at exit.
PyObject* shutdown(PyObject*, PyObject*) {
  {
    const WithoutGil unlocked;
    Session::get().configure(std::nullopt);
    Session::get().close_devices();
  }
  return Ref::borrow(Py_None).release();
}

// _set_hooks(make_error, convert, stream_handle, parameter_text, host_ranges)
PyObject* set_hooks(PyObject*, PyObject* arguments) {
  Hooks given;
  if (!PyArg_ParseTuple(arguments, "OOOOO", &given.make_error, &given.convert, &given.stream_handle,
                        &given.parameter_text, &given.host_ranges)) {
    return nullptr;
  }
  for (PyObject* each : {given.make_error, given.convert, given.stream_handle, given.parameter_text,
                         given.host_ranges}) {
    Py_INCREF(each);  // for ever
  }
  hooks() = given;
  return Ref::borrow(Py_None).release();
}

}  // namespace

PyMethodDef session_functions[] = {
    {"configure", configure, METH_O, nullptr},
    {"restore", restore, METH_O, nullptr},
    {"options", options, METH_NOARGS, nullptr},
    {"stats", stats, METH_NOARGS, nullptr},
    {"wait_for_background", wait_for_background, METH_NOARGS, nullptr},
    {"shutdown", shutdown, METH_NOARGS, nullptr},
    {"_set_site_packages", set_site_packages, METH_O, nullptr},
    {"_set_hooks", set_hooks, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
