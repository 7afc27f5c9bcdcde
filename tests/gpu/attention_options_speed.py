#!/usr/bin/env python3
"""Times attention's options on a GPU beside its plain kernel and PyTorch's FlexAttention.

Options change the work: the count of floating-point operations is of the pairs of a query and a key
that are seen, and rates are of that. Each turn calls through the Python package; every call finds
an empty L2 cache and is timed by events on the device. Needs PyTorch with CUDA.

    python3 tests/gpu/attention_options_speed.py [--head-dim 128] [--markdown FILE]
"""

import argparse
import pathlib
import statistics
import sys

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import flashmoe_science as fms

BATCH, HEADS, LENGTH = 4, 16, 4096
WINDOW = 1023
ALIBI = """
struct Mods {
  const float* slopes;
  __device__ float score(float score, int, int head, float query, float key) const {
    return score + slopes[head] * (key - query);
  }
};
"""


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


class Clock:
    """Times calls on the device, each with an empty L2 cache."""

    def __init__(self) -> None:
        self.flush = torch.empty(256 << 20, dtype=torch.int8, device="cuda")

    def turn(self, call, repeat: int) -> list:
        call()
        pairs = []
        for _ in range(repeat):
            pair = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self.flush.zero_()
            pair[0].record()
            call()
            pair[1].record()
            pairs.append(pair)
        torch.cuda.synchronize()
        return [start.elapsed_time(end) for start, end in pairs]


class Case:
    """One option: ours, FlexAttention's if it has it, and how many pairs of a head are seen."""

    def __init__(self, name, ours, flex=None, pairs=LENGTH * LENGTH, plain="plain"):
        self.name, self.ours, self.flex, self.pairs, self.plain = name, ours, flex, pairs, plain


def documents() -> torch.Tensor:
    """The number of each token's document; they are about 600 tokens long."""
    generator = torch.Generator().manual_seed(5)
    begins = torch.rand(LENGTH, generator=generator) < 1 / 600
    return begins.int().cumsum(0).int().cuda()


def cases(head_dim: int) -> list:
    q, k, v = (random(BATCH, HEADS, LENGTH, head_dim) for _ in "qkv")
    slopes = torch.tensor([2 ** (-8 * (h + 1) / HEADS) for h in range(HEADS)], device="cuda")
    bias = random(1, HEADS, LENGTH, LENGTH)
    tokens = documents()
    seen = tokens[:, None] == tokens[None]
    lengths = torch.bincount(tokens - tokens[0]).repeat(BATCH)
    lengths = lengths[lengths > 0]
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]).int()
    packed = [random(BATCH * LENGTH, HEADS, head_dim) for _ in "qkv"]
    compiled = torch.compile(flex_attention, dynamic=False)
    causal_pairs = LENGTH * (LENGTH + 1) // 2

    def ours(**options):
        return lambda: fms.attention(q, k, v, layout="bhsd", **options)

    def flex(score_mod=None, mask_mod=None):
        mask = mask_mod and create_block_mask(mask_mod, None, None, LENGTH, LENGTH)
        return lambda: compiled(q, k, v, score_mod=score_mod, block_mask=mask)

    def linear(score, b, h, i, j):
        return score + slopes[h] * (j - i)

    def is_before(b, h, i, j):
        return i >= j

    alibi = fms.mods(ALIBI, slopes=slopes)
    same_document = fms.mods("documents", documents=tokens, batch_stride=0)
    table = fms.block_table(
        q, k, v, mods=same_document, layout="bhsd", per_batch=False, per_head=False
    )
    return [
        Case("plain", ours(), flex()),
        Case("causal", ours(causal=True), flex(mask_mod=is_before), causal_pairs),
        Case("ALiBi", ours(mods=alibi), flex(linear)),
        Case("ALiBi, causal", ours(mods=alibi, causal=True), flex(linear, is_before),
             causal_pairs, "causal"),
        Case("bias of heads", ours(bias=bias), flex(lambda s, b, h, i, j: s + bias[0, h, i, j])),
        Case("packed", lambda: fms.attention(*packed, cu_seqlens_q=starts, max_seqlen_q=LENGTH,
                                             max_seqlen_k=LENGTH), None, int(seen.sum())),
        Case("documents", ours(mods=same_document, block_table=table),
             flex(mask_mod=lambda b, h, i, j: tokens[i] == tokens[j]), int(seen.sum()), "packed"),
        Case("softcap 50", ours(softcap=50.0), flex(lambda s, b, h, i, j: 50 * torch.tanh(s / 50))),
        Case(f"window {WINDOW}", ours(causal=True, window_size=(WINDOW, 0)),
             flex(mask_mod=lambda b, h, i, j: (i >= j) & (i - j <= WINDOW)),
             causal_pairs - (LENGTH - WINDOW - 1) * (LENGTH - WINDOW) // 2),
        Case("sinks, causal", ours(causal=True, sinks=torch.zeros(HEADS, device="cuda")), None,
             causal_pairs, "causal"),
    ]  # fmt: skip


def measure(options: argparse.Namespace, clock: Clock, head_dim: int) -> list:
    rates: dict = {}
    lines = []
    for case in cases(head_dim):
        calls = {"ours": case.ours} | ({"flex": case.flex} if case.flex else {})
        times: dict = {name: [] for name in calls}
        for _ in range(options.rounds):
            for name, call in calls.items():
                times[name] += clock.turn(call, options.repeat)
        ms = {name: statistics.median(taken) for name, taken in times.items()}
        work = 4.0 * BATCH * HEADS * case.pairs * head_dim / 1e9
        rates[case.name] = work / ms["ours"]
        cells = [f"D{head_dim} {case.name}", f"{ms['ours']:.4f} ms, {work / ms['ours']:.0f}"]
        cells += [f"{ms['flex']:.4f} ms, {work / ms['flex']:.0f}"] if case.flex else ["-"]
        cells += [f"{ms['flex'] / ms['ours']:.2f}" if case.flex else "-"]
        cells += [f"{rates[case.name] / rates[case.plain]:.2f}" if case.plain in rates else "-"]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--head-dim", type=int, nargs="+", default=[128, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=12, help="calls of a turn")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table here, too")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing was timed")
        return 0
    torch.manual_seed(0)
    torch._dynamo.config.recompile_limit = 64
    head = ["shape", "ours", "FlexAttention", "x Flex", "of plain"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for head_dim in options.head_dim:
        lines += measure(options, Clock(), head_dim)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
