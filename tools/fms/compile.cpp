#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "compiler/compile_request.h"
#include "compiler/llvm_library.h"
#include "tools/fms/command.h"
#include "tools/fms/disassembler.h"
#include "tools/fms/file.h"
#include "tools/fms/template_options.h"

namespace fms::program {
namespace {

using nlohmann::json;

struct CompileCommand {
  CommonOptions common;
  TemplateOptions kernel;
  std::string target;
  std::string emit;  // empty: the object code
  std::string output;
};

// What --emit gives: bytes for a file, or text for a person.
struct Emitted {
  std::string text;
  bool binary = false;
};

// What else than "source", "key" and "resources" each kind of target has.
constexpr std::array<std::string_view, 3> kCudaKinds = {"cubin", "ptx", "sass"};
constexpr std::array<std::string_view, 4> kCpuKinds = {"elf", "llvm-ir", "regions", "asm"};

Result<void> check_kind(const std::string& kind, const Target& target) {
  const bool cpu = target.kind == Target::Kind::kCpu;
  const std::span<const std::string_view> own =
      cpu ? std::span<const std::string_view>(kCpuKinds) : kCudaKinds;
  const std::span<const std::string_view> others =
      cpu ? std::span<const std::string_view>(kCudaKinds) : kCpuKinds;
  if (std::ranges::find(others, kind) == others.end()) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("can't emit {} for {}: only code for a {} has that; there are {}", kind,
                          target.to_string(), cpu ? "GPU" : "CPU", fmt::join(own, ", ")));
}

std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Emitted> emit_ptx(Jit& jit, const Specialization& specialization, const Target& target) {
  FMS_TRY(const auto compiler, jit.compiler(Target::Kind::kCuda));
  const CompileRequest request =
      make_request(specialization, target, compiler->fingerprint(),
                   {.format = ObjectFormat::kPtx, .lineinfo = jit.options().lineinfo});
  FMS_TRY(const ObjectCode object, compiler->compile(request));
  std::string text = as_text(object.bytes);
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return Emitted{.text = std::move(text)};
}

// The stages of LLVM that the object code comes from.
Result<Emitted> emit_stage(const CompileCommand& command, const JitOptions& options,
                           const Specialization& specialization, const Target& target) {
  FMS_TRY(const auto library, open_llvm(options.llvm));
  const CompileRequest request =
      make_request(specialization, target, library->compiler()->fingerprint(),
                   {.lineinfo = options.lineinfo, .sanitize = options.sanitize});
  FMS_TRY(std::string text, library->emit(request, command.emit));
  return Emitted{.text = std::move(text)};
}

// What a thread takes of a GPU; a CPU has nothing of the kind.
std::string thread_resources(const Resources& used) {
  return fmt::format(
      "registers a thread    {}\n"
      "spill stores, loads   {}, {} bytes a thread\n"
      "stack                 {} bytes a thread\n",
      used.registers, used.spill_stores, used.spill_loads, used.stack_bytes);
}

Emitted emit_resources(const CompileCommand& command, const Specialization& specialization,
                       const Built& built) {
  const Resources& used = built.object.resources;
  json parameters = json::array();
  std::string list;
  for (const ParameterLayout& parameter : used.parameters) {
    parameters.push_back({{"offset", parameter.offset}, {"size", parameter.size}});
    list += fmt::format("{}{}", list.empty() ? "" : ", ", parameter.size);
  }
  if (command.common.json) {
    const json object{{"specialization", specialization.to_string()},
                      {"target", built.object.target.to_string()},
                      {"key", built.key.hex()},
                      {"origin", to_string(built.origin)},
                      {"entry", built.object.entry},
                      {"format", to_string(built.object.format)},
                      {"bytes", built.object.bytes.size()},
                      {"compile_ms", built.object.compile_ms},
                      {"registers", used.registers},
                      {"spill_stores", used.spill_stores},
                      {"spill_loads", used.spill_loads},
                      {"stack_bytes", used.stack_bytes},
                      {"static_smem_bytes", used.static_smem_bytes},
                      {"max_threads", used.max_threads},
                      {"serialized_wgmma", used.serialized_wgmma},
                      {"parameters", std::move(parameters)}};
    return {.text = object.dump(2) + "\n"};
  }
  return {.text = fmt::format(
              "{} for {}\n"
              "{}"
              "static shared memory  {} bytes a block\n"
              "threads of a block    {}\n"
              "parameters            {} ({} bytes)\n"
              "{:<21} {} bytes\n"
              "compile time          {:.1f} ms ({})\n",
              specialization.to_string(), built.object.target.to_string(),
              built.object.target.kind == Target::Kind::kCuda ? thread_resources(used) : "",
              used.static_smem_bytes,
              used.max_threads == 0 ? "not bounded" : fmt::format("at most {}", used.max_threads),
              used.parameters.size(), list, to_string(built.object.format),
              built.object.bytes.size(), built.object.compile_ms, to_string(built.origin))};
}

Result<Emitted> emit_key(const CompileCommand& command, Jit& jit,
                         const Specialization& specialization, const Target& target) {
  FMS_TRY(const CompileRequest request, jit.request(specialization, target));
  const std::string key = cache_key(request).hex();
  const std::vector<KeyField> fields = explain_key(request);
  if (command.common.json) {
    json list = json::array();
    for (const KeyField& field : fields) {
      list.push_back({{"label", field.label}, {"summary", field.summary}});
    }
    const json object{{"key", key},
                      {"specialization", specialization.to_string()},
                      {"target", target.to_string()},
                      {"fields", std::move(list)}};
    return Emitted{.text = object.dump(2, ' ', false, json::error_handler_t::replace) + "\n"};
  }
  std::string text = key + "\n";
  if (command.common.verbose) {
    for (const KeyField& field : fields) {
      text += fmt::format("  {:<32} {}\n", field.label, field.summary);
    }
  }
  return Emitted{.text = std::move(text)};
}

Result<Emitted> emit(const CompileCommand& command) {
  FMS_TRY(const Specialization specialization, load_specialization(command.kernel));
  if (command.emit == "source") return Emitted{.text = render(specialization)};
  FMS_TRY(Jit jit, create_jit(command.common));
  FMS_TRY(const Target target, choose_target(command.target, jit.options()));
  FMS_TRY_VOID(check_kind(command.emit, target));
  if (command.emit == "key") return emit_key(command, jit, specialization, target);
  if (command.emit == "ptx") return emit_ptx(jit, specialization, target);
  if (command.emit == "llvm-ir" || command.emit == "regions" || command.emit == "asm") {
    return emit_stage(command, jit.options(), specialization, target);
  }
  jit.record(to_manifest_entry(command.kernel, specialization));
  FMS_TRY(const Built built, jit.build(specialization, target));
  if (command.emit == "resources") return emit_resources(command, specialization, built);
  if (command.emit == "sass") {
    FMS_TRY(std::string sass, disassemble(built.object.bytes, jit.options().toolkit));
    return Emitted{.text = std::move(sass)};
  }
  return Emitted{.text = as_text(built.object.bytes), .binary = true};
}

Result<void> deliver(const CompileCommand& command) {
  FMS_TRY(const Emitted emitted, emit(command));
  if (!command.output.empty()) return write_file(command.output, emitted.text);
  if (emitted.binary && ::isatty(STDOUT_FILENO) == 1) {
    return fail(ErrorCode::kInvalidArgument, "object code isn't for a terminal; add -o FILE");
  }
  if (std::fwrite(emitted.text.data(), 1, emitted.text.size(), stdout) != emitted.text.size()) {
    return fail(ErrorCode::kIo, "can't write to standard output");
  }
  return {};
}

}  // namespace

