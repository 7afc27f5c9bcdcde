// The acceleration of each body by all, softened, a tile of bodies at a time. w is the mass.

__device__ float3 operator+(float3 a, float3 b) {
  return make_float3(a.x + b.x, a.y + b.y, a.z + b.z);
}

__device__ float3 attraction(float4 from, float4 to, float softening) {
  const float3 d = make_float3(to.x - from.x, to.y - from.y, to.z - from.z);
  const float inverse = rsqrtf(d.x * d.x + d.y * d.y + d.z * d.z + softening);
  const float s = to.w * inverse * inverse * inverse;
  return {d.x * s, d.y * s, d.z * s};
}

extern "C" __global__ void nbody(const float4* bodies, float3* accelerations, float softening,
                                 int n) {
  __shared__ float4 tile[64];
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float4 self = i < n ? bodies[i] : float4{0, 0, 0, 0};
  float3 sum = make_float3(0, 0, 0);
  for (int start = 0; start < n; start += blockDim.x) {
    const int mine = start + threadIdx.x;
    tile[threadIdx.x] = mine < n ? bodies[mine] : make_float4(0, 0, 0, 0);
    __syncthreads();
    for (int j = 0; j < blockDim.x; ++j) sum = sum + attraction(self, tile[j], softening);
    __syncthreads();
  }
  if (i < n) accelerations[i] = sum;
}
