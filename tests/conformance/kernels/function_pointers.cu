// Functions chosen at run time: from a table, as an argument of a function, and virtual ones.

#ifdef FMS_SPECIALIZED
FMS_ALLOW(spills);  // callees save registers, which counts as spilling
#endif

using Function = int (*)(int, int);

__device__ int sum(int a, int b) { return a + b; }
__device__ int product(int a, int b) { return a * b; }
__device__ int difference(int a, int b) { return a - b; }

__device__ Function const table[] = {sum, product, difference};

__device__ __noinline__ int fold(Function function, const int* x, int n) {
  int value = x[0];
  for (int i = 1; i < n; ++i) value = function(value, x[i]);
  return value;
}

struct Shape {
  __device__ virtual int area() const = 0;
};
struct Square : Shape {
  __device__ explicit Square(int s) : side(s) {}
  __device__ int area() const override { return side * side; }
  int side;
};
struct Rectangle : Shape {
  __device__ Rectangle(int w, int h) : width(w), height(h) {}
  __device__ int area() const override { return width * height; }
  int width, height;
};

extern "C" __global__ void function_pointers(const int* x, int n, int* out) {
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  const Square square(thread);
  const Rectangle rectangle(thread, 3);
  const Shape* shape = thread % 2 == 0 ? static_cast<const Shape*>(&square) : &rectangle;
  out[2 * thread] = fold(table[thread % 3], x, n);
  out[2 * thread + 1] = shape->area();
}
