#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "compiler/llvm_library.h"
#include "compiler/nvrtc_compiler.h"
#include "python/native/dict.h"
#include "python/native/hooks.h"
#include "python/native/interrupt.h"
#include "python/native/launchable.h"
#include "runtime/template_file.h"

namespace fms::python {
namespace {

using Folders = std::vector<std::filesystem::path>;

bool read_folders(PyObject* list, Folders& folders) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(list); ++i) {
    const char* const folder = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(list, i), nullptr);
    if (folder == nullptr) return false;
    folders.emplace_back(folder);
  }
  return true;
}

HeaderResolver resolver_of(const Folders& folders) {
  return [folders](std::string_view name, std::string_view) -> std::optional<std::string> {
    for (const std::filesystem::path& folder : folders) {
      std::ifstream in(folder / name, std::ios::binary);
      std::error_code ignored;
      if (!in || !std::filesystem::is_regular_file(folder / name, ignored)) continue;
      return std::string(std::istreambuf_iterator<char>(in), {});
    }
    return std::nullopt;
  };
}

// _open(text or None, file name or path, entry, include folders, policy)
PyObject* open(PyObject* self, PyObject* arguments) {
  const char *text = nullptr, *name = nullptr, *entry = nullptr, *policy = nullptr;
  Py_ssize_t size = 0;
  PyObject* list = nullptr;
  Folders folders;
  if (!PyArg_ParseTuple(arguments, "z#ssOs", &text, &size, &name, &entry, &list, &policy) ||
      !read_folders(list, folders)) {
    return nullptr;
  }
  std::optional<Policy> chosen;
  if (*policy != '\0') {
    const Result<Policy> parsed = parse_policy(policy);
    if (!parsed) return raise(parsed.error());
    chosen = *parsed;
  }
  auto made = text != nullptr
                  ? KernelTemplate::parse(name, std::string(text, static_cast<std::size_t>(size)),
                                          entry, resolver_of(folders))
                  : load_template(name, entry, folders);
  if (!made) return raise(made.error());
  delete std::exchange(reinterpret_cast<LaunchableObject*>(self)->state,
                       new LaunchableState(*std::move(made), chosen));
  return Ref::borrow(Py_None).release();
}

// _freeze(template, parameters): this becomes the one specialisation.
PyObject* freeze(PyObject* self, PyObject* arguments) {
  PyObject *from = nullptr, *keywords = nullptr;
  if (!PyArg_ParseTuple(arguments, "OO!", &from, &PyDict_Type, &keywords)) return nullptr;
  const LaunchableState* const state = state_of(from);
  if (state == nullptr) return nullptr;
  std::shared_ptr<Specialized> kernel = state->make(keywords);
  if (!kernel) return nullptr;
  delete std::exchange(reinterpret_cast<LaunchableObject*>(self)->state,
                       new LaunchableState(*state, std::move(kernel)));
  return Ref::borrow(Py_None).release();
}

// _prepare(parameters, DLPack's device type or -1, device)
PyObject* prepare(PyObject* self, PyObject* arguments) {
  PyObject* keywords = nullptr;
  int type = -1, id = 0;
  if (!PyArg_ParseTuple(arguments, "O!ii", &PyDict_Type, &keywords, &type, &id)) return nullptr;
  LaunchableState* const state = state_of(self);
  if (state == nullptr) return nullptr;
  const std::shared_ptr<Specialized> kernel = state->specialize(keywords);
  if (!kernel) return nullptr;
  DLDevice device{static_cast<DLDeviceType>(type), id};
  if (type < 0) {
    const Result<DLDevice> chosen = Session::get().default_device();
    if (!chosen) return raise(chosen.error());
    device = *chosen;
  }
  return kernel->prepare(device) ? Ref::borrow(Py_None).release() : nullptr;
}

// A specialisation and the target that it is compiled for.
struct Asked {
  std::shared_ptr<Specialized> kernel;
  Target target;
  const char* what = "";
};

