#include "tools/fms/template_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/template_file.h"
#include "tools/fms/argument.h"

namespace fms::program {

void add_template_options(CLI::App& command, TemplateOptions& options) {
  command
      .add_option("TEMPLATE", options.name,
                  "a .cu file, or the name of an included template (fms doctor lists them)")
      ->required();
  command
      .add_option("-p,--parameter", options.parameters,
                  "value of a parameter, such as kBlock=256; sizes not given are dynamic")
      ->type_name("K=V")
      ->allow_extra_args(false);
  command
      .add_option("--entry", options.entry,
                  "the extern \"C\" kernel, if the file has more than one and no FMS_KERNEL")
      ->type_name("NAME");
  command.add_option("-I,--include", options.includes, "folder to look up the file's includes in")
      ->type_name("DIR")
      ->allow_extra_args(false);
}

Result<Specialization> load_specialization(const TemplateOptions& options) {
  const std::vector<std::filesystem::path> folders(options.includes.begin(),
                                                   options.includes.end());
  FMS_TRY(auto kernel_template, load_template(options.name, options.entry, folders));
  Specialization::NamedText values;
  for (const std::string& text : options.parameters) {
    FMS_TRY(auto pair, parse_assignment(text));
    if (!values.insert(pair).second) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("the parameter {} is given twice", pair.first));
    }
  }
  return Specialization::parse(std::move(kernel_template), values);
}

ManifestEntry to_manifest_entry(const TemplateOptions& options,
                                const Specialization& specialization) {
  const std::vector<std::string> names = KernelTemplate::embedded_names();
  const bool embedded = std::ranges::find(names, options.name) != names.end();
  std::error_code error;
  ManifestEntry entry{.template_name =
                          embedded ? options.name
                                   : std::filesystem::absolute(options.name, error).string()};
  const auto parameters = specialization.kernel_template().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    entry.parameters[parameters[i].name] = parameters[i].to_string(specialization.values()[i]);
  }
  return entry;
}

}  // namespace fms::program
