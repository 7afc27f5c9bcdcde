#pragma once

namespace fms::python {

// Registers the operators with tvm-ffi, under "flashmoe_science.": what any language that has
// tvm-ffi can call. Once, when the module is imported.
void register_operators();

}  // namespace fms::python
