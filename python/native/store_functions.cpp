#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "python/native/dict.h"
#include "python/native/functions.h"
#include "python/native/hooks.h"
#include "python/native/session.h"

namespace fms::python {
namespace {

// The store that may be written. Null, with an error set: there is none.
KernelStore* store(std::optional<Jit>& jit) {
  Result<Jit> opened = Session::get().jit();
  if (!opened) return raise(opened.error()), nullptr;
  jit = *std::move(opened);
  if (jit->store() == nullptr) {
    raise({ErrorCode::kUnavailable,
           "there is no store that can be written: set FMS_CACHE_DIR to a folder that can be",
           {}});
  }
  return jit->store();
}

// What `ask` makes of the store, without the GIL. Nothing: an error is set.
template <typename T, typename Ask>
std::optional<T> with_store(const Ask& ask) {
  std::optional<Jit> jit;
  KernelStore* const kernels = store(jit);
  if (kernels == nullptr) return std::nullopt;
  std::optional<Result<T>> result;
  {
    const WithoutGil unlocked;
    result = ask(*kernels);
  }
  if (!*result) return raise(result->error()), std::nullopt;
  return **std::move(result);
}

PyObject* store_stats(PyObject*, PyObject*) {
  const auto stats = with_store<StoreStats>([](KernelStore& all) {
    all.flush();
    return all.stats();
  });
  if (!stats) return nullptr;
  return Dict()
      .set("entries", stats->entries)
      .set("bytes", stats->bytes)
      .set("failed_entries", stats->failed_entries)
      .set("hits", stats->hits)
      .set("misses", stats->misses)
      .set("compiles", stats->compiles)
      .set("failures", stats->failures)
      .set("corrupt_removed", stats->corrupt_removed)
      .set("evicted", stats->evicted)
      .set("compile_ms_spent", stats->compile_ms_spent)
      .set("compile_ms_saved", stats->compile_ms_saved)
      .release();
}

PyObject* store_list(PyObject*, PyObject*) {
  const auto entries =
      with_store<std::vector<StoreEntry>>([](KernelStore& all) { return all.list(); });
  if (!entries) return nullptr;
  return to_list(*entries,
                 [](const StoreEntry& entry) {
                   return Dict()
                       .set("key", entry.key.hex())
                       .set("template", entry.template_name)
                       .set("specialization", entry.specialization)
                       .set("target", entry.target)
                       .set("format", entry.format)
                       .set("compiler", entry.compiler)
                       .set("failed", entry.failed)
                       .set("bytes", entry.bytes)
                       .set("compile_ms", entry.compile_ms)
                       .set("created", entry.created)
                       .set("last_used", entry.last_used)
                       .take();
                 })
      .release();
}

PyObject* store_verify(PyObject*, PyObject*) {
  const auto report = with_store<VerifyReport>([](KernelStore& all) { return all.verify(); });
  if (!report) return nullptr;
  const Ref messages = to_list(report->messages, [](const std::string& text) { return text; });
  return Dict()
      .set("checked", report->checked)
      .set("corrupt", report->corrupt)
      .set("messages", Ref::borrow(messages.get()))
      .release();
}

// store_gc(most bytes, or -1 for the store's own limit)
PyObject* store_gc(PyObject*, PyObject* limit) {
  const long long most = PyLong_AsLongLong(limit);
  if (most == -1 && PyErr_Occurred()) return nullptr;
  const auto report = with_store<GcReport>([&](KernelStore& all) {
    return all.gc(most < 0 ? std::nullopt : std::optional<std::int64_t>(most));
  });
  if (!report) return nullptr;
  return Dict()
      .set("ran", report->ran)
      .set("evicted", report->evicted)
      .set("bytes_freed", report->bytes_freed)
      .release();
}

PyObject* store_clear(PyObject*, PyObject*) {
  const auto removed = with_store<std::int64_t>([](KernelStore& all) { return all.clear(); });
  return removed ? to_python(*removed).release() : nullptr;
}

PyObject* store_export(PyObject*, PyObject* path) {
  const char* const file = PyUnicode_AsUTF8AndSize(path, nullptr);
  if (file == nullptr) return nullptr;
  const auto written =
      with_store<std::int64_t>([&](KernelStore& all) { return all.export_bundle(file); });
  return written ? to_python(*written).release() : nullptr;
}

PyObject* store_import(PyObject*, PyObject* arguments) {
  const char* file = nullptr;
  int trust = 0;
  if (!PyArg_ParseTuple(arguments, "sp", &file, &trust)) return nullptr;
  const auto report = with_store<ImportReport>(
      [&](KernelStore& all) { return all.import_bundle(file, {.trust_host_code = trust != 0}); });
  if (!report) return nullptr;
  return Dict()
      .set("added", report->added)
      .set("present", report->present)
      .set("host_code_skipped", report->host_code_skipped)
      .release();
}

}  // namespace

PyMethodDef store_functions[] = {
    {"store_stats", store_stats, METH_NOARGS, nullptr},
    {"store_list", store_list, METH_NOARGS, nullptr},
    {"store_verify", store_verify, METH_NOARGS, nullptr},
    {"store_gc", store_gc, METH_O, nullptr},
    {"store_clear", store_clear, METH_NOARGS, nullptr},
    {"store_export", store_export, METH_O, nullptr},
    {"store_import", store_import, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python
