#ifndef FMS_ATTENTION_SIMT_TILE_CUH_
#define FMS_ATTENTION_SIMT_TILE_CUH_

// One step of online softmax attention on tiles in shared memory, by fp32 multiply-adds.
//
// Every operation that rounds is spelled out (fmaf, __fmul_rn, ...): the compiler may then contract
// nothing, and kernels that differ only in which sizes are constants give the same bits.

#include "ptx/exp2.cuh"
#include "tile/element.cuh"
#include "tile/infinity.cuh"
#include "tile/lanes.cuh"

namespace fms {

// What one thread has of its query rows while the keys pass by. `max` is of scores in units of
// log2; `sum` and `output` are relative to it, and `sum` is over this thread's own keys.
template <typename Traits>
struct SimtAttentionRows {
  float max[Traits::kRows];
  float sum[Traits::kRows];
  float output[Traits::kRows][Traits::kColumns];

  __device__ void clear() {
#pragma unroll
    for (int r = 0; r < Traits::kRows; ++r) {
      max[r] = -infinity();
      sum[r] = 0.0f;
#pragma unroll
      for (int c = 0; c < Traits::kColumns; ++c) output[r][c] = 0.0f;
    }
  }
};

// Scores of one tile that a thread has.
template <typename Traits>
using SimtScores = float[Traits::kRows][Traits::kKeys];

__device__ inline float4 load_float4(const float* address) {
  return *reinterpret_cast<const float4*>(address);
}

// scores = queries * keys^T
template <typename Traits>
__device__ inline void multiply_keys(const float* queries, const float* keys, int group, int lane,
                                     SimtScores<Traits>& scores) {
#pragma unroll
  for (int r = 0; r < Traits::kRows; ++r) {
#pragma unroll
    for (int j = 0; j < Traits::kKeys; ++j) scores[r][j] = 0.0f;
  }
  const float* query = queries + group * Traits::kDimStride;
  const float* key = keys + lane * Traits::kDimStride;
#pragma unroll 2
  for (int step = 0; step < Traits::kDimSteps; ++step) {
    float4 k[Traits::kKeys];
#pragma unroll
    for (int j = 0; j < Traits::kKeys; ++j) {
      k[j] = load_float4(key + j * Traits::kLanes * Traits::kDimStride + step * 4);
    }
#pragma unroll
    for (int r = 0; r < Traits::kRows; ++r) {
      const float4 q = load_float4(query + r * Traits::kRowGroups * Traits::kDimStride + step * 4);
#pragma unroll
      for (int j = 0; j < Traits::kKeys; ++j) {
        scores[r][j] = fmaf(q.x, k[j].x, scores[r][j]);
        scores[r][j] = fmaf(q.y, k[j].y, scores[r][j]);
        scores[r][j] = fmaf(q.z, k[j].z, scores[r][j]);
        scores[r][j] = fmaf(q.w, k[j].w, scores[r][j]);
      }
    }
  }
}

// Scores that row r may not see become -inf: it sees the keys from `begin` + r * step to `end` +
// r * step, if there is a step, that are below `keys`.
template <typename Traits, bool kWindow>
__device__ inline void mask_scores(SimtScores<Traits>& scores, int lane, int keys, int begin,
                                   int end, int step) {
#pragma unroll
  for (int r = 0; r < Traits::kRows; ++r) {
    const int row_end = min(keys, end + r * step);
#pragma unroll
    for (int j = 0; j < Traits::kKeys; ++j) {
      const int key = lane + j * Traits::kLanes;
      if (key >= row_end || (kWindow && key < begin + r * step)) scores[r][j] = -infinity();
    }
  }
}

// Takes the tile's scores, in units of log2, into the rows' maximum and sum, rescales their output,
// and leaves the weights 2^(score - max) in shared memory for the lanes of the same rows.
template <typename Traits>
__device__ inline void update_softmax(const SimtScores<Traits>& scores, int group, int lane,
                                      SimtAttentionRows<Traits>& rows, float* weights) {
#pragma unroll
  for (int r = 0; r < Traits::kRows; ++r) {
    float tile_max = scores[r][0];
#pragma unroll
    for (int j = 1; j < Traits::kKeys; ++j) tile_max = fmaxf(tile_max, scores[r][j]);
    const float max = fmaxf(rows.max[r], lanes_max<Traits::kLanes>(tile_max));
    // A row that has seen no key yet: -inf - -inf would be NaN.
    const float base = max == -infinity() ? 0.0f : max;
    const float rescale = exp2_approx(__fsub_rn(rows.max[r], base));
    rows.max[r] = max;
    float sum = __fmul_rn(rows.sum[r], rescale);
    float* row_weights = weights + (group + r * Traits::kRowGroups) * Traits::kWeightStride + lane;
#pragma unroll
    for (int j = 0; j < Traits::kKeys; ++j) {
      const float weight = exp2_approx(__fsub_rn(scores[r][j], base));
      sum = __fadd_rn(sum, weight);
      row_weights[j * Traits::kLanes] = weight;
    }
    rows.sum[r] = sum;
#pragma unroll
    for (int c = 0; c < Traits::kColumns; ++c) {
      rows.output[r][c] = __fmul_rn(rows.output[r][c], rescale);
    }
  }
}

// output += weights * values
//
// kTileSums: the tile's products are summed first and then added to the output, four columns at a
// time to save registers. A sum of n terms in one chain has errors that grow with sqrt(n); this
// keeps fp32 results as accurate as those of a blocked matrix product (at 8192 keys the largest
// error falls from 4.7e-7 to 1.6e-7), and costs a few percent.
template <typename Traits, bool kTileSums>
__device__ inline void multiply_values(const float* weights, const float* values, int group,
                                       int lane, SimtAttentionRows<Traits>& rows) {
  constexpr int kWidth = Traits::kWidth;
  constexpr int kPassChunks = kTileSums ? 4 / kWidth : Traits::kChunks;
  constexpr int kPassColumns = kPassChunks * kWidth;
  using Chunk = Pack<float, kWidth>;
  const float* weight = weights + group * Traits::kWeightStride;
#pragma unroll
  for (int first = 0; first < Traits::kColumns; first += kPassColumns) {
    const float* value = values + lane * kWidth + first * Traits::kLanes;
    float sums[Traits::kRows][kPassColumns];
#pragma unroll
    for (int r = 0; r < Traits::kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kPassColumns; ++c) {
        sums[r][c] = kTileSums ? 0.0f : rows.output[r][c];
      }
    }
#pragma unroll 2
    for (int key = 0; key < Traits::kBlockN; key += 4) {
      float w[Traits::kRows][4];
#pragma unroll
      for (int r = 0; r < Traits::kRows; ++r) {
        *reinterpret_cast<float4*>(w[r]) =
            load_float4(weight + r * Traits::kRowGroups * Traits::kWeightStride + key);
      }
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        Chunk v[kPassChunks];
#pragma unroll
        for (int c = 0; c < kPassChunks; ++c) {
          if (first + c * kWidth >= Traits::kColumns) continue;  // the last pass may be short
          v[c] = *reinterpret_cast<const Chunk*>(value + (key + k) * Traits::kValueStride +
                                                 c * Traits::kLanes * kWidth);
        }
#pragma unroll
        for (int r = 0; r < Traits::kRows; ++r) {
#pragma unroll
          for (int c = 0; c < kPassColumns; ++c) {
            if (first + c >= Traits::kColumns) continue;
            sums[r][c] = fmaf(w[r][k], v[c / kWidth].element[c % kWidth], sums[r][c]);
          }
        }
      }
    }
#pragma unroll
    for (int r = 0; r < Traits::kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kPassColumns; ++c) {
        if (first + c >= Traits::kColumns) continue;
        float& output = rows.output[r][first + c];
        output = kTileSums ? __fadd_rn(output, sums[r][c]) : sums[r][c];
      }
    }
  }
}

}  // namespace fms

#endif  // FMS_ATTENTION_SIMT_TILE_CUH_
