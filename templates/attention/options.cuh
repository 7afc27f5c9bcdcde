#ifndef FMS_ATTENTION_OPTIONS_CUH_
#define FMS_ATTENTION_OPTIONS_CUH_

namespace fms {

// Which tiles of keys each tile of queries visits: attention/block_table.cuh makes it. The row of a
// tile of queries is batch * batch_stride + head * head_stride + tile; a stride of 0 has all
// batches, or heads, use the same rows.
struct AttentionBlockTable {
  const int* counts;  // of each row
  const int* tiles;   // `width` a row, in the order of the visits: tile * 2 + partial
  long long batch_stride, head_stride, width;
};

// What the options of attention come with, as one argument of a kernel; what belongs to an option
// that the kernel wasn't specialised for is not read. Laid out like fms::attention::DeviceOptions
// on the host.
struct AttentionOptions {
  // Query i sees keys from i + offset - window_left to i + offset + window_right. At least 0; no
  // limit is a number that no distance exceeds.
  int window_left, window_right;
  float softcap;            // above 0
  float scale;              // of the scores, in natural units
  const float* sinks;       // a logit for each query head
  const int* cu_seqlens_q;  // where each sequence begins, and the last one ends
  const int* cu_seqlens_k;
  long long total_q;  // rows of packed queries
  AttentionBlockTable table;
};

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2 = 0.693147180559945309f;

}  // namespace fms

#endif  // FMS_ATTENTION_OPTIONS_CUH_
