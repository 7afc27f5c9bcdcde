#include <CLI/CLI.hpp>

#include "tools/fms/cache.h"

namespace fms::program {
namespace {

struct CacheVerb {
  const char* name;
  const char* doc;
  const char* example;
  Result<int> (*run)(const CacheCommand&);
};

constexpr CacheVerb kVerbs[] = {
    {"list", "List the kernels in the store", "fms cache list --template saxpy --target sm_90a",
     cache_list},
    {"stats", "Count entries, bytes, hits, misses and compiles, over all processes",
     "fms cache stats --json", cache_stats},
    {"why", "Show what enters a key, and how the nearest other entry differs",
     "fms cache why 3fa9c1", cache_why},
    {"verify", "Read and check every record; corrupt ones are removed, and the exit code is 1",
     "fms cache verify", cache_verify},
    {"gc", "Evict down to a size: obsolete compilers first, then what saves least for its bytes",
     "fms cache gc --max-bytes 500M", cache_gc},
    {"clear", "Remove every entry and zero the counts", "fms cache clear --yes", cache_clear},
    {"export", "Write a bundle: one file with all kernels, or with those selected",
     "fms cache export kernels.bundle --target sm_90a", cache_export},
    {"import", "Check every record of a bundle, then add them all, or none",
     "fms cache import kernels.bundle", cache_import},
};

void add_own_options(CLI::App& app, std::string_view verb, CacheCommand& command) {
  if (verb == "list" || verb == "export") {
    app.add_option("--template", command.template_name, "only kernels of this template")
        ->type_name("NAME");
    app.add_option("--target", command.target, "only kernels for this target")->type_name("T");
  }
  if (verb == "export" || verb == "import") {
    app.add_option("FILE", command.file, "the bundle")->required();
  }
  if (verb == "import") {
    app.add_flag(
        "--trust-host-code", command.trust_host_code,
        "import kernels for a CPU too: they are executed with your rights, so do this only "
        "if you trust who made the bundle");
  }
  if (verb == "why") app.add_option("KEY", command.key, "the start of a key")->required();
  if (verb == "clear") app.add_flag("-y,--yes", command.yes, "don't ask on a terminal");
  if (verb == "gc") {
    app.add_option("--max-bytes", command.max_bytes,
                   "the limit, such as 500M or 2G (default: FMS_CACHE_MAX_BYTES, or 2G)")
        ->type_name("SIZE");
  }
}

}  // namespace

void add_cache(CLI::App& program, int& exit_code) {
  CLI::App* app = program.add_subcommand("cache", "Look after the store of compiled kernels");
  app->footer("Example:\n  fms cache stats");
  app->require_subcommand(1);
  for (const CacheVerb& verb : kVerbs) {
    auto command = std::make_shared<CacheCommand>();
    CLI::App* one = app->add_subcommand(verb.name, verb.doc);
    one->footer(std::string("Example:\n  ") + verb.example);
    add_common_options(*one, command->common, Json::kYes);
    add_own_options(*one, verb.name, *command);
    one->callback([command, verb, &exit_code] {
      const Result<int> done = verb.run(*command);
      exit_code =
          done ? *done
               : report(command->common, std::string("can't do cache ") + verb.name, done.error());
    });
  }
}

}  // namespace fms::program
