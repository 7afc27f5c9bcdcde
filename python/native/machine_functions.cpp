#include <fmt/format.h>

#include "compiler/kernel_template.h"
#include "compiler/llvm_library.h"
#include "compiler/nvrtc_compiler.h"
#include "compiler/version.h"
#include "python/native/dict.h"
#include "python/native/functions.h"
#include "python/native/hooks.h"
#include "python/native/session.h"

namespace fms::python {
namespace {

Ref missing(const Error& error) {
  return Dict()
      .set("found", false)
      .set("message", error.message)
      .set("detail", error.detail)
      .take();
}

Ref to_dict(const Device& device) {
  const DeviceInfo& info = device.info();
  return Dict()
      .set("ordinal", info.ordinal)
      .set("name", info.name)
      .set("target", device.target().to_string())
      .set("compute_capability", info.compute_capability)
      .set("sm_count", info.sm_count)
      .set("memory_bytes", info.memory_bytes)
      .set("l2_bytes", info.l2_bytes)
      .set("max_smem_per_block_bytes", info.max_smem_per_block_bytes)
      .set("driver_version", info.driver_version)
      .take();
}

PyObject* nvrtc(PyObject*, PyObject*) {
  Result<std::shared_ptr<const NvrtcCompiler>> compiler = fail(ErrorCode::kInternal, "");
  Result<Toolkit> toolkit = fail(ErrorCode::kInternal, "");
  {
    const WithoutGil unlocked;
    const Result<JitOptions> options = Session::get().options();
    toolkit = options ? find_toolkit(options->toolkit) : std::unexpected(options.error());
    if (toolkit) compiler = open_compiler(*toolkit);
  }
  if (!toolkit) return missing(toolkit.error()).release();
  if (!compiler) return missing(compiler.error()).release();
  const auto [major, minor] = (*compiler)->version();
  return Dict()
      .set("found", true)
      .set("version", fmt::format("{}.{}", major, minor))
      .set("library", (*compiler)->library_path())
      .set("origin", toolkit->origin)
      .set("fingerprint", (*compiler)->fingerprint())
      .release();
}

PyObject* llvm(PyObject*, PyObject*) {
  Result<std::shared_ptr<const LlvmLibrary>> library = fail(ErrorCode::kInternal, "");
  {
    const WithoutGil unlocked;
    const Result<JitOptions> options = Session::get().options();
    library = options ? open_llvm(options->llvm) : std::unexpected(options.error());
  }
  if (!library) return missing(library.error()).release();
  return Dict()
      .set("found", true)
      .set("version", (*library)->version())
      .set("library", (*library)->path())
      .set("host_cpu", (*library)->host_cpu())
      .set("fingerprint", (*library)->compiler()->fingerprint())
      .release();
}

// device_count(): CUDA devices; 0 too where there is no driver.
PyObject* device_count(PyObject*, PyObject*) {
  Result<int> count = 0;
  {
    const WithoutGil unlocked;
    count = Device::count();
  }
  return to_python(count.value_or(0)).release();
}

// driver(): what is wrong with it, or an empty text.
PyObject* driver(PyObject*, PyObject*) {
  Result<int> count = 0;
  {
    const WithoutGil unlocked;
    count = Device::count();
  }
  return to_python(count ? std::string() : count.error().message).release();
}

// device(DLPack's type, ordinal): facts of it.
PyObject* device(PyObject*, PyObject* arguments) {
  int type = 0, id = 0;
  if (!PyArg_ParseTuple(arguments, "ii", &type, &id)) return nullptr;
  Result<std::shared_ptr<Device>> opened = fail(ErrorCode::kInternal, "");
  {
    const WithoutGil unlocked;
    opened = Session::get().device({static_cast<DLDeviceType>(type), id});
  }
  return opened ? to_dict(**opened).release() : raise(opened.error());
}

PyObject* environment(PyObject*, PyObject*) {
  return to_list(environment_variables(),
                 [](const EnvironmentVariable& variable) {
                   return Dict()
                       .set("name", variable.name)
                       .set("value", variable.value)
                       .set("meaning", variable.meaning)
                       .take();
                 })
      .release();
}

PyObject* templates(PyObject*, PyObject*) {
  return to_list(KernelTemplate::embedded_names(), [](const std::string& name) { return name; })
      .release();
}

}  // namespace

PyMethodDef machine_functions[] = {
    {"nvrtc", nvrtc, METH_NOARGS, nullptr},
    {"llvm", llvm, METH_NOARGS, nullptr},
    {"driver", driver, METH_NOARGS, nullptr},
    {"device_count", device_count, METH_NOARGS, nullptr},
    {"device", device, METH_VARARGS, nullptr},
    {"environment", environment, METH_NOARGS, nullptr},
    {"templates", templates, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
