// The kernels themselves: that each is CUDA C++ which NVIDIA's compiler takes.

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "compiler/compile_request.h"
#include "runtime/template_file.h"
#include "tests/sanitizers.h"
#include "tests/templates/toolkit.h"

namespace fms {
namespace {

// Files with several kernels, and one kernel of each.
const std::pair<const char*, const char*> kEntries[] = {{"shuffles", "shuffle_double"},
                                                        {"math_functions", "math_float"}};

std::string_view entry_in(const std::string& name) {
  for (const auto& [file, entry] : kEntries) {
    if (name == file) return entry;
  }
  return {};
}

TEST(ConformanceKernelsTest, NvrtcTakesEachWithoutAWarning) {
  if (kSanitized) GTEST_SKIP() << "its time is NVRTC's";
  if (test_compiler() == nullptr) GTEST_SKIP() << "no NVRTC";
  const NvrtcCompiler& compiler = *test_compiler();
  std::set<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(FMS_CONFORMANCE_FOLDER "/kernels")) {
    files.insert(file.path());
  }
  EXPECT_GE(files.size(), 20u);
  for (const std::filesystem::path& file : files) {
    const auto loaded = load_template(file.string(), entry_in(file.stem().string()));
    ASSERT_TRUE(loaded) << loaded.error().message;
    const auto object =
        compiler.compile(make_request(Specialization::make(*loaded, {}).value(),
                                      Target::parse("sm_90a").value(), compiler.fingerprint()));
    ASSERT_TRUE(object) << object.error().message << "\n" << object.error().detail;
    EXPECT_EQ(object->log.find("warning"), std::string::npos) << file << "\n" << object->log;
  }
}

}  // namespace
}  // namespace fms
