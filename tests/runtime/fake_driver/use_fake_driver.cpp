// In the test's own program, which has the Driver that is told: the rest is in the fake library.

#include "runtime/driver.h"
#include "tests/runtime/fake_driver/fake_driver.h"

namespace fms {

void use_fake_driver() {
  fake_reset();
  set_driver_path_for_testing(FMS_FAKE_DRIVER_DIR "/libcuda.so.1");
}

}  // namespace fms
