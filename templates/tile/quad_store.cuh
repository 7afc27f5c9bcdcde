#ifndef FMS_TILE_QUAD_STORE_CUH_
#define FMS_TILE_QUAD_STORE_CUH_

namespace fms {

// Transposes 4 x 4 registers of four neighbouring lanes: lane l has x[i] and gets what lane i had
// as x[l]. Of a row of a wgmma result, rounded and packed, lane l has the pair at 2 l of each 8
// columns; after this it has all of the l-th 8 columns, 16 bytes for one store.
__device__ inline void transpose_quad(unsigned (&x)[4]) {
  const bool odd = threadIdx.x & 1, high = threadIdx.x & 2;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {  // 2 x 2 blocks of lanes l and l ^ 1
    const unsigned other = __shfl_xor_sync(0xffffffffu, odd ? x[i] : x[i + 1], 1);
    (odd ? x[i] : x[i + 1]) = other;
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {  // blocks of blocks
    const unsigned other = __shfl_xor_sync(0xffffffffu, high ? x[i] : x[i + 2], 2);
    (high ? x[i] : x[i + 2]) = other;
  }
}

// One store of 16 bytes, which the compiler otherwise may take apart.
__device__ inline void store_vector(void* to, const unsigned (&x)[4]) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(x[0]), "r"(x[1]),
               "r"(x[2]), "r"(x[3])
               : "memory");
}

// Zeros 16 bytes of shared memory.
__device__ inline void store_shared_zeros(unsigned shared) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(shared), "r"(0) : "memory");
}

}  // namespace fms

#endif  // FMS_TILE_QUAD_STORE_CUH_
