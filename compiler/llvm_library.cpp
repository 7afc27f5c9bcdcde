#include "compiler/llvm_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <vector>

namespace fms {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "libfms_llvm.so";

// What the library exports: null, with the reason, if the caller is of another version.
using EntryPoint = const LlvmLibrary*(std::uint32_t abi_version, const char** why);

// Never destroyed: kernels in static variables may outlive any order of destruction.
struct Opened {
  std::mutex mutex;
  std::shared_ptr<const LlvmLibrary> library;  // guarded by mutex; null: not opened yet
  std::string preferred;                       // guarded by mutex
};

Opened& opened() {
  static Opened& instance = *new Opened;
  return instance;
}

// The folder of the program, and that of the code which asks: a module of Python lies elsewhere
// than the program that has loaded it.
std::vector<fs::path> own_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  if (const fs::path program = fs::read_symlink("/proc/self/exe", error); !error) {
    folders.push_back(program.parent_path());
  }
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&open_llvm), &info) && info.dli_fname) {
    const fs::path module = fs::absolute(info.dli_fname, error);
    if (!error && fs::exists(module, error)) folders.push_back(module.parent_path());
  }
  return folders;
}

// The library in `file`, or why it can't be used.
Result<const LlvmLibrary*> open_file(const std::string& file) {
  // The flags keep LLVM's symbols away from those of another LLVM in the process, a framework's.
  void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* reason = dlerror();
    return fail(ErrorCode::kUnavailable, reason ? reason : file);
  }
  auto* const entry = reinterpret_cast<EntryPoint*>(dlsym(handle, "fms_llvm_library"));
  if (!entry) return fail(ErrorCode::kUnavailable, file + ": it has no fms_llvm_library");
  const char* why = "it is of another version";
  const LlvmLibrary* const library = entry(cpu::kAbiVersion, &why);
  if (!library) return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", file, why));
  return library;
}

// What to do, given what the loader said of each file: the library may be there, as in a wheel, and
// LLVM's own, which it is linked to, not.
const char* next_step(const std::string& tried) {
  const bool lacks_llvm = tried.find("libclang-cpp.so") != std::string::npos ||
                          tried.find("libLLVM.so") != std::string::npos;
  return lacks_llvm ? "install the libraries of LLVM 19 (Debian, Ubuntu: `apt-get install "
                      "libclang-cpp19`)"
                    : "build it with `make demo WITH_LLVM=1`";
}

Result<const LlvmLibrary*> search(const std::string& path) {
  std::string tried;
  for (const std::string& file : llvm_candidates(path)) {
    Result<const LlvmLibrary*> library = open_file(file);
    if (library) return library;
    // Of a file that isn't there, its name says all.
    std::error_code error;
    const bool is_path = file.find('/') != std::string::npos;
    const bool is_missing = is_path && !fs::exists(file, error);
    tried +=
        fmt::format("{}{}", tried.empty() ? "" : "; ", is_missing ? file : library.error().message);
  }
  return fail(ErrorCode::kUnavailable,
              fmt::format("can't load the LLVM library, which CPU targets need: tried {}; {}, or "
                          "set FMS_LLVM to the file",
                          tried, next_step(tried)));
}

}  // namespace

std::vector<std::string> llvm_candidates(const std::string& path) {
  if (!path.empty()) {
    std::error_code error;
    const bool is_folder = fs::is_directory(path, error);
    return {is_folder ? (fs::path(path) / kFileName).string() : path};
  }
  std::vector<std::string> files;
  const auto add = [&](const fs::path& folder) {
    std::string file = (folder / kFileName).lexically_normal().string();
    if (std::ranges::find(files, file) == files.end()) files.push_back(std::move(file));
  };
  for (const fs::path& folder : own_folders()) {
    add(folder);
    add(folder / ".." / "lib");
  }
#ifdef FMS_LLVM_PATH  // of the build tree, and of what is installed from it
  add(FMS_LLVM_PATH);
  add(FMS_LLVM_INSTALLED);
#endif
  files.emplace_back(kFileName);
  return files;
}

Result<std::shared_ptr<const LlvmLibrary>> open_llvm(const std::string& path) {
  Opened& state = opened();
  const std::lock_guard lock(state.mutex);
  if (!state.library) {
    FMS_TRY(const LlvmLibrary* const library, search(path.empty() ? state.preferred : path));
    state.library = std::shared_ptr<const LlvmLibrary>(library, [](const LlvmLibrary*) {});
  }
  return state.library;
}

void prefer_llvm(std::string path) {
  Opened& state = opened();
  const std::lock_guard lock(state.mutex);
  state.preferred = std::move(path);
}

Target host_target() {
  __builtin_cpu_init();
  const char* level = "x86-64-v2";
  if (__builtin_cpu_supports("x86-64-v3")) level = "x86-64-v3";
  if (__builtin_cpu_supports("x86-64-v4")) level = "x86-64-v4";
  return {Target::Kind::kCpu, level};
}

}  // namespace fms
