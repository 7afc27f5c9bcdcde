#ifndef FMS_TILE_PADDED_ROWS_CUH_
#define FMS_TILE_PADDED_ROWS_CUH_

#include "ptx/cp_async.cuh"

namespace fms {

// Rows of 16-bit elements in shared memory, each followed by 16 bytes of padding or more, so that
// a row is an odd number of 16-byte units: the eight rows that ldmatrix reads of a matrix then lie
// in all banks. Against a swizzle this takes an eighth or less of the memory, and has every
// address in a tile at a constant distance from one register.
template <int kColumns_>
struct PaddedRows {
  enum : int { kColumns = kColumns_ };
  static_assert(kColumns % 8 == 0, "rows are whole units of 16 bytes");
  // Products take 16 columns at a time: an odd half is there too.
  enum : int {
    kSteps = (kColumns + 15) / 16,
    kUnits = 2 * kSteps,
    kPitch = 16 * (kUnits + 1)  // bytes from row to row
  };

  // Starts to copy kRows rows to shared memory at `to`; those that aren't below `rows` become
  // zeros. Eight neighbours of the kThreads of a block, of which this is `thread`, copy 128 bytes
  // of a row: in each pass a thread has the row source(pass), its own the first time and
  // kThreads / 8 on each time. kZeroTail: columns that are there for products alone become zeros.
  template <int kRows, int kThreads, bool kZeroTail, typename Source>
  static __device__ __forceinline__ void copy(unsigned to, int rows, int thread,
                                              const Source& source) {
    constexpr int kRowStep = kThreads / 8;
    constexpr int kCopied = kZeroTail ? kUnits : kColumns / 8;
    const int lane = thread % 8, first = thread / 8;
    to += first * kPitch + lane * 16;
#pragma unroll
    for (int pass = 0; pass * kRowStep < kRows; ++pass) {
      const int row = first + pass * kRowStep;
      if (kRows % kRowStep != 0 && row >= kRows) break;
      const char* const from = reinterpret_cast<const char*>(source(pass)) + lane * 16;
#pragma unroll
      for (int unit = 0; unit < kCopied; unit += 8) {
        if (kCopied - unit < 8 && lane >= kCopied - unit) break;
        const bool is_there = row < rows && (!kZeroTail || lane + unit < kColumns / 8);
        copy_async(to + pass * kRowStep * kPitch + unit * 16, from + unit * 16, is_there ? 16 : 0);
      }
    }
  }
};

}  // namespace fms

#endif  // FMS_TILE_PADDED_ROWS_CUH_