Result<Target> read_target(std::string_view text) {
  if (!text.empty()) return Target::parse(text);
  FMS_TRY(const JitOptions options, Session::get().options());
  if (options.target) return *options.target;
  FMS_TRY(const DLDevice which, Session::get().default_device());
  if (which.device_type == kDLCPU) return host_target();
  FMS_TRY(const auto device, Session::get().device(which));
  return device->target();
}

// (parameters, target or "", what): false if an error is set.
bool read_asked(PyObject* self, PyObject* arguments, Asked& asked) {
  PyObject* keywords = nullptr;
  const char* target = nullptr;
  if (!PyArg_ParseTuple(arguments, "O!ss", &PyDict_Type, &keywords, &target, &asked.what)) {
    return false;
  }
  LaunchableState* const state = state_of(self);
  if (state == nullptr || !(asked.kernel = state->specialize(keywords))) return false;
  Result<Target> parsed = read_target(target);
  if (!parsed) return raise(parsed.error()), false;
  asked.target = *std::move(parsed);
  return true;
}

// Runs what may compile, for as long as nobody presses Ctrl-C.
template <typename T, typename Work>
std::optional<T> run(const Work& work) {
  Result<T> result = fail(ErrorCode::kInternal, "not run");
  if (!run_interruptible([&](const CancelToken& cancel) { result = work(cancel); })) {
    return std::nullopt;
  }
  if (!result) return raise(result.error()), std::nullopt;
  return *std::move(result);
}

PyObject* source(PyObject* self, PyObject* keywords) {
  LaunchableState* const state = state_of(self);
  if (state == nullptr) return nullptr;
  const std::shared_ptr<Specialized> kernel = state->specialize(keywords);
  return kernel ? to_python(render(kernel->specialization())).release() : nullptr;
}

PyObject* specialization(PyObject* self, PyObject* keywords) {
  LaunchableState* const state = state_of(self);
  if (state == nullptr) return nullptr;
  const std::shared_ptr<Specialized> kernel = state->specialize(keywords);
  return kernel ? to_python(kernel->specialization().to_string()).release() : nullptr;
}

Ref to_dict(const Resources& used) {
  return Dict()
      .set("registers", used.registers)
      .set("spill_stores", used.spill_stores)
      .set("spill_loads", used.spill_loads)
      .set("stack_bytes", used.stack_bytes)
      .set("static_smem_bytes", used.static_smem_bytes)
      .set("max_threads", used.max_threads)
      .set("serialized_wgmma", used.serialized_wgmma)
      .set("parameter_bytes", to_list(used.parameters, [](const auto& p) { return p.size; }))
      .take();
}

PyObject* build(PyObject* self, PyObject* arguments) {
  Asked asked;
  if (!read_asked(self, arguments, asked)) return nullptr;
  const std::optional<Built> built = run<Built>([&](const CancelToken& cancel) -> Result<Built> {
    FMS_TRY(Jit jit, Session::get().jit());
    return jit.build(asked.kernel->specialization(), asked.target, cancel);
  });
  if (!built) return nullptr;
  const ObjectCode& object = built->object;
  return Dict()
      .set("specialization", asked.kernel->specialization().to_string())
      .set("target", object.target.to_string())
      .set("key", built->key.hex())
      .set("origin", to_string(built->origin))
      .set("entry", object.entry)
      .set("format", to_string(object.format))
      .set("code", Ref(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(object.bytes.data()),
                                                 static_cast<Py_ssize_t>(object.bytes.size()))))
      .set("resources", to_dict(object.resources))
      .set("compiler", object.compiler)
      .set("compile_ms", object.compile_ms)
      .set("log", object.log)
      .release();
}

