"""Times of calls, of peers that take turns, so that what the machine does meanwhile meets all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Call = Callable[[], Any]


class TimesItself:
    """A call that is repeated and timed by somebody else, such as a loop in C++.

    Args:
        seconds: takes how often, and gives the seconds of all together.
    """

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds = seconds

    def __call__(self) -> None:
        self.seconds(1)


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
            samples[name].append(_seconds(call, count) / count)
            synchronize()
    return samples


def _seconds(call: Call, count: int) -> float:
    if isinstance(call, TimesItself):
        return call.seconds(count)
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin


def _count(call: Call, at_least: float, synchronize: Call) -> int:
    call()  # whatever is done but once
    synchronize()
    begin = time.perf_counter()
    call()
    elapsed = time.perf_counter() - begin
    synchronize()
    # A queue of launches that is full makes the host wait: 256 fit.
    return max(1, min(256, int(at_least / max(elapsed, 1e-9))))


class DeviceClock:
    """Times calls by events on the device, each call with an empty L2 cache.

    To empty it takes longer than the host needs for a launch, so that no gap counts.
    """

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        l2 = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0) or (64 << 20)
        self._flush = torch.empty(max(256 << 20, 4 * l2), dtype=torch.int8, device="cuda")

    def samples(self, call: Call, repeat: int, at_most: float = 1.0) -> list[float]:
        """Seconds of up to `repeat` calls; of fewer if they would take over `at_most` seconds."""
        cuda = self._torch.cuda
        call()
        begin, end = (cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        cuda.synchronize()
        once = max(begin.elapsed_time(end) * 1e-3, 1e-6)
        pairs = []
        for _ in range(max(3, min(repeat, int(at_most / once)))):
            pair = [cuda.Event(enable_timing=True) for _ in range(2)]
            self._flush.zero_()
            pair[0].record()
            call()
            pair[1].record()
            pairs.append(pair)
        cuda.synchronize()
        return [begin.elapsed_time(end) * 1e-3 for begin, end in pairs]

    def matmul_rate(self, dtype: str) -> float:
        """TFLOP/s of a matrix product of 8192: what the tensor cores reach in this run."""
        torch = self._torch
        a, b = (
            torch.randn(8192, 8192, device="cuda", dtype=getattr(torch, dtype)) for _ in range(2)
        )
        return 2 * 8192.0**3 / median(self.samples(lambda: a @ b, 10)) * 1e-12


def median(samples: list[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def spread(samples: list[float]) -> float:
    """The distance of the quartiles, over the median."""
    ordered = sorted(samples)
    return (ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]) / median(samples)
