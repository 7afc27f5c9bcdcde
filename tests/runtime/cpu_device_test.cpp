#include <algorithm>

#include "runtime/cpu/memory.h"
#include "runtime/device.h"
#include "runtime/device_buffer.h"
#include "runtime/device_scope.h"
#include "runtime/event.h"
#include "runtime/stream.h"
#include "tests/runtime/cpu_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::CpuKernel;
using testing::message_of;
using testing::must;
using testing::must_succeed;
using testing::region;
using testing::Thread;

class CpuDeviceTest : public testing::CpuTest {
 protected:
  static CpuKernel empty_kernel() {
    return {.states = {{.run = region([](Thread) {}), .next = 1}}, .frame_bytes = 0};
  }
};

TEST_F(CpuDeviceTest, ItsFactsAreThoseOfTheMachine) {
  const DeviceInfo& info = device_->info();
  EXPECT_TRUE(device_->is_cpu());
  EXPECT_EQ(info.ordinal, -1);
  EXPECT_EQ(info.compute_capability, 0);
  EXPECT_GE(info.sm_count, 1);
  EXPECT_EQ(info.max_smem_per_block_bytes, 232448);
  EXPECT_GT(info.memory_bytes, 1 << 24);
  EXPECT_EQ(describe(*device_), "cpu (" + info.name + ")");
  EXPECT_FALSE(info.name.empty());
  EXPECT_EQ(device_->target(), host_target());
  EXPECT_TRUE(device_->target().arch.starts_with("x86-64-v"));
}

TEST_F(CpuDeviceTest, ThereIsOneWhileItLives) {
  EXPECT_EQ(must(Device::cpu()), device_);
  const std::weak_ptr<Device> last = device_;
  device_.reset();
  EXPECT_TRUE(last.expired());
  EXPECT_TRUE(must(Device::cpu())->is_cpu());
}

TEST_F(CpuDeviceTest, MemoryIsAlignedAndKnownByItsAddress) {
  DeviceBuffer buffer = must(DeviceBuffer::allocate(device_, 1000));
  EXPECT_EQ(buffer.address() % 256, 0u);
  std::vector<std::byte> bytes(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  must_succeed(buffer.upload(bytes));
  std::vector<std::byte> back(1000);
  must_succeed(buffer.download(back));
  EXPECT_EQ(back, bytes);
  must_succeed(buffer.fill(0xab));
  must_succeed(buffer.download(back));
  EXPECT_EQ(std::ranges::count(back, std::byte{0xab}), 1000);

  const auto found = cpu::find_allocation(buffer.address() + 999);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->address, buffer.address());
  EXPECT_EQ(found->size, 1000u);
  EXPECT_FALSE(cpu::find_allocation(buffer.address() + 1000));
  EXPECT_FALSE(cpu::find_allocation(buffer.address() - 1));
}

TEST_F(CpuDeviceTest, MoreMemoryThanThereIsIsRefused) {
  const auto buffer = DeviceBuffer::allocate(device_, std::size_t{1} << 60);
  EXPECT_EQ(code_of(buffer), ErrorCode::kOutOfMemory);
  EXPECT_CONTAINS(message_of(buffer), "bytes on cpu (");
}

TEST_F(CpuDeviceTest, StreamsAndEventsWork) {
  const Stream stream = must(Stream::create(device_));
  Event start = must(Event::create(device_));
  Event end = must(Event::create(device_));
  EXPECT_FALSE(elapsed_ms(start, end)) << "they are not recorded";
  must_succeed(start.record(stream));
  must_succeed(end.record(stream));
  must_succeed(end.synchronize());
  must_succeed(end.make_wait(stream));
  must_succeed(stream.synchronize());
  EXPECT_GE(must(elapsed_ms(start, end)), 0.0f);
  EXPECT_FALSE(must(is_capturing(*device_, stream)));
  int no_stream = 0;
  EXPECT_CONTAINS(message_of(start.record({&no_stream})), "it isn't of this device");
}

TEST_F(CpuDeviceTest, AKernelIsWhatItsObjectCodeSays) {
  CpuKernel kernel = empty_kernel();
  kernel.static_smem_bytes = 512;
  kernel.max_threads = 128;
  kernel.parameter_sizes = {8, 4};
  const ObjectCode object = object_of(kernel, "saxpy");
  const Kernel loaded = must(Kernel::load(device_, object));
  EXPECT_EQ(loaded.name(), "saxpy");
  EXPECT_EQ(loaded.resources(), object.resources);
  EXPECT_EQ(loaded.max_threads_per_block(), 128);
  EXPECT_EQ(loaded.max_dynamic_smem_bytes(), 232448 - 512);
  EXPECT_TRUE(loaded.parameters_known());
  EXPECT_EQ(must(loaded.occupancy(128, 0)), 1);
}

