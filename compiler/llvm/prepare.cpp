#include "compiler/llvm/prepare.h"

#include <fmt/format.h>
#include <llvm/ADT/SetVector.h>
#include <llvm/IR/ConstantRange.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/ReplaceConstant.h>
#include <llvm/Transforms/IPO/AlwaysInliner.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LoopUnrollPass.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/Scalarizer.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/ModuleUtils.h>

#include "compiler/llvm/intrinsics.h"
#include "compiler/llvm/pipeline.h"
#include "compiler/llvm/source_place.h"

namespace fms::cpu {
namespace {

using llvm::Function;
using llvm::GlobalVariable;

// Device and constant variables are ordinary ones of the image.
void use_one_address_space(llvm::Module& module) {
  if (GlobalVariable* used = module.getGlobalVariable("llvm.compiler.used")) {
    used->eraseFromParent();
  }
  std::vector<GlobalVariable*> variables;
  for (GlobalVariable& variable : module.globals()) {
    const unsigned space = variable.getAddressSpace();
    if (space == kDeviceSpace || space == kConstantSpace) variables.push_back(&variable);
  }
  for (GlobalVariable* variable : variables) {
    auto* plain = new GlobalVariable(
        module, variable->getValueType(), variable->isConstant(), variable->getLinkage(),
        variable->hasInitializer() ? variable->getInitializer() : nullptr, "", variable,
        variable->getThreadLocalMode(), 0);
    plain->copyAttributesFrom(variable);
    plain->setExternallyInitialized(false);
    plain->takeName(variable);
    for (llvm::User* user : llvm::make_early_inc_range(variable->users())) {
      auto* cast = llvm::dyn_cast<llvm::ConstantExpr>(user);
      if (cast != nullptr && cast->getOpcode() == llvm::Instruction::AddrSpaceCast) {
        cast->replaceAllUsesWith(plain);
        cast->destroyConstant();
      }
    }
    if (variable->use_empty()) variable->eraseFromParent();
  }
}

// What CUDA promises of places: signed arithmetic on them then needs no care for negative numbers.
void bound_places(llvm::Module& module) {
  for (Function& function : module) {
    const auto place = place_of(&function);
    if (!place || !function.getReturnType()->isIntegerTy(32)) continue;
    std::uint32_t low = 0;
    std::uint32_t high = 0;  // beyond the last
    switch (*place) {
      case Place::kThreadX:
      case Place::kThreadY:
      case Place::kThread:
        high = 1024;
        break;
      case Place::kThreadZ:
        high = 64;
        break;
      case Place::kBlockDimX:
      case Place::kBlockDimY:
        low = 1;
        high = 1025;
        break;
      case Place::kBlockDimZ:
        low = 1;
        high = 65;
        break;
      case Place::kBlockX:
        high = 0x7fff'ffff;
        break;
      case Place::kGridDimX:
        low = 1;
        high = 0x8000'0000;
        break;
      case Place::kBlockY:
      case Place::kBlockZ:
        high = 65535;
        break;
      case Place::kGridDimY:
      case Place::kGridDimZ:
        low = 1;
        high = 65536;
        break;
      default:
        continue;
    }
    function.addRetAttr(
        llvm::Attribute::get(module.getContext(), llvm::Attribute::Range,
                             llvm::ConstantRange(llvm::APInt(32, low), llvm::APInt(32, high))));
  }
}

// What the optimiser may believe of a shared variable: that somebody else knows it too.
void hide_shared_variables(llvm::Module& module) {
  for (GlobalVariable& variable : module.globals()) {
    if (variable.getAddressSpace() != kSharedSpace) continue;
    variable.setInitializer(nullptr);
    variable.setComdat(nullptr);
    variable.setLinkage(llvm::GlobalValue::ExternalLinkage);
    variable.setExternallyInitialized(false);
  }
}

bool uses_shared(const Function& function) {
  for (const llvm::Instruction& instruction : llvm::instructions(function)) {
    for (const llvm::Use& operand : instruction.operands()) {
      const auto* variable = llvm::dyn_cast<GlobalVariable>(operand->stripPointerCasts());
      if (variable != nullptr && variable->getAddressSpace() == kSharedSpace) return true;
      const auto* constant = llvm::dyn_cast<llvm::ConstantExpr>(operand);
      if (constant == nullptr) continue;
      const auto* base = llvm::dyn_cast<GlobalVariable>(constant->stripInBoundsOffsets());
      if (base != nullptr && base->getAddressSpace() == kSharedSpace) return true;
    }
  }
  return false;
}

bool calls_of_thread(const Function& function) {
  for (const llvm::Instruction& instruction : llvm::instructions(function)) {
    if (place_of(&instruction) || suspension_of(instruction)) return true;
  }
  return false;
}

// The functions that only mean something inside a thread: what waits, asks for a place, or names
// shared memory, and what calls such.
llvm::SetVector<Function*> find_thread_functions(llvm::Module& module) {
  llvm::SetVector<Function*> found;
  for (Function& function : module) {
    if (!function.isDeclaration() && (calls_of_thread(function) || uses_shared(function))) {
      found.insert(&function);
    }
  }
  for (unsigned i = 0; i < found.size(); ++i) {
    for (llvm::User* user : found[i]->users()) {
      if (auto* instruction = llvm::dyn_cast<llvm::Instruction>(user)) {
        found.insert(instruction->getFunction());
      }
    }
  }
  return found;
}

std::string place_text(const llvm::DebugLoc& location, const Function& function) {
  const SourcePlace place = place_in_source(location);
  if (place.file.empty()) return fmt::format("in {}", function.getName().str());
  return fmt::format("{}({})", place.file, place.line);
}

std::string shortened(std::string text) {
  constexpr std::size_t kLongest = 60;
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

Result<void> refuse_assembly(const llvm::Module& module) {
  for (const Function& function : module) {
    for (const llvm::Instruction& instruction : llvm::instructions(function)) {
      const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
      if (call == nullptr || !call->isInlineAsm()) continue;
      const auto* text = llvm::cast<llvm::InlineAsm>(call->getCalledOperand());
      if (text->getAsmString().empty()) continue;  // a barrier for the compiler
      return fail(ErrorCode::kCompileFailed,
                  fmt::format("{}: inline PTX can't run on a CPU target: \"{}\"; give it a "
                              "portable path under #ifdef FMS_TARGET_CPU",
                              place_text(call->getDebugLoc(), function),
                              shortened(std::string(text->getAsmString()))));
    }
  }
  return {};
}

Result<void> check_only_thread(llvm::Module& module, const Function& root) {
  for (Function* function : find_thread_functions(module)) {
    if (function == &root) continue;
    llvm::DebugLoc place;
    for (const llvm::Instruction& instruction : llvm::instructions(*function)) {
      if (place_of(&instruction) || suspension_of(instruction)) {
        place = instruction.getDebugLoc();
        break;
      }
    }
    return fail(ErrorCode::kCompileFailed,
                fmt::format("{}: {} is recursive or called through a pointer, and uses built-in "
                            "variables, shared memory or barriers: on a CPU target such a function "
                            "must be one that can be inlined; pass what it needs as arguments",
                            place_text(place, *function), function->getName().str()));
  }
  return {};
}

// Turns shared variables into offsets. Dynamic ones, which have no size, all start behind the
// static ones.
std::uint32_t place_shared_variables(llvm::Module& module, Function& root) {
  std::vector<GlobalVariable*> fixed, dynamic;
  for (GlobalVariable& variable : module.globals()) {
    if (variable.getAddressSpace() != kSharedSpace || variable.use_empty()) continue;
    const auto* array = llvm::dyn_cast<llvm::ArrayType>(variable.getValueType());
    (array != nullptr && array->getNumElements() == 0 ? dynamic : fixed).push_back(&variable);
  }
  const llvm::DataLayout& layout = module.getDataLayout();
  llvm::DenseMap<GlobalVariable*, std::uint64_t> offsets;
  std::uint64_t end = 0;
  for (GlobalVariable* variable : fixed) {
    end = llvm::alignTo(end, variable->getAlign().valueOrOne());
    offsets[variable] = end;
    end += layout.getTypeAllocSize(variable->getValueType());
  }
  std::uint64_t dynamic_align = 1;
  for (const GlobalVariable* variable : dynamic) {
    dynamic_align =
        std::max<std::uint64_t>({dynamic_align, 16, variable->getAlign().valueOrOne().value()});
  }
  end = llvm::alignTo(end, dynamic_align);
  for (GlobalVariable* variable : dynamic) offsets[variable] = end;
  if (offsets.empty()) return 0;

  std::vector<llvm::Constant*> constants;
  for (const auto& [variable, offset] : offsets) constants.push_back(variable);
  llvm::convertUsersOfConstantsToInstructions(constants);
  llvm::FunctionCallee shared =
      module.getOrInsertFunction(kSharedBase, llvm::PointerType::get(module.getContext(), 0));
  llvm::cast<Function>(shared.getCallee())->setDoesNotAccessMemory();
  llvm::cast<Function>(shared.getCallee())->setDoesNotThrow();
  llvm::cast<Function>(shared.getCallee())->setWillReturn();
  llvm::IRBuilder<> builder(&root.getEntryBlock(), root.getEntryBlock().getFirstInsertionPt());
  llvm::Value* base = builder.CreateCall(shared);
  for (const auto& [variable, offset] : offsets) {
    llvm::Value* address = builder.CreateInBoundsPtrAdd(base, builder.getInt64(offset));
    for (llvm::User* user : llvm::make_early_inc_range(variable->users())) {
      auto* cast = llvm::dyn_cast<llvm::AddrSpaceCastInst>(user);
      if (cast == nullptr) continue;
      cast->replaceAllUsesWith(address);
      cast->eraseFromParent();
    }
    if (variable->use_empty()) variable->eraseFromParent();
  }
  return static_cast<std::uint32_t>(end);
}

// Copies of a few words, as of a struct, become loads and stores.
void expand_copies(llvm::Module& module) {
  constexpr std::uint64_t kLongest = 128;
  std::vector<llvm::MemTransferInst*> copies;
  for (Function& function : module) {
    for (llvm::Instruction& instruction : llvm::instructions(function)) {
      auto* copy = llvm::dyn_cast<llvm::MemTransferInst>(&instruction);
      if (copy == nullptr || copy->isVolatile()) continue;
      const auto* length = llvm::dyn_cast<llvm::ConstantInt>(copy->getLength());
      if (length != nullptr && length->getZExtValue() <= kLongest) copies.push_back(copy);
    }
  }
  for (llvm::MemTransferInst* copy : copies) {
    const std::uint64_t length = llvm::cast<llvm::ConstantInt>(copy->getLength())->getZExtValue();
    const llvm::Align align =
        std::min(copy->getSourceAlign().valueOrOne(), copy->getDestAlign().valueOrOne());
    const std::uint64_t piece = std::min<std::uint64_t>(align.value(), 4);
    llvm::IRBuilder<> builder(copy);
    std::vector<llvm::Value*> values;
    // All is read before anything is written: the two may be the same.
    for (std::uint64_t at = 0; at < length;) {
      const std::uint64_t size = at + piece <= length ? piece : 1;
      llvm::Value* from = builder.CreateInBoundsPtrAdd(copy->getSource(), builder.getInt64(at));
      values.push_back(builder.CreateAlignedLoad(builder.getIntNTy(8 * unsigned(size)), from,
                                                 llvm::commonAlignment(align, at)));
      at += size;
    }
    std::uint64_t at = 0;
    for (llvm::Value* value : values) {
      llvm::Value* to = builder.CreateInBoundsPtrAdd(copy->getDest(), builder.getInt64(at));
      builder.CreateAlignedStore(value, to, llvm::commonAlignment(align, at));
      at += value->getType()->getIntegerBitWidth() / 8;
    }
    copy->eraseFromParent();
  }
}

// A thread's own vectors (float4, as the calling convention passes it, is two of them) stand in the
// way of vectors over threads.
void take_vectors_apart(llvm::Module& module, Passes& passes) {
  expand_copies(module);
  llvm::ScalarizerPassOptions options;
  options.ScalarizeVariableInsertExtract = true;
  options.ScalarizeLoadStore = true;
  llvm::FunctionPassManager scalars;
  scalars.addPass(llvm::ScalarizerPass(options));
  scalars.addPass(llvm::SROAPass(llvm::SROAOptions::PreserveCFG));
  scalars.addPass(llvm::InstCombinePass());
  scalars.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  scalars.addPass(llvm::LoopSimplifyPass());
  llvm::ModulePassManager pipeline;
  pipeline.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(scalars)));
  passes.run(pipeline, module);
}

}  // namespace

