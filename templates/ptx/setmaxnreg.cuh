#ifndef FMS_PTX_SETMAXNREG_CUH_
#define FMS_PTX_SETMAXNREG_CUH_

// setmaxnreg: registers of a thread from here on, for a whole warpgroup. Takes effect only in a
// kernel that has a register cap at entry (__launch_bounds__ with both numbers), once in each
// branch of one if/else. A block has what it was launched with: `increase` waits until another
// warpgroup has given enough back.

namespace fms {

template <int kRegisters>
__device__ inline void decrease_registers() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0, "what PTX takes");
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ inline void increase_registers() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0, "what PTX takes");
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace fms

#endif  // FMS_PTX_SETMAXNREG_CUH_
