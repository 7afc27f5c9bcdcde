"""What the hardware counts of ours: by Nsight Compute (ncu), where it is, and by nvidia-smi."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .._processes import environment
from . import launch_once
from ._timing import Call

# Of the cycles that an SM was at work, those in which its tensor pipe was. The first that the
# device has: names differ from architecture to architecture. On Hopper the second counts wgmma too.
_METRICS = (
    "sm__pipe_tensor_cycles_active",
    "sm__pipe_tensor_op_hmma_cycles_active",
    "sm__inst_executed_pipe_tensor",
)
_OF_PEAK = ".avg.pct_of_peak_sustained_active"


@dataclass(frozen=True)
class TensorPipe:
    """How busy the tensor pipe was, in percent of cycles.

    Attributes:
        values: of each shape, or none.
        metric: what was asked for.
        missing: why there are none; "": there are.
    """

    values: list[float] = field(default_factory=list)
    metric: str = ""
    missing: str = ""


def tensor_pipe(shapes: Sequence[tuple[int, int, int, int, bool]], dtype: str) -> TensorPipe:
    """Has ncu look at one launch of ours for each shape."""
    ncu = shutil.which("ncu")
    if ncu is None:
        return TensorPipe(missing="ncu isn't installed")
    reason = ""
    for metric in _known(ncu):
        command = [
            ncu, "--csv", "--clock-control", "none", "--metrics", metric + _OF_PEAK,
            "--kernel-name", "regex:attention_forward", sys.executable,
            launch_once.__file__, json.dumps(list(shapes)), dtype,
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=300, check=False,
                env=environment(),
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return TensorPipe(missing=f"ncu: {type(error).__name__}")
        values = _values(done.stdout)
        if len(values) == len(shapes):
            return TensorPipe(values, metric)
        reason = reason or _complaint(done.stdout + done.stderr) or (
            f"ncu measured {len(values)} of {len(shapes)} launches"
        )
    return TensorPipe(missing=reason)


def _known(ncu: str) -> list[str]:
    """Those of the metrics that the device has; all of them if ncu doesn't say."""
    try:
        done = subprocess.run(
            [ncu, "--query-metrics"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return list(_METRICS)
    names = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    return [metric for metric in _METRICS if metric in names] or list(_METRICS)


def _complaint(text: str) -> str:
    said = [line for line in text.splitlines() if "==ERROR==" in line]
    return said[0].removeprefix("==ERROR==").strip()[:100] if said else ""


def _values(text: str) -> list[float]:
    lines = text.splitlines()
    head = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), len(lines))
    found = []
    for row in csv.DictReader(io.StringIO("\n".join(lines[head:]))):
        try:
            found.append(float(row["Metric Value"].replace(",", "")))
        except (KeyError, ValueError, AttributeError):
            continue
    return found


def sm_clock(torch: Any, call: Call, seconds: float) -> int | None:
    """MHz of the SMs while the device is busy with `call`, which takes so long; None: unknown."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None
    for _ in range(max(1, int(0.3 / max(seconds, 1e-5)))):
        call()  # 0.3 s of work lie in the queue, or as much as fits, while nvidia-smi asks
    index = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    query = [smi, "-i", index, "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
        return int(done.stdout.split()[0])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return None
    finally:
        torch.cuda.synchronize()
