#ifndef FMS_ATTENTION_SM80_PRODUCTS_CUH_
#define FMS_ATTENTION_SM80_PRODUCTS_CUH_

#include "attention/sm80_traits.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"

namespace fms {

// A thread's part of its warp's rows, two of each tile of 16: pairs of neighbouring columns, first
// of the upper row and then of the lower, 8 columns on and so forth.
template <typename Tile>
struct Sm80Fragments {
  float scores[Tile::kRowTiles][Tile::kWarpKeys / 2];
  unsigned weights[2][Tile::kRowTiles][Tile::kWarpKeys / 4];
  float output[Tile::kRowTiles][Tile::kValueDim / 2];
  unsigned queries[Tile::kQueryRegisters ? Tile::Keys::kSteps : 1][Tile::kRowTiles][4];
};

// Where a lane's row of the matrices is, for ldmatrix. Queries and values: 16 rows, then the same
// rows 16 bytes on. Keys: 8 rows, the same 16 bytes on, and the next 8 likewise.
template <typename Rows>
__device__ inline unsigned lane_at_row() {
  const unsigned lane = threadIdx.x % 32;
  return lane % 16 * Rows::kPitch + lane / 16 * 16;
}
template <typename Rows>
__device__ inline unsigned lane_at_column() {
  const unsigned lane = threadIdx.x % 32;
  return (lane / 16 * 8 + lane % 8) * Rows::kPitch + lane / 8 % 2 * 16;
}

// Reads 16 columns of the warp's queries.
template <typename Tile>
__device__ __forceinline__ void load_queries(unsigned queries, int step,
                                             unsigned (&to)[Tile::kRowTiles][4]) {
#pragma unroll
  for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
    load_matrices(to[tile], queries + tile * 16 * Tile::Keys::kPitch + step * 32);
  }
}

// scores = q k^T. Addresses are this lane's.
template <typename Tile>
__device__ __forceinline__ void multiply_keys(Sm80Fragments<Tile>& fragments, unsigned queries,
                                              unsigned keys) {
  using T = typename Tile::Element;
#pragma unroll
  for (int step = 0; step < Tile::Keys::kSteps; ++step) {
    auto& query = fragments.queries[Tile::kQueryRegisters ? step : 0];
    if constexpr (!Tile::kQueryRegisters) load_queries<Tile>(queries, step, query);
#pragma unroll
    for (int pair = 0; pair < Tile::kWarpKeys / 16; ++pair) {
      unsigned key[4];
      load_matrices(key, keys + pair * 16 * Tile::Keys::kPitch + step * 32);
#pragma unroll
      for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
        float* const d = &fragments.scores[tile][pair * 8];
        if (step == 0) {
          multiply_add<T, false>(d, query[tile], key[0], key[1]);
          multiply_add<T, false>(d + 4, query[tile], key[2], key[3]);
        } else {
          multiply_add<T>(d, query[tile], key[0], key[1]);
          multiply_add<T>(d + 4, query[tile], key[2], key[3]);
        }
      }
    }
  }
}

// output += weights * v
template <typename Tile>
__device__ __forceinline__ void multiply_values(
    Sm80Fragments<Tile>& fragments,
    const unsigned (&all_weights)[Tile::kRowTiles][Tile::kWarpKeys / 4], unsigned values) {
  using T = typename Tile::Element;
#pragma unroll
  for (int step = 0; step < Tile::kWarpKeys / 16; ++step) {
#pragma unroll
    for (int column = 0; column < Tile::kValueDim; column += 16) {
      unsigned value[4];
      load_matrices_transposed(value, values + step * 16 * Tile::Values::kPitch + column * 2);
#pragma unroll
      for (int tile = 0; tile < Tile::kRowTiles; ++tile) {
        const unsigned* const weights = &all_weights[tile][step * 4];
        float* const d = &fragments.output[tile][column / 2];
        multiply_add<T>(d, weights, value[0], value[1]);
        if (column + 8 < Tile::kValueDim) multiply_add<T>(d + 4, weights, value[2], value[3]);
      }
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM80_PRODUCTS_CUH_
