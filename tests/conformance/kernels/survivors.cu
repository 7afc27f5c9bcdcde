// Values of all kinds that a thread has before a barrier and uses behind it, pointers to its own
// variables among them.

struct Record {
  unsigned char tag;
  double weight;
  int history[3];
};

__device__ void bump(int* value) { ++*value; }

extern "C" __global__ void survivors(const int* x, double* out) {
  __shared__ int shared[96];
  const int thread = threadIdx.x, n = blockDim.x;
  const int i = blockIdx.x * n + thread;
  const bool flag = x[i] % 2 == 0;
  const signed char small = static_cast<signed char>(x[i]);
  const unsigned short medium = static_cast<unsigned short>(x[i] * 3);
  const long long large = static_cast<long long>(x[i]) << 33;
  const float4 quad = make_float4(x[i], x[i] + 1, x[i] + 2, x[i] + 3);
  Record record{static_cast<unsigned char>(i), x[i] * 0.5, {i, i + 1, i + 2}};
  int a = 10, b = 20;
  int* chosen = flag ? &a : &b;
  int* slot = &record.history[thread % 3];
  const int* from = x + i;
  shared[thread] = thread;
  __syncthreads();
  *chosen += shared[(thread + 1) % n];
  bump(slot);
  __syncthreads();
  bump(chosen);
  Record copy = record;
  copy.weight += *from;
  shared[thread] = copy.history[0] + copy.history[1] + copy.history[2];
  __syncthreads();
  out[i] = a + 100.0 * b + (flag ? 1e4 : 2e4) + small * 1e5 + medium * 1e8 +
           static_cast<double>(large) * 1e6 + quad.x + quad.y + quad.z + quad.w + copy.tag +
           copy.weight + shared[n - 1 - thread];
}
