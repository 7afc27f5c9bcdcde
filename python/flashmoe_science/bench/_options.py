"""Attention's options beside the plain kernel, and beside PyTorch's FlexAttention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import _attention, _block_table, _mods
from .._progress import Progress
from .._session import configure
from ._peers import OURS, Peer, Shape, time_peers
from ._report import Report, Row, machine_of
from ._timing import Call, DeviceClock, median, spread

FLEX = "torch Flex"
ON_CUDA = [Shape(4, 16, 4096, head_dim, False) for head_dim in (128, 64)]
ON_CPU = [Shape(1, 2, 256, 64, False)]

@dataclass(frozen=True)
class Case:
    """One option.

    Attributes:
        name: as the table has it.
        ours: the call.
        flex: score_mod and mask_mod of FlexAttention; None: it has no such option.
        pairs: of a query and a key that are seen, of one batch and head.
        plain: the case that has the work without the option, or nearly.
    """

    name: str
    ours: Call
    flex: tuple[Any, Any] | None
    pairs: int
    plain: str = "plain"


class OptionsBench:
    """One run: :class:`._attention.Bench` says what its arguments are."""

    def __init__(
        self,
        shapes: list[Shape],
        dtype: str = "",
        rounds: int = 0,
        tell: Callable[[Report, list[Row]], None] = lambda report, rows: None,
        commit: str = "",
    ) -> None:
        import torch

        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._clock = DeviceClock(torch) if self._device == "cuda" else None
        self._shapes = shapes or (ON_CPU if self._clock is None else ON_CUDA)
        self._dtype = dtype or ("float32" if self._clock is None else "bfloat16")
        self._rounds = rounds if rounds > 0 else (5 if self._clock is None else 36)
        self._tell, self._commit = tell, commit

    def run(self) -> Report:
        """Measures all options of all shapes, their masks apart."""
        where = "host time" if self._clock is None else "GPU time by events, cold L2"
        report = Report(
            f"Attention's options, {self._dtype}, {self._device}: {where}, "
            f"median of {self._rounds}; x: over ours",
            machine_of(self._torch, self._device, self._commit), [], {}, OURS,
        )  # fmt: skip
        policy = "dynamic" if self._clock is None else "exact"
        with Progress(len(self._shapes)) as progress, configure(policy=policy):
            for at, shape in enumerate(self._shapes):
                rates: dict[str, float] = {}
                with self._torch.inference_mode():
                    for case in self._cases(shape):
                        progress.update(at, f"{shape}: {case.name}")
                        rows = self._measure(report, shape, case, rates)
                        report.rows.extend(rows)
                        progress.erase()
                        self._tell(report, rows)
        return report

    def _measure(
        self, report: Report, shape: Shape, case: Case, rates: dict[str, float]
    ) -> list[Row]:
        problem = f"D{shape.head_dim} {case.name}"
        peers = []
        results = {}
        for peer in self._peers(shape, case, report.missing):
            try:
                results[peer.name] = peer.call().float()
            except Exception as error:  # of any framework; a peer that can't is named
                report.missing[f"{peer.name} ({problem})"] = str(error).splitlines()[0][:100]
                continue
            peers.append(peer)
        apart = None
        if len(results) == 2:
            apart = (results[OURS] - results[FLEX]).abs().max().item()
        results.clear()
        samples = time_peers(peers, self._clock, self._rounds)
        rows = []
        work = 4.0 * shape.batch * shape.heads * case.pairs * shape.head_dim
        for peer in peers:
            seconds = median(samples[peer.name])
            row = Row(
                problem, peer.name, seconds, work / seconds * 1e-12,
                spread=spread(samples[peer.name]),
            )  # fmt: skip
            if peer.name == OURS:
                row.apart = apart
                rates[case.name] = work / seconds
                if case.plain in rates:
                    row.of_plain = rates[case.name] / rates[case.plain]
            rows.append(row)
        return rows

    def _peers(self, shape: Shape, case: Case, missing: dict[str, str]) -> Iterator[Peer]:
        yield Peer(OURS, case.ours)
        if self._clock is None:
            missing[FLEX] = "measured on CUDA only"
        elif case.flex is not None:
            yield Peer(FLEX, self._flex(shape, *case.flex))

    def _random(self, *size: int) -> Any:
        dtype = getattr(self._torch, self._dtype)
        return self._torch.randn(size, device=self._device, dtype=dtype)

    def _flex(self, shape: Shape, score_mod: Any, mask_mod: Any) -> Call:
        """FlexAttention of the same arrays, compiled at its first call."""
        made: list[Call] = []
        q, k, v = self._arrays

        def make() -> Call:
            from torch.nn.attention.flex_attention import create_block_mask, flex_attention

            self._torch._dynamo.reset()  # it gives up compiling after eight functions
            compiled = self._torch.compile(flex_attention, dynamic=False)
            mask = mask_mod and create_block_mask(mask_mod, None, None, shape.seq, shape.seq)
            return lambda: compiled(q, k, v, score_mod=score_mod, block_mask=mask)

        def call() -> Any:
            if not made:
                made.append(make())
            return made[0]()

        return call

    def _documents(self, length: int) -> Any:
        """The number of each token's document; they are about 600 tokens long."""
        torch = self._torch
        generator = torch.Generator().manual_seed(5)
        begins = torch.rand(length, generator=generator) < 1 / min(600, length / 4)
        begins[0] = False
        return begins.int().cumsum(0).int().to(self._device)

    def _cases(self, shape: Shape) -> Iterator[Case]:
        torch = self._torch
        torch.manual_seed(0)
        batch, heads, length = shape.batch, shape.heads, shape.seq
        size = (batch, heads, length, shape.head_dim)
        self._arrays = q, k, v = tuple(self._random(*size) for _ in "qkv")
        everything = length * length
        causal_pairs = length * (length + 1) // 2

        def ours(**options: Any) -> Call:
            return lambda: _attention.attention(q, k, v, layout="bhsd", **options)

        def is_before(b: Any, h: Any, i: Any, j: Any) -> Any:
            return i >= j

        yield Case("plain", ours(), (None, None), everything)
        yield Case("causal", ours(causal=True), (None, is_before), causal_pairs)
        slopes = torch.tensor([2 ** (-8 * (h + 1) / heads) for h in range(heads)], device=q.device)
        alibi = _mods.mods("alibi", slopes=slopes, offset=0)

        def linear(s: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
            return s - slopes[h] * (i - j).abs()

        yield Case("ALiBi", ours(mods=alibi), (linear, None), everything)
        yield Case("ALiBi, causal", ours(mods=alibi, causal=True), (linear, is_before),
                   causal_pairs, "causal")  # fmt: skip
        bias = self._random(1, heads, length, length)
        yield Case("bias of heads", ours(bias=bias),
                   (lambda s, b, h, i, j: s + bias[0, h, i, j], None), everything)  # fmt: skip
        tokens = self._documents(length)
        same_document = int((tokens[:, None] == tokens[None]).sum())
        documents = _mods.mods("documents", documents=tokens, batch_stride=0)
        table = _block_table.block_table(
            q, k, v, mods=documents, layout="bhsd", per_batch=False, per_head=False
        )

        def is_same(b: Any, h: Any, i: Any, j: Any) -> Any:
            return tokens[i] == tokens[j]

        yield Case("packed", self._packed(shape, tokens), None, same_document)
        yield Case("documents", ours(mods=documents, block_table=table), (None, is_same),
                   same_document, "packed")  # fmt: skip
        yield Case("softcap 50", ours(softcap=50.0),
                   (lambda s, b, h, i, j: 50 * torch.tanh(s / 50), None), everything)  # fmt: skip
        window = length // 4 - 1
        in_window = causal_pairs - (length - window - 1) * (length - window) // 2
        yield Case(f"window {window}", ours(causal=True, window_size=(window, 0)),
                   (None, lambda b, h, i, j: (i >= j) & (i - j <= window)), in_window)  # fmt: skip
        sinks = torch.zeros(heads, device=q.device)
        yield Case("sinks, causal", ours(causal=True, sinks=sinks), None, causal_pairs, "causal")

    def _packed(self, shape: Shape, tokens: Any) -> Call:
        """The same documents, as sequences one behind the other."""
        lengths = self._torch.bincount(tokens).repeat(shape.batch)
        starts = self._torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]).int()
        rows = (shape.batch * shape.seq, shape.heads, shape.head_dim)
        q, k, v = (self._random(*rows) for _ in "qkv")
        longest = int(lengths.max())
        return lambda: _attention.attention(
            q, k, v, cu_seqlens_q=starts, max_seqlen_q=longest, max_seqlen_k=longest
        )