Result<std::string> emit_text(const Asked& asked, const CancelToken& cancel) {
  FMS_TRY(Jit jit, Session::get().jit());
  const JitOptions& options = jit.options();
  const std::string_view what = asked.what;
  const bool wants_ptx = what == "ptx";
  if (wants_ptx != (asked.target.kind == Target::Kind::kCuda)) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} has no {}: {} does", asked.target.to_string(), what,
                            wants_ptx ? "a CUDA target, such as cuda:sm_90a," : "the target cpu"));
  }
  if (!wants_ptx) {
    FMS_TRY(const auto library, open_llvm(options.llvm));
    const CompileRequest request = make_request(
        asked.kernel->specialization(), asked.target, library->compiler()->fingerprint(),
        {.lineinfo = options.lineinfo, .sanitize = options.sanitize});
    return library->emit(request, what);
  }
  FMS_TRY(const auto compiler, jit.compiler(Target::Kind::kCuda));
  const CompileRequest request =
      make_request(asked.kernel->specialization(), asked.target, compiler->fingerprint(),
                   {.format = ObjectFormat::kPtx, .lineinfo = options.lineinfo});
  FMS_TRY(const ObjectCode object, compiler->compile(request, cancel));
  std::string text(reinterpret_cast<const char*>(object.bytes.data()), object.bytes.size());
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

PyObject* emit(PyObject* self, PyObject* arguments) {
  Asked asked;
  if (!read_asked(self, arguments, asked)) return nullptr;
  const auto text =
      run<std::string>([&](const CancelToken& cancel) { return emit_text(asked, cancel); });
  return text ? to_python(*text).release() : nullptr;
}

PyObject* key(PyObject* self, PyObject* arguments) {
  Asked asked;
  if (!read_asked(self, arguments, asked)) return nullptr;
  const auto request = run<CompileRequest>([&](const CancelToken&) -> Result<CompileRequest> {
    FMS_TRY(Jit jit, Session::get().jit());
    return jit.request(asked.kernel->specialization(), asked.target);
  });
  if (!request) return nullptr;
  Dict fields;
  for (const KeyField& field : explain_key(*request)) {
    fields.set(field.label.c_str(), field.summary);
  }
  return Dict().set("key", cache_key(*request).hex()).set("fields", fields.take()).release();
}

PyObject* has(PyObject* self, PyObject* arguments) {
  Asked asked;
  if (!read_asked(self, arguments, asked)) return nullptr;
  const auto found = run<bool>([&](const CancelToken&) -> Result<bool> {
    FMS_TRY(Jit jit, Session::get().jit());
    return jit.has(asked.kernel->specialization(), asked.target);
  });
  return found ? to_python(*found).release() : nullptr;
}

PyObject* describe(PyObject* self, PyObject*) {
  const LaunchableState* const state = state_of(self);
  if (state == nullptr) return nullptr;
  const KernelTemplate& made = state->kernel_template();
  const auto parameters = to_list(made.parameters(), [](const Parameter& parameter) {
    return Dict()
        .set("name", parameter.name)
        .set("kind", to_string(parameter.kind))
        .set("doc", parameter.doc)
        .set("default", parameter.to_string(parameter.default_value))
        .set("what", parameter.describe())
        .take();
  });
  Dict all;
  all.set("name", made.name())
      .set("file_name", made.file_name())
      .set("doc", made.doc())
      .set("text", made.text())
      .set("digest", made.digest().hex())
      .set("parameters", Ref::borrow(parameters.get()));
  if (!state->parameters()) return all.set("arguments", Ref::borrow(Py_None)).release();
  return all
      .set("arguments", to_list(*state->parameters(),
                                [](const KernelParameter& p) {
                                  return Dict().set("name", p.name).set("type", p.text).take();
                                }))
      .release();
}

}  // namespace

PyMethodDef launchable_methods[] = {
    {"_open", open, METH_VARARGS, nullptr},
    {"_freeze", freeze, METH_VARARGS, nullptr},
    {"_prepare", prepare, METH_VARARGS, nullptr},
    {"_source", source, METH_O, nullptr},
    {"_specialization", specialization, METH_O, nullptr},
    {"_build", build, METH_VARARGS, nullptr},
    {"_emit", emit, METH_VARARGS, nullptr},
    {"_key", key, METH_VARARGS, nullptr},
    {"_has", has, METH_VARARGS, nullptr},
    {"_describe", describe, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
