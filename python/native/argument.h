#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "python/native/exchange.h"
#include "python/native/signature.h"
#include "runtime/launch.h"

namespace fms::python {

// What a Python object is as an argument of a kernel. Which members count, its kind says; the rest
// is left unset, since a call has room for many and passes few.
struct HostValue {
  enum class Kind : std::uint8_t {
    kInteger,   // an int within 64 bits, signed
    kUnsigned,  // one within 64 bits, unsigned only
    kFloating,  // a float
    kBoolean,   // a bool
    kNone,      // None: a null pointer
    kArray,     // an array of any framework
    kNumber,    // a number that brings its type: numpy.float32(2), fms.float32(2)
    kBytes,     // bytes: a struct by value
  };

  Kind kind;
  bool is_read_only;  // kArray
  NumberType type;    // kArray, of an element; kNumber
  DLDevice device;    // kArray
  union {
    std::int64_t integer;  // also kBoolean
    std::uint64_t unsigned_integer;
    double floating;
    const void* address;  // kArray: of the first element; kBytes and kNumber: of the bytes
  };
  std::size_t size;  // kBytes and kNumber
};

// The arguments of one call as they are read, and what they say about where it runs.
//
// Belongs to one call. REQUIRES the GIL, also to be destroyed.
class Arguments {
 public:
  static constexpr std::size_t kMost = 64;

  // Reads a tuple, which must live as long as this does. False: a Python error is set.
  bool read(PyObject* tuple);

  PyObject* tuple() const { return tuple_; }
  std::size_t size() const { return size_; }
  const HostValue& operator[](std::size_t i) const { return values_[i]; }

  // The device that all arrays are on; false (an error is set) if they are on several. kDLCPU or
  // kDLCUDA; nothing if there is no array.
  bool find_device(std::optional<DLDevice>& device) const;

  // The current stream, on that device, of the framework that the arrays come from.
  void* current_stream(DLDevice device) const;

 private:
  bool read_one(PyObject* object, HostValue& value);
  bool read_array(PyObject* object, const DLPackExchangeAPI* api, HostValue& value);
  bool convert(PyObject* object, HostValue& value);
  bool read_converted_array(PyObject* tuple, HostValue& value);

  std::array<HostValue, kMost> values_;
  std::size_t size_ = 0;
  PyObject* tuple_ = nullptr;               // borrowed
  const DLPackExchangeAPI* api_ = nullptr;  // of the first array that has one
  std::optional<std::uintptr_t> stream_;    // of the first array that says it otherwise
  std::vector<Ref> kept_;                   // what converted values refer to
};

// A number or an address as a kernel takes it.
struct PackedArgument {
  alignas(16) std::array<std::byte, 16> bytes;
  const void* data;  // bytes, or elsewhere if longer
  std::uint32_t size;
};

// Converts `value` to what `parameter` is. Nothing, or why it can't be: a sentence's end, such as
// "is a float, and the parameter is int32".
std::string pack(const HostValue& value, const KernelParameter& parameter, std::uint32_t size,
                 PackedArgument& packed);

}  // namespace fms::python
