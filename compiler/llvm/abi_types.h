#pragma once

#include <llvm/IR/Constants.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <string>
#include <vector>

#include "compiler/cpu_abi.h"
#include "compiler/llvm/intrinsics.h"

namespace fms::cpu {

// Where the fields are that generated code reads and writes.
inline constexpr unsigned kArgumentsOffset = offsetof(Block, arguments);
inline constexpr unsigned kSharedOffset = offsetof(Block, shared);
inline constexpr unsigned kThreadOffset = offsetof(Block, thread);
inline constexpr unsigned kValueOffset = offsetof(Warp, value);
inline constexpr unsigned kSourceOffset = offsetof(Warp, source);
inline constexpr unsigned kMaskOffset = offsetof(Warp, mask);
inline constexpr unsigned kFrameOffset = offsetof(Warp, frame);
inline constexpr unsigned kFirstThreadOffset = offsetof(Warp, first_thread);

// The types of cpu_abi.h in IR, and how its fields are reached.
struct AbiTypes {
  explicit AbiTypes(llvm::LLVMContext& context);

  llvm::PointerType* pointer;
  llvm::IntegerType* byte;
  llvm::IntegerType* word;  // 32 bits
  llvm::IntegerType* size;  // 64 bits

  // A field that doesn't change while code runs.
  llvm::Value* load_constant(llvm::IRBuilder<>& builder, llvm::Type* type, llvm::Value* base,
                             unsigned offset) const;
  llvm::Constant* constant_array(llvm::Module& module, llvm::ArrayRef<llvm::Constant*> elements,
                                 const std::string& name) const;
  llvm::Constant* constant_text(llvm::Module& module, const std::string& text) const;
};

// Threads that run as one vector. Half a warp: of 32 values of 32 bits the processor has too few
// registers.
inline constexpr unsigned kGroupBits = 4, kGroup = 1 << kGroupBits;

// How the code of one thread, a function of (block, warp, lane / kGroup, lane % kGroup, x / kGroup,
// x % kGroup, y, z, ...), reaches what it is and what its lane exchanges.
class ThreadPlace {
 public:
  static constexpr unsigned kParameters = 8;

  // `builder` stands at the function's entry.
  ThreadPlace(const AbiTypes& types, llvm::Function& thread, llvm::IRBuilder<>& builder,
              bool framed);

  llvm::Value* block() const { return thread_.getArg(0); }
  llvm::Value* warp() const { return thread_.getArg(1); }
  llvm::Value* lane() const { return lane_; }

  // The place's value & mask, and its value >> bits; null where that is no shorter way.
  llvm::Value* masked(llvm::IRBuilder<>& builder, Place place, unsigned mask) const;
  llvm::Value* shifted(llvm::IRBuilder<>& builder, Place place, unsigned bits) const;

  llvm::Value* arguments(llvm::IRBuilder<>& builder, std::uint64_t bytes) const;
  llvm::Value* frame(llvm::IRBuilder<>& builder) const;
  llvm::Value* value(llvm::IRBuilder<>& builder, Place place) const;
  llvm::Value* load_lane(llvm::IRBuilder<>& builder, unsigned offset, unsigned size) const;
  void store_lane(llvm::IRBuilder<>& builder, unsigned offset, unsigned size,
                  llvm::Value* value) const;

 private:
  llvm::Value* lane_address(llvm::IRBuilder<>& builder, unsigned offset, unsigned size) const;
  llvm::Value* thread_number(llvm::IRBuilder<>& builder) const;

  // A number as high * kGroup + low.
  struct Parts {
    llvm::Value* high = nullptr;  // null: not known in parts
    llvm::Value* low = nullptr;
  };
  Parts parts(llvm::IRBuilder<>& builder, Place place) const;
  llvm::Value* join(llvm::IRBuilder<>& builder, const Parts& parts) const;

  const AbiTypes& types_;
  llvm::Function& thread_;
  bool framed_;
  llvm::Value* lane_ = nullptr;
};

}  // namespace fms::cpu
