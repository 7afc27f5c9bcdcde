#include "python/native/session.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace fms::python {

// Never destroyed: threads of the interpreter may outlive static variables.
Session& Session::get() {
  static Session& instance = *new Session;
  return instance;
}

Session::Session() { pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child); }

void Session::before_fork() {
  get().mutex_.lock();
  get().devices_mutex_.lock();
}

void Session::after_fork_in_parent() {
  get().devices_mutex_.unlock();
  get().mutex_.unlock();
}

// The parent's Jit is left behind whole, since its locks may be held by threads that are not here;
// and its devices, since CUDA's driver can't be called here.
void Session::after_fork_in_child() {
  Session& session = get();
  if (session.jit_) new Jit(*std::move(session.jit_));
  session.use(std::nullopt);
  new std::vector<Opened>(std::exchange(session.devices_, {}));
  after_fork_in_parent();
}

void Session::use(std::optional<Jit> jit) {
  jit_ = std::move(jit);
  checks_addresses_ =
      jit_ && std::ranges::count(jit_->options().sanitize, Sanitizer::kAddress) != 0;
  ++generation_;
}

Result<Jit> Session::jit(std::uint64_t* generation) {
  const std::lock_guard lock(mutex_);
  if (!jit_) {
    FMS_TRY(JitOptions options, options_ ? Result<JitOptions>(*options_) : with_packages());
    FMS_TRY(Jit made, Jit::create(std::move(options)));
    use(std::move(made));
  }
  if (generation != nullptr) *generation = generation_;
  return *jit_;
}

std::optional<Jit> Session::opened() {
  const std::lock_guard lock(mutex_);
  return jit_;
}

Session::State Session::configure(std::optional<JitOptions> options) {
  const std::lock_guard lock(mutex_);
  State before{std::exchange(options_, std::move(options)), std::move(jit_)};
  use(std::nullopt);
  return before;
}

void Session::restore(State state) {
  std::optional<Jit> dropped;  // whose background thread is waited for: not under the lock
  const std::lock_guard lock(mutex_);
  options_ = std::move(state.options);
  dropped = std::move(jit_);
  use(std::move(state.jit));
}

Result<JitOptions> Session::options() {
  const std::lock_guard lock(mutex_);
  if (options_) return *options_;
  return with_packages();
}

void Session::set_site_packages(std::vector<std::filesystem::path> folders) {
  const std::lock_guard lock(mutex_);
  site_packages_ = std::move(folders);
}

Result<JitOptions> Session::from_environment() {
  const std::lock_guard lock(mutex_);
  return with_packages();
}

Result<JitOptions> Session::with_packages() const {
  FMS_TRY(JitOptions options, JitOptions::from_environment());
  std::ranges::copy(site_packages_, std::back_inserter(options.toolkit.site_packages));
  return options;
}

Result<std::shared_ptr<Device>> Session::device(DLDevice which) {
  const std::lock_guard lock(devices_mutex_);
  for (const Opened& opened : devices_) {
    if (opened.which.device_type == which.device_type &&
        opened.which.device_id == which.device_id) {
      return opened.device;
    }
  }
  if (which.device_type != kDLCPU && which.device_type != kDLCUDA) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("can't use a device of DLPack's type {}: kernels run on CUDA devices "
                            "and the CPU",
                            static_cast<int>(which.device_type)));
  }
  FMS_TRY(auto device, which.device_type == kDLCPU ? Device::cpu() : Device::open(which.device_id));
  devices_.push_back({which, device});
  return device;
}

void Session::close_devices() {
  const std::lock_guard lock(devices_mutex_);
  devices_.clear();
}

Result<DLDevice> Session::default_device() {
  // Asked once: without a driver each time would search for one.
  static const bool has_cuda = Device::count().value_or(0) > 0;
  return has_cuda ? DLDevice{kDLCUDA, 0} : DLDevice{kDLCPU, 0};
}

}  // namespace fms::python
