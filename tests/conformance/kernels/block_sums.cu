// The sum, least and greatest value of each block's share of an array, for whole warps.

struct Add {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Least {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

struct Greatest {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

template <typename T, typename Operation>
__device__ T block_reduce(T value, T identity, Operation operation) {
  __shared__ T of_warps[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int mask = 16; mask > 0; mask >>= 1) {
    value = operation(value, __shfl_xor_sync(0xffffffffu, value, mask));
  }
  if (lane == 0) of_warps[warp] = value;
  __syncthreads();
  if (warp == 0) {
    value = lane < (blockDim.x + 31) / 32 ? of_warps[lane] : identity;
    for (int mask = 16; mask > 0; mask >>= 1) {
      value = operation(value, __shfl_xor_sync(0xffffffffu, value, mask));
    }
    if (lane == 0) of_warps[0] = value;
  }
  __syncthreads();
  value = of_warps[0];
  __syncthreads();  // the next reduction writes of_warps again
  return value;
}

extern "C" __global__ void block_sums(const double* x, double* sums, double* least,
                                      long long* greatest, int n) {
  double sum = 0, low = 1e300;
  long long high = -0x7fffffffffffffffll;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    sum += x[i];
    low = x[i] < low ? x[i] : low;
    const long long scaled = static_cast<long long>(x[i] * 4294967296.0);
    high = scaled > high ? scaled : high;
  }
  sum = block_reduce(sum, 0.0, Add());
  low = block_reduce(low, 1e300, Least());
  high = block_reduce(high, -0x7fffffffffffffffll, Greatest());
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
    least[blockIdx.x] = low;
    greatest[blockIdx.x] = high;
  }
}
