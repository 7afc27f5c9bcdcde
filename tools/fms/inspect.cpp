#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "compiler/llvm_library.h"
#include "tools/fms/argument.h"
#include "tools/fms/command.h"
#include "tools/fms/inspect_json.h"
#include "tools/fms/inspect_text.h"
#include "tools/fms/inspection.h"
#include "tools/fms/roof_measurement.h"
#include "tools/fms/template_options.h"

namespace fms::program {
namespace {

struct InspectCommand {
  CommonOptions common;
  TemplateOptions kernel;
  std::vector<std::string> targets;
  std::string grid, block;
  std::uint32_t smem = 0;
  double assumed_trips = 1;
  std::string peak_flops, bandwidth;
  bool measure = false;
};

// What CUDA allows of a grid, along each axis.
constexpr Dim3 kMostBlocks{.x = 2147483647, .y = 65535, .z = 65535};
constexpr Dim3 kLargestBlock{.x = 1024, .y = 1024, .z = 64};

Result<std::optional<Dim3>> parse_extent(const std::string& text, std::string_view what,
                                         const Dim3& most) {
  if (text.empty()) return std::nullopt;
  FMS_TRY(const Dim3 extent, parse_dim3(text));
  const bool none = extent.x == 0 || extent.y == 0 || extent.z == 0;
  if (none || extent.x > most.x || extent.y > most.y || extent.z > most.z) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't inspect a {} of {}: each axis has at least 1, and at most "
                            "{},{},{}",
                            what, text, most.x, most.y, most.z));
  }
  return extent;
}

Result<InspectedLaunch> read_launch(const InspectCommand& command) {
  InspectedLaunch launch{.dynamic_smem_bytes = command.smem,
                         .assumed_trips = command.assumed_trips};
  FMS_TRY(launch.grid, parse_extent(command.grid, "grid", kMostBlocks));
  FMS_TRY(launch.block, parse_extent(command.block, "block", kLargestBlock));
  return launch;
}

Result<std::optional<Roof>> given_roof(const InspectCommand& command) {
  if (command.peak_flops.empty() && command.bandwidth.empty()) return std::nullopt;
  Roof roof;
  if (!command.peak_flops.empty()) {
    FMS_TRY(roof.peak_flops, parse_rate(command.peak_flops));
  }
  if (!command.bandwidth.empty()) {
    FMS_TRY(roof.bytes_a_second, parse_rate(command.bandwidth));
  }
  return roof;
}

// Of the CPU here, and of the GPU if there is one. A GPU that isn't there is no failure.
std::vector<Result<Roof>> measured_roofs(Jit& jit, const Inspection& found) {
  // The precision in which the kernel works.
  const bool doubles =
      found.profile && found.profile->thread.flops64 > found.profile->thread.flops() / 2;
  const DType type = doubles ? DType::kFloat64 : DType::kFloat32;
  std::vector<Result<Roof>> roofs;
  const auto measure = [&](const std::shared_ptr<Device>& device) {
    roofs.push_back(measure_roof(jit, device, type));
  };
  const auto cpu = Device::cpu();
  if (cpu) {
    measure(*cpu);
  } else {
    roofs.push_back(std::unexpected(cpu.error()));
  }
  if (const auto gpu = Device::open()) measure(*gpu);
  return roofs;
}

Result<Inspection> inspect(const InspectCommand& command) {
  // What needs no compiler comes first, so that a mistake is told at once.
  FMS_TRY(const InspectedLaunch launch, read_launch(command));
  FMS_TRY(const std::optional<Roof> given, given_roof(command));
  FMS_TRY(const Specialization specialization, load_specialization(command.kernel));
  FMS_TRY(Jit jit, create_jit(command.common));
  if (!jit.options().llvm.empty()) prefer_llvm(jit.options().llvm);
  FMS_TRY(const std::vector<Target> targets, choose_targets(command.targets, jit.options()));
  jit.record(to_manifest_entry(command.kernel, specialization));
  FMS_TRY(Inspection found, inspect(jit, specialization, targets, launch));
  if (given) found.roofs.emplace_back(*given);
  if (command.measure) {
    for (Result<Roof>& roof : measured_roofs(jit, found)) found.roofs.push_back(std::move(roof));
  }
  return found;
}

