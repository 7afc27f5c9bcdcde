// Functions that call themselves and each other.

#ifdef FMS_SPECIALIZED
FMS_ALLOW(spills);  // callees save registers, which counts as spilling
#endif

__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

__device__ __noinline__ unsigned fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ __noinline__ bool is_odd(unsigned n);
__device__ __noinline__ bool is_even(unsigned n) { return n == 0 || is_odd(n - 1); }
__device__ __noinline__ bool is_odd(unsigned n) { return n != 0 && is_even(n - 1); }

extern "C" __global__ void recursion(unsigned* out) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  out[3 * thread] = ackermann(2, thread % 8);
  out[3 * thread + 1] = fibonacci(thread % 13);
  out[3 * thread + 2] = is_even(thread % 50);
}
