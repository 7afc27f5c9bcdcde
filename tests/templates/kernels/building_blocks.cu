// The building blocks of kernels for Hopper, a kernel for each: building_blocks_gpu_test.cpp knows
// the answers.

#include "attention/sm90_schedule.cuh"
#include "fms/parameter.cuh"
#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/named_barrier.cuh"
#include "ptx/pack.cuh"
#include "ptx/setmaxnreg.cuh"
#include "ptx/tma.cuh"
#include "tile/exp2_polynomial.cuh"
#include "tile/lanes.cuh"
#include "tile/online_softmax.cuh"
#include "tile/pipeline.cuh"
#include "tile/quad_store.cuh"

FMS_TYPE(T, bfloat16, "element type", choices(float16, bfloat16));

extern "C" __global__ void polynomials(const float* x, float* y, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    y[i] = fms::exp2_polynomial(x[i]);
  }
}

// Lane l has 16 l + i as x[i].
extern "C" __global__ void transposed_quads(unsigned* out) {
  unsigned x[4];
  for (int i = 0; i < 4; ++i) x[i] = threadIdx.x * 16 + i;
  fms::transpose_quad(x);
  fms::store_vector(out + threadIdx.x * 4, x);
}

extern "C" __global__ void packed_pairs(const float* x, unsigned* out) {
  out[threadIdx.x] = fms::pack<T>(x[2 * threadIdx.x], x[2 * threadIdx.x + 1]);
}

// Two warpgroups write their number in turn, `rounds` times each.
extern "C" __global__ void turns(int* log, int rounds) {
  __shared__ volatile int count;
  const int group = threadIdx.x / 128;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (group == 1) fms::named_barrier_arrive(1, 256);
  for (int round = 0; round < rounds; ++round) {
    fms::named_barrier_sync(1 + group, 256);
    if (threadIdx.x % 128 == 0) {
      const int at = count;
      log[at] = group;
      count = at + 1;
    }
    __syncwarp();
    fms::named_barrier_arrive(1 + (group + 1) % 2, 256);
  }
}

// Values stay what they are when warpgroups hand on registers.
extern "C" __global__ void __launch_bounds__(384, 1) moved_registers(const int* x, int* y) {
  const int value = x[threadIdx.x];
  if (threadIdx.x / 128 == 0) {
    fms::decrease_registers<40>();
    y[threadIdx.x] = value + 1;
  } else {
    fms::increase_registers<232>();
    y[threadIdx.x] = value + 2;
  }
}

// A ring of three buffers: warp 0 fills, warps 1 to 4 add up what they read. Tiles are 64 x 64.
extern "C" __global__ void ring_sum(const __grid_constant__ fms::TensorMap map, float* out,
                                    int tiles) {
  extern __shared__ __align__(1024) unsigned char smem[];
  constexpr int kBytes = 64 * 64 * sizeof(T);
  const unsigned base = fms::shared_address(smem);
  const fms::Pipeline<3> ring{base + 3 * kBytes};
  if (threadIdx.x == 0) {
    ring.init(4);
    fms::fence_mbarrier_init();
    fms::prefetch_tensor_map(map);
  }
  __syncthreads();
  fms::Pipeline<3>::Position at;
  if (threadIdx.x < 32) {
    for (int i = 0; threadIdx.x == 0 && i < tiles; ++i, at.step()) {
      ring.begin_fill(at, kBytes);
      fms::tma_load_4d(base + at.stage * kBytes, map, ring.full(at.stage), 0, 64 * i, 0, 0);
    }
  } else {
    float sum = 0;
    for (int i = 0; i < tiles; ++i, at.step()) {
      while (!ring.is_full(at)) {
      }
      ring.wait_full(at);
      const T* tile = reinterpret_cast<const T*>(smem + at.stage * kBytes);
      for (int j = threadIdx.x - 32; j < 64 * 64; j += 128) sum += float(tile[j]);
      __syncwarp();
      ring.release(at);
    }
    atomicAdd(out, sum);
  }
}

