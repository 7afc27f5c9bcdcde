#ifndef FMS_ATTENTION_SM90_SLOPE_CUH_
#define FMS_ATTENTION_SM90_SLOPE_CUH_

// ALiBi by the tensor cores. Of a tile of keys that are all on one side of the diagonal, what is
// added to a score is a constant of row and tile, and plus or minus slope times the key's column in
// the tile. The latter is one more step of the product of queries and keys, of the slope in three
// parts (16-bit elements, whose sum is the float) and of the columns' numbers, which are exact; the
// former goes into what weights are relative to. So nothing is done for each score. Tiles that the
// diagonal crosses get a slope of 0 and are done number by number.

#include "attention/mod_functions.cuh"
#include "attention/options.cuh"
#include "attention/sm90_work.cuh"
#include "ptx/pack.cuh"
#include "ptx/tma.cuh"
#include "tile/element.cuh"

namespace fms {

// What the columns are multiplied by: rows of 16 bytes without swizzle, each the key's number in
// the tile three times. All threads of the block.
template <typename Tile>
__device__ inline void store_columns(unsigned char* shared) {
  using Element = typename Tile::Element;
  static_assert(Tile::kBlockN <= 256, "integers that bfloat16 has");
  for (int i = int(threadIdx.x); i < Tile::kBlockN; i += Tile::kThreads) {
    reinterpret_cast<uint4*>(shared)[i] =
        make_uint4(pack<Element>(float(i), float(i)), pack<Element>(float(i), 0.0f), 0, 0);
  }
  fence_async_proxy();
}

// Of a tile of queries, as one thread sees it.
template <typename Tile, bool = Tile::kSlopes>
struct AttentionSlope {
  __device__ AttentionSlope(const typename Tile::Mods&, const AttentionShape<Tile>&,
                            const AttentionWork<Tile>&, int, int) {}
};
template <typename Tile>
struct AttentionSlope<Tile, true> {
  float product;    // what a distance of 1 takes off a product
  float log2;       // and off a score in units of log2
  float diagonal;   // the key at a distance of 0 from the upper row
  int before;       // a tile whose first key is up to this one is before the diagonal of all rows
  int after;        // and from this one on it is after that
  unsigned packed;  // this thread's part of the parts

  // `first` is the warpgroup's first query, `row` the thread's upper one.
  __device__ AttentionSlope(const typename Tile::Mods& mods, const AttentionShape<Tile>& shape,
                            const AttentionWork<Tile>& work, int first, int row) {
    const float slope = mods.slope(work.batch, work.head);
    const int offset = mods.slope_offset(work.batch);
    product = __fdiv_rn(slope, shape.options.scale);
    log2 = __fmul_rn(slope, kLog2E);
    diagonal = float(row + offset);
    // No row may see a key after its diagonal: then it doesn't matter what those get.
    const bool all_before = Tile::kMasked && work.visible(shape, 0) - 1 <= offset;
    // Larger terms would round away what scores differ by, or be infinite as elements.
    const bool usable = fabsf(slope) <= 16.0f && fabsf(product) <= 16384.0f;
    constexpr int kFar = 1 << 30;
    before = !usable ? -kFar : all_before ? kFar : first + offset - (Tile::kBlockN - 1);
    after = usable ? first + 63 + offset : kFar;
    packed = usable ? pack_parts() : 0;
  }

  // 1 or -1 for a tile before or after the diagonal, 0 for one that it crosses.
  __device__ __forceinline__ int side(int tile) const {
    const int key = tile * Tile::kBlockN;
    return key <= before ? 1 : key >= after ? -1 : 0;
  }
  // From the diagonal of the upper row to the tile.
  __device__ __forceinline__ float distance(int tile) const {
    return __fsub_rn(float(tile * Tile::kBlockN), diagonal);
  }
  // What is missing of the scores, in units of log2, of each row.
  __device__ __forceinline__ void shift(float distance, int side, float (&shift)[2]) const {
    const float rate = side == 0 ? 0.0f : side > 0 ? log2 : -log2;
    shift[0] = __fmul_rn(rate, distance);
    shift[1] = __fmul_rn(rate, __fsub_rn(distance, 8.0f));
  }
  // What the columns are multiplied by: the left operand, of which all rows are alike.
  __device__ __forceinline__ void operand(int side, unsigned (&a)[4]) const {
    a[0] = a[1] = side == 0 ? 0u : side > 0 ? packed : packed ^ 0x80008000u;
    a[2] = a[3] = 0;
  }

  // The whole term, for products of a tile that the diagonal crosses.
  __device__ __forceinline__ void apply(float (&scores)[Tile::kBlockN / 2], float distance) const {
    const float upper = __fadd_rn(distance, float(threadIdx.x % 4 * 2));
    const float from[2] = {upper, __fsub_rn(upper, 8.0f)};
#pragma unroll
    for (int i = 0; i < Tile::kBlockN / 2; ++i) {
      const float column = float(i / 4 * 8 + i % 2);
      scores[i] = fmaf(-product, fabsf(__fadd_rn(from[i / 2 % 2], column)), scores[i]);
    }
  }

 private:
  __device__ unsigned pack_parts() const {
    using Element = fms::Element<typename Tile::Element>;
    float part[3], rest = product;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      part[i] = Element::load(Element::store(rest));
      rest = __fsub_rn(rest, part[i]);
    }
    const int lane = threadIdx.x % 4;  // has columns 2 * lane and the next
    if (lane == 0) return pack<typename Tile::Element>(part[0], part[1]);
    return lane == 1 ? pack<typename Tile::Element>(part[2], 0.0f) : 0;
  }
};

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_SLOPE_CUH_
