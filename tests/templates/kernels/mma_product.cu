// One product of a warp: out (16 x kN) = a (16 x kK) b, with b as kN rows of kK or, transposed, kK
// rows of kN. Rows come by cp.async into padded ones; those of b from `rows` on are zeros.

#include "fms/parameter.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "ptx/shared_address.cuh"
#include "tile/padded_rows.cuh"

FMS_KERNEL(mma_product, "out = a b, of one warp");
FMS_TYPE(T, bfloat16, "element type of a and b", choices(float16, bfloat16));
FMS_INT(kK, 64, "columns of a", range(8, 128), divisible(8));
FMS_INT(kN, 64, "columns of out", range(8, 128), divisible(8));
FMS_BOOL(kTransposeB, false, "rows of b run along out's columns");

using RowsA = fms::PaddedRows<kK>;
using RowsB = fms::PaddedRows<kTransposeB ? kN : kK>;
constexpr int kRowsB = (kTransposeB ? RowsA::kSteps : (kN + 15) / 16) * 16;

extern "C" __global__ void __launch_bounds__(32)
    mma_product(const T* a, const T* b, float* out, int rows) {
  __shared__ __align__(16) unsigned char smem[16 * RowsA::kPitch + kRowsB * RowsB::kPitch];
  const unsigned a_at = fms::shared_address(smem), b_at = a_at + 16 * RowsA::kPitch;
  const int lane = int(threadIdx.x);
  RowsA::copy<16, 32, true>(a_at, 16, lane,
                            [&](int pass) { return a + (lane / 8 + pass * 4) * kK; });
  RowsB::copy<kRowsB, 32, true>(
      b_at, rows, lane, [&](int pass) { return b + (lane / 8 + pass * 4) * RowsB::kColumns; });
  fms::commit_copies();
  fms::wait_copies<0>();
  __syncthreads();

  float d[(kN + 15) / 16 * 8];
  for (int step = 0; step < RowsA::kSteps; ++step) {
    unsigned x[4];
    fms::load_matrices(x, a_at + lane % 16 * RowsA::kPitch + lane / 16 * 16 + step * 32);
    for (int column = 0; column < kN; column += 16) {
      unsigned y[4];
      if constexpr (kTransposeB) {
        fms::load_matrices_transposed(
            y, b_at + (step * 16 + lane % 16) * RowsB::kPitch + lane / 16 * 16 + column * 2);
      } else {
        fms::load_matrices(y, b_at + (column + lane / 16 * 8 + lane % 8) * RowsB::kPitch +
                                  lane / 8 % 2 * 16 + step * 32);
      }
      float* const part = d + column / 2;
      if (step == 0) {
        fms::multiply_add<T, false>(part, x, y[0], y[1]);
        fms::multiply_add<T, false>(part + 4, x, y[2], y[3]);
      } else {
        fms::multiply_add<T>(part, x, y[0], y[1]);
        fms::multiply_add<T>(part + 4, x, y[2], y[3]);
      }
    }
  }
  for (int i = 0; i < kN / 2; ++i) {
    out[(lane / 4 + i / 2 % 2 * 8) * kN + i / 4 * 8 + lane % 4 * 2 + i % 2] = d[i];
  }
}
