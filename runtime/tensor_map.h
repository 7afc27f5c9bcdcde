#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "compiler/dtype.h"
#include "compiler/result.h"
#include "runtime/device.h"

namespace fms {

// A TMA descriptor (CUtensorMap), passed to kernels by value as `const __grid_constant__`.
struct alignas(64) TensorMap {
  std::array<std::byte, 128> bytes{};
};

enum class Swizzle : std::uint8_t { kNone, k32B, k64B, k128B };

// What a descriptor describes: a tensor in device memory, and the box that one copy moves.
// Innermost dimension first, as the hardware has it.
struct TensorMapSpec {
  std::uint64_t address = 0;  // 16-byte aligned
  DType dtype = DType::kBFloat16;
  int rank = 0;                          // 1..5
  std::array<std::uint64_t, 5> shape{};  // elements
  std::array<std::uint64_t, 5>
      stride{};  // bytes; [0] is the element's size; the others multiples of 16
  std::array<std::uint32_t, 5> box{};  // elements, up to 256 each
  Swizzle swizzle = Swizzle::kNone;
  bool fill_nan = false;  // what out-of-bounds elements read as: NaN instead of 0

  bool operator==(const TensorMapSpec&) const = default;
};

// Encodes descriptors, each once: the same (pointer, shape, stride, box) gives the stored one.
// Keeps the last few thousand.
//
// Thread-safe.
class TensorMapCache {
 public:
  explicit TensorMapCache(std::size_t capacity = 4096);
  ~TensorMapCache();

  // kInvalidArgument names the rule that the spec breaks; kUnsupported below compute
  // capability 9.0.
  Result<TensorMap> get(const Device& device, const TensorMapSpec& spec);

  std::size_t encoded() const;  // how many times the driver was asked

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fms
