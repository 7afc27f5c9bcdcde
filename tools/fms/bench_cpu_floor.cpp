#include "tools/fms/bench_cpu_floor.h"

namespace fms::program {

void plain_saxpy(float a, const float* x, float* y, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) y[i] = a * x[i] + y[i];
}

void plain_transpose(const float* in, float* out, std::size_t size, std::size_t first,
                     std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    for (std::size_t j = 0; j < size; ++j) out[j * size + i] = in[i * size + j];
  }
}

}  // namespace fms::program
