#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "compiler/compiler.h"
#include "runtime/jit.h"

namespace fms::testing {

// A compiler that makes recognisable bytes out of a request without compiling anything.
class FakeCompiler : public Compiler {
 public:
  explicit FakeCompiler(std::string fingerprint = "fake 1.0 build 1")
      : fingerprint_(std::move(fingerprint)) {}

  const std::string& fingerprint() const override { return fingerprint_; }

  Result<ObjectCode> compile(const CompileRequest& request,
                             const CancelToken& cancel) const override {
    ++compiles;
    const auto end = std::chrono::steady_clock::now() + delay;
    while (std::chrono::steady_clock::now() < end) {
      if (cancel.cancelled()) return fail(ErrorCode::kCancelled, "cancelled");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (failure != ErrorCode::kInternal) return fail(failure, "can't compile it", "the whole log");
    const std::string text = "object code of " + cache_key(request).hex();
    ObjectCode object{.format = request.format,
                      .target = request.target,
                      .entry = request.entry,
                      .compiler = fingerprint_,
                      .compile_ms = 12.5};
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    object.bytes.assign(bytes, bytes + text.size());
    return object;
  }

  mutable std::atomic<int> compiles{0};
  std::chrono::milliseconds delay{0};
  ErrorCode failure = ErrorCode::kInternal;  // kInternal: succeeds

 private:
  std::string fingerprint_;
};

// A folder of the test's own, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fms-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string text_of(const ObjectCode& object) {
  return {reinterpret_cast<const char*>(object.bytes.data()), object.bytes.size()};
}

// Options that touch nothing outside `folder`, and find no NVRTC.
inline JitOptions options_in(const std::filesystem::path& folder,
                             std::shared_ptr<const Compiler> compiler) {
  JitOptions options;
  options.cache_dirs = {folder / "store"};
  options.lock_dir = folder / "locks";
  options.toolkit.nvrtc = "/nonexistent/libnvrtc.so";
  options.compiler = std::move(compiler);
  return options;
}

// A template with one constant and one size, told apart from others by `variant`.
inline std::shared_ptr<const KernelTemplate> sample_template(int variant = 0) {
  const std::string text = "// " + std::to_string(variant) +
                           "\n"
                           "FMS_KERNEL(scale, \"x = 2 x\");\n"
                           "FMS_INT(kBlock, 128, \"threads\", range(32, 1024), divisible(32));\n"
                           "FMS_SIZE(kN, \"elements\", range(0, 1000000));\n"
                           "extern \"C\" __global__ void scale(float* x, int n_argument) {\n"
                           "  const int n = kN(n_argument);\n"
                           "  const int i = blockIdx.x * kBlock + threadIdx.x;\n"
                           "  if (i < n) x[i] *= 2;\n"
                           "}\n";
  auto parsed = KernelTemplate::parse("scale.cu", text);
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message;
    std::abort();
  }
  return *parsed;
}

// scale<kBlock = 128, kN = n>; a negative n is dynamic.
inline Specialization sample(int n, int variant = 0) {
  const Specialization::NamedValue values[] = {
      {"kN", n < 0 ? Value::dynamic() : Value::integer(n)}};
  return *Specialization::make(sample_template(variant), values);
}

}  // namespace fms::testing