// REQUIRES: found.is_empty().
Error why_empty(const Inspection& found) {
  Error error = found.targets.front().built.error();
  const Error& uncounted = found.profile.error();
  // A mistake in the source is told once.
  if (uncounted.code == ErrorCode::kUnavailable && uncounted.message != error.message) {
    error.message += fmt::format("; nor can operations be counted: {}", uncounted.message);
  }
  return error;
}

// The whole of what is there, and on standard error what a compiler said of the rest.
int print(const InspectCommand& command, const Inspection& found) {
  const std::string what = "can't inspect " + command.kernel.name;
  if (found.is_empty()) return report(command.common, what, why_empty(found));
  const Error* error = found.first_error();
  if (command.common.json) {
    fmt::print("{}\n",
               to_json(found).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}", to_text(found));
  }
  if (error == nullptr) return kOk;
  CommonOptions in_text = command.common;
  in_text.json = false;
  return report(in_text, what, *error);
}

void add_launch_options(CLI::App& app, InspectCommand& command) {
  app.add_option("--target", command.targets,
                 "such as sm_90a, cpu or cpu:x86-64-v3; may be repeated, or a list with commas "
                 "(default: FMS_TARGET, or the device here)")
      ->type_name("T")
      ->allow_extra_args(false);
  app.add_option("--grid", command.grid, "blocks of the launch")->type_name("X[,Y,Z]");
  app.add_option("--block", command.block,
                 "threads of a block (default: as many as the launch bounds allow)")
      ->type_name("X[,Y,Z]");
  app.add_option("--smem", command.smem, "dynamic shared memory of a block")->type_name("BYTES");
  app.add_option("--assume-trips", command.assumed_trips,
                 "rounds of loops whose length arguments decide (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(0.0, 1e15));
}

void add_roof_options(CLI::App& app, InspectCommand& command) {
  app.add_option("--peak-flops", command.peak_flops, "operations a second, such as 67T")
      ->type_name("RATE");
  app.add_option("--bandwidth", command.bandwidth, "bytes of memory a second, such as 3.35T")
      ->type_name("RATE");
  app.add_flag("--measure", command.measure,
               "measure both on the CPU here, and on the GPU if there is one");
}

}  // namespace

void add_inspect(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App* app = program.add_subcommand(
      "inspect", "Count what a kernel does, and show what bounds it and what its code takes");
  app->footer(
      "Operations and bytes are counted in the IR of the specialization, by the LLVM library,\n"
      "for a thread on average. Bytes are those that threads ask for: caches make fewer of them.\n"
      "What is known of the launch makes counts exact at its edges. The occupancy is that of a\n"
      "block on an empty SM; SASS is counted by instructions in the code, and takes nvdisasm or "
      "cuobjdump.\n"
      "tools/fms/inspect.md describes the JSON. What can't be had is left out and named, and the\n"
      "exit code is that of the first such part.\n\n"
      "Example:\n"
      "  fms inspect gemm -p kM=4096 -p kN=4096 -p kK=4096 --grid 64,64 --target sm_90a,cpu \\\n"
      "      --peak-flops 67T --bandwidth 3.35T");
  add_common_options(*app, command->common, Json::kYes);
  add_template_options(*app, command->kernel);
  add_launch_options(*app, *command);
  add_roof_options(*app, *command);
  app->callback([command, &exit_code] {
    const auto found = inspect(*command);
    exit_code =
        found ? print(*command, *found)
              : report(command->common, "can't inspect " + command->kernel.name, found.error());
  });
}

}  // namespace fms::program
