#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include "runtime/jit.h"
#include "tests/runtime/fake_compiler.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

// Sets variables for a test's time; all other FMS_ variables are unset.
class Environment {
 public:
  using Values = std::map<std::string, std::string>;
  explicit Environment(const Values& values) {
    for (const EnvironmentVariable& each : environment_variables()) save(each.name, nullptr);
    for (const auto& [name, value] : values) save(name, value.c_str());
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      if (value) {
        setenv(name.c_str(), value->c_str(), 1);
      } else {
        unsetenv(name.c_str());
      }
    }
  }

 private:
  void save(const std::string& name, const char* value) {
    const char* old = getenv(name.c_str());
    before_.try_emplace(name, old ? std::optional<std::string>(old) : std::nullopt);
    if (value) {
      setenv(name.c_str(), value, 1);
    } else {
      unsetenv(name.c_str());
    }
  }
  std::map<std::string, std::optional<std::string>> before_;
};

TEST(JitOptionsTest, TheStoreIsInTheUsersCacheByDefault) {
  {
    const Environment environment({{"XDG_CACHE_HOME", "/x/cache"}, {"HOME", "/home/me"}});
    EXPECT_EQ(JitOptions::from_environment()->cache_dirs,
              std::vector<fs::path>{"/x/cache/flashmoe-science"});
  }
  {
    const Environment environment({{"XDG_CACHE_HOME", ""}, {"HOME", "/home/me"}});
    EXPECT_EQ(JitOptions::from_environment()->cache_dirs,
              std::vector<fs::path>{"/home/me/.cache/flashmoe-science"});
  }
  {
    const Environment environment({{"XDG_CACHE_HOME", "relative"}, {"HOME", ""}});
    EXPECT_TRUE(JitOptions::from_environment()->cache_dirs.empty())
        << "neither the working directory nor /tmp is anyone's cache";
  }
}

TEST(JitOptionsTest, EveryVariableIsRead) {
  const Environment environment({{"FMS_CACHE_DIR", "/a:/b"},
                                 {"FMS_CACHE_MAX_BYTES", "500M"},
                                 {"FMS_OFFLINE", "1"},
                                 {"FMS_RECORD", "/r.jsonl"},
                                 {"FMS_NVRTC", "/n/libnvrtc.so"},
                                 {"FMS_LLVM", "/l/libfms_llvm.so"},
                                 {"FMS_SANITIZE", "thread,address"},
                                 {"FMS_LOG", "debug"},
                                 {"FMS_DUMP_DIR", "/d"},
                                 {"FMS_LINEINFO", "1"},
                                 {"FMS_MAX_JOBS", "3"},
                                 {"FMS_TARGET", "sm_80"}});
  const Result<JitOptions> options = JitOptions::from_environment();
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->cache_dirs, (std::vector<fs::path>{"/a", "/b"}));
  EXPECT_EQ(options->cache_max_bytes, 500 << 20);
  EXPECT_TRUE(options->offline);
  EXPECT_EQ(options->record, "/r.jsonl");
  EXPECT_EQ(options->toolkit.nvrtc, "/n/libnvrtc.so");
  EXPECT_EQ(options->llvm, "/l/libfms_llvm.so");
  EXPECT_EQ(options->sanitize, (std::vector{Sanitizer::kAddress, Sanitizer::kThread}));
  EXPECT_EQ(options->log_level, LogLevel::kDebug);
  EXPECT_EQ(options->dump_dir, "/d");
  EXPECT_TRUE(options->lineinfo);
  EXPECT_EQ(options->max_jobs, 3);
  EXPECT_EQ(options->target->arch, "sm_80");
  for (const EnvironmentVariable& each : environment_variables()) {
    EXPECT_FALSE(each.value.empty()) << each.name << " isn't set by this test";
  }
}

TEST(JitOptionsTest, AnEmptyVariableIsAnUnsetOne) {
  std::map<std::string, std::string> empty;
  for (const EnvironmentVariable& each : environment_variables()) empty[each.name] = "";
  const Environment environment(empty);
  EXPECT_TRUE(JitOptions::from_environment());
}

