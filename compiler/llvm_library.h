#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/cpu_abi.h"
#include "compiler/kernel_profile.h"
#include "compiler/object_code.h"
#include "compiler/result.h"

namespace fms {

// Host code that has been linked into this process. Unloaded with the object.
//
// Immutable; thread-safe.
class CpuImage {
 public:
  virtual ~CpuImage() = default;
  virtual const cpu::Kernel& kernel() const = 0;
};

// A function of the runtime that object code may call.
struct CpuSymbol {
  std::string_view name;
  void* address = nullptr;
};

// What the LLVM library offers: clang and LLVM, in a shared library of their own that is opened on
// demand (libfms_llvm.so). All else works without it.
//
// Thread-safe.
class LlvmLibrary {
 public:
  virtual ~LlvmLibrary() = default;

  // The compiler of CPU targets, for requests of ObjectFormat::kElf.
  virtual std::shared_ptr<const Compiler> compiler() const = 0;

  // The same compile, stopped early: "llvm-ir" (simplified, regions not yet cut), "regions" (cut),
  // "optimized" or "asm".
  virtual Result<std::string> emit(const CompileRequest& request, std::string_view what) const = 0;

  // Counts what a thread of the kernel does, on any processor: `request` is one for a CPU target.
  virtual Result<KernelProfile> profile(const CompileRequest& request,
                                        const ProfileOptions& options) const = 0;

  // Links object code of a CPU target so that it can run here. `symbols` are what it may call
  // beside libm and memory functions. kUnsupported if this processor lacks what the target has,
  // kCorrupt if it is no such object. The caller answers for where the bytes come from: they are
  // executed.
  virtual Result<std::unique_ptr<CpuImage>> load(const ObjectCode& object,
                                                 std::span<const CpuSymbol> symbols) const = 0;

  // The file it is, LLVM's version ("19.1.7"), and the name LLVM has for this processor.
  virtual const std::string& path() const = 0;
  virtual const std::string& version() const = 0;
  virtual const std::string& host_cpu() const = 0;
};

// Opens libfms_llvm.so once: from FMS_LLVM if given as `path`, else beside the program, in ../lib,
// or where the loader finds it. kUnavailable if there is none; the message says what was tried.
Result<std::shared_ptr<const LlvmLibrary>> open_llvm(const std::string& path = {});

// From now on open_llvm({}) means this path, for those who can't be told: a device's driver.
void prefer_llvm(std::string path);

// The files that open_llvm(path) tries, in order; the last of a search is a name for the loader.
std::vector<std::string> llvm_candidates(const std::string& path = {});

// The best target for this machine's processor that every build can name without LLVM:
// cpu:x86-64-v2, -v3 or -v4.
Target host_target();

}  // namespace fms
