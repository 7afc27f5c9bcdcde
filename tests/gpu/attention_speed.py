#!/usr/bin/env python3
"""Times `fms attention` on a GPU beside PyTorch's attention by cuDNN and by FlashAttention-2.

The peers take turns; each turn of ours is a process of its own that computes `--repeat` times and
gives the median, which holds no start-up. Every call of everyone finds an empty L2 cache and is
timed by events on the device. The tensor-core floor is the time that the products alone would take
at the rate of a bf16 matrix product of 8192 x 8192 x 8192, measured in the same run. Needs PyTorch
with CUDA and the program fms.

    python3 tests/gpu/attention_speed.py [--fms build/bin/fms] [--rows 6] [--rounds 3]
        [--policy exact dynamic] [--markdown docs/attention-speed.md]
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

# (batch, heads, length, head dim, causal): the first six are the design document's.
SHAPES = (
    [(4, 8, length, 64, causal) for causal in (False, True) for length in (2048, 4096, 8192)]
    + [
        (batch, 16, length, 128, causal)
        for causal in (False, True)
        for batch, length in ((4, 2048), (4, 4096), (2, 8192), (1, 16384))
    ]
    + [(4, 32, 512, 128, causal) for causal in (False, True)]
    + [
        (batch, 8, length, 256, causal)
        for causal in (False, True)
        for batch, length in ((4, 2048), (2, 8192))
    ]
    + [(4, 16, 2048, head_dim, False) for head_dim in (40, 48, 72, 80, 96, 112, 192)]
)
PEERS = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "FA2": SDPBackend.FLASH_ATTENTION}


def flops(shape: tuple) -> float:
    batch, heads, length, head_dim, causal = shape
    return 4.0 * batch * heads * length * length * head_dim * (0.5 if causal else 1.0)


def label(shape: tuple) -> str:
    batch, heads, length, head_dim, causal = shape
    return f"B{batch} H{heads} N{length} D{head_dim} {'causal' if causal else 'full'}"


def save(path: pathlib.Path, tensor: torch.Tensor) -> None:
    """NumPy has no bfloat16: fms reads its bits from uint16."""
    np.save(path, tensor.view(torch.int16).cpu().numpy().view(np.uint16))


class Clock:
    """Times calls on the device, each with an empty L2 cache."""

    def __init__(self) -> None:
        self.flush = torch.empty(256 << 20, dtype=torch.int8, device="cuda")

    def median_ms(self, call, repeat: int) -> float:
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
        return statistics.median(start.elapsed_time(end) for start, end in pairs)


def run_fms(options: argparse.Namespace, folder: pathlib.Path, shape: tuple, policy: str) -> float:
    """Milliseconds, the median of --repeat."""
    command = [options.fms, "attention", "--json", "--dtype", "bf16", "--policy", policy]
    command += ["--repeat", str(options.repeat), "--cache-dir", str(folder / "store")]
    for operand in "qkv":
        command += [f"--{operand}", str(folder / f"{operand}.npy")]
    command += ["--out", str(folder / "o.npy")] + ["--causal"] * shape[-1]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)["median_ms"]


def difference(folder: pathlib.Path, expected: torch.Tensor) -> float:
    ours = torch.from_numpy(np.load(folder / "o.npy").view(np.int16)).view(torch.bfloat16)
    return (ours.cuda().double() - expected.double()).abs().max().item()


def measure(options: argparse.Namespace, clock: Clock, folder: pathlib.Path, shape: tuple) -> dict:
    """Milliseconds of each, by name: medians of the medians of the rounds."""
    q, k, v = (torch.randn(shape[:4], device="cuda", dtype=torch.bfloat16) for _ in "qkv")
    for operand, tensor in zip("qkv", (q, k, v)):
        save(folder / f"{operand}.npy", tensor)

    def peer(backend: SDPBackend) -> torch.Tensor:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=shape[-1])

    times: dict = {name: [] for name in [*PEERS, *options.policy]}
    for _ in range(options.rounds):
        for name, backend in PEERS.items():
            times[name].append(clock.median_ms(lambda: peer(backend), options.repeat))
        for policy in options.policy:
            times[policy].append(run_fms(options, folder, shape, policy))
    far = difference(folder, peer(SDPBackend.CUDNN_ATTENTION))
    row = {name: statistics.median(taken) for name, taken in times.items()}
    return row | {"shape": shape, "difference": far}


def matmul_tflops(clock: Clock) -> float:
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192.0**3 / clock.median_ms(lambda: a @ b, 10) / 1e9


def as_table(options: argparse.Namespace, rows: list, peak: float) -> str:
    head = ["shape"] + [f"ours, {policy}" for policy in options.policy]
    head += [*PEERS, "x cuDNN", "x FA2", "of the floor", "apart"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        work = flops(row["shape"]) / 1e9
        ours = row[options.policy[0]]
        cells = [label(row["shape"])]
        for name in [*options.policy, *PEERS]:
            cells.append(f"{row[name]:.4f} ms, {work / row[name]:.0f}")
        cells += [f"{row['cuDNN'] / ours:.2f}", f"{row['FA2'] / ours:.2f}"]
        cells += [f"{work / ours / peak:.0%}", f"{row['difference']:.1e}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def circumstances(options: argparse.Namespace, peak: float) -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True).stdout.strip().split("\n")[0]
    version = subprocess.run([options.fms, "--version"], capture_output=True, text=True).stdout
    card = torch.cuda.get_device_properties(0).name
    return (
        f"Written by `tests/gpu/attention_speed.py`: {card}, driver {driver or 'unknown'}, PyTorch"
        "\n"
        f"{torch.__version__} with cuDNN {torch.backends.cudnn.version()}, {datetime.date.today()},"
        f" {version.strip()}. bf16, random normal inputs.\n"
        f"Medians of {options.rounds} rounds of {options.repeat} calls, the peers in turn, times on"
        " the device with an empty L2 cache, in ms and\n"
        "TFLOP/s (a causal mask halves the count). The ratios are of times: above 1 ours is faster."
        "\n*Of the floor*: the time of the products alone at the"
        f" {peak:.0f} TFLOP/s that a matrix product of 8192 reaches\nin this run, over ours."
        " *Apart*: the largest difference from cuDNN's result."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fms", default="fms", help="the program")
    parser.add_argument("--rows", type=int, default=len(SHAPES), help="so many of the shapes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=60, help="calls of a turn")
    parser.add_argument("--policy", nargs="+", default=["exact", "dynamic"])
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table here, too")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing was timed")
        return 0
    torch.manual_seed(0)
    clock = Clock()
    peak = matmul_tflops(clock)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for shape in SHAPES[: options.rows]:
            rows.append(measure(options, clock, pathlib.Path(temporary), shape))
            print(as_table(options, rows[-1:], peak).split("\n")[-1], flush=True)
            if options.markdown:
                table = f"{circumstances(options, peak)}\n\n{as_table(options, rows, peak)}\n"
                options.markdown.write_text(f"# Speed of attention on tensor cores\n\n{table}")
    print(f"{circumstances(options, peak)}\n\n{as_table(options, rows, peak)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
