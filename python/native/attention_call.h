#pragma once

#include <dlpack/dlpack.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/optional.h>

#include <string>

#include "python/native/attention_arrays.h"
#include "runtime/ops/attention.h"

namespace fms::python {

// A call as attention has it: what its arrays say. All of it throws, as attention_arrays.h does,
// where arrays don't fit together.
struct Call {
  attention::Problem problem;
  attention::Arguments arguments;
  DLDevice device{kDLCPU, 0};  // kDLCPU or kDLCUDA of what can be computed
  Array queries;
  Axes axes;

  // mask: as Mask numbers them. dtype: see element_type().
  Call(const tvm::ffi::TensorView& q, const tvm::ffi::TensorView& k, const tvm::ffi::TensorView& v,
       int mask, const std::string& layout, const std::string& dtype, bool packed);

  void set_output(const tvm::ffi::TensorView& q, const tvm::ffi::TensorView& out,
                  const tvm::ffi::Optional<tvm::ffi::TensorView>& lse);
  void set_window(int left, int right);
  // On the CPU also looks whether sequences follow each other, from the first row to the last.
  void set_packed(const tvm::ffi::TensorView& q, const tvm::ffi::TensorView& starts_q,
                  const tvm::ffi::TensorView& starts_k, int max_q, int max_k);

  bool is_empty() const { return problem.batch == 0; }
};

}  // namespace fms::python
