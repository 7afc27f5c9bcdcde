#include "compiler/llvm/frontend.h"

#include <clang/AST/ASTConsumer.h>
#include <clang/AST/ASTContext.h>
#include <clang/AST/Attr.h>
#include <clang/AST/Decl.h>
#include <clang/Basic/DiagnosticIDs.h>
#include <clang/CodeGen/CodeGenAction.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/CompilerInvocation.h>
#include <clang/Frontend/MultiplexConsumer.h>
#include <fmt/format.h>
#include <llvm/Support/VirtualFileSystem.h>

#include <algorithm>

#include "compiler/compile_log.h"
#include "compiler/llvm/request_text.h"
#include "templates/embedded.h"

namespace fms {
std::span<const EmbeddedFile> cpu_prelude_files();  // made by tools/embed.cmake
}

namespace fms::cpu {
namespace {

constexpr std::string_view kFolder = "/fms/";  // of all files in memory; left out of what is shown
constexpr std::string_view kUnit = "fms.cu";

// Names in messages are those that #include uses.
std::string shown_name(llvm::StringRef file) {
  file.consume_front(llvm::StringRef(kFolder.data(), kFolder.size()));
  return file.str();
}

// Collects what clang says, in the form of NVRTC's log.
class Log final : public clang::DiagnosticConsumer {
 public:
  void HandleDiagnostic(clang::DiagnosticsEngine::Level level,
                        const clang::Diagnostic& info) override {
    DiagnosticConsumer::HandleDiagnostic(level, info);
    llvm::SmallString<256> text;
    info.FormatDiagnostic(text);
    std::string message = text.str().str();
    const bool is_error = level >= clang::DiagnosticsEngine::Error;
    // Constraints of PTX ("=f", "l", ...) mean other things, or nothing, on this processor.
    if (is_error && (message.ends_with("in asm") || message.find("asm ") == 0)) {
      message +=
          "; inline PTX can't run on a CPU target: give it a portable path under "
          "#ifdef FMS_TARGET_CPU";
    }
    Diagnostic diagnostic{.message = std::move(message)};
    if (info.getLocation().isValid() && info.hasSourceManager()) {
      const clang::PresumedLoc place = info.getSourceManager().getPresumedLoc(
          info.getSourceManager().getExpansionLoc(info.getLocation()));
      if (place.isValid()) {
        diagnostic.file = shown_name(place.getFilename());
        diagnostic.line = static_cast<int>(place.getLine());
        diagnostic.column = static_cast<int>(place.getColumn());
      }
    }
    if (is_error) {
      errors.push_back(diagnostic);
    }
    const std::string_view severity = is_error                                     ? "error"
                                      : level == clang::DiagnosticsEngine::Warning ? "warning"
                                                                                   : "note";
    if (diagnostic.file.empty()) {
      text_ += fmt::format("{}: {}\n", severity, diagnostic.message);
    } else {
      text_ += fmt::format("{}({}): {}: {}\n", diagnostic.file, diagnostic.line, severity,
                           diagnostic.message);
    }
  }

  const std::string& text() const { return text_; }
  std::vector<Diagnostic> errors;

 private:
  std::string text_;
};

// Reads from the kernel's declaration what the IR no longer says.
class KernelReader final : public clang::ASTConsumer {
 public:
  KernelReader(std::string entry, Translated& out) : entry_(std::move(entry)), out_(out) {}

  void HandleTranslationUnit(clang::ASTContext& context) override {
    const clang::IdentifierInfo& name = context.Idents.get(entry_);
    for (clang::NamedDecl* found : context.getTranslationUnitDecl()->lookup(&name)) {
      const auto* function = llvm::dyn_cast<clang::FunctionDecl>(found);
      if (function == nullptr) continue;
      if (const clang::FunctionDecl* definition = function->getDefinition()) function = definition;
      read_parameters(context, *function);
      // The bounds may stand on any of the declarations.
      for (const clang::FunctionDecl* each : function->redecls()) {
        if (const auto* bounds = each->getAttr<clang::CUDALaunchBoundsAttr>()) {
          clang::Expr::EvalResult value;
          if (bounds->getMaxThreads()->EvaluateAsInt(value, context)) {
            out_.max_threads = static_cast<int>(value.Val.getInt().getExtValue());
          }
        }
      }
      return;
    }
  }

