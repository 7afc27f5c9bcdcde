#ifndef FMS_PTX_SHARED_ADDRESS_CUH_
#define FMS_PTX_SHARED_ADDRESS_CUH_

namespace fms {

// Of the shared window, as most instructions that name shared memory take it: 32 bits.
__device__ inline unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

}  // namespace fms

#endif  // FMS_PTX_SHARED_ADDRESS_CUH_
