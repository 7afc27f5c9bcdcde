#include "runtime/stream.h"

#include "runtime/device_buffer.h"
#include "runtime/driver.h"
#include "runtime/event.h"
#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

using StreamTest = testing::FakeDeviceTest;
using EventTest = testing::FakeDeviceTest;

TEST_F(StreamTest, AStreamKeepsItsDeviceOpen) {
  Stream stream = must(Stream::create(hopper_));
  hopper_.reset();
  EXPECT_EQ(fake_live().contexts, 2);
  EXPECT_TRUE(stream.synchronize());
}

TEST_F(StreamTest, MovingAStreamMovesItsHandleOnce) {
  Stream first = must(Stream::create(hopper_));
  void* const handle = first.view().handle;
  Stream second = std::move(first);
  EXPECT_EQ(second.view().handle, handle);
  second = must(Stream::create(ampere_));
  EXPECT_EQ(second.device(), ampere_);
  EXPECT_EQ(fake_live().streams, 1);
}

TEST_F(StreamTest, CaptureIsSeen) {
  const Stream stream = must(Stream::create(hopper_));
  EXPECT_FALSE(must(is_capturing(*hopper_, stream)));
  fake_set_capturing(stream, true);
  EXPECT_TRUE(must(is_capturing(*hopper_, stream)));
  fake_set_capturing(stream, false);
  EXPECT_FALSE(must(is_capturing(*hopper_, stream)));
}

TEST_F(StreamTest, ADefaultStreamThatWouldBreakACaptureCountsAsCaptured) {
  fake_fail_next("cuStreamIsCapturing", CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  EXPECT_TRUE(must(is_capturing(*hopper_, {})));
}

TEST_F(StreamTest, WaitingInACaptureIsRefusedAsThat) {
  const Stream stream = must(Stream::create(hopper_));
  fake_set_capturing(stream, true);
  EXPECT_EQ(code_of(stream.synchronize()), ErrorCode::kCapturing);
  fake_set_capturing(stream, false);
}

TEST_F(StreamTest, AStreamOfAnotherDeviceIsRefusedWithAHint) {
  const Stream stream = must(Stream::create(ampere_));
  const auto waited = synchronize(*hopper_, stream);
  EXPECT_EQ(code_of(waited), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(waited), "CUDA_ERROR_INVALID_HANDLE");
  EXPECT_CONTAINS(message_of(waited), "of this device");
}

TEST_F(StreamTest, AStreamThatCannotBeMadeSaysWhere) {
  fake_fail_next("cuStreamCreate", CUDA_ERROR_OUT_OF_MEMORY);
  const auto stream = Stream::create(ampere_);
  EXPECT_EQ(code_of(stream), ErrorCode::kOutOfMemory);
  EXPECT_CONTAINS(message_of(stream), "can't make a stream on cuda:1 (Fake A100): cuStreamCreate");
}

TEST_F(EventTest, TimeBetweenTwoEventsIsTheDrivers) {
  Event start = must(Event::create(hopper_));
  Event end = must(Event::create(hopper_));
  const Stream stream = must(Stream::create(hopper_));
  ASSERT_TRUE(start.record(stream));
  ASSERT_TRUE(end.record(stream));
  ASSERT_TRUE(end.synchronize());
  EXPECT_EQ(must(elapsed_ms(start, end)), 1.0f);
}

TEST_F(EventTest, AnEventThatWasNeverRecordedHasNoTime) {
  Event start = must(Event::create(hopper_));
  const Event end = must(Event::create(hopper_));
  ASSERT_TRUE(start.record({}));
  const auto time = elapsed_ms(start, end);
  EXPECT_EQ(code_of(time), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(time), "must be recorded");
}

TEST_F(EventTest, AStreamWaitsForAnEventOfItsDevice) {
  const Event event = must(Event::create(hopper_));
  const Stream stream = must(Stream::create(hopper_));
  EXPECT_TRUE(event.make_wait(stream));
  EXPECT_EQ(fake_calls("cuStreamWaitEvent"), 1);
}

TEST_F(EventTest, MovingAnEventMovesItsHandleOnce) {
  Event first = must(Event::create(hopper_));
  void* const handle = first.handle();
  Event second = std::move(first);
  EXPECT_EQ(second.handle(), handle);
  second = must(Event::create(hopper_));
  EXPECT_EQ(fake_live().events, 1);
}

}  // namespace
}  // namespace fms
