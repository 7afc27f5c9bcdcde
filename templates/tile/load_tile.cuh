#ifndef FMS_TILE_LOAD_TILE_CUH_
#define FMS_TILE_LOAD_TILE_CUH_

#include "tile/element.cuh"

namespace fms {

// Copies kRows x kColumns elements from global to shared memory, as floats, kStride apart a row.
// Rows from `rows` on are not read and become 0; a row group that is known to be whole (kWhole) is
// not checked. Columns of the tile past kColumns are left as they are. All threads of the block
// call it; the caller synchronises.
//
// kVector: four elements a load, so row starts and `row_stride` are multiples of four elements.
// Four and not sixteen bytes' worth for the 16-bit types: consecutive threads then write
// consecutive 16 bytes of shared memory, which is free of bank conflicts.
template <int kRows, int kColumns, int kStride, int kThreads, bool kVector, bool kWhole, typename T>
__device__ inline void load_tile(float* tile, const T* __restrict__ source, long long row_stride,
                                 int rows) {
  static_assert(!kVector || (kColumns % 4 == 0 && kStride % 4 == 0),
                "vector loads take rows of whole vectors");
  constexpr int kWidth = kVector ? 4 : 1;
  constexpr int kRowPacks = kColumns / kWidth;
  constexpr int kPacks = kRows * kRowPacks;
  using Source = Pack<T, kWidth>;
  using Stored = Pack<float, kWidth>;
  const auto copy = [&](int row, int column, const T* address) {
    Stored stored{};
    if (kWhole || row < rows) {
      const Source read = *reinterpret_cast<const Source*>(address);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) stored.element[e] = Element<T>::load(read.element[e]);
    }
    *reinterpret_cast<Stored*>(tile + row * kStride + column) = stored;
  };
  int row = int(threadIdx.x) / kRowPacks;
  if constexpr (kThreads % kRowPacks == 0) {
    // A thread stays in its column: one address to step, instead of one to compute for each load.
    constexpr int kRowStep = kThreads / kRowPacks;
    const int column = int(threadIdx.x) % kRowPacks * kWidth;
    const T* address = source + row * row_stride + column;
#pragma unroll 4
    for (; row < kRows; row += kRowStep) {
      copy(row, column, address);
      address += kRowStep * row_stride;
    }
  } else {
#pragma unroll 4
    for (int i = int(threadIdx.x); i < kPacks; i += kThreads) {
      row = i / kRowPacks;
      const int column = i % kRowPacks * kWidth;
      copy(row, column, source + row * row_stride + column);
    }
  }
}

}  // namespace fms

#endif  // FMS_TILE_LOAD_TILE_CUH_
