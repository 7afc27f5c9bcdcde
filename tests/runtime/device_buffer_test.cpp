#include "runtime/device_buffer.h"

#include <array>
#include <vector>

#include "runtime/driver.h"
#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

using DeviceBufferTest = testing::FakeDeviceTest;

TEST_F(DeviceBufferTest, WhatWasUploadedIsDownloaded) {
  DeviceBuffer buffer = must(DeviceBuffer::allocate(hopper_, 1000));
  std::vector<std::byte> sent(1000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i % 251);
  ASSERT_TRUE(buffer.upload(sent));
  std::vector<std::byte> received(1000);
  ASSERT_TRUE(buffer.download(received));
  EXPECT_EQ(received, sent);
}

TEST_F(DeviceBufferTest, CopiesAreDoneWhenTheyReturn) {
  DeviceBuffer buffer = must(DeviceBuffer::allocate(hopper_, 4));
  std::array<std::byte, 4> bytes{};
  ASSERT_TRUE(buffer.upload(bytes));
  EXPECT_EQ(fake_calls("cuStreamSynchronize"), 1);
  ASSERT_TRUE(buffer.download(bytes));
  EXPECT_EQ(fake_calls("cuStreamSynchronize"), 2);
}

TEST_F(DeviceBufferTest, FillSetsEveryByteAndDoesNotWait) {
  DeviceBuffer buffer = must(DeviceBuffer::allocate(hopper_, 100));
  ASSERT_TRUE(buffer.fill(0xa5));
  EXPECT_EQ(fake_calls("cuStreamSynchronize"), 0);
  std::vector<std::byte> received(100);
  ASSERT_TRUE(buffer.download(received));
  EXPECT_EQ(received, std::vector<std::byte>(100, std::byte{0xa5}));
}

TEST_F(DeviceBufferTest, AnEmptyBufferHasNoAddressAndAsksTheDriverForNothing) {
  DeviceBuffer buffer = must(DeviceBuffer::allocate(hopper_, 0));
  EXPECT_EQ(buffer.address(), 0u);
  EXPECT_TRUE(buffer.upload({}));
  EXPECT_TRUE(buffer.download({}));
  EXPECT_TRUE(buffer.fill(1));
  EXPECT_EQ(fake_calls("cuMemAlloc") + fake_calls("cuMemsetD8Async"), 0);
}

TEST_F(DeviceBufferTest, MoreBytesThanItHasAreRefused) {
  DeviceBuffer buffer = must(DeviceBuffer::allocate(hopper_, 3));
  std::array<std::byte, 4> bytes{};
  const auto sent = buffer.upload(bytes);
  EXPECT_EQ(code_of(sent), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(sent), "can't upload 4 bytes: the device buffer has 3");
  EXPECT_EQ(code_of(buffer.download(bytes)), ErrorCode::kInvalidArgument);
}

TEST_F(DeviceBufferTest, MoreMemoryThanThereIsSaysHowMuchAndWhere) {
  const auto buffer = DeviceBuffer::allocate(hopper_, std::size_t{1} << 50);
  EXPECT_EQ(code_of(buffer), ErrorCode::kOutOfMemory);
  EXPECT_CONTAINS(message_of(buffer),
                  "can't allocate 1125899906842624 bytes on cuda:0 (Fake H100)");
  EXPECT_CONTAINS(message_of(buffer), "CUDA_ERROR_OUT_OF_MEMORY");
}

TEST_F(DeviceBufferTest, AllocatingInACaptureIsRefusedAsThat) {
  const Stream stream = must(Stream::create(hopper_));
  fake_set_capturing(stream, true);
  EXPECT_EQ(code_of(DeviceBuffer::allocate(hopper_, 8)), ErrorCode::kCapturing);
  fake_set_capturing(stream, false);
}

TEST_F(DeviceBufferTest, MovingABufferMovesItsMemoryOnce) {
  DeviceBuffer first = must(DeviceBuffer::allocate(hopper_, 16));
  const std::uint64_t address = first.address();
  DeviceBuffer second = std::move(first);
  EXPECT_EQ(second.address(), address);
  EXPECT_EQ(second.size(), 16u);
  second = must(DeviceBuffer::allocate(ampere_, 32));
  EXPECT_EQ(fake_live().allocations, 1);
}

}  // namespace
}  // namespace fms