// Each of two blocks loads its half of every 64 x 64 tile for both, in the 128-byte swizzle, and
// writes out the whole as plain rows.
extern "C" __global__ void __launch_bounds__(128)
    multicast(const __grid_constant__ fms::TensorMap map, T* out, int tiles) {
  extern __shared__ __align__(1024) unsigned char smem[];
  constexpr int kBytes = 64 * 64 * sizeof(T);
  const unsigned rank = fms::cluster_rank(), base = fms::shared_address(smem);
  const fms::Pipeline<1, 2> ring{base + kBytes};
  if (threadIdx.x == 0) {
    ring.init(4);
    fms::fence_mbarrier_init();
  }
  fms::cluster_sync();
  fms::Pipeline<1, 2>::Position at;
  for (int i = 0; i < tiles; ++i, at.step()) {
    if (threadIdx.x == 0) {
      ring.begin_fill(at, kBytes);
      fms::tma_multicast_4d(base + rank * kBytes / 2, map, ring.full(0), 0, 64 * i + 32 * rank, 0,
                            0, 3);
    }
    __syncwarp();
    ring.wait_full(at);
    for (int j = threadIdx.x; j < 64 * 64; j += 128) {
      const int row = j / 64, column = j % 64;
      const int chunk = column / 8 ^ row % 8;
      out[(rank * tiles + i) * 64 * 64 + j] =
          reinterpret_cast<const T*>(smem)[row * 64 + chunk * 8 + column % 8];
    }
    __syncwarp();
    ring.release(at);
  }
  fms::cluster_sync();
}

template <bool kPairs>
__device__ void deal(int workers, int positions, int* seen) {
  fms::TileSchedule<kPairs> schedule{workers, int(threadIdx.x)};
  for (; schedule.position() < positions; schedule.step()) atomicAdd(seen + schedule.position(), 1);
}

// How often each position is taken by a worker each thread; with two blocks in grid.y, in pairs.
extern "C" __global__ void dealt_positions(int positions, int* snake, int* pairs) {
  if (blockIdx.y == 0) deal<false>(blockDim.x, positions, snake);
  deal<true>(blockDim.x, positions, pairs);
}

// One warp: the maxima of 16 rows of 16 scores, then weights relative to those, or to `base` where
// it is given, their sums, and whether any was too large.
extern "C" __global__ void weighed_scores(const float* scores, const float* base_or_null,
                                          float scale_log2, float* max, float* sum, T* weights,
                                          int* too_large) {
  const int row = threadIdx.x / 4, column = threadIdx.x % 4 * 2;
  float own[8];
  for (int i = 0; i < 8; ++i) {
    own[i] = scores[(row + i / 2 % 2 * 8) * 16 + i / 4 * 8 + column + i % 2];
  }
  fms::SoftmaxRows rows;
  rows.clear();
  float rescale[2], base[2], sums[2];
  fms::raise_max(own, scale_log2, rows, rescale);
  for (int r = 0; r < 2; ++r) {
    base[r] = base_or_null != nullptr ? base_or_null[row + 8 * r]
                                      : fms::softmax_base<4>(rows.max[r]);
  }
  unsigned packed[4];
  const bool large = fms::weigh_scores<T, 0, true>(own, scale_log2, base, sums, packed);
  for (int r = 0; r < 2; ++r) {
    const float all = fms::lanes_sum<4>(sums[r]);
    if (threadIdx.x % 4 == 0) {
      max[row + 8 * r] = rows.max[r];
      sum[row + 8 * r] = all;
    }
    for (int half = 0; half < 2; ++half) {
      *reinterpret_cast<unsigned*>(weights + (row + 8 * r) * 16 + half * 8 + column) =
          packed[2 * half + r];
    }
  }
  if (threadIdx.x == 0) *too_large = large;
}
