#include "compiler/kernel_profile.h"

namespace fms {

std::string_view to_string(MemorySpace space) {
  switch (space) {
    case MemorySpace::kGlobal:
      return "global";
    case MemorySpace::kShared:
      return "shared";
    case MemorySpace::kLocal:
      return "local";
    case MemorySpace::kArgument:
      break;
  }
  return "argument";
}

}  // namespace fms
