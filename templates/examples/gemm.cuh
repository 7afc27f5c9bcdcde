#ifndef FMS_EXAMPLES_GEMM_CUH_
#define FMS_EXAMPLES_GEMM_CUH_

// C = A B for row-major matrices, by tiles: a block computes kBlockM x kBlockN of C and walks along
// k in steps of kBlockK; a thread keeps kThreadM x kThreadN sums in registers, so that each value
// it reads from shared memory is used kThreadM or kThreadN times.
//
// Launch: grid = (ceil(n / kBlockN), ceil(m / kBlockM)), block.x = kBlockM * kBlockN /
// (kThreadM * kThreadN). Arguments: a, b, c, m, n, k.

#include "fms/parameter.cuh"
#include "tile/element.cuh"

FMS_KERNEL(gemm, "C = A B, accumulated in fp32");
FMS_TYPE(T, float32, "element type of A, B and C", choices(float32, float16, bfloat16));
FMS_INT(kBlockM, 64, "rows of a tile of C", choices(32, 64, 128));
FMS_INT(kBlockN, 64, "columns of a tile of C", choices(32, 64, 128));
FMS_INT(kBlockK, 16, "depth of a step", choices(8, 16, 32));
FMS_INT(kThreadM, 4, "rows of C that a thread computes", choices(2, 4, 8));
FMS_INT(kThreadN, 4, "columns of C that a thread computes", choices(2, 4, 8));
FMS_SIZE(kM, "rows of A and C", range(0, 2097120));
FMS_SIZE(kN, "columns of B and C", range(0, 2147483647));
FMS_SIZE(kK, "columns of A, rows of B", range(0, 1073741824));

// What the kernel derives from its tile; nothing here is chosen.
struct GemmTraits {
  static constexpr int kThreadsM = kBlockM / kThreadM;
  static constexpr int kThreadsN = kBlockN / kThreadN;
  static constexpr int kThreads = kThreadsM * kThreadsN;
  // One more than needed: the threads that store a column of A then use different banks.
  static constexpr int kStrideA = kBlockM + 1;
  static_assert(kThreads >= 32 && kThreads <= 1024, "a block has 32 to 1024 threads");
};

// Copies a tile to shared memory as floats, 0 outside the matrix. `transposed`: column by column.
template <int kRows, int kColumns, int kStride, bool kTransposed>
__device__ inline void load_tile(float* tile, const T* __restrict__ matrix, long long first_row,
                                 long long first_column, long long rows, long long columns) {
  for (int i = int(threadIdx.x); i < kRows * kColumns; i += GemmTraits::kThreads) {
    const int row = i / kColumns;
    const int column = i % kColumns;
    float value = 0.0f;
    if (first_row + row < rows && first_column + column < columns) {
      const long long at = (first_row + row) * columns + first_column + column;
      value = fms::Element<T>::load(matrix[at]);
    }
    tile[kTransposed ? column * kStride + row : row * kStride + column] = value;
  }
}

extern "C" __global__ void __launch_bounds__(GemmTraits::kThreads)
    gemm(const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ c, int m_argument,
         int n_argument, int k_argument) {
  using Traits = GemmTraits;
  __shared__ float a_tile[kBlockK * Traits::kStrideA];  // transposed
  __shared__ float b_tile[kBlockK * kBlockN];

  const int m = kM(m_argument);
  const int n = kN(n_argument);
  const int k = kK(k_argument);
  const long long first_row = static_cast<long long>(blockIdx.y) * kBlockM;
  const long long first_column = static_cast<long long>(blockIdx.x) * kBlockN;
  const int thread_row = int(threadIdx.x) / Traits::kThreadsN;
  const int thread_column = int(threadIdx.x) % Traits::kThreadsN;

  float sums[kThreadM][kThreadN] = {};
  for (int step = 0; step < k; step += kBlockK) {
    load_tile<kBlockM, kBlockK, Traits::kStrideA, true>(a_tile, a, first_row, step, m, k);
    load_tile<kBlockK, kBlockN, kBlockN, false>(b_tile, b, step, first_column, k, n);
    __syncthreads();
#pragma unroll
    for (int depth = 0; depth < kBlockK; ++depth) {
      float rows[kThreadM], columns[kThreadN];
#pragma unroll
      for (int i = 0; i < kThreadM; ++i) {
        rows[i] = a_tile[depth * Traits::kStrideA + thread_row + i * Traits::kThreadsM];
      }
#pragma unroll
      for (int j = 0; j < kThreadN; ++j) {
        columns[j] = b_tile[depth * kBlockN + thread_column + j * Traits::kThreadsN];
      }
#pragma unroll
      for (int i = 0; i < kThreadM; ++i) {
#pragma unroll
        for (int j = 0; j < kThreadN; ++j) sums[i][j] = fmaf(rows[i], columns[j], sums[i][j]);
      }
    }
    __syncthreads();  // before the next step overwrites both tiles
  }

#pragma unroll
  for (int i = 0; i < kThreadM; ++i) {
    const long long row = first_row + thread_row + i * Traits::kThreadsM;
#pragma unroll
    for (int j = 0; j < kThreadN; ++j) {
      const long long column = first_column + thread_column + j * Traits::kThreadsN;
      if (row < m && column < n) c[row * n + column] = fms::Element<T>::store(sums[i][j]);
    }
  }
}

#endif  // FMS_EXAMPLES_GEMM_CUH_
