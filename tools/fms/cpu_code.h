#pragma once

#include <string_view>

namespace fms::program {

// What the assembly of a CPU target tells of a kernel.
struct CpuCode {
  int regions = 0;      // pieces between the points where threads wait or a loop begins again
  int vector_bits = 0;  // of the widest registers computed with; 0: it computes one by one
};

CpuCode read_assembly(std::string_view assembly, std::string_view entry);

}  // namespace fms::program
