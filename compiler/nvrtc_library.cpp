#include "compiler/nvrtc_library.h"

#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string_view>
#include <vector>

#include "compiler/digest.h"
#include "compiler/elf_file.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

Result<std::string> read_file(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (!error && file) {
    text.resize(size);
    file.read(text.data(), static_cast<std::streamsize>(size));
  }
  if (error || !file) {
    return fail(ErrorCode::kIo, fmt::format("can't read {}", path.string()));
  }
  return text;
}

// The GNU build id in the notes of a loaded library; empty if it has none.
struct BuildIdSearch {
  ElfW(Addr) base = 0;
  std::string hex;
};

std::string build_id_in(std::span<const std::byte> notes) {
  std::size_t at = 0;
  const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
  while (const auto type = read_u32(notes, at + 8)) {
    const std::size_t name_size = *read_u32(notes, at);
    const std::size_t size = *read_u32(notes, at + 4);
    const std::size_t name_at = at + 12;
    const std::size_t value_at = name_at + padded(name_size);
    if (value_at > notes.size() || notes.size() - value_at < size) break;
    if (*type == NT_GNU_BUILD_ID && name_size == 4 &&
        std::memcmp(notes.data() + name_at, "GNU", 4) == 0) {
      std::string hex;
      for (std::size_t i = 0; i < size; ++i) {
        hex += fmt::format("{:02x}", static_cast<unsigned>(notes[value_at + i]));
      }
      return hex;
    }
    at = value_at + padded(size);
  }
  return {};
}

int visit_object(dl_phdr_info* info, std::size_t, void* data) {
  auto& search = *static_cast<BuildIdSearch*>(data);
  if (info->dlpi_addr != search.base) return 0;
  for (int i = 0; i < info->dlpi_phnum && search.hex.empty(); ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    search.hex = build_id_in(
        {reinterpret_cast<const std::byte*>(info->dlpi_addr + header.p_vaddr), header.p_memsz});
  }
  return 1;
}

template <typename Function>
void load(void* handle, const char* name, Function& function, std::string* missing) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  if (function == nullptr && missing != nullptr) {
    *missing += fmt::format("{}{}", missing->empty() ? "" : ", ", name);
  }
}

NvrtcFunctions load_functions(void* handle, std::string& missing) {
  NvrtcFunctions f;
  load(handle, "nvrtcVersion", f.version, &missing);
  load(handle, "nvrtcGetErrorString", f.get_error_string, &missing);
  load(handle, "nvrtcGetNumSupportedArchs", f.get_num_supported_archs, &missing);
  load(handle, "nvrtcGetSupportedArchs", f.get_supported_archs, &missing);
  load(handle, "nvrtcCreateProgram", f.create_program, &missing);
  load(handle, "nvrtcDestroyProgram", f.destroy_program, &missing);
  load(handle, "nvrtcCompileProgram", f.compile_program, &missing);
  load(handle, "nvrtcGetProgramLogSize", f.get_program_log_size, &missing);
  load(handle, "nvrtcGetProgramLog", f.get_program_log, &missing);
  load(handle, "nvrtcGetPTXSize", f.get_ptx_size, &missing);
  load(handle, "nvrtcGetPTX", f.get_ptx, &missing);
  load(handle, "nvrtcGetCUBINSize", f.get_cubin_size, &missing);
  load(handle, "nvrtcGetCUBIN", f.get_cubin, &missing);
  load(handle, "nvrtcSetFlowCallback", f.set_flow_callback, nullptr);
  load(handle, "nvrtcGetPCHCreateStatus", f.get_pch_create_status, nullptr);
  load(handle, "nvrtcGetPCHHeapSizeRequired", f.get_pch_heap_size_required, nullptr);
  load(handle, "nvrtcSetPCHHeapSize", f.set_pch_heap_size, nullptr);
  return f;
}

// NVRTC opens its builtins by bare name, and its wheels have no RUNPATH: unless LD_LIBRARY_PATH
// names the folder, that fails at the first compile. Opened here, by path, the loader then finds it
// as already loaded.
Result<std::string> open_builtins(const fs::path& library, int major, int minor) {
  const std::string name = fmt::format("libnvrtc-builtins.so.{}.{}", major, minor);
  std::error_code ignored;
  std::vector<fs::path> folders = {library.parent_path()};
  if (const fs::path real = fs::canonical(library, ignored); !real.empty()) {
    folders.push_back(real.parent_path());
  }
  for (const fs::path& folder : folders) {
    const fs::path path = folder / name;
    if (!fs::exists(path, ignored)) continue;
    FMS_TRY(const std::string bytes, read_file(path));
    if (dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL) == nullptr) {
      return fail(ErrorCode::kUnavailable, fmt::format("can't use NVRTC: {}", dlerror()));
    }
    return sha256(bytes).hex();
  }
  return fail(ErrorCode::kUnavailable,
              fmt::format("can't use NVRTC of {}: no {} beside it; install both from one CUDA "
                          "release, or set FMS_NVRTC to another",
                          library.string(), name));
}

}  // namespace

Result<NvrtcLibrary> open_nvrtc(const std::string& library_path) {
  void* handle = dlopen(library_path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("can't open NVRTC: {}; install the CUDA toolkit or its wheel "
                            "nvidia-cuda-nvrtc, or set FMS_NVRTC to the library",
                            dlerror()));
  }
  NvrtcLibrary library;
  std::string missing;
  library.functions = load_functions(handle, missing);
  if (!missing.empty()) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("can't use {} as NVRTC: it has no {}; NVRTC 11.2 or later is needed",
                            library_path, missing));
  }
  if (library.functions.version(&library.major, &library.minor) != NVRTC_SUCCESS) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("can't use {} as NVRTC: it doesn't tell its version", library_path));
  }
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("can't tell which file was opened as {}", library_path));
  }
  library.path = map->l_name;
  BuildIdSearch search{.base = map->l_addr};
  dl_iterate_phdr(visit_object, &search);
  library.build = std::move(search.hex);
  if (library.build.empty()) {
    FMS_TRY(const std::string bytes, read_file(library.path));
    library.build = sha256(bytes).hex();
  }
  FMS_TRY(library.builtins, open_builtins(library.path, library.major, library.minor));
  return library;
}

}  // namespace fms
