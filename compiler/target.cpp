#include "compiler/target.h"

#include <algorithm>
#include <charconv>

#include "compiler/llvm_library.h"

namespace fms {
namespace {

constexpr std::string_view kSm = "sm_";
constexpr int kOldest = 75;
constexpr int kNewest = 121;

Result<Target> parse_cuda(std::string_view text, std::string_view arch) {
  const auto refuse = [&](std::string_view why) {
    return fail(
        ErrorCode::kInvalidArgument,
        "can't use the target \"" + std::string(text.substr(0, 80)) + "\": " + std::string(why));
  };
  if (!arch.starts_with(kSm)) {
    return refuse("expected cuda:sm_NN, cuda:sm_NNa or cuda:sm_NNf, as in cuda:sm_90a");
  }
  std::string_view number = arch.substr(kSm.size());
  if (number.ends_with('a') || number.ends_with('f')) number.remove_suffix(1);
  int capability = 0;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), capability);
  const bool plain = !number.empty() && number.front() != '0' && number.front() != '-';
  if (error != std::errc() || end != number.data() + number.size() || !plain) {
    return refuse("expected sm_ and a number, with an a or f behind it or none, as in sm_90a");
  }
  if (capability < kOldest || capability > kNewest) {
    return refuse("this project supports sm_75 to sm_121");
  }
  return Target{.kind = Target::Kind::kCuda, .arch = std::string(arch)};
}

}  // namespace

Result<Target> Target::parse(std::string_view text) {
  constexpr std::string_view kCudaPrefix = "cuda:";
  constexpr std::string_view kCpuPrefix = "cpu:";
  if (text == "cpu" || text == "cpu:native") return host_target();
  if (text.starts_with(kCpuPrefix)) {
    const std::string_view arch = text.substr(kCpuPrefix.size());
    const auto plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.' || c == '+';
    };
    if (arch.empty() || arch.size() > 64 || !std::ranges::all_of(arch, plain)) {
      return fail(ErrorCode::kInvalidArgument,
                  "can't use the target \"" + std::string(text.substr(0, 80)) +
                      "\": expected a processor's name after cpu:, as in cpu:x86-64-v3");
    }
    return Target{.kind = Kind::kCpu, .arch = std::string(arch)};
  }
  return parse_cuda(text, text.starts_with(kCudaPrefix) ? text.substr(kCudaPrefix.size()) : text);
}

std::string Target::to_string() const { return (kind == Kind::kCuda ? "cuda:" : "cpu:") + arch; }

int Target::compute_capability() const {
  int capability = 0;
  const char* first = arch.data() + std::min(arch.size(), kSm.size());
  std::from_chars(first, arch.data() + arch.size(), capability);
  return capability;
}

bool Target::runs_on(int device_capability) const {
  if (kind != Kind::kCuda) return false;
  const int own = compute_capability();
  if (arch.ends_with('a')) return own == device_capability;
  return own / 10 == device_capability / 10 && own <= device_capability;
}

}  // namespace fms
