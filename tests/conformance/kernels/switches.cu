// A switch with a fall-through, gaps and a default, inside of a loop with break and continue.

extern "C" __global__ void switches(const int* program, int length, int* out) {
  int accumulator = threadIdx.x;
  const int start = (blockIdx.x * blockDim.x + threadIdx.x) % length;
  for (int i = 0; i < length; ++i) {
    const int instruction = program[(start + i) % length];
    switch (instruction) {
      case 0:
        continue;
      case 1:
        ++accumulator;
        break;
      case 2:
        accumulator *= 3;
        [[fallthrough]];
      case 3:
        accumulator ^= 0x55;
        break;
      case 1000:
        accumulator = -accumulator;
        break;
      case -7:
        goto done;
      default:
        accumulator += instruction;
    }
    accumulator &= 0xffff;
  }
done:
  out[blockIdx.x * blockDim.x + threadIdx.x] = accumulator;
}
