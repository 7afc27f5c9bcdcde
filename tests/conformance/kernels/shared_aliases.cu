// Arrays of dynamic shared memory begin at one place, whatever their types and names, behind static
// arrays of odd sizes.

extern __shared__ unsigned words[];
extern __shared__ unsigned char bytes[];

template <typename T>
__device__ T* carve(int skipped) {
  extern __shared__ __align__(16) unsigned char base[];
  return reinterpret_cast<T*>(base) + skipped;
}

extern "C" __global__ void shared_aliases(unsigned* out, unsigned short* parts) {
  __shared__ char odd[3];
  __shared__ double even[2];
  const int thread = threadIdx.x;
  if (thread < 3) odd[thread] = static_cast<char>(thread + 1);
  if (thread < 2) even[thread] = thread + 0.5;
  words[thread] = 0x01020304u * (thread % 16);
  __syncthreads();
  out[thread] = bytes[4 * thread] + 256u * bytes[4 * thread + 3] +
                65536u * static_cast<unsigned>(odd[thread % 3] + 2 * even[thread % 2]);
  parts[thread] = *carve<unsigned short>(2 * thread + 1);
}
