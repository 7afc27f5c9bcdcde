#include "runtime/template_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace fms {
namespace {

namespace fs = std::filesystem;

// No source is longer; a larger file is a mistake (a binary, say), and reading it would only waste
// memory.
constexpr std::uintmax_t kMaxSourceBytes = 16u << 20;

bool looks_like_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.find('.') != std::string_view::npos;
}

}  // namespace

Result<std::string> read_source(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (error) {
    return fail(ErrorCode::kNotFound,
                fmt::format("can't read {}: {}", file.string(), error.message()));
  }
  if (size > kMaxSourceBytes) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("can't read {}: {} bytes is too long for a source", file.string(), size));
  }
  std::ifstream in(file, std::ios::binary);
  std::string text(size, '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) {
    return fail(ErrorCode::kIo, fmt::format("can't read {}", file.string()));
  }
  return text;
}

HeaderResolver resolver_in(std::vector<fs::path> folders) {
  return [folders = std::move(folders)](std::string_view name,
                                        std::string_view) -> std::optional<std::string> {
    for (const fs::path& folder : folders) {
      std::error_code error;
      const fs::path candidate = folder / fs::path(name);
      if (!fs::is_regular_file(candidate, error)) continue;
      if (Result<std::string> found = read_source(candidate)) return *std::move(found);
    }
    return std::nullopt;
  };
}

Result<std::shared_ptr<const KernelTemplate>> load_template(
    std::string_view name_or_path, std::string_view entry,
    const std::vector<fs::path>& include_folders) {
  const std::vector<std::string> names = KernelTemplate::embedded_names();
  if (std::ranges::find(names, name_or_path) != names.end()) {
    return KernelTemplate::embedded(name_or_path);
  }
  const fs::path file(name_or_path);
  std::error_code ignored;
  if (!looks_like_path(name_or_path) && !fs::is_regular_file(file, ignored)) {
    return KernelTemplate::embedded(name_or_path);  // whose error lists the names there are
  }
  FMS_TRY(std::string text, read_source(file));

  // An include's name is looked up beside the file first.
  std::vector<fs::path> folders{file.parent_path()};
  folders.insert(folders.end(), include_folders.begin(), include_folders.end());
  Result<std::shared_ptr<const KernelTemplate>> parsed = KernelTemplate::parse(
      file.filename().string(), std::move(text), entry, resolver_in(std::move(folders)));
  if (!parsed) {
    return std::unexpected(
        with_context(fmt::format("can't use {}", file.string()), std::move(parsed).error()));
  }
  return parsed;
}

}  // namespace fms
