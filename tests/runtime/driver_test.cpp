#include "runtime/driver.h"

#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>
#include <vector>

#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

// The exit status of a child that runs `body` and exits with what it returns.
template <typename Body>
int run_in_child(Body&& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(DriverTest, WithoutADriverDevicesAreUnavailableAndTheMessageSaysWhatWasTried) {
  set_driver_path_for_testing("/nonexistent/libcuda.so.1");
  for (const std::string& message : {message_of(Device::open()), message_of(Device::count())}) {
    EXPECT_CONTAINS(message, "can't load the CUDA driver");
    EXPECT_CONTAINS(message, "/nonexistent/libcuda.so.1");
    EXPECT_CONTAINS(message, "install the NVIDIA driver");
  }
  EXPECT_EQ(code_of(Device::open()), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of(Device::count()), ErrorCode::kUnavailable);
}

TEST(DriverTest, ALibraryThatLacksAFunctionIsRefusedByTheFunctionsName) {
  set_driver_path_for_testing("libm.so.6");
  const auto driver = Driver::get();
  EXPECT_EQ(code_of(driver), ErrorCode::kUnavailable);
  EXPECT_CONTAINS(message_of(driver), "it has no cuInit");
}

TEST(DriverTest, TheLoadersOwnSearchFindsTheDriver) {
  use_fake_driver();
  // The fake is in this process already, under the driver's name.
  set_driver_path_for_testing("");
  EXPECT_EQ(must(Driver::get())->path(), FMS_FAKE_DRIVER_DIR "/libcuda.so.1");
}

TEST(DriverTest, AFailedInitialisationSaysWhatToDoAndIsTriedAgain) {
  use_fake_driver();
  fake_fail_next("cuInit", CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
  const auto failed = Driver::get();
  EXPECT_EQ(code_of(failed), ErrorCode::kUnavailable);
  EXPECT_CONTAINS(message_of(failed), "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH");
  EXPECT_CONTAINS(message_of(failed), "reboot");
  EXPECT_TRUE(Driver::get());
}

TEST(DriverTest, ManyThreadsInitialiseItOnce) {
  use_fake_driver();
  std::vector<std::thread> threads;
  std::vector<const Driver*> seen(8);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    threads.emplace_back([&seen, i] { seen[i] = must(Driver::get()).get(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fake_calls("cuInit"), 1);
  EXPECT_EQ(std::set<const Driver*>(seen.begin(), seen.end()).size(), 1u);
}

TEST(DriverTest, AChildOfAForkAfterInitialisationIsToldSo) {
  use_fake_driver();
  const std::shared_ptr<Device> device = must(Device::open());
  const int status = run_in_child([&] {
    const auto opened = Device::open();
    const auto used = device->synchronize();
    const bool said = message_of(opened).find("before fork()") != std::string::npos &&
                      message_of(used).find("before fork()") != std::string::npos;
    const bool unavailable =
        code_of(opened) == ErrorCode::kUnavailable && code_of(used) == ErrorCode::kUnavailable;
    return said && unavailable ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(DriverTest, AChildReleasesNothingThatItsParentMade) {
  use_fake_driver();
  std::shared_ptr<Device> device = must(Device::open());
  const int status = run_in_child([&] {
    device.reset();
    return fake_calls("cuDevicePrimaryCtxRelease");
  });
  EXPECT_EQ(status, 0);
}

TEST(DriverTest, AForkBeforeTheFirstUseHarmsNothing) {
  // In a process of its own, since the other tests initialise the driver in this one.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [] {
    use_fake_driver();
    std::exit(run_in_child([] { return Device::open() ? 0 : 1; }));
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

TEST(DriverTest, ErrorsSayWhatWasDoneByWhichCallAndWhatItAnswered) {
  use_fake_driver();
  const auto driver = must(Driver::get());
  const Error error = driver->error(CUDA_ERROR_INVALID_HANDLE, "cuStreamSynchronize",
                                    "can't wait for a stream on cuda:0");
  EXPECT_EQ(error.code, ErrorCode::kDriver);
  EXPECT_CONTAINS(error.message,
                  "can't wait for a stream on cuda:0: cuStreamSynchronize: "
                  "CUDA_ERROR_INVALID_HANDLE (something went wrong)");
}

TEST(DriverTest, ErrorsOfMemoryCaptureAndSupportHaveCodesOfTheirOwn) {
  use_fake_driver();
  const auto driver = must(Driver::get());
  const auto code = [&](CUresult result) { return driver->error(result, "cuCall", "doing").code; };
  EXPECT_EQ(code(CUDA_ERROR_OUT_OF_MEMORY), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED), ErrorCode::kCapturing);
  EXPECT_EQ(code(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD), ErrorCode::kCapturing);
  EXPECT_EQ(code(CUDA_ERROR_TIMEOUT), ErrorCode::kDriver);  // the next number after them
  EXPECT_EQ(code(CUDA_ERROR_NOT_SUPPORTED), ErrorCode::kUnsupported);
}

TEST(DriverTest, AnErrorThatAnEarlierKernelLeftIsCalledThat) {
  use_fake_driver();
  const Error error =
      must(Driver::get())->error(CUDA_ERROR_ILLEGAL_ADDRESS, "cuLaunchKernelEx", "can't launch k");
  EXPECT_EQ(error.code, ErrorCode::kDriver);
  EXPECT_CONTAINS(error.message, "an earlier kernel on this device failed");
  EXPECT_CONTAINS(error.message, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_CONTAINS(error.message, "compute-sanitizer");
}

TEST(DriverTest, AnErrorThatTheDriverHasNoNameForKeepsItsNumber) {
  use_fake_driver();
  const Error error =
      must(Driver::get())->error(static_cast<CUresult>(1013), "cuInit", "can't begin");
  EXPECT_CONTAINS(error.message, "error 1013");
}

}  // namespace
}  // namespace fms
