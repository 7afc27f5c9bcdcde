#pragma once

#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/IR/PassManager.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string>
#include <vector>

#include "compiler/result.h"

namespace fms::cpu {

// LLVM's description of a processor by name. kUnsupported if LLVM knows no such one.
Result<std::unique_ptr<llvm::TargetMachine>> make_machine(const std::string& cpu);

// A pass builder with the analyses that its passes ask for.
class Passes {
 public:
  Passes(llvm::TargetMachine& machine, bool vectorize);

  llvm::PassBuilder& builder() { return builder_; }
  void run(llvm::ModulePassManager& passes, llvm::Module& module) { passes.run(module, modules_); }

 private:
  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager graphs_;
  llvm::ModuleAnalysisManager modules_;
  llvm::PassBuilder builder_;
};

// Optimises the regions: several threads at a time become vector instructions here.
void optimize(llvm::Module& module, llvm::TargetMachine& machine);

enum class FileKind { kObject, kAssembly };
Result<std::vector<std::byte>> generate(llvm::Module& module, llvm::TargetMachine& machine,
                                        FileKind kind);

}  // namespace fms::cpu
