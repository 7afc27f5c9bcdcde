#pragma once

#include <string>
#include <string_view>

#include "compiler/compiler.h"
#include "compiler/kernel_profile.h"

namespace fms::cpu {

// Compiles for CPU targets with clang and LLVM, as libraries.
//
// Thread-safe: compiles run side by side.
class LlvmCompiler final : public Compiler {
 public:
  LlvmCompiler();

  const std::string& fingerprint() const override { return fingerprint_; }
  Result<ObjectCode> compile(const CompileRequest& request,
                             const CancelToken& cancel = {}) const override;

  // As LlvmLibrary::emit().
  Result<std::string> emit(const CompileRequest& request, std::string_view what) const;

  // As LlvmLibrary::profile().
  Result<KernelProfile> profile(const CompileRequest& request, const ProfileOptions& options) const;

 private:
  std::string fingerprint_;
};

}  // namespace fms::cpu
