#include "tools/fms/cpu_code.h"

#include <algorithm>
#include <string>

namespace fms::program {
namespace {

// True of "gemm.state12:", the label of a region of gemm.
bool begins_region(std::string_view line, std::string_view entry) {
  if (!line.starts_with(entry)) return false;
  line.remove_prefix(entry.size());
  constexpr std::string_view kState = ".state";
  if (!line.starts_with(kState)) return false;
  line.remove_prefix(kState.size());
  const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  return digits > 0 && line.substr(digits).starts_with(':');
}

// Scalars of C++ live in the same registers, and are moved and set to zero as if they were vectors.
bool computes_with_xmm_vectors(std::string_view mnemonic) {
  if (mnemonic.starts_with('v')) mnemonic.remove_prefix(1);
  if (mnemonic.starts_with("mov") || mnemonic.starts_with("xor")) return false;
  const bool integers = mnemonic.starts_with('p') && !mnemonic.starts_with("pop") &&
                        !mnemonic.starts_with("push") && !mnemonic.starts_with("pxor");
  return integers || mnemonic.ends_with("ps") || mnemonic.ends_with("pd");
}

int vector_bits_of(std::string_view line) {
  if (line.find("%zmm") != line.npos) return 512;
  if (line.find("%ymm") != line.npos) return 256;
  if (line.find("%xmm") == line.npos) return 0;
  const std::size_t first = line.find_first_not_of(" \t");
  const std::string_view text = line.substr(first);
  return computes_with_xmm_vectors(text.substr(0, text.find_first_of(" \t"))) ? 128 : 0;
}

}  // namespace

CpuCode read_assembly(std::string_view assembly, std::string_view entry) {
  CpuCode code;
  while (!assembly.empty()) {
    const std::size_t end = std::min(assembly.find('\n'), assembly.size());
    const std::string_view line = assembly.substr(0, end);
    assembly.remove_prefix(std::min(end + 1, assembly.size()));
    if (begins_region(line, entry)) ++code.regions;
    code.vector_bits = std::max(code.vector_bits, vector_bits_of(line));
  }
  return code;
}

}  // namespace fms::program
