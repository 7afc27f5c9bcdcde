#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compiler/kernel_profile.h"
#include "compiler/result.h"

namespace fms::program {

// "67T", "3.35TB/s", "19.5 TFLOP/s", "2e12": a number a second. The prefixes are powers of 1000.
Result<double> parse_rate(std::string_view text);

// "67 TFLOP/s" of (6.7e13, "FLOP/s"): three digits, in the prefix that fits.
std::string format_rate(double rate, std::string_view unit);

// What a processor can do at most in a second.
struct Roof {
  bool measured = false;                 // false: given
  std::string device;                    // of a measured one: "cpu", "cuda:0"
  std::string precision;                 // of a measured one: "float32", "float64"
  std::optional<double> peak_flops;      // operations a second
  std::optional<double> bytes_a_second;  // to and from memory
};

// What a kernel, or a thread of it, does.
struct Work {
  double flops = 0;
  double bytes = 0;  // of global memory

  // Operations a byte. Nothing if there are no bytes: memory doesn't bound such a kernel.
  std::optional<double> intensity() const;
};
Work work_of(const OperationCounts& counts);

enum class BoundBy { kCompute, kMemory };
std::string_view to_string(BoundBy bound);  // "compute", "memory"

// Where a kernel lies under a roof.
struct Bound {
  double ridge = 0;  // the intensity from which on operations are the bound
  BoundBy by = BoundBy::kMemory;
  double attainable_flops = 0;  // a second
};

// Nothing if half of the roof isn't known.
std::optional<Bound> bound_of(const Roof& roof, const Work& work);

// The least seconds that `work` takes if each byte comes from memory, as far as the roof is known;
// nothing if nothing is.
std::optional<double> lowest_seconds(const Roof& roof, const Work& work);

}  // namespace fms::program
