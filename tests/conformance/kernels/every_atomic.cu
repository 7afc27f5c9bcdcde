// Each atomic operation, by every thread with a number of its own; `old` has what the adds return.

extern "C" __global__ void every_atomic(int* i, unsigned* u, unsigned long long* l, float* f,
                                        double* d, int* old) {
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int number = thread % 2 == 0 ? thread : -thread;
  const unsigned long long wide = (static_cast<unsigned long long>(thread) << 32) + 1;
  old[thread] = atomicAdd(&i[0], 1);
  atomicSub(&i[1], number);
  atomicMin(&i[2], number);
  atomicMax(&i[3], number);
  atomicAnd(&i[4], ~(1 << thread % 31));
  atomicOr(&i[5], 1 << thread % 29);
  atomicXor(&i[6], thread);
  atomicExch(&i[7], 77);
  atomicAdd(&u[0], 0x80000001u);
  atomicMin(&u[1], 0xffffffffu - thread);
  atomicMax(&u[2], 0x80000000u + thread);
  atomicInc(&u[3], 9u);
  atomicDec(&u[4], 9u);
  atomicAdd(&l[0], wide);
  atomicMin(&l[1], wide);
  atomicMax(&l[2], wide);
  atomicAnd(&l[3], ~(1ull << thread % 61));
  atomicOr(&l[4], 1ull << thread % 53);
  atomicXor(&l[5], wide);
  atomicAdd(f, 0.5f);
  atomicAdd(d, 0.25);
}
