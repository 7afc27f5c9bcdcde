#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/result.h"
#include "runtime/device.h"
#include "runtime/jit.h"

namespace CLI {
class App;
}

namespace fms::program {

// What the program's exit status says.
enum ExitCode : int {
  kOk = 0,
  kFalse = 1,     // what was asked for is false or failed: verify misses, a compile error
  kBadUsage = 2,  // an option, a value or a file that makes no sense
  kMissing = 3,   // this machine lacks something: a driver, a device, NVRTC, LLVM, a disassembler
  kInterrupted = 130,
};

// The options that every command has.
struct CommonOptions {
  std::vector<std::string> cache_dirs;
  std::string log_level;
  bool json = false;
  bool verbose = false;
};

// Adds --cache-dir, --log, --verbose and, where a machine may read the output, --json.
enum class Json { kNo, kYes };
void add_common_options(CLI::App& command, CommonOptions& common, Json json);

// The options of the environment, with those of the command line on top. Sets the log level.
Result<JitOptions> jit_options(const CommonOptions& common);
Result<Jit> create_jit(const CommonOptions& common);

// The target of --target, or FMS_TARGET, or the CUDA device here, or the CPU if the LLVM library is
// here; that also if sanitizers are asked for. kInvalidArgument: there is none.
Result<Target> choose_target(const std::string& text, const JitOptions& options);
// Several; without any as choose_target(). Each may be a list with commas.
Result<std::vector<Target>> choose_targets(const std::vector<std::string>& texts,
                                           const JitOptions& options);

// The device of --device: "cpu", "cuda:1" or "1". Without a text one of the kind that FMS_TARGET or
// sanitizers ask for; else cuda:0, or the CPU where there is none.
Result<std::shared_ptr<Device>> choose_device(const std::string& text, const JitOptions& options);

inline constexpr const char* kDeviceHelp =
    "cpu, or the ordinal of a GPU (default: the first GPU, or the CPU where there is none)";

// Tells the user of a failure, on standard error and, with --json, on standard output too: `what`
// ("can't compile saxpy.cu") goes in front unless the message begins so. Gives the exit code.
int report(const CommonOptions& common, std::string_view what, const Error& error);

// Each adds one command. When that command runs, it stores its exit code.
void add_doctor(CLI::App& program, int& exit_code);
void add_compile(CLI::App& program, int& exit_code);
void add_inspect(CLI::App& program, int& exit_code);
void add_run(CLI::App& program, int& exit_code);
void add_attention(CLI::App& program, int& exit_code);
void add_warm(CLI::App& program, int& exit_code);
void add_warm_worker(CLI::App& program, int& exit_code);  // hidden: what `fms warm` starts
void add_tune(CLI::App& program, int& exit_code);
void add_verify(CLI::App& program, int& exit_code);
void add_cache(CLI::App& program, int& exit_code);
void add_demo(CLI::App& program, int& exit_code);
void add_bench(CLI::App& program, int& exit_code);
void add_version(CLI::App& program, int& exit_code);

}  // namespace fms::program
