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
from typing import Any

from ._timing import Call

# Of the cycles that an SM was at work, those in which its tensor pipe was.
_METRIC = "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active"
_OLD_METRIC = "sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active"


def tensor_pipe(
    shapes: Sequence[tuple[int, int, int, int, bool]], dtype: str
) -> tuple[dict[int, float], str]:
    """By index of the shape, the percentage of cycles in which the tensor pipe was busy.

    With the reason why there is none for some.
    """
    ncu = shutil.which("ncu")
    if ncu is None:
        return {}, "ncu isn't installed"
    reason = ""
    for metric in (_METRIC, _OLD_METRIC):
        command = [
            ncu, "--csv", "--clock-control", "none", "--metrics", metric,
            "--kernel-name", "regex:attention_forward", sys.executable, "-m",
            "flashmoe_science.bench.launch_once", json.dumps(list(shapes)), dtype,
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            return {}, f"ncu: {type(error).__name__}"
        values = _values(done.stdout)
        if len(values) == len(shapes):
            return dict(enumerate(values)), ""
        said = [line for line in done.stdout.splitlines() if "==ERROR==" in line]
        reason = said[0][:100] if said else f"ncu measured {len(values)} of {len(shapes)} launches"
    return {}, reason


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
