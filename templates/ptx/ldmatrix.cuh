#ifndef FMS_PTX_LDMATRIX_CUH_
#define FMS_PTX_LDMATRIX_CUH_

namespace fms {

// ldmatrix: four 8 x 8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix
// l / 8, and gets of each matrix the pair at columns 2 (l % 4) of row l / 4.
__device__ inline void load_matrices(unsigned* registers, unsigned shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared)
               : "memory");
}

// The same matrices transposed: of each a lane gets the pair at rows 2 (l % 4) of column l / 4.
__device__ inline void load_matrices_transposed(unsigned* registers, unsigned shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared)
               : "memory");
}

}  // namespace fms

#endif  // FMS_PTX_LDMATRIX_CUH_
