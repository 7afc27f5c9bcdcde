"""Sources that several tests use."""

SAXPY = """
#include "fms/parameter.cuh"
FMS_KERNEL(saxpy, "y = a * x + y");
FMS_TYPE(T, float32, "element type", choices(float32, float64, float16, bfloat16));
FMS_SIZE(kN, "elements", range(0, 2147483647));

extern "C" __global__ void saxpy(int n_argument, T a, const T* x, T* y) {
  const int n = kN(n_argument);
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = T(float(a) * float(x[i]) + float(y[i]));
}
"""
