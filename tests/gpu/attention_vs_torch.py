#!/usr/bin/env python3
"""Checks `fms attention` on a GPU against fp64, with PyTorch's own error as the measure.

FlashAttention's rule: the largest error may be at most twice that of PyTorch in the same dtype,
plus a little (1e-6) for elements where PyTorch happens to be exact. Needs PyTorch with CUDA and the
program fms; prints a table and exits with 1 if any row breaks the rule.

    python3 tests/gpu/attention_vs_torch.py [--fms build/bin/fms] [--dtype bf16 ...] [--quick]
"""

import argparse
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

# (batch, heads, length, head dim): the shapes on which the peers were measured.
SHAPES = [
    (4, 8, 2048, 64),
    (4, 8, 4096, 64),
    (4, 8, 8192, 64),
    (4, 16, 2048, 128),
    (4, 16, 4096, 128),
    (2, 16, 8192, 128),
    (1, 16, 16384, 128),
    (4, 32, 512, 128),
]
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
SLACK = 1e-6


def save(path: pathlib.Path, tensor: torch.Tensor) -> None:
    """NumPy has no bfloat16: fms reads its bits from uint16."""
    if tensor.dtype == torch.bfloat16:
        np.save(path, tensor.view(torch.int16).cpu().numpy().view(np.uint16))
    else:
        np.save(path, tensor.cpu().numpy())


def load(path: pathlib.Path, dtype: torch.dtype) -> torch.Tensor:
    array = np.load(path)
    if dtype == torch.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).cuda()
    return torch.from_numpy(array).cuda()


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
    """Attention in the dtype of its operands, a few heads and 2048 queries at a time."""
    result = torch.empty_like(q)
    length = q.shape[2]
    keys = torch.arange(length, device=q.device)
    for batch in range(q.shape[0]):
        for head in range(q.shape[1]):
            for first in range(0, length, 2048):
                rows = slice(first, min(first + 2048, length))
                scores = q[batch, head, rows] @ k[batch, head].T / math.sqrt(q.shape[-1])
                if causal:
                    scores.masked_fill_(keys[None, :] > keys[rows, None], -math.inf)
                result[batch, head, rows] = torch.softmax(scores, dim=-1) @ v[batch, head]
    return result


def run_fms(fms: str, folder: pathlib.Path, name: str, causal: bool) -> None:
    command = [fms, "attention", "--dtype", name]
    for operand in "qkv":
        command += [f"--{operand}", str(folder / f"{operand}.npy")]
    command += ["--out", str(folder / "o.npy")]
    if causal:
        command.append("--causal")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def check(fms: str, shape: tuple, name: str, causal: bool) -> bool:
    batch, heads, length, head_dim = shape
    dtype = DTYPES[name]
    q, k, v = (torch.randn(shape, device="cuda").to(dtype) for _ in "qkv")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for operand, tensor in zip("qkv", (q, k, v)):
            save(folder / f"{operand}.npy", tensor)
        run_fms(fms, folder, name, causal)
        ours = load(folder / "o.npy", dtype)
    if ours.shape != q.shape:
        sys.exit(f"fms attention wrote an array of shape {tuple(ours.shape)}, not {tuple(q.shape)}")

    expected = attention(q.double(), k.double(), v.double(), causal)
    torch_error = (attention(q, k, v, causal).double() - expected).abs().max().item()
    difference = ours.double() - expected
    error = difference.abs().max().item()
    relative = (difference.norm() / expected.norm()).item()
    good = error <= 2 * torch_error + SLACK  # false for NaN
    label = f"B{batch} H{heads} N{length} D{head_dim} {'causal' if causal else 'full'}"
    print(
        f"{label:32s} {name:5s} {error:9.2e} {torch_error:9.2e} {relative:9.2e}  "
        f"{'ok' if good else 'TOO FAR'}",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fms", default="fms", help="the program")
    parser.add_argument("--dtype", choices=DTYPES, nargs="*", default=list(DTYPES))
    parser.add_argument("--quick", action="store_true", help="lengths up to 2048 only")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing was checked")
        return 0
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    print(f"{'shape':32s} {'dtype':5s} {'max error':>9s} {'torch':>9s} {'relative':>9s}")
    failures = 0
    for shape in SHAPES:
        if options.quick and shape[2] > 2048:
            continue
        for causal in (False, True):
            for name in options.dtype:
                failures += not check(options.fms, shape, name, causal)
    print(f"{failures} too far" if failures else "all within the rule")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
