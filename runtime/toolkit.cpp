#include "runtime/toolkit.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "compiler/includes.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

// Newest first. 12.8 is the oldest that this project is tried with.
constexpr std::array<std::string_view, 2> kSonames{"libnvrtc.so.13", "libnvrtc.so.12"};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::optional<fs::path> library_in(const fs::path& folder) {
  for (const std::string_view soname : kSonames) {
    if (is_file(folder / soname)) return folder / soname;
  }
  return std::nullopt;
}

// Where the loader found a library that this process has open.
std::optional<fs::path> path_of(void* handle) {
  const link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr || map->l_name == nullptr) {
    return std::nullopt;
  }
  return fs::path(map->l_name);
}

// Whether this process may have an NVRTC open, of whatever version.
bool may_be_loaded() {
  const auto look = [](dl_phdr_info* info, std::size_t, void*) -> int {
    const std::string_view path(info->dlpi_name);
    return path.substr(path.rfind('/') + 1).starts_with("libnvrtc.so");
  };
  return dl_iterate_phdr(look, nullptr) != 0;
}

std::optional<fs::path> open_path(std::string_view soname, int flags) {
  void* const handle = dlopen(std::string(soname).c_str(), RTLD_LAZY | RTLD_LOCAL | flags);
  if (handle == nullptr) return std::nullopt;
  return path_of(handle);  // left open: NVRTC can't be unloaded safely
}

// The subfolders of `folder` that match `prefix`: lib/python3.11 for a prefix of python3.
std::vector<fs::path> subfolders(const fs::path& folder, std::string_view prefix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with(prefix)) found.push_back(entry->path());
  }
  std::ranges::sort(found, std::greater<>());
  return found;
}

std::vector<fs::path> site_packages_of(const fs::path& environment) {
  std::vector<fs::path> found;
  for (const fs::path& python : subfolders(environment / "lib", "python3")) {
    if (is_folder(python / "site-packages")) found.push_back(python / "site-packages");
  }
  return found;
}

// The environment whose program this process is: .venv for .venv/bin/python and .venv/bin/fms,
// links not followed.
std::optional<fs::path> own_environment() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string program;
  if (!std::getline(in, program, '\0') || program.empty()) return std::nullopt;
  if (program.find('/') == std::string::npos) {
    std::stringstream folders(variable("PATH"));
    std::string folder;
    while (std::getline(folders, folder, ':')) {
      if (!folder.empty() && is_file(fs::path(folder) / program)) {
        return fs::path(folder).parent_path();
      }
    }
    return std::nullopt;
  }
  std::error_code error;
  const fs::path path = fs::absolute(program, error);
  if (error) return std::nullopt;
  return path.lexically_normal().parent_path().parent_path();
}

// The include folders that belong to a library at `library`: those of its own wheel or toolkit, and
// of no other.
std::vector<fs::path> include_folders_of(const fs::path& library) {
  const fs::path lib = library.parent_path();
  const fs::path root = lib.parent_path();
  std::vector<fs::path> candidates{root / "include", root / "include" / "cccl"};
  if (root.filename() == "cuda_nvrtc") {  // CUDA 12's wheels: a folder each
    for (const char* part : {"cuda_nvrtc", "cuda_runtime", "cuda_cccl"}) {
      candidates.push_back(root.parent_path() / part / "include");
      candidates.push_back(root.parent_path() / part / "include" / "cccl");
    }
  }
  candidates.push_back(root / "targets" / "x86_64-linux" / "include");
  candidates.push_back(root / "targets" / "x86_64-linux" / "include" / "cccl");
  if (lib.filename() == "x86_64-linux-gnu") {  // Debian's own packages
    candidates.push_back(root.parent_path() / "include");
  }
  std::erase_if(candidates, [](const fs::path& folder) { return !is_folder(folder); });
  return candidates;
}

// Records what was tried, and stops at the first that is there.
class Search {
 public:
  explicit Search(const ToolkitSearch& search) : search_(search) {}

  std::optional<Toolkit> run() {
    if (!search_.nvrtc.empty()) {
      from_option();
    } else {
      for (const auto step : {&Search::already_loaded, &Search::wheels, &Search::conda,
                              &Search::system, &Search::cuda_home}) {
        if (found_) break;
        (this->*step)();
      }
    }
    return std::move(found_);
  }

  const std::vector<std::string>& tried() const { return tried_; }

 private:
  void take(const fs::path& library, std::string origin) {
    std::error_code error;
    fs::path real = fs::canonical(library, error);
    if (error) real = library;
    // The folder of the path as found holds the headers; a link's target may lie elsewhere.
    std::vector<fs::path> folders = include_folders_of(real);
    if (folders.empty()) folders = include_folders_of(library);
    found_ = Toolkit{library, std::move(folders), std::move(origin)};
  }

  bool try_folder(const fs::path& folder, std::string_view origin) {
    if (found_) return true;
    tried_.push_back(folder.string());
    if (const auto library = library_in(folder)) take(*library, std::string(origin));
    return found_.has_value();
  }

  void from_option() {
    const fs::path path = search_.nvrtc;
    if (is_file(path)) {
      take(path, "FMS_NVRTC");
      return;
    }
    tried_.push_back(path.string());
    for (const char* part : {"", "lib64", "lib", "targets/x86_64-linux/lib"}) {
      if (is_folder(path / part) && try_folder(path / part, "FMS_NVRTC")) return;
    }
  }

  void already_loaded() {
    // For what isn't loaded dlopen() looks in all its folders, with a hundred system calls.
    if (!may_be_loaded()) return;
    for (const std::string_view soname : kSonames) {
      if (const auto path = open_path(soname, RTLD_NOLOAD)) return take(*path, "already loaded");
    }
  }

