#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace fms {

// A file of templates/, as it was when this was built.
struct EmbeddedFile {
  std::string_view name;  // relative to templates/: "examples/saxpy.cuh"
  std::string_view text;
  std::array<std::uint8_t, 32> sha256;  // of the text
};

std::span<const EmbeddedFile> embedded_files();  // sorted by name

// Lines of the attention shapes of well-known models: manifests/*.jsonl.
std::span<const EmbeddedFile> embedded_manifests();

}  // namespace fms
