// A random program as CUDA C++.

#include <fmt/format.h>

#include <iterator>
#include <string>

#include "tests/conformance/random_program.h"

namespace fms {
namespace {

using Kind = Statement::Kind;

constexpr const char* kBegin = R"(

__device__ unsigned nth_lane(unsigned mask, unsigned n) {
  for (n %= __popc(mask); n > 0; --n) mask &= mask - 1;
  return __ffs(mask) - 1;
}

extern "C" __global__ void random_program(const unsigned* x, unsigned long long* out,
                                          unsigned* bins) {
  __shared__ Value slot[256];
  __shared__ unsigned bin[16];
  const unsigned thread = threadIdx.x, lane = thread % 32, first = thread - lane;
  const unsigned i = blockIdx.x * blockDim.x + thread;
  const unsigned all = blockDim.x - first >= 32 ? 0xffffffffu : (1u << blockDim.x % 32) - 1;
  Value v[4] = {x[i], x[i] >> 7, thread, blockIdx.x};
  for (unsigned b = thread; b < 16; b += blockDim.x) bin[b] = 0;
  slot[thread] = 0;
  __syncthreads();
)";

constexpr const char* kEnd = R"(
  __syncthreads();
  for (unsigned b = thread; b < 16; b += blockDim.x) bins[16 * blockIdx.x + b] = bin[b];
  out[4 * i] = v[0];
  out[4 * i + 1] = v[1];
  out[4 * i + 2] = v[2];
  out[4 * i + 3] = v[3];
  if (v[1] % 3 == 0) return;
  out[4 * i + 2] += __syncthreads_count(v[3] % 2);
}
)";

std::string text(const Operand& operand) {
  switch (operand.kind) {
    case Operand::Kind::kVariable:
      return fmt::format("v[{}]", operand.value);
    case Operand::Kind::kIndexed:
      return fmt::format("v[v[{}] % 4]", operand.value);
    case Operand::Kind::kConstant:
      return fmt::format("Value({})", operand.value);
    case Operand::Kind::kThread:
      return "Value(thread)";
    case Operand::Kind::kBlock:
      return "Value(blockIdx.x)";
    case Operand::Kind::kCounter:
      return fmt::format("Value(k{})", operand.value);
  }
  return {};
}

// The right side of an assignment.
std::string expression(const Statement& s) {
  constexpr const char* kForms[] = {"{0} + {1}",
                                    "{0} - {1}",
                                    "{0} * ({1} | 1u)",
                                    "{0} ^ ({1} >> 3)",
                                    "{0} % ({1} % 97u + 1u)",
                                    "{0} < {1} ? {1} : {0}",
                                    "{0} & {1}",
                                    "({0} << 5) | ({1} >> 27)"};
  static_assert(std::size(kForms) == kOperations);
  return fmt::format(fmt::runtime(kForms[s.number % kOperations]), text(s.a), text(s.b));
}

class Writer {
 public:
  void list(const std::vector<Statement>& statements, const std::string& mask, int indent) {
    for (const Statement& s : statements) write(s, mask, indent);
  }
  const std::string& written() const { return out_; }

 private:
  template <typename... Parts>
  void line(int indent, const char* form, const Parts&... parts) {
    out_ += std::string(static_cast<std::size_t>(indent) * 2, ' ');
    out_ += fmt::format(fmt::runtime(form), parts...) + "\n";
  }

  void sides(const Statement& s, const std::string& mask, const std::string& other_mask,
             int indent) {
    list(s.body, mask, indent + 1);
    if (!s.otherwise.empty()) {
      line(indent, "}} else {{");
      list(s.otherwise, other_mask, indent + 1);
    }
    line(indent, "}}");
  }

  void write(const Statement& s, const std::string& mask, int indent) {
    const std::string target = text(s.target), a = text(s.a);
    const std::string yes = fmt::format("y{}", s.depth), no = fmt::format("n{}", s.depth);
    switch (s.kind) {
      case Kind::kAssign:
        return line(indent, "{} = {};", target, expression(s));
      case Kind::kAddToBin:
        return line(indent, "atomicAdd(&bin[{} % 16], unsigned({}));", a, text(s.b));
      case Kind::kShuffle:
        return line(indent, "{0} = __shfl_sync({1}, {2}, nth_lane({1}, lane + {3}u));", target,
                    mask, a, s.number);
      case Kind::kCountLanes:
        return line(indent, "{} += __popc(__ballot_sync({}, {} % 2));", target, mask, a);
      case Kind::kWarpExchange:
        line(indent, "slot[thread] = {};", a);
        line(indent, "__syncwarp({});", mask);
        line(indent, "{} = slot[first + nth_lane({}, lane + {}u)];", target, mask, s.number);
        return line(indent, "__syncwarp({});", mask);
      case Kind::kBlockExchange:
        line(indent, "slot[thread] = {};", a);
        line(indent, "__syncthreads();");
        line(indent, "{} = slot[(thread + {}u) % blockDim.x];", target, s.number);
        return line(indent, "__syncthreads();");
      case Kind::kCountThreads:
        return line(indent, "{} += __syncthreads_count({} % 2);", target, a);
      case Kind::kCountEqual:
        return line(indent, "{} += __popc(__match_any_sync({}, unsigned({} % 4)));", target, mask,
                    a);
      case Kind::kBlockIf:
        line(indent, "if (blockIdx.x % 4 > {}) {{", s.number % 3);
        return sides(s, mask, mask, indent);
      case Kind::kWarpIf:
        line(indent,
             "if (const unsigned {0} = __ballot_sync({1}, {2} % 4 < {3}), {4} = {1} & ~{0};", yes,
             mask, a, s.number % 4, no);
        line(indent, "    {} >> lane & 1) {{", yes);
        return sides(s, yes, no, indent);
      case Kind::kThreadIf:
        line(indent, "if ({} % 3 == {}) {{", a, s.number % 3);
        return sides(s, mask, mask, indent);
      case Kind::kBlockLoop:
        line(indent, "for (unsigned k{0} = 0; k{0} < blockIdx.x % 2 + {1}; ++k{0}) {{", s.depth,
             s.number % 3);
        return sides(s, mask, mask, indent);
      case Kind::kWarpLoop:
        line(indent,
             "for (unsigned k{0} = 0, r{0} = {1} % 4, y{0} = __ballot_sync({2}, k{0} < r{0});",
             s.depth, a, mask);
        line(indent, "     k{0} < r{0}; ++k{0}, y{0} = __ballot_sync(y{0}, k{0} < r{0})) {{",
             s.depth);
        return sides(s, yes, yes, indent);
      case Kind::kThreadLoop:
        line(indent, "for (unsigned k{0} = 0, r{0} = {1} % 5; k{0} < r{0}; ++k{0}) {{", s.depth, a);
        return sides(s, mask, mask, indent);
      case Kind::kBreak:
        return line(indent, "if ({} % 2) break;", a);
      case Kind::kContinue:
        return line(indent, "if ({} % 2) continue;", a);
      case Kind::kBlockBreak:
        return line(indent, "if (__syncthreads_or({} % 2)) break;", a);
    }
  }

  std::string out_;
};

}  // namespace

std::string RandomProgram::source() const {
  Writer writer;
  writer.list(statements_, "all", 1);
  const char* type = is_wide_ ? "unsigned long long" : "unsigned";
  return fmt::format("using Value = {};", type) + kBegin + writer.written() + kEnd;
}

}  // namespace fms
