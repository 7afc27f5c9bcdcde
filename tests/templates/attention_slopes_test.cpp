// Slopes of Mods on each target, which Hopper's tensor cores add, against the fp64 reference.

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "runtime/ops/attention_mods.h"
#include "tests/templates/attention_fixture.h"

namespace fms::attention {
namespace {

class AttentionSlopesTest : public AttentionTest {
 protected:
  // ALiBi of attention/mods/, in which a head's slope is 2^-head.
  CaseMods slopes(int offset) {
    if (!slopes_) slopes_ = upload(std::vector<float>{1, 0.5f, 0.25f, 0.125f});
    struct Members {
      const float* slopes;
      int offset;
    };
    return {
        .mods = Mods::embedded("alibi").value(),
        .bytes = CaseMods::bytes_of(Members{static_cast<const float*>(slopes_->data()), offset}),
        .score = [offset](double score, int, int head, int query, int key) {
          return score - std::ldexp(1.0, -head) * std::abs(query + offset - key);
        }};
  }

 private:
  std::optional<DeviceBuffer> slopes_;
};

// Tiles of keys before the diagonal, after it and across it, in each kernel and under each mask.
TEST_P(AttentionSlopesTest, FallOffOnBothSidesOfTheDiagonal) {
  if (on_cpu()) {
    verify({.problem = grouped_problem(DType::kFloat32, 40, 75, 24), .mods = slopes(35)});
    return;
  }
  verify({.problem = grouped_problem(DType::kFloat32, 113, 230, 64), .mods = slopes(117)});
  for (const int head_dim : {64, 128, 256}) {
    for (const Mask mask : {Mask::kFull, Mask::kCausal, Mask::kCausalTopLeft}) {
      verify({.problem = grouped_problem(DType::kBFloat16, 150, 420, head_dim, mask),
              .mods = slopes(270)});
    }
  }
  verify({.problem = grouped_problem(DType::kFloat16, 150, 420, 64), .mods = slopes(270)});
  const Problem p = grouped_problem(DType::kBFloat16, 200, 256, 64);
  for (const int offset : {-1000, -70, 1, 200}) verify({.problem = p, .mods = slopes(offset)});
  verify({.problem = p, .softcap = 20, .mods = slopes(40)});
  verify({.problem = grouped_problem(DType::kBFloat16, 200, 420, 64, Mask::kWindow),
          .window_left = 200,
          .window_right = 100,
          .mods = slopes(40)});
  verify({.problem = grouped_problem(DType::kBFloat16, 0, 0, 64),
          .order = Order::kRowsFirst,
          .lengths_q = {5, 0, 200, 33},
          .lengths_k = {9, 4, 200, 100},
          .mods = slopes(0)});
}

FMS_ON_EVERY_TARGET(AttentionSlopesTest);

}  // namespace
}  // namespace fms::attention
