#include "runtime/compilers.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/llvm_files.h"
#include "runtime/toolkit.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

std::string toolkit_note(const Toolkit& toolkit) {
  return "toolkit " + sha256(toolkit_identity(toolkit)).hex();
}

std::string llvm_note(const fs::path& file) {
  std::error_code ignored;
  return "llvm " + sha256(fs::weakly_canonical(file, ignored).string()).hex();
}

}  // namespace

bool Compilers::may_make(Target::Kind kind, std::string_view fingerprint) {
  return !fingerprint.starts_with(kind == Target::Kind::kCuda ? "llvm " : "nvrtc ");
}

Result<std::shared_ptr<const Compiler>> Compilers::open_nvrtc() {
  FMS_TRY(const Toolkit toolkit, find_toolkit(options_.toolkit));
  FMS_TRY(std::shared_ptr<const Compiler> compiler,
          open_compiler(toolkit, {.precompile_headers = options_.precompile_headers}));
  if (store_) store_->put_note(toolkit_note(toolkit), compiler->fingerprint());
  return compiler;
}

Result<std::shared_ptr<const Compiler>> Compilers::open_llvm() {
  FMS_TRY(const std::shared_ptr<const LlvmLibrary> library, fms::open_llvm(options_.llvm));
  if (store_) {
    // Only of the file that the search finds: another may have been opened before, or by the
    // loader's rules.
    const auto found = find_llvm_file(options_.llvm);
    std::error_code error;
    if (found && fs::equivalent(*found, library->path(), error)) {
      store_->put_note(llvm_note(*found), note_of(*library));
    }
  }
  return library->compiler();
}

Result<std::shared_ptr<const Compiler>> Compilers::open(Target::Kind kind) {
  const std::lock_guard lock(mutex_);
  Slot& own = slot(kind);
  if (own.compiler) return own.compiler;
  if (options_.compiler) {
    own.compiler = options_.compiler;
  } else {
    FMS_TRY(own.compiler, kind == Target::Kind::kCuda ? open_nvrtc() : open_llvm());
    if (store_) store_->set_current_compiler(own.compiler->fingerprint());
  }
  own.fingerprint = own.compiler->fingerprint();
  return own.compiler;
}

// What the store says of the compiler's files. Fails if NVRTC isn't there at all.
Result<std::optional<std::string>> Compilers::remembered(Target::Kind kind) {
  if (kind == Target::Kind::kCuda) {
    FMS_TRY(const Toolkit toolkit, find_toolkit(options_.toolkit));
    return store_ ? store_->find_note(toolkit_note(toolkit)) : std::nullopt;
  }
  const auto file = find_llvm_file(options_.llvm);
  const auto note = file && store_ ? store_->find_note(llvm_note(*file)) : std::nullopt;
  return note ? fingerprint_in(*note) : std::nullopt;
}

Result<std::string> Compilers::fingerprint(Target::Kind kind) {
  {
    const std::lock_guard lock(mutex_);
    Slot& own = slot(kind);
    if (!own.fingerprint && !options_.compiler) {
      FMS_TRY(own.fingerprint, remembered(kind));
    }
    if (own.fingerprint) return *own.fingerprint;
  }
  FMS_TRY(const auto opened, open(kind));
  return opened->fingerprint();
}

}  // namespace fms