Result<std::uint32_t> prepare(llvm::Module& module, const std::string& thread,
                              llvm::TargetMachine& machine, const Checks& checks) {
  Function* root = module.getFunction(thread);
  if (root == nullptr) {
    return fail(ErrorCode::kInternal, fmt::format("clang made no function {}", thread));
  }
  use_one_address_space(module);
  hide_shared_variables(module);
  bound_places(module);
  for (Function& function : module) {
    if (function.isDeclaration()) continue;
    function.removeFnAttr("stack-protector-buffer-size");
    if (&function != root) {
      function.setComdat(nullptr);
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    }
  }
  for (Function* function : find_thread_functions(module)) {
    if (function == root) continue;
    function->removeFnAttr(llvm::Attribute::NoInline);
    function->addFnAttr(llvm::Attribute::AlwaysInline);
  }
  Passes passes(machine, /*vectorize=*/false);
  if (checks.any()) {
    llvm::ModulePassManager early;
    early.addPass(llvm::AlwaysInlinerPass());
    early.addPass(
        llvm::createModuleToFunctionPassAdaptor(llvm::SROAPass(llvm::SROAOptions::PreserveCFG)));
    passes.run(early, module);
    instrument(module, checks);
  }
  llvm::ModulePassManager pipeline;
  pipeline.addPass(llvm::AlwaysInlinerPass());
  pipeline.addPass(passes.builder().buildModuleSimplificationPipeline(
      llvm::OptimizationLevel::O2, llvm::ThinOrFullLTOPhase::None));
  // As the source asks, but for loops of unknown length: what is left over would be a loop too.
  llvm::LoopUnrollOptions unrolling(2, /*OnlyWhenForced=*/true);
  unrolling.setRuntime(false);
  llvm::FunctionPassManager loops;
  loops.addPass(llvm::LoopUnrollPass(unrolling));
  loops.addPass(llvm::LoopSimplifyPass());
  pipeline.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(loops)));
  passes.run(pipeline, module);
  take_vectors_apart(module, passes);

  FMS_TRY_VOID(refuse_assembly(module));
  FMS_TRY_VOID(check_only_thread(module, *root));
  return place_shared_variables(module, *root);
}

}  // namespace fms::cpu
