#ifndef FMS_ATTENTION_MODS_CUH_
#define FMS_ATTENTION_MODS_CUH_

// What a user's functions of scores and masks stand in for (runtime/ops/attention_mods.h): this
// struct, which has none.
//
//   struct Mods {  // data members: what the caller passes, as bytes; at most 512
//     const float* slopes;
//     // Of the score of a query and a key, in natural units, scaled and capped: the new one.
//     __device__ float score(float score, int batch, int head, int query, int key) const;
//     // Numbers that are added to the scores of a query, one for each key, before `score`.
//     __device__ const float* bias_row(int batch, int head, int query) const;
//     // ALiBi, in place of `score`: slope(batch, head) times the distance of query and key, which
//     // is |query + slope_offset(batch) - key|, is subtracted from the score, after `bias_row`. On
//     // Hopper that costs next to nothing.
//     __device__ float slope(int batch, int head) const;
//     __device__ int slope_offset(int batch) const;
//     // Whether the query sees the key; the kernel's own mask must allow it too.
//     __device__ bool mask(int batch, int head, int query, int key) const;
//   };
//
// Any function may be left out. All are called with indices inside of the sequence only, in no
// particular order, more than once for some and never for others; `head` is of the queries.
struct Mods {};

#endif  // FMS_ATTENTION_MODS_CUH_
