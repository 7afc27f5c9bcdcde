#include "compiler/llvm/source_place.h"

#include <llvm/IR/DebugInfoMetadata.h>

namespace fms::cpu {

SourcePlace place_in_source(const llvm::DebugLoc& location) {
  const llvm::DILocation* place = location.get();
  while (place != nullptr && place->getInlinedAt() != nullptr &&
         place->getFilename().contains("fms/cpu/")) {
    place = place->getInlinedAt();
  }
  if (place == nullptr) return {};
  return {.file = place->getFilename().str(), .line = place->getLine()};
}

}  // namespace fms::cpu
