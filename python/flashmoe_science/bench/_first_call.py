"""What the first call of a new process takes, beside what CUDA itself needs to start."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

from .._processes import environment
from . import first_call
from ._report import Row
from ._timing import median, spread

PROBLEM = "first call in a new process, warm store"
START = "CUDA's own start: a tensor of zeros"
IMPORT = "import flashmoe_science, after PyTorch"
CALLS = {"launch": "jit() and launch", "attention": "flash_attention_science"}
OURS = {PROBLEM: CALLS["launch"]}

# What is aimed at, of which row, in words and in seconds.
AIMS = [
    *((f"first call in a new process: {name}", (PROBLEM, name), "3 ms over CUDA's start", 3e-3)
      for name in CALLS.values()),
    ("import, beyond PyTorch's own", (PROBLEM, IMPORT), "50 ms", 50e-3),
]  # fmt: skip


def measure(device: str, processes: int, missing: dict[str, str]) -> list[Row]:
    """Medians over so many processes of each kind of call, which take turns."""
    start = START if device == "cuda" else "the first tensor"
    samples: dict[str, list[float]] = {name: [] for name in (start, IMPORT, *CALLS.values())}
    for kind in CALLS if processes > 0 else ():  # so that the store has it, and Python its code
        with contextlib.suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
            _run(kind, device)
    for _ in range(processes):
        for kind, name in CALLS.items():
            try:
                seconds = _run(kind, device)
            except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
                missing[f"{PROBLEM}: {name}"] = f"{type(error).__name__}: {str(error)[:100]}"
                continue
            for row, part in ((start, "start"), (IMPORT, "import"), (name, "first")):
                samples[row].append(seconds[part])
    return [
        Row(PROBLEM, name, median(times), spread=spread(times))
        for name, times in samples.items() if times
    ]  # fmt: skip


def _run(kind: str, device: str) -> dict[str, float]:
    # By its file: -m would import the package first.
    command = [sys.executable, first_call.__file__, kind, device]
    # What pip installs has its byte code.
    variables = {k: v for k, v in environment().items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=variables
    )
    if done.returncode != 0:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