void add_compile(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<CompileCommand>();
  CLI::App* app = program.add_subcommand(
      "compile", "Compile one specialization of a template, for any GPU or CPU; needs no GPU");
  app->footer(
      "Object code comes from the store if it is there, and is kept in it if not; nothing else "
      "is.\n"
      "--emit: source     the translation unit\n"
      "        cubin, elf the object code, for a GPU and for a CPU\n"
      "        ptx, sass  of a GPU; sass takes nvdisasm or cuobjdump\n"
      "        llvm-ir, regions, asm\n"
      "                   of a CPU: optimised, cut where threads wait, and as it is executed\n"
      "        resources  registers, spills, shared memory, parameters\n"
      "        key        the cache key; with -v or --json, all that enters it\n\n"
      "Example:\n  fms compile saxpy -p T=float64 -p kN=4096 --target sm_90a --emit ptx");
  add_common_options(*app, command->common, Json::kYes);
  add_template_options(*app, command->kernel);
  app->add_option("--target", command->target,
                  "such as sm_90a, cpu or cpu:x86-64-v3 (default: FMS_TARGET, or the device here)")
      ->type_name("T");
  app->add_option("--emit", command->emit, "what is wanted (default: the object code)")
      ->type_name("KIND")
      ->check(CLI::IsMember({"source", "cubin", "ptx", "sass", "elf", "llvm-ir", "regions", "asm",
                             "resources", "key"}));
  app->add_option("-o,--output", command->output, "write to this file")->type_name("FILE");
  app->callback([command, &exit_code] {
    const auto delivered = deliver(*command);
    exit_code = delivered ? kOk
                          : report(command->common, "can't compile " + command->kernel.name,
                                   delivered.error());
  });
}

}  // namespace fms::program
