#ifndef FMS_ATTENTION_SM80_JOIN_CUH_
#define FMS_ATTENTION_SM80_JOIN_CUH_

#include "attention/sm80_products.cuh"
#include "attention/sm80_traits.cuh"
#include "ptx/cluster.cuh"
#include "ptx/exp2.cuh"
#include "tile/infinity.cuh"
#include "tile/online_softmax.cuh"

namespace fms {

// Results of warps, and then of blocks, that have different keys of the same 16 rows become one. A
// part is what a warp has: a thread's maxima, sums and output, of which the i-th number lies beside
// that of its neighbours. Parts are always added in the same order.
//
// A warp joins 32 columns, as many as are stored together.
template <typename Tile>
struct Sm80Join {
  enum : int { kColumns = 32, kFloats = kColumns / 2 };

  unsigned shared;  // parts of the warps, and then the block's
  SoftmaxRows rows;
  float output[kFloats];

  __device__ __forceinline__ unsigned place(int part, int i) const {
    return shared + part * Tile::kPartBytes + (i * 32 + threadIdx.x % 32) * 4;
  }
  static __device__ __forceinline__ void put(unsigned address, float value) {
    asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
  }
  __device__ __forceinline__ void put_rows(int part, const SoftmaxRows& from) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      put(place(part, r), from.max[r]);
      put(place(part, 2 + r), from.sum[r]);
    }
  }

  // This warp's part.
  __device__ __forceinline__ void give(int warp, const SoftmaxRows& from,
                                       const float (&all_output)[Tile::kValueDim / 2]) const {
    put_rows(warp, from);
#pragma unroll
    for (int i = 0; i < Tile::kValueDim / 2; ++i) put(place(warp, 4 + i), all_output[i]);
  }
  // These columns of the block's part.
  __device__ __forceinline__ void give_joined(int first_column) const {
    if (first_column == 0) put_rows(Tile::kKeyWarps, rows);
#pragma unroll
    for (int i = 0; i < kFloats; ++i) {
      if (first_column / 2 + i < Tile::kValueDim / 2) {
        put(place(Tile::kKeyWarps, 4 + first_column / 2 + i), output[i]);
      }
    }
  }

  // Joins `count` parts, of which get(part, i) is the i-th number.
  template <typename Get>
  __device__ __forceinline__ void join(int count, int first_column, const Get& get) {
    rows.clear();
    for (int part = 0; part < count; ++part) {
#pragma unroll
      for (int r = 0; r < 2; ++r) rows.max[r] = fmaxf(rows.max[r], get(part, r));
    }
#pragma unroll
    for (int i = 0; i < kFloats; ++i) output[i] = 0.0f;
    for (int part = 0; part < count; ++part) {
      float factor[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {  // -inf - -inf would be NaN
        factor[r] =
            rows.max[r] == -infinity() ? 0.0f : exp2_approx(__fsub_rn(get(part, r), rows.max[r]));
        rows.sum[r] = fmaf(get(part, 2 + r), factor[r], rows.sum[r]);
      }
#pragma unroll
      for (int i = 0; i < kFloats; ++i) {
        if (first_column / 2 + i < Tile::kValueDim / 2) {
          output[i] = fmaf(get(part, 4 + first_column / 2 + i), factor[i / 2 % 2], output[i]);
        }
      }
    }
  }
  __device__ __forceinline__ void join_warps(int first_column) {
    join(Tile::kKeyWarps, first_column, [&](int part, int i) {
      float value;
      asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(place(part, i)) : "memory");
      return value;
    });
  }
  __device__ __forceinline__ void join_blocks(int first_column) {
    join(int(cluster_size()), first_column, [&](int rank, int i) {
      return load_cluster_float(cluster_address(place(Tile::kKeyWarps, i), unsigned(rank)));
    });
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_JOIN_CUH_