 private:
  // As CUDA lays a parameter block out: each at the next multiple of its alignment.
  void read_parameters(clang::ASTContext& context, const clang::FunctionDecl& function) {
    std::uint64_t offset = 0;
    for (const clang::ParmVarDecl* parameter : function.parameters()) {
      const clang::QualType type = parameter->getType().getNonReferenceType();
      if (type->isDependentType() || type->isIncompleteType()) return;
      const auto size = static_cast<std::uint64_t>(context.getTypeSizeInChars(type).getQuantity());
      const auto align =
          static_cast<std::uint64_t>(context.getTypeAlignInChars(type).getQuantity());
      offset = (offset + align - 1) / align * align;
      out_.parameters.push_back(
          {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(size)});
      offset += size;
    }
  }

  std::string entry_;
  Translated& out_;
};

class Action final : public clang::EmitLLVMOnlyAction {
 public:
  Action(llvm::LLVMContext* context, std::string entry, Translated& out)
      : EmitLLVMOnlyAction(context), entry_(std::move(entry)), out_(out) {}

 protected:
  std::unique_ptr<clang::ASTConsumer> CreateASTConsumer(clang::CompilerInstance& compiler,
                                                        llvm::StringRef file) override {
    std::vector<std::unique_ptr<clang::ASTConsumer>> consumers;
    consumers.push_back(std::make_unique<KernelReader>(entry_, out_));
    consumers.push_back(EmitLLVMOnlyAction::CreateASTConsumer(compiler, file));
    return std::make_unique<clang::MultiplexConsumer>(std::move(consumers));
  }

