#pragma once

#include <cstddef>

namespace fms::program {

// What anybody would write for a processor, compiled with -O3: the floors of the CPU target's
// lines. Each works on the rows or elements from `first` on, less than `last`.
void plain_saxpy(float a, const float* x, float* y, std::size_t first, std::size_t last);
// out[j][i] = in[i][j] for square matrices of `size` rows.
void plain_transpose(const float* in, float* out, std::size_t size, std::size_t first,
                     std::size_t last);

}  // namespace fms::program
