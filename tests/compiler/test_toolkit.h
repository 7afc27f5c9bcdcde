#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiler/nvrtc_compiler.h"

namespace fms {

// NVRTC by the environment variable FMS_TEST_NVRTC, with its toolkit's headers; null if it isn't
// set. Opened once for the process.
std::shared_ptr<const NvrtcCompiler> test_compiler();

// The same with NvrtcOptions::precompile_headers.
std::shared_ptr<const NvrtcCompiler> test_compiler_that_precompiles();

// A request for plain source with the extern "C" kernel `entry`.
CompileRequest plain_request(const NvrtcCompiler& compiler, const std::string& arch,
                             const std::string& entry, const std::string& source);

// A template from text, specialised by values as text. Aborts the test on failure.
CompileRequest template_request(const NvrtcCompiler& compiler, const std::string& arch,
                                const std::string& text,
                                const Specialization::NamedText& values = {});

// The architectures, of those this project supports, that `compiler` knows: {"sm_75", ...}, with
// the "a" and "f" variants among them. With sanitizers the first and the last.
std::vector<std::string> testable_archs(const NvrtcCompiler& compiler);

}  // namespace fms

#define FMS_REQUIRE_NVRTC(compiler)           \
  const auto compiler = fms::test_compiler(); \
  if (compiler == nullptr) GTEST_SKIP() << "no NVRTC: FMS_TEST_NVRTC isn't set"
