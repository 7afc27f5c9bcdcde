#include "tests/compiler/test_toolkit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "compiler/includes.h"
#include "tests/sanitizers.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<SourceFile> toolkit_headers(const fs::path& library) {
  std::vector<fs::path> folders;
  const fs::path root = library.parent_path().parent_path();
  for (const fs::path& base : {root, root.parent_path() / "cuda_runtime"}) {
    folders.push_back(base / "include");
    folders.push_back(base / "include" / "cccl");
  }
  std::map<std::string, std::string> found;
  std::vector<std::string> open = nvrtc_header_roots();
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    for (const fs::path& folder : folders) {
      const auto text = found.contains(name) ? std::nullopt : read_text(folder / name);
      if (!text) continue;
      found[name] = *text;
      for (const IncludeName& include : scan_includes(*text)) open.push_back(include.name);
    }
  }
  std::vector<SourceFile> headers;
  for (auto& [name, text] : found) headers.push_back({.name = name, .text = text});
  return headers;
}

std::shared_ptr<const NvrtcCompiler> open_for_tests(const NvrtcOptions& options) {
  const char* path = std::getenv("FMS_TEST_NVRTC");
  if (path == nullptr || *path == '\0') return nullptr;
  auto opened = NvrtcCompiler::open(path, toolkit_headers(path), options);
  if (!opened) ADD_FAILURE() << opened.error().message;
  return opened ? *opened : nullptr;
}

}  // namespace

std::shared_ptr<const NvrtcCompiler> test_compiler() {
  static const std::shared_ptr<const NvrtcCompiler> compiler = open_for_tests({});
  return compiler;
}

std::shared_ptr<const NvrtcCompiler> test_compiler_that_precompiles() {
  static const std::shared_ptr<const NvrtcCompiler> compiler =
      open_for_tests({.precompile_headers = true});
  return compiler;
}

CompileRequest plain_request(const NvrtcCompiler& compiler, const std::string& arch,
                             const std::string& entry, const std::string& source) {
  return {.compiler = compiler.fingerprint(),
          .target = {.kind = Target::Kind::kCuda, .arch = arch},
          .entry = entry,
          .source = source,
          .options = {"--std=c++20", "--gpu-architecture=" + arch, "-default-device"}};
}

CompileRequest template_request(const NvrtcCompiler& compiler, const std::string& arch,
                                const std::string& text, const Specialization::NamedText& values) {
  auto parsed = KernelTemplate::parse("test/kernel.cuh", text);
  if (!parsed) ADD_FAILURE() << parsed.error().message;
  auto specialization = Specialization::parse(parsed.value(), values);
  if (!specialization) ADD_FAILURE() << specialization.error().message;
  return make_request(specialization.value(), {.kind = Target::Kind::kCuda, .arch = arch},
                      compiler.fingerprint());
}

std::vector<std::string> testable_archs(const NvrtcCompiler& compiler) {
  std::vector<std::string> archs;
  for (const int capability : compiler.supported_archs()) {
    const std::string arch = "sm_" + std::to_string(capability);
    if (!Target::parse(arch)) continue;
    archs.push_back(arch);
    if (kSanitized) continue;
    if (capability >= 90) archs.push_back(arch + "a");
    const bool has_families = compiler.version() >= std::pair(12, 9);
    if (capability >= 100 && has_families) archs.push_back(arch + "f");
  }
  if (kSanitized && archs.size() > 2) archs.erase(archs.begin() + 1, archs.end() - 1);
  return archs;
}

}  // namespace fms
