#include "compiler/llvm/llvm_compiler.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/IR/DebugInfo.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/TargetSelect.h>

#include <chrono>
#include <cstring>

#include "compiler/digest.h"
#include "compiler/llvm/cut.h"
#include "compiler/llvm/frontend.h"
#include "compiler/llvm/pipeline.h"
#include "compiler/llvm/prepare.h"
#include "compiler/llvm/profile.h"
#include "compiler/llvm/regions.h"
#include "compiler/llvm/request_text.h"

namespace fms::cpu {
namespace {

constexpr std::size_t kShownDigits = 16;

// The build id that the linker gave to the loaded file which holds `address`; empty: it has none.
std::string build_id(const void* address) {
  struct Search {
    const void* address;
    std::string id;
  } search{address, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) -> int {
        auto& wanted = *static_cast<Search*>(data);
        const auto base = info->dlpi_addr;
        const auto at = reinterpret_cast<ElfW(Addr)>(wanted.address);
        bool inside = false;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = info->dlpi_phdr[i];
          inside = inside || (segment.p_type == PT_LOAD && at >= base + segment.p_vaddr &&
                              at < base + segment.p_vaddr + segment.p_memsz);
        }
        if (!inside) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_NOTE) continue;
          const auto* note = reinterpret_cast<const unsigned char*>(base + segment.p_vaddr);
          const unsigned char* end = note + segment.p_memsz;
          while (note + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) head;
            std::memcpy(&head, note, sizeof head);
            const unsigned char* name = note + sizeof head;
            const unsigned char* value = name + (head.n_namesz + 3) / 4 * 4;
            if (head.n_type == 3 && head.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
              for (unsigned b = 0; b < head.n_descsz; ++b) {
                wanted.id += fmt::format("{:02x}", value[b]);
              }
              return 1;
            }
            note = value + (head.n_descsz + 3) / 4 * 4;
          }
        }
        return 1;
      },
      &search);
  return search.id;
}

// One compile, as far as it was asked to go.
struct Compiled {
  Translated translated;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::uint32_t static_smem_bytes = 0;
  std::uint64_t frame_bytes = 0;  // of a warp
};

std::unexpected<Error> cancelled(const CompileRequest& request) {
  return fail(ErrorCode::kCancelled, fmt::format("the compile of {} for {} was cancelled",
                                                 request.entry, request.target.to_string()));
}

std::unexpected<Error> in_request(const CompileRequest& request, Error error,
                                  const std::string& log) {
  if (error.code != ErrorCode::kCompileFailed) return std::unexpected(std::move(error));
  return fail(ErrorCode::kCompileFailed,
              fmt::format("can't compile {} for {}: {}", request.entry, request.target.to_string(),
                          error.message),
              failure_detail(request, {}, log + error.message + "\n"));
}

Checks checks_of(const CompileRequest& request) {
  return {.address = has_option(request, "-sanitize=address"),
          .race = has_option(request, "-sanitize=thread")};
}

bool is_checked(const CompileRequest& request) {
  return checks_of(request).any() || has_option(request, "-sanitize=undefined");
}

// Up to the IR of one thread. `change` is given the module as clang has made it.
Result<Compiled> compile_thread(const CompileRequest& request,
                                void (*change)(llvm::Module&) = nullptr) {
  Compiled out;
  if (request.target.kind != Target::Kind::kCpu) {
    return fail(ErrorCode::kUnsupported, fmt::format("LLVM compiles here for CPU targets only, not "
                                                     "for {}",
                                                     request.target.to_string()));
  }
  FMS_TRY(out.machine, make_machine(request.target.arch));
  FMS_TRY(out.translated, translate(request));
  llvm::Module& module = *out.translated.module;
  // What LLVM would print: loops that stay as they are, for instance.
  module.getContext().setDiagnosticHandlerCallBack([](const llvm::DiagnosticInfo*, void*) {},
                                                   nullptr);
  module.setDataLayout(out.machine->createDataLayout());
  module.setTargetTriple(out.machine->getTargetTriple().str());
  if (change != nullptr) change(module);
  const Result<std::uint32_t> smem =
      prepare(module, out.translated.thread, *out.machine, checks_of(request));
  if (!smem) return in_request(request, smem.error(), out.translated.log);
  out.static_smem_bytes = *smem;
  return out;
}

