// Loading and launching on a real device.

#include <vector>

#include "runtime/event.h"
#include "tests/runtime/gpu_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;
using testing::must_succeed;

constexpr const char* kSaxpy = R"(
extern "C" __global__ void saxpy(float a, const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
)";

constexpr const char* kAddOne = R"(
extern "C" __global__ void add_one(int* x) { x[blockIdx.x * blockDim.x + threadIdx.x] += 1; }
)";

class RuntimeGpuTest : public testing::GpuTest {};

TEST_F(RuntimeGpuTest, AKernelComputesWhatItShould) {
  const Kernel kernel = load(kSaxpy);
  constexpr int kCount = 1'000'003;
  std::vector<float> x(kCount), y(kCount);
  for (int i = 0; i < kCount; ++i) {
    x[static_cast<std::size_t>(i)] = static_cast<float>(i % 1024);
    y[static_cast<std::size_t>(i)] = static_cast<float>(i % 7);
  }
  const DeviceBuffer device_x = upload(x);
  const DeviceBuffer device_y = upload(y);
  must_succeed(launch({}, {.grid = {(kCount + 255) / 256, 1, 1}, .block = {256, 1, 1}}, kernel,
                      2.0f, device_x.data(), device_y.data(), kCount));
  const std::vector<float> result = download<float>(device_y);
  // Small integers: every operation is exact.
  for (std::size_t i = 0; i < result.size(); ++i) ASSERT_EQ(result[i], 2 * x[i] + y[i]) << i;
}

TEST_F(RuntimeGpuTest, DeviceFactsArePlausible) {
  const DeviceInfo& info = device_->info();
  EXPECT_GE(info.compute_capability, 75);
  EXPECT_GT(info.sm_count, 0);
  EXPECT_GE(info.max_smem_per_block_bytes, 64 * 1024);
  EXPECT_GE(info.smem_per_sm_bytes, info.max_smem_per_block_bytes);
  EXPECT_GT(info.memory_bytes, std::int64_t{1} << 30);
  EXPECT_GT(info.l2_bytes, 0);
  EXPECT_GE(info.driver_version, 12000);
  EXPECT_FALSE(info.name.empty());
}

TEST_F(RuntimeGpuTest, WrongArgumentsAreRefusedBeforeAnythingStarts) {
  const Kernel kernel = load(kSaxpy);
  const auto too_few = launch({}, {}, kernel, 2.0f);
  EXPECT_EQ(code_of(too_few), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(too_few), "it takes 4 arguments, and 1 is given");
  const std::uint64_t null = 0;
  const auto wrong_size = launch({}, {}, kernel, 2.0, null, null, 0);
  EXPECT_EQ(code_of(wrong_size), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(wrong_size), "argument 1 of 4 has 8 bytes");
  EXPECT_TRUE(device_->synchronize());
}

TEST_F(RuntimeGpuTest, ACubinOfAnotherArchitectureIsRefused) {
  const bool ampere = device_->info().compute_capability / 10 == 8;
  const Target other{Target::Kind::kCuda, ampere ? "sm_90" : "sm_80"};
  ObjectCode object = compile(kSaxpy, other);
  const auto refused = Kernel::load(device_, object);
  EXPECT_EQ(code_of(refused), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(refused), other.to_string());
  EXPECT_CONTAINS(message_of(refused), device_->target().to_string());
  // If the record lies, the driver still finds out.
  object.target = device_->target();
  const ErrorCode code = code_of(Kernel::load(device_, object));
  EXPECT_TRUE(code == ErrorCode::kUnsupported || code == ErrorCode::kCorrupt) << to_string(code);
}

TEST_F(RuntimeGpuTest, ARecordOfOtherParametersOrSharedMemoryIsNotAdmitted) {
  ObjectCode object = compile(kSaxpy, device_->target());
  object.resources.parameters[3].size = 8;
  EXPECT_EQ(code_of(Kernel::load(device_, object)), ErrorCode::kCorrupt);
  object = compile(kSaxpy, device_->target());
  object.resources.static_smem_bytes += 512;
  EXPECT_EQ(code_of(Kernel::load(device_, object)), ErrorCode::kCorrupt);
  object = compile(kSaxpy, device_->target());
  object.entry = "daxpy";
  EXPECT_EQ(code_of(Kernel::load(device_, object)), ErrorCode::kNotFound);
}

TEST_F(RuntimeGpuTest, DamagedCodeIsRefusedAndNothingBreaks) {
  ObjectCode object = compile(kSaxpy, device_->target());
  for (std::size_t i = 0; i < 64; ++i) object.bytes[i] = std::byte{0x5a};
  const auto refused = Kernel::load(device_, object);
  EXPECT_FALSE(refused);
  EXPECT_CONTAINS(message_of(refused), "saxpy");
  EXPECT_TRUE(Kernel::load(device_, compile(kSaxpy, device_->target())));
}

