"""Medians of times, of peers that take turns, so that what the machine does meanwhile meets all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Call = Callable[[], Any]


def host_seconds(calls: Mapping[str, Call], rounds: int, at_least: float = 0.01,
                 synchronize: Call = lambda: None) -> dict[str, list[float]]:  # fmt: skip
    """Host time per call: each round, each call is repeated for `at_least` seconds.

    `synchronize` runs after every repetition and isn't counted.
    """
    counts = {name: _count(call, at_least, synchronize) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            count = counts[name]
            begin = time.perf_counter()
            for _ in range(count):
                call()
            samples[name].append((time.perf_counter() - begin) / count)
            synchronize()
    return samples


def _count(call: Call, at_least: float, synchronize: Call) -> int:
    call()  # whatever is done but once
    synchronize()
    begin = time.perf_counter()
    call()
    elapsed = time.perf_counter() - begin
    synchronize()
    # A queue of launches that is full makes the host wait: 256 fit.
    return max(1, min(256, int(at_least / max(elapsed, 1e-9))))


def device_seconds(torch: Any, calls: Mapping[str, Call], rounds: int) -> dict[str, list[float]]:
    """GPU time per call, by events around it; the queue is kept full, so that gaps don't count."""
    for call in calls.values():
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    events: dict[str, list[Any]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda._sleep(200_000)  # the host gets ahead
            begin.record()
            call()
            end.record()
            events[name].append((begin, end))
        torch.cuda.synchronize()
    return {
        name: [begin.elapsed_time(end) * 1e-3 for begin, end in pairs]
        for name, pairs in events.items()
    }


def median(samples: list[float]) -> float:
    """The middle one."""
    return statistics.median(samples)
