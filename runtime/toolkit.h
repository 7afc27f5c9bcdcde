#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "compiler/kernel_template.h"
#include "compiler/nvrtc_compiler.h"
#include "compiler/result.h"

namespace fms {

// Where NVRTC is on this machine: the library, and the include folders of the same root.
struct Toolkit {
  std::filesystem::path library;                       // .../libnvrtc.so.13
  std::vector<std::filesystem::path> include_folders;  // of the same root
  std::string origin;  // "FMS_NVRTC", "virtual environment", "conda", "system", "CUDA_HOME"
};

// What the search reads from the environment.
struct ToolkitSearch {
  std::string nvrtc;        // FMS_NVRTC: a library file, or a folder to look in; only this is tried
  std::string virtual_env;  // VIRTUAL_ENV
  std::string conda_prefix;                          // CONDA_PREFIX
  std::string cuda_home;                             // CUDA_HOME or CUDA_PATH
  std::vector<std::filesystem::path> site_packages;  // more folders with NVIDIA's wheels

  static ToolkitSearch from_environment();
};

// Finds NVRTC in the order of NVIDIA's cuda-pathfinder: already loaded, NVIDIA's wheels in
// site-packages, conda, the system's loader, CUDA_HOME. The error lists all that was tried.
Result<Toolkit> find_toolkit(const ToolkitSearch& search);

// Identifies the toolkit's files without opening them (path, size, time, inode of each): equal
// identities mean an equal fingerprint. Never part of a key.
std::string toolkit_identity(const Toolkit& toolkit);

// Reads the toolkit's headers and opens NVRTC.
Result<std::shared_ptr<const NvrtcCompiler>> open_compiler(const Toolkit& toolkit,
                                                           const NvrtcOptions& options = {});

}  // namespace fms
