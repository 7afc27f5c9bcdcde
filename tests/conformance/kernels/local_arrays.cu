// Arrays of a thread's own, indexed by what is only known at run time: an insertion sort and a
// count, and one whose element lives on over a barrier.

extern "C" __global__ void local_arrays(const unsigned char* x, unsigned char* sorted,
                                        int* most_frequent, int* kept) {
  constexpr int kCount = 17;
  __shared__ int mirror[96];
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned char mine[kCount];
  int counts[8] = {};
  for (int i = 0; i < kCount; ++i) {
    const unsigned char value = x[thread * kCount + i];
    ++counts[value % 8];
    int place = i;
    for (; place > 0 && mine[place - 1] > value; --place) mine[place] = mine[place - 1];
    mine[place] = value;
  }
  int best = 0;
  for (int i = 1; i < 8; ++i) {
    if (counts[i] > counts[best]) best = i;
  }
  mirror[threadIdx.x] = best;
  __syncthreads();
  const int other = mirror[blockDim.x - 1 - threadIdx.x];
  for (int i = 0; i < kCount; ++i) sorted[thread * kCount + i] = mine[i];
  most_frequent[thread] = best;
  kept[thread] = counts[other];  // chosen by another thread
}
