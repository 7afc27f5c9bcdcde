#pragma once

// Internal. Not installed.

#include <cstdint>
#include <span>

#include "compiler/cpu_abi.h"

namespace fms::cpu {

// Lanes of a warp that lie side by side in one row of the block, of which the first is thread
// (x, y, z).
struct Row {
  std::uint32_t lane = 0, count = 0;
  std::uint32_t x = 0, y = 0, z = 0;
};

class Sanitizer;

// A block while it runs, as its warps see it.
struct BlockRun {
  const Kernel* kernel = nullptr;
  Block block;
  std::uint32_t live = 0;          // threads that haven't ended
  std::uint32_t waiting = 0;       // those of them that wait for the whole block
  Sanitizer* sanitizer = nullptr;  // is told of what orders threads; null: the kernel isn't checked
};

// Runs one warp of a block, step by step. In a step lanes that are ready in one state run its
// region, and then are where it has brought them.
//
// As long as all lanes that haven't ended are in one state, and what the region takes as uniform is
// so, they are *together*: the region runs a row of lanes at once, and one number is their state.
// Else they are apart: each lane has its own state, in Warp::state. Those that came to it together
// still run so, and so do others that agree with them on what is uniform; lanes that are all in one
// state and agree are together again.
class WarpRunner {
 public:
  // `rows` and `warp` must live as long as this is used.
  void place(Warp* warp, std::span<const Row> rows);
  void begin(BlockRun& run);  // all lanes at the kernel's start

  // Lets lanes go on until none can, or until others shall have their turn. False if a lane waits
  // for lanes of which it isn't one; bad_lane() is that.
  bool turn(BlockRun& run);
  std::uint32_t bad_lane() const { return bad_lane_; }

  std::uint32_t live() const { return live_; }  // lanes that haven't ended
  bool is_ready() const { return ready_ != 0; }
  std::uint32_t state_of(std::uint32_t lane) const {
    return together_ ? state_ : warp_->state[lane];
  }
  const Warp& warp() const { return *warp_; }
  std::uint64_t* values() { return warp_->value; }

  // The state that all live lanes are in; kManySuccessors if they are in several.
  std::uint32_t common_state() const;
  void release();  // REQUIRES: all live lanes wait for the whole block in one state

 private:
  void run_rows(Region region, BlockRun& run, std::uint32_t lanes);
  void run_lane(Region region, BlockRun& run, std::uint32_t lane);
  std::uint32_t read_next(BlockRun& run);
  std::uint32_t state_of_all() const;
  bool is_whole_group() const;
  std::uint32_t join(const State& at, std::uint32_t lanes) const;
  bool do_agree(const State& at, std::uint32_t a, std::uint32_t b) const;
  void split(std::uint32_t lanes);
  std::uint32_t choose();

  void step_together(BlockRun& run);
  void step_apart(BlockRun& run);
  void arrive_together(BlockRun& run);
  void arrive(BlockRun& run, std::uint32_t lane);
  void arrive_apart(BlockRun& run);
  void end(BlockRun& run, std::uint32_t lanes);
  void release_groups(const BlockRun& run);
  void release_converged(const BlockRun& run);
  void perform_at(const State& state, const BlockRun& run, std::uint32_t group);

  // Constant once placed.
  Warp* warp_ = nullptr;
  std::span<const Row> rows_;
  std::uint32_t lanes_ = 0;  // that there are: the last warp may be short

  std::uint32_t live_ = 0;
  std::uint32_t ready_ = 0;
  std::uint32_t state_ = 0;  // only if together_
  bool together_ = true;
  // Only if apart: by lane, those that have run together with it up to here (itself among them);
  // lanes that wait for others of their warp; how many steps there have been.
  std::uint32_t companions_[kWarpSize] = {};
  std::uint32_t at_warp_ = 0;
  std::uint32_t at_converge_ = 0;
  std::uint32_t steps_apart_ = 0;
  std::uint32_t last_favoured_ = 0;
  std::uint32_t bad_lane_ = kWarpSize;  // kWarpSize: none
};

}  // namespace fms::cpu
