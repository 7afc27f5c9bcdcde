// Variables of the module: constants, initialised arrays, and a counter that lives on from launch
// to launch.

struct Pair {
  short first;
  double second;
};

__constant__ int primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
__constant__ Pair pairs[2] = {{-1, 0.5}, {7, 1e10}};
__device__ unsigned launches = 100;
__device__ float weights[4] = {1.5f, -2.5f, 3.5f};
__device__ int scratch[64];
__device__ const char* const kName = "fms";
static __device__ int* volatile pointer = &scratch[5];

extern "C" __global__ void device_variables(double* out, unsigned* launch) {
  const int thread = threadIdx.x;
  out[thread] = primes[thread % 8] + pairs[thread % 2].first * pairs[1 - thread % 2].second +
                weights[thread % 4] + kName[thread % 3] + scratch[thread];
  __syncthreads();
  scratch[thread] += thread;
  if (thread == 0) *launch = launches++;
  __syncthreads();
  if (thread == 1) *pointer += 1000;
}
