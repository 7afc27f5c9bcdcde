#pragma once

#include <llvm/IR/DebugLoc.h>

#include <string>

namespace fms::cpu {

// A place in the user's source: where the prelude's functions were called, and not where they are.
struct SourcePlace {
  std::string file;  // empty: not known
  unsigned line = 0;
};

SourcePlace place_in_source(const llvm::DebugLoc& location);

}  // namespace fms::cpu
