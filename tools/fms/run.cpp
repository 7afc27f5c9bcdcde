#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "runtime/device_buffer.h"
#include "tools/fms/argument.h"
#include "tools/fms/command.h"
#include "tools/fms/gpu_timing.h"
#include "tools/fms/npy.h"
#include "tools/fms/template_options.h"

namespace fms::program {
namespace {

struct RunCommand {
  CommonOptions common;
  TemplateOptions kernel;
  std::string grid, block = "1", cluster = "1";
  std::uint32_t smem = 0;
  bool cooperative = false;
  std::string policy;
  std::vector<std::string> arguments;
  int repeat = 0;
  std::string device, sanitize;
};

// An argument with its array on the host and its copy on the device.
struct BoundArgument {
  KernelArgument argument;
  NpyArray array;
  std::optional<DeviceBuffer> buffer;
  std::uint64_t address = 0;

  bool is_array() const { return argument.kind != KernelArgument::Kind::kNumber; }
  bool is_output() const { return is_array() && argument.kind != KernelArgument::Kind::kIn; }
};

struct RunReport {
  Resources resources;
  std::string specialization, target;
  std::optional<double> median_ms;
};

Result<std::vector<BoundArgument>> read_arguments(const RunCommand& command) {
  std::vector<BoundArgument> bound;
  for (const std::string& text : command.arguments) {
    BoundArgument one;
    FMS_TRY(one.argument, parse_kernel_argument(text));
    if (one.argument.kind == KernelArgument::Kind::kOut) {
      one.array = {.dtype = one.argument.dtype, .shape = one.argument.shape};
      FMS_TRY(const std::size_t bytes, byte_count(one.array.dtype, one.array.shape));
      one.array.data.resize(bytes);
    } else if (one.is_array()) {
      FMS_TRY(one.array, read_npy(one.argument.file));
    }
    bound.push_back(std::move(one));
  }
  return bound;
}

Result<LaunchConfig> launch_config(const RunCommand& command) {
  LaunchConfig config{.dynamic_smem_bytes = command.smem, .cooperative = command.cooperative};
  FMS_TRY(config.grid, parse_dim3(command.grid));
  FMS_TRY(config.block, parse_dim3(command.block));
  FMS_TRY(config.cluster, parse_dim3(command.cluster));
  return config;
}

Result<std::vector<Argument>> upload(std::vector<BoundArgument>& bound,
                                     const std::shared_ptr<Device>& device, StreamView stream) {
  std::vector<Argument> arguments;
  for (BoundArgument& one : bound) {
    if (!one.is_array()) {
      arguments.push_back(
          {one.argument.number.data(), static_cast<std::uint32_t>(size_of(one.argument.dtype))});
      continue;
    }
    FMS_TRY(DeviceBuffer buffer, DeviceBuffer::allocate(device, one.array.data.size()));
    FMS_TRY_VOID(buffer.upload(one.array.data, stream));
    one.address = buffer.address();
    one.buffer = std::move(buffer);
    arguments.push_back({&one.address, sizeof(one.address)});
  }
  return arguments;
}

Result<RunReport> run(const RunCommand& command) {
  // What needs no device comes first, so that a mistake is told anywhere.
  FMS_TRY(const Specialization specialization, load_specialization(command.kernel));
  FMS_TRY(const LaunchConfig config, launch_config(command));
  FMS_TRY(std::vector<BoundArgument> bound, read_arguments(command));
  FMS_TRY(JitOptions options, jit_options(command.common));
  // The values given are the kernel wanted: nothing is guessed from how often a size comes.
  options.policy = Policy::kExact;
  if (!command.policy.empty()) {
    FMS_TRY(options.policy, parse_policy(command.policy));
  }
  if (!command.sanitize.empty()) {
    FMS_TRY(options.sanitize, parse_sanitizers(command.sanitize));
  }
  FMS_TRY(const auto device, choose_device(command.device, options));
  FMS_TRY(Jit jit, Jit::create(std::move(options)));
  FMS_TRY(const Stream stream, Stream::create(device));
  jit.record(to_manifest_entry(command.kernel, specialization));
  FMS_TRY(const Kernel kernel,
          jit.get(specialization, device, {.stream = stream, .record = false}));
  FMS_TRY(const std::vector<Argument> arguments, upload(bound, device, stream));
  const auto start = [&] { return launch(stream, config, kernel, std::span(arguments)); };
  FMS_TRY_VOID(start());
  FMS_TRY_VOID(stream.synchronize());
  // The outputs are those of one launch, whatever --repeat does to arrays that are also inputs.
  for (BoundArgument& one : bound) {
    if (!one.is_output()) continue;
    FMS_TRY_VOID(one.buffer->download(one.array.data, stream));
    FMS_TRY_VOID(write_npy(one.argument.file, one.array));
  }
  RunReport report{.resources = kernel.resources(),
                   .specialization = specialization.to_string(),
                   .target = kernel.target().to_string()};
  if (command.repeat > 0) {
    FMS_TRY(report.median_ms, median_gpu_ms(device, stream, command.repeat, start));
  }
  return report;
}

void print(const RunCommand& command, const RunReport& report) {
  if (command.common.json) {
    nlohmann::json object{{"specialization", report.specialization},
                          {"target", report.target},
                          {"registers", report.resources.registers},
                          {"repeat", command.repeat}};
    if (report.median_ms) object["median_ms"] = *report.median_ms;
    fmt::print("{}\n", object.dump(2));
    return;
  }
  if (report.median_ms) {
    fmt::print("{}: {:.4f} ms, the median of {}\n", report.specialization, *report.median_ms,
               command.repeat);
  } else if (command.common.verbose) {
    fmt::print("{} for {}: done\n", report.specialization, report.target);
  }
}

void add_launch_options(CLI::App& app, RunCommand& command) {
  app.add_option("--grid", command.grid, "blocks")->type_name("X[,Y,Z]")->required();
  app.add_option("--block", command.block, "threads of a block")->type_name("X[,Y,Z]")->required();
  app.add_option("--cluster", command.cluster, "blocks of a cluster")->type_name("X[,Y,Z]");
  app.add_option("--smem", command.smem, "dynamic shared memory of a block")->type_name("BYTES");
  app.add_flag("--cooperative", command.cooperative, "all blocks resident at once");
  app.add_option("--arg", command.arguments,
                 "the next argument of the kernel: in:FILE, inout:FILE, out:DTYPE:SHAPE:FILE or "
                 "DTYPE:VALUE")
      ->type_name("ARG")
      ->allow_extra_args(false);
  app.add_option("--policy", command.policy, "auto, exact or dynamic (default: exact)")
      ->type_name("POLICY");
  app.add_option("--repeat", command.repeat, "launch N times more, and print the median time")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--sanitize", command.sanitize,
                 "on the CPU: what the kernel checks as it runs, of address, undefined and thread")
      ->type_name("LIST");
  app.add_option("--device", command.device, kDeviceHelp)->type_name("DEVICE");
}

}  // namespace

void add_run(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<RunCommand>();
  CLI::App* app = program.add_subcommand("run", "Compile a kernel and launch it on .npy arrays");
  app->footer(
      "Arguments are given in the kernel's order; f32, f64, f16, bf16, i8 to i64, u8, u32, u64\n"
      "and bool are element types. bfloat16 is kept in .npy files as uint16.\n\n"
      "Example:\n"
      "  fms run saxpy -p kBlock=256 --grid 16 --block 256 --arg in:x.npy --arg inout:y.npy \\\n"
      "      --arg f32:2 --arg i32:4096");
  add_common_options(*app, command->common, Json::kYes);
  add_template_options(*app, command->kernel);
  add_launch_options(*app, *command);
  app->callback([command, &exit_code] {
    const auto ran = run(*command);
    if (ran) {
      print(*command, *ran);
      exit_code = kOk;
    } else {
      exit_code = report(command->common, "can't run " + command->kernel.name, ran.error());
    }
  });
}

}  // namespace fms::program
