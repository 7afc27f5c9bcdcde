#include <fmt/format.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/fms/command.h"
#include "tools/fms/manifest_plan.h"

namespace fms::program {
namespace {

nlohmann::json answer_to(Jit& jit, const std::string& line) {
  const auto built = [&]() -> Result<Built> {
    FMS_TRY(const PlannedKernel kernel, from_work_item(line));
    return jit.build(kernel.specialization, kernel.target);
  }();
  if (!built) {
    const Error& error = built.error();
    return {{"code", to_string(error.code)}, {"message", error.message}, {"detail", error.detail}};
  }
  return {{"origin", to_string(built->origin)}, {"compile_ms", built->object.compile_ms}};
}

int work(const CommonOptions& common) {
  // Ctrl-C reaches the whole process group; it is `fms warm` that decides what to end. A worker
  // doesn't outlive the one that reads its answers.
  std::signal(SIGINT, SIG_IGN);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  auto jit = create_jit(common);
  if (!jit) return report(common, "can't start a worker", jit.error());
  std::string line;
  while (std::getline(std::cin, line)) {
    const nlohmann::json answer = answer_to(*jit, line);
    fmt::print("{}\n", answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    std::fflush(stdout);
  }
  return kOk;
}

}  // namespace

void add_warm_worker(CLI::App& program, int& exit_code) {
  auto common = std::make_shared<CommonOptions>();
  CLI::App* command = program.add_subcommand(
      "warm-worker", "Compile the work items on standard input; what fms warm starts");
  command->group("");  // hidden
  command->footer("Example:\n  fms warm-worker < items.jsonl");
  add_common_options(*command, *common, Json::kNo);
  command->callback([common, &exit_code] { exit_code = work(*common); });
}

}  // namespace fms::program
