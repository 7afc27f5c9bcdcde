#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "compiler/result.h"
#include "runtime/toolkit.h"

namespace fms::program {

// The SASS of a cubin, by nvdisasm or cuobjdump: looked for on PATH, in CUDA_HOME/bin, and beside
// NVRTC and the virtual environment's wheels. kUnavailable says where was looked.
Result<std::string> disassemble(std::span<const std::byte> cubin, const ToolkitSearch& search);

}  // namespace fms::program
