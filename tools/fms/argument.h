#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/dtype.h"
#include "compiler/result.h"
#include "runtime/launch.h"

namespace fms::program {

// One --arg of `fms run`: an array in device memory, or a number by value.
//
//   in:FILE.npy                     read from the file
//   inout:FILE.npy                  read from the file, and written back to it
//   out:DTYPE:SHAPE:FILE.npy        zeros at first, written to the file ("out:f32:64x1024:c.npy")
//   DTYPE:VALUE                     "i32:5", "f32:0.5", "bool:true"
struct KernelArgument {
  enum class Kind : std::uint8_t { kIn, kInOut, kOut, kNumber };

  Kind kind = Kind::kNumber;
  std::string file;                   // of an array
  DType dtype = DType::kInt32;        // of kOut and kNumber
  std::vector<std::int64_t> shape;    // of kOut
  std::array<std::byte, 8> number{};  // of kNumber: its first size_of(dtype) bytes
};

// kInvalidArgument names the text and the forms there are.
Result<KernelArgument> parse_kernel_argument(std::string_view text);

// "132", "4,2" or "4,2,8": what is missing is 1.
Result<Dim3> parse_dim3(std::string_view text);

// "64x1024".
Result<std::vector<std::int64_t>> parse_shape(std::string_view text);

// "NAME=VALUE" as a pair; the name isn't empty.
Result<std::pair<std::string, std::string>> parse_assignment(std::string_view text);

}  // namespace fms::program
