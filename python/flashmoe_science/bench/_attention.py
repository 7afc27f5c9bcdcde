"""Attention beside its peers, on the device that is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._progress import Progress
from . import _counters
from ._peers import OURS, OURS_DYNAMIC, Peer, Shape, peers_of, sdpa, time_peers
from ._report import Report, Row, machine_of
from ._timing import DeviceClock, median, spread

# The design document's table, then what is common in models, then the head dims between.
_SHAPES = [
    *((4, 8, seq, 64, causal) for causal in (False, True) for seq in (2048, 4096, 8192)),
    *(
        (batch, 16, seq, 128, causal)
        for causal in (False, True)
        for batch, seq in ((4, 2048), (4, 4096), (2, 8192), (1, 16384))
    ),
    *((4, 32, 512, 128, causal) for causal in (False, True)),
    *(
        (batch, 8, seq, 256, causal)
        for causal in (False, True)
        for batch, seq in ((4, 2048), (2, 8192))
    ),
    *((4, 16, 2048, head_dim, False) for head_dim in (40, 48, 72, 80, 96, 112, 192)),
]
ON_CUDA = [Shape(*shape) for shape in _SHAPES]
ON_CPU = [Shape(1, 8, 1024, 64, False), Shape(1, 8, 1024, 64, True)]


class Bench:
    """One run.

    Args:
        shapes: what to compute; none: all that is usual on the device.
        dtype: of the arrays; "": bfloat16 on a GPU, else float32.
        rounds: samples of each peer; 0: 60 on a GPU, 7 on a CPU.
        peers: only those whose names contain one of these words; none: all. Ours always run.
        counters: whether ncu is asked, where it is.
        tell: is given the rows of each shape as soon as they are there.
        commit: what is measured, if there is no history to ask.
    """

    def __init__(
        self,
        shapes: list[Shape],
        dtype: str = "",
        rounds: int = 0,
        peers: list[str] | None = None,
        counters: bool = True,
        tell: Callable[[Report, list[Row]], None] = lambda report, rows: None,
        commit: str = "",
    ) -> None:
        import torch

        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        on_cuda = self._device == "cuda"
        self._shapes = shapes or (ON_CUDA if on_cuda else ON_CPU)
        self._dtype = dtype or ("bfloat16" if on_cuda else "float32")
        self._rounds = rounds if rounds > 0 else (60 if on_cuda else 7)
        self._wanted = peers or []
        self._counters = counters and on_cuda
        self._tell = tell
        self._commit = commit

    def run(self) -> Report:
        """Measures all shapes. Each peer's result is checked once."""
        where = "GPU time by events, cold L2" if self._device == "cuda" else "host time"
        report = Report(
            f"Attention forward, {self._dtype}, {self._device}: {where}, "
            f"median of {self._rounds}; x: over ours",
            machine_of(self._torch, self._device, self._commit), [], {}, OURS,
        )  # fmt: skip
        with Progress(len(self._shapes)) as progress:
            clock = peak = None
            pipes: list[float] = []
            if self._device == "cuda":
                progress.update(0, "the rate of a matrix product")
                clock = DeviceClock(self._torch)
                peak = clock.matmul_rate(self._dtype)
                report.machine["matmul 8192, TFLOP/s"] = f"{peak:.0f}"
            if self._counters:
                progress.update(0, "ncu: the tensor pipe")
                given = [(s.batch, s.heads, s.seq, s.head_dim, s.causal) for s in self._shapes]
                found = _counters.tensor_pipe(given, self._dtype)
                pipes = found.values
                if found.missing:
                    report.missing["tensor pipe"] = found.missing
                else:
                    report.machine["tensor pipe"] = found.metric
            for at, shape in enumerate(self._shapes):
                with self._torch.inference_mode():
                    rows = self._measure(
                        report, shape, clock, peak, pipes[at] if pipes else None,
                        lambda doing: progress.update(at, f"{shape}: {doing}"),
                    )  # fmt: skip
                report.rows.extend(rows)
                progress.erase()
                self._tell(report, rows)
        return report

    def _measure(
        self, report: Report, shape: Shape, clock: DeviceClock | None, peak: float | None,
        pipe: float | None, doing: Callable[[str], None],
    ) -> list[Row]:  # fmt: skip
        torch = self._torch
        torch.manual_seed(0)
        size = (shape.batch, shape.heads, shape.seq, shape.head_dim)
        q, k, v = (
            torch.randn(size, device=self._device, dtype=getattr(torch, self._dtype))
            for _ in range(3)
        )
        one = [each[:1, :1].double() for each in (q, k, v)]  # a head is enough to see what is wrong
        exact = sdpa(torch, None)(*one, shape.causal)
        runners: list[Peer] = []
        errors: dict[str, float] = {}
        results: dict[str, Any] = {}
        for peer in self._peers(q, k, v, shape, report.missing):
            doing(peer.name)
            try:
                with peer.scope():
                    out = torch.as_tensor(peer.call(), device=self._device)
            except Exception as error:  # of any framework; a peer that can't is named
                report.missing[f"{peer.name} ({shape})"] = str(error).splitlines()[0][:100]
                continue
            errors[peer.name] = (out[:1, :1].double() - exact).abs().max().item()
            if peer.name in (OURS, "torch cuDNN"):
                results[peer.name] = out
            runners.append(peer)
        apart = None
        if len(results) == 2:
            first, second = results.values()
            apart = (first.double() - second.double()).abs().max().item()
        results.clear()
        doing("timing")
        samples = time_peers(runners, clock, self._rounds)
        rows = []
        for peer in runners:
            seconds = median(samples[peer.name])
            rate = shape.operations() / seconds * 1e-12
            row = Row(
                str(shape), peer.name, seconds, rate, errors[peer.name],
                spread(samples[peer.name]),
            )  # fmt: skip
            if peak is not None:
                row.of_floor = rate / peak
            if peer.name == OURS:
                row.apart, row.tensor_pipe = apart, pipe
                if clock is not None:
                    with peer.scope():
                        row.sm_mhz = _counters.sm_clock(torch, peer.call, seconds)
            rows.append(row)
        return rows

    def _peers(
        self, q: Any, k: Any, v: Any, shape: Shape, missing: dict[str, str]
    ) -> Iterator[Peer]:
        for peer in peers_of(self._torch, q, k, v, shape, missing):
            named = any(word.lower() in peer.name.lower() for word in self._wanted)
            if not self._wanted or named or peer.name in (OURS, OURS_DYNAMIC):
                yield peer
