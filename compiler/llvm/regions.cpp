#include "compiler/llvm/regions.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>

#include "compiler/llvm/instrument.h"
#include "compiler/llvm/row_function.h"

namespace fms::cpu {
namespace {

// Writes cpu::State, cpu::Slot and cpu::Kernel as constants.
class TableWriter {
 public:
  explicit TableWriter(const RegionSource& source) : source_(source), types_(source.types) {}

  void add(const ThreadFunction& thread, llvm::Function* row) {
    const CutPoint& point = source_.cut.points[states_.size()];
    states_.push_back(llvm::ConstantStruct::getAnon(
        {row, word(static_cast<std::uint32_t>(point.suspension.wait)),
         word(static_cast<std::uint32_t>(point.suspension.operation)),
         word(thread.successors.size() == 1 ? thread.successors.front() : kManySuccessors),
         word(thread.agreed.size()), slots(thread),
         point.file.empty() ? null() : types_.constant_text(source_.module, point.file),
         word(point.line), word(0)}));
  }

  void write() {
    std::uint64_t variable_count = 0;
    llvm::Constant* variables = null();
    if (source_.facts.checked) variables = list_variables(source_.module, variable_count);
    const std::string& entry = source_.facts.entry;
    llvm::Constant* kernel = llvm::ConstantStruct::getAnon(
        {word(kAbiVersion), word(states_.size()),
         types_.constant_array(source_.module, states_, fmt::format("{}.states", entry)),
         size(source_.frame.bytes()), word(source_.facts.static_smem_bytes),
         word(source_.facts.checked ? 1 : 0), variables, size(variable_count)});
    auto* symbol =
        new llvm::GlobalVariable(source_.module, kernel->getType(), /*isConstant=*/true,
                                 llvm::GlobalValue::ExternalLinkage, kernel, "fms_kernel_" + entry);
    symbol->setAlignment(llvm::Align(16));
  }

 private:
  llvm::Constant* word(std::uint64_t value) const {
    return llvm::ConstantInt::get(types_.word, value);
  }
  llvm::Constant* size(std::uint64_t value) const {
    return llvm::ConstantInt::get(types_.size, value);
  }
  llvm::Constant* null() const { return llvm::ConstantPointerNull::get(types_.pointer); }

  llvm::Constant* slots(const ThreadFunction& thread) const {
    if (thread.agreed.empty()) return null();
    std::vector<llvm::Constant*> slots;
    for (const unsigned variable : thread.agreed) {
      slots.push_back(llvm::ConstantStruct::getAnon(
          {word(source_.frame.offset(variable)), word(source_.frame.size(variable))}));
    }
    return types_.constant_array(source_.module, slots,
                                 fmt::format("{}.uniform{}", source_.facts.entry, states_.size()));
  }

  const RegionSource& source_;
  const AbiTypes& types_;
  std::vector<llvm::Constant*> states_;
};

}  // namespace

std::uint64_t build_regions(const CutFunction& cut, const KernelFacts& facts) {
  const RegionSource source(cut, facts);
  TableWriter table(source);
  for (unsigned i = 0; i < cut.points.size(); ++i) {
    const ThreadFunction thread = build_thread_function(source, i);
    table.add(thread, build_row_function(source, thread, i));
  }
  table.write();
  cut.function->replaceAllUsesWith(llvm::UndefValue::get(cut.function->getType()));
  cut.function->eraseFromParent();
  return source.frame.bytes();
}

}  // namespace fms::cpu
