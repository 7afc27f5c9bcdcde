// One product of a warpgroup: out (64 x kN) = a (64 x 64) b, with b as kN rows of 64 or,
// transposed, 64 rows of kN. Tiles come by bulk copies in the 128-byte swizzle; a is multiplied
// from shared memory or, by ldmatrix, from registers.

#include "fms/parameter.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/tma.cuh"
#include "ptx/wgmma.cuh"

FMS_KERNEL(wgmma_product, "out = a b, of one warpgroup");
FMS_TYPE(T, bfloat16, "element type of a and b", choices(float16, bfloat16));
FMS_INT(kN, 64, "columns of out", range(8, 256), divisible(8));
FMS_BOOL(kTransposeB, false, "rows of b run along out's columns");
FMS_BOOL(kFromRegisters, false, "a is multiplied from registers");

constexpr int kPanels = kTransposeB ? (kN + 63) / 64 : 1;
constexpr int kRows = kTransposeB ? 64 : kN;  // of a panel of b
constexpr int kStepB = kTransposeB ? 16 * 128 / 16 : 2;

extern "C" __global__ void __launch_bounds__(128, 1)
    wgmma_product(const __grid_constant__ fms::TensorMap a_map,
                  const __grid_constant__ fms::TensorMap b_map, float* out) {
  extern __shared__ __align__(1024) unsigned char smem[];
  const unsigned a = fms::shared_address(smem), b = a + 64 * 128;
  const unsigned barrier = b + kPanels * kRows * 128;
  if (threadIdx.x == 0) {
    fms::mbarrier_init(barrier, 1);
    fms::fence_mbarrier_init();
    fms::mbarrier_arrive_expect_tx(barrier, 64 * 128 + kPanels * kRows * 128);
    fms::tma_load_4d(a, a_map, barrier, 0, 0, 0, 0);
    for (int panel = 0; panel < kPanels; ++panel) {
      fms::tma_load_4d(b + panel * kRows * 128, b_map, barrier, 64 * panel, 0, 0, 0);
    }
  }
  __syncthreads();
  fms::mbarrier_wait(barrier, 0);

  using Product = fms::Wgmma<T, kN>;
  const unsigned long long b_tile = fms::swizzled_tile(b, 1024, kRows * 128);
  float d[kN / 2];
  if constexpr (kFromRegisters) {
    unsigned fragments[16];
    const unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane % 16;
    for (int step = 0; step < 4; ++step) {
      fms::load_matrices(&fragments[4 * step],
                         a + row * 128 + ((step * 2 + lane / 16) ^ (row % 8)) * 16);
    }
    fms::wgmma_fence();
    Product::multiply_rs<1, false, kTransposeB, kStepB>(d, fragments, b_tile);
    for (int step = 1; step < 4; ++step) {
      Product::multiply_rs<1, true, kTransposeB, kStepB>(d, &fragments[4 * step],
                                                         b_tile + step * kStepB);
    }
  } else {
    fms::wgmma_fence();
    Product::multiply_ss<4, false, kTransposeB, 2, kStepB>(d, fms::swizzled_tile(a, 1024, 0),
                                                           b_tile);
  }
  fms::wgmma_commit();
  Product::wait<0>(d);
  const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
  for (int i = 0; i < kN / 2; ++i) {
    out[(row + i / 2 % 2 * 8) * kN + i / 4 * 8 + column + i % 2] = d[i];
  }
}
