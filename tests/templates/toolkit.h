#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "runtime/toolkit.h"

namespace fms {

// Where tests look for NVRTC: what FMS_TEST_NVRTC names, else anywhere.
inline ToolkitSearch test_toolkit_search() {
  ToolkitSearch search = ToolkitSearch::from_environment();
  if (const char* path = std::getenv("FMS_TEST_NVRTC"); path != nullptr && *path != '\0') {
    search.nvrtc = path;
  }
  return search;
}

// NVRTC, opened once for the process; null if there is none.
inline std::shared_ptr<const NvrtcCompiler> test_compiler() {
  static const std::shared_ptr<const NvrtcCompiler> compiler = [] {
    const auto toolkit = find_toolkit(test_toolkit_search());
    if (!toolkit) return std::shared_ptr<const NvrtcCompiler>();
    auto opened = open_compiler(*toolkit);
    if (!opened) ADD_FAILURE() << opened.error().message;
    return opened ? *opened : nullptr;
  }();
  return compiler;
}

}  // namespace fms