Result<void> compile_regions(const CompileRequest& request, Compiled& compiled) {
  llvm::Module& module = *compiled.translated.module;
  llvm::Function* thread = module.getFunction(compiled.translated.thread);
  const CutFunction parts = cut(*thread);
  // Its use was to say where the cut points are.
  if (!has_option(request, "-lineinfo")) llvm::StripDebugInfo(module);
  std::uint32_t parameter_bytes = 0;
  if (!compiled.translated.parameters.empty()) {
    const ParameterLayout& last = compiled.translated.parameters.back();
    parameter_bytes = last.offset + last.size;
  }
  compiled.frame_bytes = build_regions(parts, {.entry = request.entry,
                                               .static_smem_bytes = compiled.static_smem_bytes,
                                               .parameter_bytes = parameter_bytes,
                                               .checked = is_checked(request),
                                               .stepwise = has_option(request, "-lineinfo")});
  std::string broken;
  llvm::raw_string_ostream out(broken);
  if (llvm::verifyModule(module, &out)) {
    return fail(ErrorCode::kInternal,
                fmt::format("can't compile {} for {}: its regions are malformed: {}", request.entry,
                            request.target.to_string(), broken));
  }
  return {};
}

std::string print(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  module.print(out, nullptr);
  return text;
}

}  // namespace

LlvmCompiler::LlvmCompiler() {
  FieldHasher prelude;
  for (const SourceFile& file : prelude_files()) prelude.add(file.name, file.text);
  fingerprint_ = fmt::format(
      "llvm {} build {} clang {} regions {} abi {} prelude {}", LLVM_VERSION_STRING,
      build_id(reinterpret_cast<const void*>(&LLVMInitializeX86Target)).substr(0, kShownDigits),
      build_id(clang_address()).substr(0, kShownDigits),
      build_id(reinterpret_cast<const void*>(&build_id)).substr(0, kShownDigits), kAbiVersion,
      prelude.finish().hex().substr(0, kShownDigits));
}

Result<ObjectCode> LlvmCompiler::compile(const CompileRequest& request,
                                         const CancelToken& cancel) const {
  if (request.compiler != fingerprint()) {
    return fail(ErrorCode::kInternal, fmt::format("the request to compile {} is for {}, not for {}",
                                                  request.entry, request.compiler, fingerprint()));
  }
  if (cancel.cancelled()) return cancelled(request);
  const auto start = std::chrono::steady_clock::now();
  FMS_TRY(Compiled compiled, compile_thread(request));
  if (cancel.cancelled()) return cancelled(request);
  FMS_TRY_VOID(compile_regions(request, compiled));
  optimize(*compiled.translated.module, *compiled.machine);
  if (cancel.cancelled()) return cancelled(request);
  ObjectCode object{.format = ObjectFormat::kElf,
                    .target = request.target,
                    .entry = request.entry,
                    .log = compiled.translated.log,
                    .compiler = fingerprint()};
  FMS_TRY(object.bytes,
          generate(*compiled.translated.module, *compiled.machine, FileKind::kObject));
  object.resources.static_smem_bytes = static_cast<int>(compiled.static_smem_bytes);
  object.resources.max_threads = compiled.translated.max_threads;
  object.resources.stack_bytes = static_cast<int>(compiled.frame_bytes / kWarpSize);
  object.resources.parameters = compiled.translated.parameters;
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  object.compile_ms = taken.count();
  return object;
}

Result<KernelProfile> LlvmCompiler::profile(const CompileRequest& request,
                                            const ProfileOptions& options) const {
  FMS_TRY(Compiled compiled, compile_thread(request, keep_functions));
  KernelProfile result;
  result.static_smem_bytes = compiled.static_smem_bytes;
  result.max_threads = compiled.translated.max_threads;
  llvm::Function* thread = compiled.translated.module->getFunction(compiled.translated.thread);
  cpu::profile(*thread, *compiled.machine, options, result);
  return result;
}

Result<std::string> LlvmCompiler::emit(const CompileRequest& request, std::string_view what) const {
  FMS_TRY(Compiled compiled, compile_thread(request));
  llvm::Module& module = *compiled.translated.module;
  if (what == "llvm-ir") return print(module);
  FMS_TRY_VOID(compile_regions(request, compiled));
  if (what == "regions") return print(module);
  optimize(module, *compiled.machine);
  if (what == "optimized") return print(module);
  if (what != "asm") {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("can't emit {}: a CPU target has llvm-ir, regions, optimized and asm", what));
  }
  FMS_TRY(const std::vector<std::byte> text,
          generate(module, *compiled.machine, FileKind::kAssembly));
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

}  // namespace fms::cpu
