#pragma once

#include <memory>
#include <span>

#include "compiler/llvm_library.h"

namespace fms::cpu {

// Links object code into this process with ORC and JITLink.
//
// One per process; thread-safe.
class Loader {
 public:
  static Result<std::shared_ptr<Loader>> create();
  ~Loader();

  // As LlvmLibrary::load().
  Result<std::unique_ptr<CpuImage>> load(const ObjectCode& object,
                                         std::span<const CpuSymbol> symbols);

 private:
  struct State;
  explicit Loader(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace fms::cpu
