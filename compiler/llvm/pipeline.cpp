#include "compiler/llvm/pipeline.h"

#include <fmt/format.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Triple.h>

#include <mutex>

namespace fms::cpu {
namespace {

constexpr const char* kTriple = "x86_64-unknown-linux-gnu";

llvm::PipelineTuningOptions tuning(bool vectorize) {
  llvm::PipelineTuningOptions options;
  options.LoopVectorization = vectorize;
  options.SLPVectorization = false;  // threads are what is vectorised
  options.LoopInterleaving = vectorize;
  options.MergeFunctions = false;
  return options;
}

// What addPassesToEmitFile() adds, but for the scheduler, which takes a fifth of the time to order
// instructions that the processor orders again: kernels ran no faster with it.
bool add_passes(llvm::legacy::PassManager& passes, llvm::LLVMTargetMachine& machine,
                llvm::raw_pwrite_stream& out, llvm::CodeGenFileType type) {
  llvm::TargetPassConfig* config = machine.createPassConfig(passes);
  config->setDisableVerify(true);
  config->disablePass(&llvm::MachineSchedulerID);
  passes.add(config);
  auto* functions = new llvm::MachineModuleInfoWrapperPass(&machine);
  passes.add(functions);
  if (config->addISelPasses()) return false;
  config->addMachinePasses();
  config->setInitialized();
  if (machine.addAsmPrinter(passes, out, nullptr, type, functions->getMMI().getContext())) {
    return false;
  }
  passes.add(llvm::createFreeMachineFunctionPass());
  return true;
}

}  // namespace

Result<std::unique_ptr<llvm::TargetMachine>> make_machine(const std::string& cpu) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
  });
  std::string why;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(kTriple, why);
  if (target == nullptr) {
    return fail(ErrorCode::kUnavailable, "this LLVM has no x86-64 back end: " + why);
  }
  const std::unique_ptr<llvm::MCSubtargetInfo> facts(
      target->createMCSubtargetInfo(kTriple, "", ""));
  if (!facts || !facts->isCPUStringValid(cpu)) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("can't compile for cpu:{}: LLVM knows no such processor; x86-64-v2, "
                            "x86-64-v3 and x86-64-v4 are common ones, `cpu` is this machine's",
                            cpu));
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(kTriple, cpu, "", options, llvm::Reloc::PIC_,
                                  llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
  if (!machine) return fail(ErrorCode::kInternal, "LLVM makes no target machine for " + cpu);
  return machine;
}

Passes::Passes(llvm::TargetMachine& machine, bool vectorize)
    : builder_(&machine, tuning(vectorize)) {
  builder_.registerModuleAnalyses(modules_);
  builder_.registerCGSCCAnalyses(graphs_);
  builder_.registerFunctionAnalyses(functions_);
  builder_.registerLoopAnalyses(loops_);
  builder_.crossRegisterProxies(loops_, functions_, graphs_, modules_);
}

void optimize(llvm::Module& module, llvm::TargetMachine& machine) {
  Passes passes(machine, /*vectorize=*/true);
  llvm::ModulePassManager pipeline =
      passes.builder().buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2);
  passes.run(pipeline, module);
}

Result<std::vector<std::byte>> generate(llvm::Module& module, llvm::TargetMachine& machine,
                                        FileKind kind) {
  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream out(text);
  llvm::legacy::PassManager passes;
  const auto type = kind == FileKind::kObject ? llvm::CodeGenFileType::ObjectFile
                                              : llvm::CodeGenFileType::AssemblyFile;
  if (!add_passes(passes, static_cast<llvm::LLVMTargetMachine&>(machine), out, type)) {
    return fail(ErrorCode::kInternal, "LLVM can't write object files for this processor");
  }
  passes.run(module);
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return std::vector<std::byte>(bytes, bytes + text.size());
}

}  // namespace fms::cpu
