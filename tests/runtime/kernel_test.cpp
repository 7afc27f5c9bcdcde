#include "runtime/kernel.h"

#include <cstring>
#include <optional>

#include "runtime/driver.h"
#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

class KernelTest : public testing::FakeDeviceTest {
 protected:
  static ObjectCode saxpy(const Target& target = sm_90a()) {
    return fake_object({.name = "saxpy",
                        .registers = 40,
                        .static_smem_bytes = 2048,
                        .max_threads = 256,
                        .parameter_sizes = {4, 8, 8, 4}},
                       target);
  }
  static ObjectCode ptx(std::string arch) {
    ObjectCode object{.format = ObjectFormat::kPtx,
                      .target = {Target::Kind::kCuda, std::move(arch)},
                      .entry = "saxpy"};
    const std::string_view text =
        ".version 8.0\n.target sm_80\n.visible .entry saxpy(\n"
        " .param .f32 saxpy_param_0,\n .param .u64 saxpy_param_1,\n"
        " .param .align 8 .b8 saxpy_param_2[24]\n)\n{ ret; }\n";
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    object.bytes.assign(bytes, bytes + text.size());
    return object;
  }
  // What loading it fails with after `change`.
  template <typename Change>
  Error error_after(Change&& change) {
    ObjectCode object = saxpy();
    change(object);
    auto kernel = Kernel::load(hopper_, object);
    return kernel ? Error{ErrorCode::kInternal, "(it succeeded)", {}} : kernel.error();
  }
};

TEST_F(KernelTest, ALoadedKernelIsWhatItsObjectCodeSays) {
  const ObjectCode object = saxpy();
  const Kernel kernel = must(Kernel::load(hopper_, object));
  EXPECT_EQ(kernel.name(), "saxpy");
  EXPECT_EQ(kernel.resources(), object.resources);
  EXPECT_EQ(kernel.target(), sm_90a());
  EXPECT_EQ(kernel.device(), hopper_);
  EXPECT_EQ(kernel.max_threads_per_block(), 256);
  EXPECT_TRUE(kernel.parameters_known());
  EXPECT_NE(kernel.function(), nullptr);
}

TEST_F(KernelTest, TheLastKernelUnloadsTheLibraryAndClosesTheDevice) {
  std::optional<Kernel> first = must(Kernel::load(hopper_, saxpy()));
  std::optional<Kernel> second = first;
  hopper_.reset();
  first.reset();
  EXPECT_EQ(fake_live().libraries, 1);
  EXPECT_EQ(fake_live().contexts, 2);
  second.reset();
  EXPECT_EQ(fake_live().libraries, 0);
  EXPECT_EQ(fake_live().contexts, 1);
}

TEST_F(KernelTest, AllSharedMemoryThatIsLeftIsAllowedOnceAtLoading) {
  const Kernel kernel = must(Kernel::load(hopper_, saxpy()));
  EXPECT_EQ(kernel.max_dynamic_smem_bytes(), 232448 - 2048);
  EXPECT_EQ(fake_max_dynamic_smem("saxpy"), 232448 - 2048);
}

TEST_F(KernelTest, EachDeviceLoadsItsOwn) {
  const Kernel on_hopper = must(Kernel::load(hopper_, saxpy(sm_90a())));
  const Kernel on_ampere = must(Kernel::load(ampere_, saxpy(sm_80())));
  EXPECT_EQ(on_hopper.device(), hopper_);
  EXPECT_EQ(on_ampere.device(), ampere_);
  EXPECT_EQ(on_ampere.max_dynamic_smem_bytes(), 166912 - 2048);
}

TEST_F(KernelTest, CodeOfAnotherArchitectureIsRefusedAndBothAreNamed) {
  const auto kernel = Kernel::load(ampere_, saxpy(sm_90a()));
  EXPECT_EQ(code_of(kernel), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(kernel), "can't load saxpy on cuda:1 (Fake A100)");
  EXPECT_CONTAINS(message_of(kernel), "compiled for cuda:sm_90a");
  EXPECT_CONTAINS(message_of(kernel), "the device is cuda:sm_80");
  EXPECT_EQ(fake_calls("cuLibraryLoadData"), 0) << "the driver is not asked";
}

TEST_F(KernelTest, CodeForTheCpuIsRefused) {
  ObjectCode object = saxpy();
  object.target = {Target::Kind::kCpu, "x86-64-v3"};
  EXPECT_EQ(code_of(Kernel::load(hopper_, object)), ErrorCode::kUnsupported);
}

TEST_F(KernelTest, PtxRunsOnNewerDevicesAndTheDriverTellsItsResources) {
  const Kernel kernel = must(Kernel::load(hopper_, ptx("sm_80")));
  EXPECT_EQ(kernel.resources().registers, 24);
  const std::vector<ParameterLayout> expected{{0, 4}, {8, 8}, {16, 24}};
  EXPECT_EQ(kernel.resources().parameters, expected);
  EXPECT_TRUE(kernel.parameters_known());
}

TEST_F(KernelTest, PtxForANewerDeviceOrWithASuffixIsRefused) {
  EXPECT_EQ(code_of(Kernel::load(ampere_, ptx("sm_90"))), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of(Kernel::load(ampere_, ptx("sm_90a"))), ErrorCode::kUnsupported);
  EXPECT_TRUE(Kernel::load(hopper_, ptx("sm_90a")));
}

