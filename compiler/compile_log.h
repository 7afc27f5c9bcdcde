#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/kernel_template.h"

namespace fms {

// One error of a compiler's log.
struct Diagnostic {
  std::string file;  // empty: the log names no place
  int line = 0;
  int column = 0;       // from 1; 0: unknown
  std::string message;  // without place and severity

  // "examples/saxpy.cuh(12): identifier \"foo\" is undefined"
  std::string to_string() const;
};

// The errors of an NVRTC log, in order: its front end's ("file(line): error: ...") or, failing
// those, ptxas's. Warnings are left out.
std::vector<Diagnostic> find_errors(std::string_view log);

// Each error with the lines of source around it, as far as `sources` has them:
//
//   examples/saxpy.cuh(12): identifier "foo" is undefined
//      11 |   const int i = index();
//      12 |   y[i] = foo * x[i];
//         |          ^
//      13 | }
std::string show_errors(std::span<const Diagnostic> errors, std::span<const SourceFile> sources);

}  // namespace fms
