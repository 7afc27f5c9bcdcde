// Spreads the least label over a ring with gaps, in a loop that ends when no thread of the block
// has anything left to change.

extern "C" __global__ void label_rounds(const unsigned char* linked, int* labels, int* rounds) {
  __shared__ int label[200];
  const int n = blockDim.x, thread = threadIdx.x;
  label[thread] = thread;
  int round = 0;
  bool changed;
  do {
    __syncthreads();
    int least = label[thread];
    if (linked[thread] && thread + 1 < n) least = min(least, label[thread + 1]);
    if (thread > 0 && linked[thread - 1]) least = min(least, label[thread - 1]);
    changed = least < label[thread];
    __syncthreads();
    label[thread] = least;
    ++round;
  } while (__syncthreads_or(changed));
  labels[thread] = label[thread];
  if (thread == 0) *rounds = round;
}
