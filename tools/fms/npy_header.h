#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/result.h"

namespace fms::program {

// What the dictionary at the front of a .npy file says.
struct NpyHeader {
  std::string descr;  // "<f4"
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// Parses the Python literal, such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
// Keys may come in any order; each of the three must come once, and no other. kUnsupported for a
// structured type, kCorrupt for all else that is wrong; the message is what is wrong, alone.
Result<NpyHeader> parse_npy_header(std::string_view text);

}  // namespace fms::program
