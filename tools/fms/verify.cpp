#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/fms/command.h"
#include "tools/fms/manifest_plan.h"

namespace fms::program {
namespace {

struct VerifyCommand {
  CommonOptions common;
  std::string manifest;
  std::vector<std::string> targets;
};

struct Verification {
  std::size_t kernels = 0;
  std::vector<PlannedKernel> missing;
};

Result<Verification> verify(const VerifyCommand& command) {
  FMS_TRY(Jit jit, create_jit(command.common));
  FMS_TRY(const LocatedManifest located, load_manifest(command.manifest));
  FMS_TRY(const std::vector<Target> targets, choose_targets(command.targets, jit.options()));
  FMS_TRY(std::vector<PlannedKernel> kernels, plan_kernels(located, targets, &jit));
  Verification verification{.kernels = kernels.size()};
  for (PlannedKernel& kernel : kernels) {
    FMS_TRY(const bool there, jit.has(kernel.specialization, kernel.target));
    if (!there) verification.missing.push_back(std::move(kernel));
  }
  return verification;
}

int print(const VerifyCommand& command, const Verification& verification) {
  const bool complete = verification.missing.empty();
  if (command.common.json) {
    nlohmann::json missing = nlohmann::json::array();
    for (const PlannedKernel& kernel : verification.missing) {
      missing.push_back({{"specialization", kernel.specialization.to_string()},
                         {"target", kernel.target.to_string()}});
    }
    const nlohmann::json object{
        {"kernels", verification.kernels}, {"complete", complete}, {"missing", std::move(missing)}};
    fmt::print("{}\n", object.dump(2));
    return complete ? kOk : kFalse;
  }
  for (const PlannedKernel& kernel : verification.missing) {
    fmt::print("would have to compile {} for {}\n", kernel.specialization.to_string(),
               kernel.target.to_string());
  }
  if (complete) {
    fmt::print("all {} kernels are in the store\n", verification.kernels);
    return kOk;
  }
  fmt::print(stderr, "fms: {} of {} kernels aren't in the store; run fms warm {}\n",
             verification.missing.size(), verification.kernels, command.manifest);
  return kFalse;
}

}  // namespace

void add_verify(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<VerifyCommand>();
  CLI::App* app = program.add_subcommand(
      "verify", "Check that nothing of a manifest would have to compile; exit 1 and a list if so");
  app->footer("Example:\n  fms verify llama-3.1-8b --target sm_90a");
  add_common_options(*app, command->common, Json::kYes);
  app->add_option("MANIFEST", command->manifest, "a file, or the name of an included manifest")
      ->required();
  app->add_option("--target", command->targets,
                  "for this target, such as sm_90a or cpu; may be repeated (default: FMS_TARGET, "
                  "or the device here)")
      ->type_name("T")
      ->allow_extra_args(false);
  app->callback([command, &exit_code] {
    const auto verification = verify(*command);
    exit_code = verification ? print(*command, *verification)
                             : report(command->common, "can't verify " + command->manifest,
                                      verification.error());
  });
}

}  // namespace fms::program