TEST_F(RuntimeGpuTest, PtxIsCompiledByTheDriver) {
  const auto kernel =
      Kernel::load(device_, compile(kAddOne, device_->target(), ObjectFormat::kPtx));
  if (!kernel && kernel.error().code == ErrorCode::kUnsupported) {
    GTEST_SKIP() << kernel.error().message;
  }
  ASSERT_TRUE(kernel) << kernel.error().message;
  EXPECT_GT(kernel->resources().registers, 0);
  const DeviceBuffer x = upload(std::vector<int>{1, 2, 3, 4});
  must_succeed(launch({}, {.block = {4, 1, 1}}, *kernel, x.data()));
  EXPECT_EQ(download<int>(x), (std::vector<int>{2, 3, 4, 5}));
}

TEST_F(RuntimeGpuTest, AllSharedMemoryThatTheDeviceHasCanBeUsed) {
  const Kernel kernel = load(R"(
extern "C" __global__ void last_byte(unsigned char* out, int bytes) {
  extern __shared__ unsigned char shared[];
  shared[bytes - 1] = 42;
  __syncthreads();
  *out = shared[bytes - 1];
}
)");
  const int bytes = kernel.max_dynamic_smem_bytes();
  EXPECT_GT(bytes, 48 * 1024);
  const DeviceBuffer out = upload(std::vector<unsigned char>{0});
  must_succeed(launch({}, {.dynamic_smem_bytes = static_cast<std::uint32_t>(bytes)}, kernel,
                      out.data(), bytes));
  EXPECT_EQ(download<unsigned char>(out)[0], 42);
}

TEST_F(RuntimeGpuTest, AnEventOrdersTwoStreams) {
  const Kernel slow = load(R"(
extern "C" __global__ void slow_store(volatile int* x, int value) {
  const long long start = clock64();
  while (clock64() - start < 20000000) {}
  *x = value;
}
)");
  const Kernel copy = load(R"(
extern "C" __global__ void copy_int(const int* from, int* to) { *to = *from; }
)");
  const DeviceBuffer from = upload(std::vector<int>{0});
  const DeviceBuffer to = upload(std::vector<int>{0});
  const Stream first = must(Stream::create(device_));
  const Stream second = must(Stream::create(device_));
  Event start = must(Event::create(device_));
  Event stored = must(Event::create(device_));
  must_succeed(start.record(first));
  must_succeed(launch(first, {}, slow, from.data(), 7));
  must_succeed(stored.record(first));
  must_succeed(stored.make_wait(second));
  must_succeed(launch(second, {}, copy, from.data(), to.data()));
  must_succeed(second.synchronize());
  EXPECT_EQ(download<int>(to)[0], 7);
  // 20 million cycles are milliseconds at any clock that a GPU has.
  EXPECT_GT(must(elapsed_ms(start, stored)), 1.0f);
}

TEST_F(RuntimeGpuTest, FillAndCopiesAreOrderedWithTheirStream) {
  const Stream stream = must(Stream::create(device_));
  DeviceBuffer buffer = must(DeviceBuffer::allocate(device_, std::size_t{1} << 20));
  must_succeed(buffer.fill(0x3c, stream));
  std::vector<std::byte> bytes(buffer.size());
  must_succeed(buffer.download(bytes, stream));
  EXPECT_EQ(bytes, std::vector<std::byte>(buffer.size(), std::byte{0x3c}));
}

TEST_F(RuntimeGpuTest, OccupancyFallsWithSharedMemory) {
  const Kernel kernel = load(kAddOne);
  const int light = must(kernel.occupancy(128, 0));
  const int heavy = must(kernel.occupancy(128, kernel.max_dynamic_smem_bytes()));
  EXPECT_GT(light, heavy);
  EXPECT_GE(heavy, 1);
}

TEST_F(RuntimeGpuTest, AFaultOfOneKernelIsNotBlamedOnTheNext) {
  // In a process of its own, since the fault ends the use of the device.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [&] {
    const Kernel kernel = load(kAddOne);
    const std::uint64_t nowhere = 0x10;
    if (!launch({}, {}, kernel, nowhere)) std::exit(1);
    const auto waited = device_->synchronize();
    const auto next = launch({}, {}, kernel, nowhere);
    const auto says = [](const Result<void>& result) {
      return message_of(result).find("an earlier kernel on this device failed") !=
             std::string::npos;
    };
    std::exit(says(waited) && says(next) ? 0 : 2);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace fms
