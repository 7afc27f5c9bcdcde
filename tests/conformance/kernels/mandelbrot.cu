// Escape times: loops that end at different times in every thread, of doubles, in two dimensions.

extern "C" __global__ void mandelbrot(unsigned short* times, int width, int height, int limit) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= width || row >= height) return;
  const double cx = -2.0 + column * 0.0625, cy = -1.0 + row * 0.0625;
  double x = 0, y = 0;
  int time = 0;
  while (time < limit && __dadd_rn(__dmul_rn(x, x), __dmul_rn(y, y)) <= 4.0) {
    const double next = __dadd_rn(__dadd_rn(__dmul_rn(x, x), -__dmul_rn(y, y)), cx);
    y = __dadd_rn(__dmul_rn(2.0 * x, y), cy);
    x = next;
    ++time;
  }
  times[row * width + column] = static_cast<unsigned short>(time);
}
