// Arguments of mixed sizes and alignments: each has to be read at its own offset.

struct Mixed {
  char a;
  double b;
  short c;
  float3 d;
  unsigned char e[5];
  long long f;
  bool g;

  __device__ double sum() const {
    double total = a + b + c + d.x + d.y + d.z + static_cast<double>(f) + (g ? 1 : 0);
    for (const unsigned char value : e) total += value;
    return total;
  }
};

struct alignas(16) Aligned {
  float x[6];
};

struct Empty {};

template <int kN>
struct Table {
  long long values[kN];
};

extern "C" __global__ void struct_arguments(char byte, Mixed mixed, bool flag, float3 vector,
                                            short number, Aligned aligned, Empty, double* out,
                                            unsigned char last, Table<12> table, float4 quad,
                                            int2 pair) {
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  int i = 0;
  out[i++] = byte;
  out[i++] = mixed.sum();
  out[i++] = flag ? 1 : 0;
  out[i++] = vector.x + 10 * vector.y + 100 * vector.z;
  out[i++] = number;
  for (const float value : aligned.x) out[i++] = value;
  out[i++] = last;
  for (const long long value : table.values) out[i++] = static_cast<double>(value);
  out[i++] = quad.x + 10 * quad.y + 100 * quad.z + 1000 * quad.w;
  out[i++] = pair.x - pair.y;
}
