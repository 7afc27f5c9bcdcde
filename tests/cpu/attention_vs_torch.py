#!/usr/bin/env python3
"""Times `fms attention --device cpu` beside scaled_dot_product_attention on the same cores.

The two take turns; each turn of ours is a process of its own that computes `--repeat` times and
gives the median, which holds no start-up. The largest difference between the two results is printed
as well. Needs PyTorch and the program fms; exits with 1 if a row is over the limit, which is 10
times PyTorch's time.

    python3 tests/cpu/attention_vs_torch.py [--fms .venv/bin/fms] [--rounds 5] [--markdown FILE]
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

# (batch, heads, length, head dim, causal)
SHAPES = [
    (1, 8, 1024, 64, False),
    (1, 8, 1024, 64, True),
    (1, 8, 1024, 128, False),
    (4, 8, 256, 64, False),
    (1, 8, 999, 80, False),
]
LIMIT = 10.0
REPEAT = 7


def time_fms(fms: str, folder: pathlib.Path, causal: bool) -> float:
    """Milliseconds, the median of REPEAT."""
    command = [fms, "attention", "--json", "--device", "cpu", "--repeat", str(REPEAT)]
    for operand in "qkv":
        command += [f"--{operand}", str(folder / f"{operand}.npy")]
    command += ["--out", str(folder / "o.npy")] + ["--causal"] * causal
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)["median_ms"]


def time_torch(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> float:
    """Milliseconds, the median of REPEAT after one that doesn't count."""
    times = []
    for _ in range(REPEAT + 1):
        start = time.perf_counter()
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[1:])


def measure(fms: str, rounds: int, shape: tuple) -> dict:
    batch, heads, length, head_dim, causal = shape
    generator = torch.Generator().manual_seed(1)
    q, k, v = (
        torch.randn(batch, heads, length, head_dim, generator=generator) for _ in range(3)
    )
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for operand, tensor in (("q", q), ("k", k), ("v", v)):
            np.save(folder / f"{operand}.npy", tensor.numpy())
        for _ in range(rounds):
            ours.append(time_fms(fms, folder, causal))
            theirs.append(time_torch(q, k, v, causal))
        result = torch.from_numpy(np.load(folder / "o.npy"))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    flops = 4 * batch * heads * length * length * head_dim / (2 if causal else 1)
    fms_ms, torch_ms = statistics.median(ours), statistics.median(theirs)
    return {
        "shape": f"B{batch} H{heads} N{length} D{head_dim} {'causal' if causal else 'full'}",
        "fms_ms": fms_ms,
        "torch_ms": torch_ms,
        "ratio": fms_ms / torch_ms,
        "gflops": flops / fms_ms / 1e6,
        "difference": (result - expected).abs().max().item(),
    }


def table(rows: list) -> str:
    lines = [
        "| fp32 | fms, ms (GFLOP/s) | PyTorch, ms | ratio | limit | largest difference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row['shape']} | {row['fms_ms']:.2f} ({row['gflops']:.1f}) | {row['torch_ms']:.2f} "
            f"| {row['ratio']:.2f} x | {LIMIT:.0f} x | {row['difference']:.1e} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fms", default=".venv/bin/fms", help="the program (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (%(default)s)")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table here")
    options = parser.parse_args()
    rows = []
    for i, shape in enumerate(SHAPES):
        print(f"\r{i}/{len(SHAPES)} shapes", end="", file=sys.stderr, flush=True)
        rows.append(measure(options.fms, options.rounds, shape))
    print("\r", end="", file=sys.stderr)
    report = subprocess.run([options.fms, "doctor", "--json"], capture_output=True)
    doctor = json.loads(report.stdout)
    cpu = doctor["cpu"]
    heading = (
        f"{cpu['name']}, {cpu['target']}, {torch.get_num_threads()} cores, PyTorch "
        f"{torch.__version__}, {datetime.date.today()}, "
        f"fms {doctor['version']} ({doctor['commit']})"
    )
    text = f"{heading}.\n\n{table(rows)}\n"
    print(text)
    if options.markdown:
        title = "# Attention on the CPU target beside PyTorch\n\n"
        made = "Written by `tests/cpu/attention_vs_torch.py`. "
        pathlib.Path(options.markdown).write_text(title + made + text)
    return 0 if all(row["ratio"] <= LIMIT for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
