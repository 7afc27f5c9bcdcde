#include "runtime/llvm_files.h"

#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "cache/folder.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

// The line of a note about one file; empty if it can't be read.
std::string describe(const fs::path& file) {
  const auto identity = cache::identity_of(file);
  if (!identity) return {};
  return fmt::format("{} {} {} {}", identity->inode, identity->size, identity->modified_ns,
                     file.string());
}

// Adds the path of a loaded library to `files` if it is LLVM's or clang's.
int add_dependency(dl_phdr_info* info, std::size_t, void* files) {
  const std::string_view path = info->dlpi_name;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.starts_with("libLLVM") || name.starts_with("libclang")) {
    static_cast<std::vector<fs::path>*>(files)->emplace_back(path);
  }
  return 0;
}

}  // namespace

std::optional<fs::path> find_llvm_file(const std::string& path) {
  for (const std::string& candidate : llvm_candidates(path)) {
    std::error_code error;
    if (candidate.find('/') != std::string::npos && fs::is_regular_file(candidate, error)) {
      return candidate;
    }
  }
  return std::nullopt;
}

std::string note_of(const LlvmLibrary& library) {
  std::vector<fs::path> files{library.path()};
  ::dl_iterate_phdr(add_dependency, &files);
  std::string note = library.compiler()->fingerprint();
  for (const fs::path& file : files) note += '\n' + describe(file);
  return note;
}

std::optional<std::string> fingerprint_in(std::string_view note) {
  const std::size_t end = note.find('\n');
  if (end == std::string_view::npos) return std::nullopt;  // it names no file
  const std::string_view fingerprint = note.substr(0, end);
  note.remove_prefix(end + 1);
  if (note.empty()) return std::nullopt;
  while (!note.empty()) {
    const std::string_view line = note.substr(0, note.find('\n'));
    const std::size_t path = line.find('/');
    if (path == std::string_view::npos || describe(line.substr(path)) != line) return std::nullopt;
    note.remove_prefix(std::min(line.size() + 1, note.size()));
  }
  return std::string(fingerprint);
}

}  // namespace fms
