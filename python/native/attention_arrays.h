#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/optional.h>

#include <cstdint>
#include <string>

#include "compiler/dtype.h"
#include "compiler/result.h"
#include "runtime/ops/attention.h"

namespace fms::python {

// What operators throw: tvm-ffi hands it to the language that called.
[[noreturn]] void throw_error(const Error& error);
[[noreturn]] void throw_invalid(std::string message);

// Where a layout has batch, head and row; the last dimension is the head's. Packed sequences have
// no batch: it is -1.
struct Axes {
  int batch = 0, head = 0, row = 0;

  bool packed() const { return batch < 0; }
};

Axes axes_of(const std::string& layout, bool packed);

// An array in the words of attention. Of packed sequences `batch` is 1.
struct Array {
  void* data = nullptr;
  int batch = 0, heads = 0, rows = 0, columns = 0;
  attention::Strides strides;
};

Array read_array(const tvm::ffi::TensorView& tensor, const Axes& axes, const char* name);

// `named`: what the elements really are, where the array can only say their size (bfloat16 in
// NumPy); empty: what it says.
DType element_type(const tvm::ffi::TensorView& q, const std::string& named);

// Of the same type, and on the same device.
void check_alike(const tvm::ffi::TensorView& q, const tvm::ffi::TensorView& other,
                 const char* name);
void check_equal(int got, int expected, const char* what);

// The address of an array of `count` numbers of that type, one behind the other, on q's device.
void* read_list(const tvm::ffi::TensorView& tensor, const tvm::ffi::TensorView& q, DType dtype,
                std::int64_t count, const char* name);

// lse is (batch, heads, seq_q), or of packed sequences (heads, total_q).
float* read_lse(const tvm::ffi::TensorView& lse, const tvm::ffi::TensorView& q,
                const Array& queries, const Axes& axes);

}  // namespace fms::python
