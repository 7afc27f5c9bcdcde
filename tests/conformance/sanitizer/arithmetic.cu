extern "C" __global__ void arithmetic(const int* x, int* out, int what) {
  const int i = threadIdx.x, a = x[2 * i], b = x[2 * i + 1];
  switch (what) {
    case 0:
      out[i] = a + b;
      break;
    case 1:
      out[i] = a - b;
      break;
    case 2:
      out[i] = a * b;
      break;
    case 3:
      out[i] = -a;
      break;
    case 4:
      out[i] = a / b;
      break;
    case 5:
      out[i] = a % b;
      break;
    case 6:
      out[i] = a << b;
      break;
    case 7:
      out[i] = a >> b;
      break;
    case 8:
      out[i] = static_cast<int>(a * 1.0e9f);
      break;
    case 9:
      out[i] = static_cast<int>(static_cast<long long>(a) * 0x1'0000'0000ll * b);
      break;
  }
}