 private:
  std::string entry_;
  Translated& out_;
};

// Runs the kernel for one thread, with its arguments taken from the parameter block: the compiler
// proper then knows nothing of how structs are passed.
std::string unit_text(const CompileRequest& request, const std::string& thread) {
  return fmt::format(
      "#pragma clang force_cuda_host_device begin\n"
      "#include \"{0}\"\n"
      "#pragma clang force_cuda_host_device end\n"
      "namespace fms_cpu {{\n"
      "template <auto kKernel> struct Thread;\n"
      "template <typename... Parameters, void (*kKernel)(Parameters...)>\n"
      "struct Thread<kKernel> {{\n"
      "  struct Offsets {{ unsigned long at[sizeof...(Parameters) + 1]; }};\n"
      "  static constexpr __device__ Offsets offsets() {{\n"
      "    constexpr unsigned long sizes[] = {{sizeof(Parameters)..., 0}};\n"
      "    constexpr unsigned long aligns[] = {{alignof(Parameters)..., 1}};\n"
      "    Offsets result{{}};\n"
      "    unsigned long next = 0;\n"
      "    for (unsigned i = 0; i < sizeof...(Parameters); ++i) {{\n"
      "      next = (next + aligns[i] - 1) / aligns[i] * aligns[i];\n"
      "      result.at[i] = next;\n"
      "      next += sizes[i];\n"
      "    }}\n"
      "    return result;\n"
      "  }}\n"
      "  template <unsigned long... kIndices> struct Indices {{}};\n"
      "  template <unsigned long... kIndices>\n"
      "  static __device__ void run(const char* arguments, Indices<kIndices...>) {{\n"
      "    constexpr Offsets at = offsets();\n"
      "    (void)at;\n"
      "    kKernel(*reinterpret_cast<const Parameters*>(arguments + at.at[kIndices])...);\n"
      "  }}\n"
      "  static __device__ void run(const char* arguments) {{\n"
      "    run(arguments, __make_integer_seq<Sequence, unsigned long, sizeof...(Parameters)>());\n"
      "  }}\n"
      "  template <typename, unsigned long... kIndices> using Sequence = Indices<kIndices...>;\n"
      "}};\n"
      "}}\n"
      "extern \"C\" __device__ void {1}(const char* arguments) {{\n"
      "  fms_cpu::Thread<&{2}>::run(arguments);\n"
      "}}\n",
      unit_name(request), thread, request.entry);
}

std::vector<std::string> arguments_of(const CompileRequest& request) {
  std::vector<std::string> arguments{
      "-triple", "x86_64-unknown-linux-gnu", "-aux-triple", "x86_64-unknown-linux-gnu",
      "-target-cpu", request.target.arch, "-x", "cuda", "-fcuda-is-device",
      // Shared, constant and device variables come in address spaces of their own.
      "-ffake-address-space-map", "-fdeclspec", "-std=c++20", "-O2", "-disable-llvm-passes",
      "-ffp-contract=on", "-fno-rtti", "-mrelocation-model", "pic", "-pic-level", "2",
      "-nostdsysteminc", "-nobuiltininc", "-I", std::string(kFolder), "-include",
      std::string(kFolder) + "fms/cpu/prelude.cuh", fmt::format("-fmacro-prefix-map={}=", kFolder),
      fmt::format("-fdebug-prefix-map={}=", kFolder), "-fdebug-compilation-dir=.",
      "-dwarf-version=4", "-debugger-tuning=gdb", "-main-file-name", std::string(kUnit),
      "-Wno-unused-value", "-Wno-pass-failed", "-ferror-limit", "20"};
  arguments.emplace_back(has_option(request, "-lineinfo") ? "-debug-info-kind=limited"
                                                          : "-debug-info-kind=line-tables-only");
  for (const std::string& option : request.options) {
    if (option == "-sanitize=undefined") {
      arguments.emplace_back(
          "-fsanitize=signed-integer-overflow,shift-base,shift-exponent,integer-divide-by-zero,"
          "float-cast-overflow,null,alignment,array-bounds,unreachable,bool,enum,return");
    }
  }
  arguments.push_back(std::string(kFolder) + std::string(kUnit));
  return arguments;
}

}  // namespace

std::vector<SourceFile> prelude_files() {
  std::vector<SourceFile> files;
  for (const EmbeddedFile& file : cpu_prelude_files()) {
    std::string name(file.name);
    name.erase(0, name.rfind('/') + 1);
    // These stand for the toolkit's own, and go by its names.
    if (name.starts_with("cuda_")) {
      name.replace(name.find(".cuh"), 4, ".h");
    } else {
      name.insert(0, "fms/cpu/");
    }
    files.push_back({.name = std::move(name), .text = std::string(file.text)});
  }
  std::ranges::sort(files, {}, &SourceFile::name);
  return files;
}

const void* clang_address() {
  return reinterpret_cast<const void*>(&clang::CompilerInvocation::GetResourcesPath);
}

Result<Translated> translate(const CompileRequest& request) {
  Translated out;
  out.thread = "fms_thread_" + request.entry;
  out.context = std::make_unique<llvm::LLVMContext>();

  auto files = llvm::makeIntrusiveRefCnt<llvm::vfs::InMemoryFileSystem>();
  const auto add = [&](std::string_view name, std::string_view text) {
    files->addFile(std::string(kFolder) + std::string(name), 0,
                   llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(text.data(), text.size())));
  };
  add(kUnit, unit_text(request, out.thread));
  add(unit_name(request), request.source);
  // The first of a name counts: a header of the user's hides one of ours.
  for (const SourceFile& header : request.headers) add(header.name, header.text);
  for (const SourceFile& header : prelude_files()) add(header.name, header.text);

  Log log;
  clang::CompilerInstance compiler;
  compiler.setVerboseOutputStream(std::make_unique<llvm::raw_null_ostream>());
  compiler.createDiagnostics(&log, /*ShouldOwnClient=*/false);
  const std::vector<std::string> arguments = arguments_of(request);
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  const bool understood = clang::CompilerInvocation::CreateFromArgs(
      compiler.getInvocation(), pointers, compiler.getDiagnostics());
  compiler.createFileManager(files);
  compiler.createSourceManager(compiler.getFileManager());
  Action action(out.context.get(), request.entry, out);
  const bool done = understood && compiler.ExecuteAction(action);
  out.log = log.text();
  if (!done || !log.errors.empty()) {
    std::vector<SourceFile> sources = request.headers;
    sources.push_back({.name = unit_name(request), .text = request.source});
    const std::string first =
        log.errors.empty() ? "clang gives no reason" : log.errors.front().to_string();
    return fail(ErrorCode::kCompileFailed,
                fmt::format("can't compile {} for {}: {}", request.entry,
                            request.target.to_string(), first),
                failure_detail(request, log.errors, out.log));
  }
  out.module = action.takeModule();
  return out;
}

}  // namespace fms::cpu
