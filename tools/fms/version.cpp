#include "tools/fms/version.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/fms/command.h"

namespace fms::program {

std::string version_line() { return fmt::format("fms {} ({})", version(), commit()); }

void add_version(CLI::App& program, int& exit_code) {
  auto common = std::make_shared<CommonOptions>();
  CLI::App* command = program.add_subcommand("version", "Print the version of this program");
  command->footer("Example:\n  fms version --json");
  add_common_options(*command, *common, Json::kYes);
  command->callback([common, &exit_code] {
    if (common->json) {
      const nlohmann::json json{{"version", version()}, {"commit", commit()}};
      fmt::print("{}\n", json.dump(2));
    } else {
      fmt::print("{}\n", version_line());
    }
    exit_code = kOk;
  });
}

}  // namespace fms::program
