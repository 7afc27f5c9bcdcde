#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "compiler/compile_request.h"
#include "compiler/object_code.h"
#include "compiler/result.h"

namespace fms {

// A wish, shared by the one who may cancel and the one who works. Copies share the same wish.
//
// Thread-safe.
class CancelToken {
 public:
  CancelToken() : cancelled_(std::make_shared<std::atomic<bool>>(false)) {}
  void cancel() const { cancelled_->store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> cancelled_;
};

// Turns requests into object code.
//
// Thread-safe. Compiling reads no file and no environment (law 2).
class Compiler {
 public:
  virtual ~Compiler() = default;

  // Name, version and build, and whatever else of the compiler decides the bytes.
  virtual const std::string& fingerprint() const = 0;

  // REQUIRES: request.compiler == fingerprint(). Fails with kCompileFailed (the message says entry,
  // target and the first error; the detail has values, versions, failing source lines and the whole
  // log), kRejected (law 10), kCancelled or kOutOfMemory.
  virtual Result<ObjectCode> compile(const CompileRequest& request,
                                     const CancelToken& cancel = {}) const = 0;
};

}  // namespace fms
