#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/specialization.h"

namespace fms::python {

// A type of one number, in DLPack's words: code kDLInt, kDLUInt, kDLFloat, kDLBfloat, kDLBool, ...
struct NumberType {
  std::uint8_t code, bits;

  bool operator==(const NumberType&) const = default;
};

std::string to_string(NumberType type);  // "int32", "bfloat16"
NumberType number_type_of(DType dtype);

// What a kernel's source says of one of its parameters.
struct KernelParameter {
  std::string name;  // empty: unnamed
  std::string text;  // the type as it is written: "const T*"
  bool is_pointer = false;
  bool is_const = false;  // of a pointer: the kernel only reads through it
  // Of a number, or of what a pointer points to. Nothing: not known here, or bytes of any type.
  std::optional<NumberType> type;
  std::string type_parameter;  // the template parameter that decides `type`; empty: none does
};

// The parameters of the kernel `entry` as its source declares them, in order. Nothing if the
// declaration can't be found or read: a macro hides it, say.
//
// Read as text, with no macro expanded. What isn't understood of a type is left open, and never
// guessed.
std::optional<std::vector<KernelParameter>> read_parameters(const KernelTemplate& kernel_template);

// `parameters` with the types that the specialisation's values decide.
std::vector<KernelParameter> resolve(std::vector<KernelParameter> parameters,
                                     const Specialization& specialization);

}  // namespace fms::python
