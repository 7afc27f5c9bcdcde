#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "tools/fms/command.h"
#include "tools/fms/version.h"

namespace {

constexpr const char* kFooter = R"(Exit codes:
  0  done
  1  what was asked for is false or failed (verify misses, a compile error, a check over its bound)
  2  bad usage: an option, a value or a file that makes no sense
  3  this machine lacks something: a driver, a device, NVRTC, the LLVM library, a disassembler
  130  stopped by Ctrl-C

Example:
  fms warm llama-3.1-8b --target sm_90a -j 2 && fms verify llama-3.1-8b --target sm_90a)";

int run(int argc, char** argv) {
  using namespace fms::program;
  int exit_code = kOk;
  CLI::App program(
      "Compiles, keeps and launches CUDA kernels, each for its exact shape and GPU, or CPU.",
      "fms");
  program.footer(kFooter);
  program.set_version_flag("--version", version_line());
  program.require_subcommand(1);
  program.get_formatter()->column_width(34);
  add_doctor(program, exit_code);
  add_compile(program, exit_code);
  add_inspect(program, exit_code);
  add_run(program, exit_code);
  add_attention(program, exit_code);
  add_warm(program, exit_code);
  add_warm_worker(program, exit_code);
  add_tune(program, exit_code);
  add_verify(program, exit_code);
  add_cache(program, exit_code);
  add_demo(program, exit_code);
  add_bench(program, exit_code);
  add_version(program, exit_code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      return program.exit(error);  // --help and --version
    }
    fmt::print(stderr, "fms: can't understand the command line: {}\n", error.what());
    fmt::print(stderr, "Run fms --help, or fms COMMAND --help.\n");
    return kBadUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  // Ours throw nothing; this is for what a library throws past every other boundary, such as
  // bad_alloc.
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "fms: can't go on: {}\n", error.what());
    return fms::program::kFalse;
  }
}