TEST_F(CpuDeviceTest, ARecordThatIsNotOfTheCodeIsNotAdmitted) {
  const auto error_after = [&](auto&& change) {
    CpuKernel kernel = empty_kernel();
    kernel.parameter_sizes = {8};
    ObjectCode object = object_of(kernel);
    change(object);
    return Kernel::load(device_, object);
  };
  const auto smem = error_after([](ObjectCode& o) { o.resources.static_smem_bytes = 16; });
  EXPECT_EQ(code_of(smem), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(message_of(smem), "static shared memory: 0, its object code says 16");
  const auto registers = error_after([](ObjectCode& o) { o.resources.registers = 8; });
  EXPECT_EQ(code_of(registers), ErrorCode::kCorrupt);
  const auto parameter =
      error_after([](ObjectCode& o) { o.resources.parameters[0].offset = 1 << 30; });
  EXPECT_EQ(code_of(parameter), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(message_of(parameter), "can't load kernel (cpu:x86-64-v");
  EXPECT_EQ(code_of(error_after([](ObjectCode& o) { o.bytes.clear(); })), ErrorCode::kCorrupt);
}

TEST_F(CpuDeviceTest, ATableThatTheRunnerCanNotFollowIsRefused) {
  CpuKernel none = empty_kernel();
  none.states[0].run = nullptr;
  EXPECT_EQ(code_of(Kernel::load(device_, object_of(none))), ErrorCode::kCorrupt);
  CpuKernel beyond = empty_kernel();
  beyond.states[0].next = 2;
  EXPECT_EQ(code_of(Kernel::load(device_, object_of(beyond))), ErrorCode::kCorrupt);
  const ObjectCode object = object_of(empty_kernel());
  kernels_.back()->second.abi_version = 99;
  EXPECT_EQ(code_of(Kernel::load(device_, object)), ErrorCode::kUnsupported);
}

TEST_F(CpuDeviceTest, CodeForADeviceOfAnotherKindIsRefused) {
  ObjectCode object = object_of(empty_kernel());
  object.target = {Target::Kind::kCuda, "sm_90a"};
  object.format = ObjectFormat::kCubin;
  const auto kernel = Kernel::load(device_, object);
  EXPECT_EQ(code_of(kernel), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(kernel), "compiled for cuda:sm_90a, and the device is cpu:x86-64-v");
}

TEST_F(CpuDeviceTest, LaunchesThatCanNotBeAreRefused) {
  CpuKernel bounded = empty_kernel();
  bounded.max_threads = 64;
  const auto large = run(bounded, {.block = {65}});
  EXPECT_EQ(code_of(large), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(large), "this kernel allows 64 (its launch bounds, or");
  const auto cluster = run(empty_kernel(), {.grid = {2}, .cluster = {2}});
  EXPECT_EQ(code_of(cluster), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(cluster), "cpu devices have no clusters");
  const auto programmatic = run(empty_kernel(), {.programmatic_launch = true});
  EXPECT_EQ(code_of(programmatic), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(programmatic), "cpu devices have no programmatic launch");
  const auto missing = launch({}, {}, load(empty_kernel()), 1);
  EXPECT_CONTAINS(message_of(missing), "it takes 0 arguments, and 1 is given");
}

TEST_F(CpuDeviceTest, ArgumentsOfAllSizesArriveWhereTheKernelExpectsThem) {
  struct Large {
    std::uint32_t numbers[2000];
  };
  CpuKernel kernel{.states = {{.run = region([](Thread t) {
                                 auto* out = t.argument<std::uint32_t*>(8);
                                 out[0] = t.argument<std::uint8_t>(0);
                                 out[1] = t.argument<std::uint32_t>(16 + 4 * 1999);
                                 out[2] = t.argument<std::uint16_t>(16 + 8000);
                               }),
                               .next = 1}},
                   .frame_bytes = 0,
                   .parameter_sizes = {1, 8, 8000, 2}};
  ObjectCode object = object_of(kernel);
  object.resources.parameters[2].offset = 16;
  object.resources.parameters[3].offset = 16 + 8000;
  Large large{};
  large.numbers[1999] = 77;
  std::uint32_t out[3] = {};
  must_succeed(launch({}, {}, must(Kernel::load(device_, object)), std::uint8_t{200}, &out[0],
                      large, std::uint16_t{60000}));
  EXPECT_EQ(out[0], 200u);
  EXPECT_EQ(out[1], 77u);
  EXPECT_EQ(out[2], 60000u);
}

TEST(CpuDeviceWithoutLlvmTest, WhatWasTriedIsSaid) {
  const auto library = open_llvm("/nowhere/libfms_llvm.so");
  EXPECT_EQ(code_of(library), ErrorCode::kUnavailable);
  EXPECT_CONTAINS(message_of(library), "tried /nowhere/libfms_llvm.so");
  EXPECT_CONTAINS(message_of(library), "FMS_LLVM");
}

}  // namespace
}  // namespace fms
