#include "tools/fms/disassembler.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

#include "tools/fms/file.h"
#include "tools/fms/process.h"

namespace fms::program {
namespace {

namespace fs = std::filesystem;

struct Disassembler {
  std::string path;
  bool is_nvdisasm = true;
};

std::vector<fs::path> folders_to_search(const ToolkitSearch& search) {
  std::vector<fs::path> folders;
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) folders.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!search.cuda_home.empty()) folders.push_back(fs::path(search.cuda_home) / "bin");
  if (!search.conda_prefix.empty()) folders.push_back(fs::path(search.conda_prefix) / "bin");
  if (!search.virtual_env.empty()) folders.push_back(fs::path(search.virtual_env) / "bin");
  if (const auto toolkit = find_toolkit(search)) {
    // .../nvidia/cu13/lib/libnvrtc.so.13 has its programs in .../nvidia/cu13/bin; of a wheel in a
    // virtual environment, that one's own bin is five folders up.
    const fs::path root = toolkit->library.parent_path().parent_path();
    folders.push_back(root / "bin");
    folders.push_back((root / "../../../../../bin").lexically_normal());
  }
  folders.emplace_back("/usr/local/cuda/bin");
  return folders;
}

std::optional<Disassembler> find_disassembler(const std::vector<fs::path>& folders) {
  for (const char* name : {"nvdisasm", "cuobjdump"}) {
    for (const fs::path& folder : folders) {
      const fs::path file = folder / name;
      std::error_code ignored;
      if (!fs::is_regular_file(file, ignored) || ::access(file.c_str(), X_OK) != 0) continue;
      return Disassembler{file.string(), std::string_view(name) == "nvdisasm"};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> disassemble(std::span<const std::byte> cubin, const ToolkitSearch& search) {
  const std::vector<fs::path> folders = folders_to_search(search);
  const auto program = find_disassembler(folders);
  if (!program) {
    std::string tried;
    for (const fs::path& folder : folders) tried += (tried.empty() ? "" : ", ") + folder.string();
    return fail(ErrorCode::kUnavailable,
                fmt::format("can't disassemble: neither nvdisasm nor cuobjdump is in {}; install "
                            "the CUDA toolkit's binary utilities or set CUDA_HOME",
                            tried));
  }
  FMS_TRY(const TemporaryFile file, TemporaryFile::create(cubin));
  std::vector<std::string> command{program->path};
  if (!program->is_nvdisasm) command.emplace_back("-sass");
  command.push_back(file.path().string());
  FMS_TRY(ChildProcess child, ChildProcess::start(command));
  child.close_input();
  std::string text = child.read_output();
  const ExitStatus status = child.wait();
  if (!status.ok()) {
    return fail(ErrorCode::kIo, fmt::format("can't disassemble: {} ended with {}", program->path,
                                            to_string(status)));
  }
  return text;
}

}  // namespace fms::program