  void wheels() {
    std::vector<fs::path> folders = search_.site_packages;
    if (!search_.virtual_env.empty()) {
      std::ranges::copy(site_packages_of(search_.virtual_env), std::back_inserter(folders));
    }
    for (const fs::path& folder : folders) {
      for (const char* part : {"nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"}) {
        if (try_folder(folder / part, "NVIDIA's wheel")) return;
      }
    }
  }

  void conda() {
    if (search_.conda_prefix.empty()) return;
    for (const char* part : {"lib", "targets/x86_64-linux/lib"}) {
      if (try_folder(fs::path(search_.conda_prefix) / part, "conda")) return;
    }
  }

  // The loader's own places, looked at as files first: opening the library takes milliseconds,
  // which a process that finds all in the store needn't spend.
  void system() {
    std::stringstream folders(variable("LD_LIBRARY_PATH"));
    std::string folder;
    while (std::getline(folders, folder, ':')) {
      if (!folder.empty() && try_folder(folder, "the system")) return;
    }
    for (const char* usual : {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/cuda/lib64"}) {
      if (try_folder(usual, "the system")) return;
    }
    for (const std::string_view soname : kSonames) {
      tried_.push_back(fmt::format("{} (system loader)", soname));
      if (const auto path = open_path(soname, 0)) return take(*path, "the system");
    }
  }

  void cuda_home() {
    std::vector<fs::path> roots;
    if (!search_.cuda_home.empty()) roots.emplace_back(search_.cuda_home);
    std::ranges::copy(subfolders("/usr/local", "cuda-"), std::back_inserter(roots));
    for (const fs::path& root : roots) {
      for (const char* part : {"lib64", "lib", "targets/x86_64-linux/lib"}) {
        if (try_folder(root / part, "CUDA_HOME")) return;
      }
    }
  }

  const ToolkitSearch& search_;
  std::vector<std::string> tried_;
  std::optional<Toolkit> found_;
};

std::optional<std::string> read_header(const Toolkit& toolkit, const std::string& name) {
  for (const fs::path& folder : toolkit.include_folders) {
    std::ifstream in(folder / name, std::ios::binary);
    if (!in || is_folder(folder / name)) continue;
    std::stringstream text;
    text << in.rdbuf();
    return std::move(text).str();
  }
  return std::nullopt;
}

// The roots and all that they include, each under the name that #include uses. What isn't there is
// behind an #if that is false under NVRTC (host headers), or NVRTC says so when it isn't.
std::vector<SourceFile> read_headers(const Toolkit& toolkit) {
  std::vector<SourceFile> headers;
  std::set<std::string> seen;
  std::vector<std::string> wanted = nvrtc_header_roots();
  while (!wanted.empty()) {
    const std::string name = std::move(wanted.back());
    wanted.pop_back();
    if (!seen.insert(name).second) continue;
    std::optional<std::string> text = read_header(toolkit, name);
    if (!text) continue;
    for (const auto& [include, angled] : scan_includes(*text)) wanted.push_back(include);
    headers.push_back({name, *std::move(text)});
  }
  std::ranges::sort(headers, {}, &SourceFile::name);
  return headers;
}

void append_identity(std::string& identity, const fs::path& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) return;
  identity +=
      fmt::format("{} {} {}.{:09} {}:{}\n", file.string(), status.st_size, status.st_mtim.tv_sec,
                  status.st_mtim.tv_nsec, status.st_dev, status.st_ino);
}

}  // namespace

ToolkitSearch ToolkitSearch::from_environment() {
  ToolkitSearch search;
  search.nvrtc = variable("FMS_NVRTC");
  search.virtual_env = variable("VIRTUAL_ENV");
  search.conda_prefix = variable("CONDA_PREFIX");
  search.cuda_home = variable("CUDA_HOME");
  if (search.cuda_home.empty()) search.cuda_home = variable("CUDA_PATH");
  if (const auto environment = own_environment()) {
    search.site_packages = site_packages_of(*environment);
  }
  return search;
}

Result<Toolkit> find_toolkit(const ToolkitSearch& search) {
  Search steps(search);
  if (std::optional<Toolkit> found = steps.run()) return *std::move(found);
  return fail(ErrorCode::kUnavailable,
              fmt::format("can't find NVRTC ({}): install a CUDA toolkit or `pip install "
                          "nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-cccl "
                          "nvidia-cuda-crt`, or set FMS_NVRTC to the library",
                          fmt::join(kSonames, ", ")),
              fmt::format("looked in:\n  {}", fmt::join(steps.tried(), "\n  ")));
}

std::string toolkit_identity(const Toolkit& toolkit) {
  std::string identity;
  append_identity(identity, toolkit.library);
  const fs::path lib = toolkit.library.parent_path();
  for (const fs::path& file : subfolders(lib, "libnvrtc-builtins.so")) {
    append_identity(identity, file);
  }
  for (const fs::path& folder : toolkit.include_folders) {
    append_identity(identity, folder);
    for (const std::string& name : nvrtc_header_roots()) {
      append_identity(identity, folder / name);
      append_identity(identity, (folder / name).replace_extension(".hpp"));
    }
  }
  return identity;
}

Result<std::shared_ptr<const NvrtcCompiler>> open_compiler(const Toolkit& toolkit,
                                                           const NvrtcOptions& options) {
  return NvrtcCompiler::open(toolkit.library.string(), read_headers(toolkit), options);
}

}  // namespace fms
