#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compiler/compiler.h"

namespace fms {

// The toolkit headers that templates may include: the closure of cuda_fp16.h, cuda_bf16.h,
// cuda_fp8.h and what they include. Everything else of a toolkit (CCCL, cooperative groups) stays
// out: compile time.
std::vector<std::string> nvrtc_header_roots();

// How NVRTC is used. Decides no bytes, and so is in no key.
struct NvrtcOptions {
  // Keeps toolkit headers parsed, as a precompiled header, from one compile of a template to the
  // next: for a process that compiles many. NVRTC 13 or later keeps them in a folder of its own in
  // the temporary directory, 7 MB each, until the process exits; it leaves them there if the
  // process is killed. With an older NVRTC, or no such directory, nothing changes.
  bool precompile_headers = false;
};

// NVRTC, opened at run time. Never closed, since NVRTC doesn't support it.
//
// Thread-safe; NVRTC itself compiles one program at a time in a process.
class NvrtcCompiler final : public Compiler {
 public:
  // Opens the library at `library_path` (a path, or a soname that the loader finds) and keeps
  // `headers`, the toolkit's, in memory. The fingerprint covers version, build id of the library
  // and digest of its builtins, and the name and text of each header.
  static Result<std::shared_ptr<const NvrtcCompiler>> open(const std::string& library_path,
                                                           std::vector<SourceFile> headers,
                                                           const NvrtcOptions& options = {});
  ~NvrtcCompiler() override;

  const std::string& fingerprint() const override;
  Result<ObjectCode> compile(const CompileRequest& request,
                             const CancelToken& cancel = {}) const override;

  std::pair<int, int> version() const;       // {13, 0}
  const std::string& library_path() const;   // the file that was really opened
  std::vector<int> supported_archs() const;  // {75, 80, ...}

 private:
  struct State;
  explicit NvrtcCompiler(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fms
