#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cache/kernel_store.h"
#include "compiler/compiler.h"
#include "runtime/jit.h"

namespace fms {

// The compilers of a Jit: one for each kind of target, opened when it is first needed.
//
// Thread-safe.
class Compilers {
 public:
  // `store`, if there is one, remembers from one process to the next which fingerprints the
  // compilers' files had: a process that finds all its kernels there opens none.
  Compilers(const JitOptions& options, KernelStore* store) : options_(options), store_(store) {}

  Result<std::shared_ptr<const Compiler>> open(Target::Kind kind);
  Result<std::string> fingerprint(Target::Kind kind);

  // False of a fingerprint whose compiler is known to make code for targets of other kinds only.
  static bool may_make(Target::Kind kind, std::string_view fingerprint);

 private:
  struct Slot {
    std::shared_ptr<const Compiler> compiler;
    std::optional<std::string> fingerprint;
  };

  Slot& slot(Target::Kind kind) { return slots_[static_cast<std::size_t>(kind)]; }
  Result<std::shared_ptr<const Compiler>> open_nvrtc();
  Result<std::shared_ptr<const Compiler>> open_llvm();
  Result<std::optional<std::string>> remembered(Target::Kind kind);

  const JitOptions& options_;
  KernelStore* const store_;
  std::mutex mutex_;
  std::array<Slot, 2> slots_;  // by kind; guarded by mutex_
};

}  // namespace fms
