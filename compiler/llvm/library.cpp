// What libfms_llvm.so shows to the rest: one function.

#include <dlfcn.h>
#include <llvm/ADT/StringMap.h>
#include <llvm/ADT/StringRef.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/TargetParser/Host.h>

#include <mutex>

#include "compiler/llvm/llvm_compiler.h"
#include "compiler/llvm/loader.h"
#include "compiler/llvm_library.h"

namespace fms::cpu {
namespace {

class Library final : public LlvmLibrary {
 public:
  Library() : compiler_(std::make_shared<LlvmCompiler>()) {
    Dl_info info{};
    static const int here = 0;
    if (dladdr(&here, &info) != 0 && info.dli_fname != nullptr) path_ = info.dli_fname;
  }

  std::shared_ptr<const Compiler> compiler() const override { return compiler_; }

  Result<std::string> emit(const CompileRequest& request, std::string_view what) const override {
    return compiler_->emit(request, what);
  }

  Result<KernelProfile> profile(const CompileRequest& request,
                                const ProfileOptions& options) const override {
    return compiler_->profile(request, options);
  }

  Result<std::unique_ptr<CpuImage>> load(const ObjectCode& object,
                                         std::span<const CpuSymbol> symbols) const override {
    {
      const std::lock_guard lock(mutex_);
      if (!loader_) {
        FMS_TRY(loader_, Loader::create());
      }
    }
    return loader_->load(object, symbols);
  }

  const std::string& path() const override { return path_; }
  const std::string& version() const override { return version_; }
  const std::string& host_cpu() const override { return host_cpu_; }

 private:
  std::shared_ptr<const LlvmCompiler> compiler_;
  std::string path_;
  std::string version_ = LLVM_VERSION_STRING;
  std::string host_cpu_ = llvm::sys::getHostCPUName().str();
  mutable std::mutex mutex_;
  mutable std::shared_ptr<Loader> loader_;  // guarded by mutex_ until it is set
};

}  // namespace
}  // namespace fms::cpu

// The library, or null with a reason if the program expects another interface. Never destroyed:
// code that it has linked may run to the end of the process.
extern "C" __attribute__((visibility("default"))) const fms::LlvmLibrary* fms_llvm_library(
    std::uint32_t abi_version, const char** why) {
  if (abi_version != fms::cpu::kAbiVersion) {
    *why = "it belongs to another version of this program";
    return nullptr;
  }
  static const auto& library = *new fms::cpu::Library;
  return &library;
}