TEST(JitOptionsTest, AWrongValueNamesItsVariable) {
  const std::pair<const char*, const char*> wrong[] = {{"FMS_CACHE_MAX_BYTES", "many"},
                                                       {"FMS_CACHE_MAX_BYTES", "-1"},
                                                       {"FMS_CACHE_MAX_BYTES", "9999999999G"},
                                                       {"FMS_OFFLINE", "maybe"},
                                                       {"FMS_LINEINFO", "2"},
                                                       {"FMS_LOG", "loud"},
                                                       {"FMS_MAX_JOBS", "-1"},
                                                       {"FMS_MAX_JOBS", "2x"},
                                                       {"FMS_SANITIZE", "leak"},
                                                       {"FMS_TARGET", "sm_10"}};
  for (const auto& [name, value] : wrong) {
    const Environment environment(Environment::Values{{name, value}});
    const Result<JitOptions> options = JitOptions::from_environment();
    ASSERT_FALSE(options) << name << "=" << value;
    EXPECT_EQ(options.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(options.error().message.find(name), std::string::npos) << options.error().message;
    EXPECT_NE(options.error().message.find(value), std::string::npos) << options.error().message;
  }
}

TEST(JitOptionsTest, ARelativeCacheFolderIsRefused) {
  const Environment environment(Environment::Values{{"FMS_CACHE_DIR", "/a:b"}});
  EXPECT_EQ(JitOptions::from_environment().error().code, ErrorCode::kInvalidArgument);
}

TEST(ToolkitTest, AMissingNvrtcSaysWhereItWasLookedForAndWhatToDo) {
  const Result<Toolkit> toolkit = find_toolkit({.nvrtc = "/nonexistent/place"});
  ASSERT_FALSE(toolkit);
  EXPECT_EQ(toolkit.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(toolkit.error().message.find("FMS_NVRTC"), std::string::npos);
  EXPECT_NE(toolkit.error().message.find("pip install"), std::string::npos);
  EXPECT_NE(toolkit.error().detail.find("/nonexistent/place"), std::string::npos);
}

// A folder tree with an empty libnvrtc.so.13 and a header in it.
void make_toolkit(const fs::path& lib, const fs::path& include) {
  fs::create_directories(lib);
  fs::create_directories(include);
  std::ofstream(lib / "libnvrtc.so.13") << "";
  std::ofstream(include / "cuda_fp16.h") << "// half\n";
}

TEST(ToolkitTest, WheelsComeBeforeCondaAndThatBeforeCudaHome) {
  const testing::TemporaryFolder folder;
  const fs::path wheel = folder.path() / "venv/lib/python3.11/site-packages/nvidia/cu13";
  const fs::path conda = folder.path() / "conda", home = folder.path() / "cuda";
  make_toolkit(home / "lib64", home / "include");
  ToolkitSearch search{.virtual_env = (folder.path() / "venv").string(),
                       .conda_prefix = conda.string(),
                       .cuda_home = home.string()};
  make_toolkit(conda / "lib", conda / "include");
  EXPECT_EQ(find_toolkit(search)->library, conda / "lib/libnvrtc.so.13");
  make_toolkit(wheel / "lib", wheel / "include");
  const Result<Toolkit> found = find_toolkit(search);
  EXPECT_EQ(found->library, wheel / "lib/libnvrtc.so.13");
  EXPECT_EQ(found->include_folders, std::vector<fs::path>{wheel / "include"})
      << "headers come from the library's own root";
  search.nvrtc = home.string();
  EXPECT_EQ(find_toolkit(search)->library, home / "lib64/libnvrtc.so.13") << "an option beats all";
}

TEST(ToolkitTest, AnotherFileIsAnotherIdentity) {
  const testing::TemporaryFolder folder;
  make_toolkit(folder.path() / "lib", folder.path() / "include");
  const Toolkit toolkit = *find_toolkit({.nvrtc = folder.path().string()});
  const std::string before = toolkit_identity(toolkit);
  EXPECT_EQ(toolkit_identity(toolkit), before);
  std::ofstream(folder.path() / "include" / "cuda_fp16.h") << "// another half\n";
  EXPECT_NE(toolkit_identity(toolkit), before);
}

}  // namespace
}  // namespace fms