TEST_F(KernelTest, ADriverThatDoesNotTellParametersLeavesThoseOfPtxUnknown) {
  fake_fail_next("cuFuncGetParamInfo", CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_FALSE(must(Kernel::load(hopper_, ptx("sm_80"))).parameters_known());
  fake_fail_next("cuFuncGetParamInfo", CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_TRUE(must(Kernel::load(hopper_, saxpy())).parameters_known());
}

TEST_F(KernelTest, BytesThatAreNoObjectCodeAreCorrupt) {
  const Error nonsense = error_after(
      [](ObjectCode& object) { std::memset(object.bytes.data(), 0x5a, object.bytes.size() - 1); });
  EXPECT_EQ(nonsense.code, ErrorCode::kCorrupt);
  EXPECT_CONTAINS(nonsense.message, "compile it again");
  const Error shortened = error_after([](ObjectCode& object) { object.bytes.resize(10); });
  EXPECT_EQ(shortened.code, ErrorCode::kCorrupt);
  EXPECT_CONTAINS(shortened.message, "too short");
}

TEST_F(KernelTest, AnEntryThatIsNotInTheCodeIsNotFound) {
  const Error error = error_after([](ObjectCode& object) { object.entry = "daxpy"; });
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_CONTAINS(error.message, "can't take kernel daxpy on cuda:0 (Fake H100)");
}

TEST_F(KernelTest, AnImageThatTheDriverFindsToBeOfAnotherArchitectureIsUnsupported) {
  // The record says sm_90a, the bytes are of sm_80a.
  ObjectCode object = saxpy({Target::Kind::kCuda, "sm_80a"});
  object.target = sm_90a();
  const auto kernel = Kernel::load(hopper_, object);
  EXPECT_EQ(code_of(kernel), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(kernel), "CUDA_ERROR_NO_BINARY_FOR_GPU");
}

TEST_F(KernelTest, PtxThatIsNewerThanTheDriverSaysSo) {
  fake_fail_next("cuLibraryLoadData", CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  const auto kernel = Kernel::load(hopper_, ptx("sm_80"));
  EXPECT_EQ(code_of(kernel), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(kernel), "the compiler is newer than the driver");
}

// The admission test: a record whose numbers aren't the driver's is not of this code.
TEST_F(KernelTest, ARecordThatDisagreesWithTheDriverIsNotAdmitted) {
  const auto registers = error_after([](ObjectCode& object) { ++object.resources.registers; });
  EXPECT_EQ(registers.code, ErrorCode::kCorrupt);
  EXPECT_CONTAINS(registers.message, "the driver finds registers: 40, its object code says 41");

  const auto smem = error_after([](ObjectCode& object) { object.resources.static_smem_bytes = 0; });
  EXPECT_EQ(smem.code, ErrorCode::kCorrupt);
  EXPECT_CONTAINS(smem.message, "static shared memory: 2048, its object code says 0");

  const auto threads = error_after([](ObjectCode& object) { object.resources.max_threads = 128; });
  EXPECT_EQ(threads.code, ErrorCode::kCorrupt);
  EXPECT_CONTAINS(threads.message, "threads of a block at most: 256, its object code says 128");

  const auto parameters =
      error_after([](ObjectCode& object) { object.resources.parameters.back().size = 8; });
  EXPECT_EQ(parameters.code, ErrorCode::kCorrupt);
  EXPECT_CONTAINS(parameters.message, "[4@0 8@8 8@16 4@24]");
  EXPECT_CONTAINS(parameters.message, "[4@0 8@8 8@16 8@24]");

  const auto more = error_after(
      [](ObjectCode& object) { object.resources.parameters.push_back({.offset = 32, .size = 8}); });
  EXPECT_EQ(more.code, ErrorCode::kCorrupt);
  EXPECT_EQ(fake_live().libraries, 0);
}

TEST_F(KernelTest, SharedMemoryThatTheDriverReservesIsNoDisagreement) {
  ObjectCode object = saxpy();
  object.resources.static_smem_bytes -= 1024;
  EXPECT_TRUE(Kernel::load(hopper_, object));
}

TEST_F(KernelTest, RegistersThatAToolHasAddedAreNoDisagreement) {
  ObjectCode object = saxpy();
  object.resources.registers -= 8;
  EXPECT_TRUE(Kernel::load(hopper_, object));
}

TEST_F(KernelTest, LoadingInACaptureIsRefusedAsThat) {
  fake_set_capturing({}, true);
  const auto kernel = Kernel::load(hopper_, saxpy());
  fake_set_capturing({}, false);
  EXPECT_EQ(code_of(kernel), ErrorCode::kCapturing);
}

TEST_F(KernelTest, AKernelIsLoadedForGoodAndNotAtItsFirstLaunch) {
  must(Kernel::load(hopper_, saxpy()));
  EXPECT_EQ(fake_calls("cuFuncLoad"), 1);
}

TEST_F(KernelTest, AFailedStepUnloadsTheLibrary) {
  for (const char* call : {"cuKernelGetFunction", "cuFuncLoad", "cuFuncGetAttribute",
                           "cuFuncSetAttribute", "cuLibraryGetKernel"}) {
    fake_fail_next(call, CUDA_ERROR_OUT_OF_MEMORY);
    const auto kernel = Kernel::load(hopper_, saxpy());
    EXPECT_EQ(code_of(kernel), ErrorCode::kOutOfMemory) << call;
    EXPECT_CONTAINS(message_of(kernel), call);
    EXPECT_EQ(fake_live().libraries, 0) << call;
  }
}

TEST_F(KernelTest, OccupancyIsTheDriversAndItsErrorsNameTheKernel) {
  const Kernel kernel = must(Kernel::load(hopper_, saxpy()));
  EXPECT_EQ(must(kernel.occupancy(256, 0)), 1);
  const auto none = kernel.occupancy(0, 0);
  EXPECT_EQ(code_of(none), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(none), "saxpy with 0 threads");
}

}  // namespace
}  // namespace fms
