#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/device_buffer.h"
#include "runtime/event.h"
#include "runtime/ops/attention_plan.h"
#include "runtime/stream.h"

namespace fms::attention {

// One problem with arrays on a device, on which plans are compared: whether they compute the same,
// and how long they take.
//
// Not thread-safe.
class TuningTrial {
 public:
  // One that can be launched: a plan, and the kernel made for it.
  struct Entrant {
    ForwardPlan plan;
    Kernel kernel;
    std::vector<double> ms;  // of each launch that was timed
  };

  // Random arrays; for the options of the problem what is common. REQUIRES: check(problem), and it
  // has neither functions of the user's nor a block table.
  static Result<TuningTrial> create(std::shared_ptr<Device> device, const Problem& problem,
                                    unsigned seed);

  const Problem& problem() const { return problem_; }

  // From now on `stuck` is called when the result of a kernel has been waited for so long. Nothing
  // can stop such a kernel but the end of the process; if `stuck` returns, it is waited for on.
  void on_stuck(std::chrono::duration<double> patience, std::function<void(const Entrant&)> stuck) {
    patience_ = patience;
    stuck_ = std::move(stuck);
  }

  // What came of computing with an entrant.
  struct Verdict {
    bool launched = true;  // false: the driver refused the launch
    std::string fault;     // what is wrong; empty: nothing

    bool good() const { return fault.empty(); }
  };

  // Computes with `first`, compares some rows with double precision, and keeps the result for
  // later comparisons. kInternal: it is wrong.
  Result<void> expect(const Entrant& first);
  // Compares the result of another, within the rounding of the problem's type. Fails where the
  // kernel does, after which the process can't use the device any more. REQUIRES: expect()
  // succeeded, as the next.
  Result<Verdict> compare(const Entrant& other);
  // Whether two give the same bits. REQUIRES: compare() found both good.
  Result<bool> same_bits(const Entrant& a, const Entrant& b);

  // Times all of them `rounds` times, taking turns: by events on the device, each launch with
  // nothing of the arrays in its L2 cache.
  Result<void> time(std::span<Entrant* const> entrants, int rounds);

 private:
  struct Results {
    std::vector<std::byte> o;
    std::vector<float> lse;
  };

  TuningTrial(std::shared_ptr<Device> device, const Problem& problem, Stream stream)
      : device_(std::move(device)), problem_(problem), stream_(std::move(stream)) {}

  Result<void> make_arrays(unsigned seed);
  Arguments arguments() const;
  Result<void> launch(const Entrant& entrant);
  Result<void> wait_for(const Entrant& entrant);
  Result<void> compute(const Entrant& entrant, Results& results);

  std::shared_ptr<Device> device_;
  Problem problem_;
  Stream stream_;
  std::vector<std::byte> host_q_, host_k_, host_v_;
  std::vector<float> sinks_;
  std::vector<std::int32_t> first_queries_, first_keys_;
  std::vector<DeviceBuffer> arrays_;  // q, k, v, o, lse and what options take
  std::optional<DeviceBuffer> flush_;
  Results expected_;
  Results got_;  // kept from one to the next, since making room takes as long as computing
  std::chrono::duration<double> patience_{0};
  std::function<void(const Entrant&)> stuck_;
};

}  // namespace fms::attention
