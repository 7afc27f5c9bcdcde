"""A new process that measures its own first call: ``python first_call.py launch|attention cuda``.

Prints seconds as JSON: of PyTorch's import, of CUDA's own start (a tensor of zeros, waited for), of
this package's import after it, of the first call, and of the second.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

SAXPY = """
#include "fms/parameter.cuh"
FMS_KERNEL(bench_saxpy, "y = a * x + y");
FMS_TYPE(T, float32, "element type", choices(float32, float64));
extern "C" __global__ void bench_saxpy(int n, T a, const T* x, T* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
"""


def call_of(kind: str, device: str) -> Callable[[], Any]:
    """The call of that kind, everything of this package's included."""
    import torch

    if kind == "launch":
        x, y = (torch.zeros(128, device=device) for _ in range(2))

        def launch() -> None:
            import flashmoe_science as fms

            saxpy = fms.jit(SAXPY)
            saxpy[1, 128](0, 2.0, x, y, T=fms.float32)

        return launch
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    q = torch.zeros(1, 1, 1, 16, device=device, dtype=dtype)

    def attend() -> None:
        import flashmoe_science as fms

        fms.flash_attention_science(q, q, q)

    return attend


def main(kind: str, device: str) -> None:
    """Measures the steps, each waited for."""
    clock = time.perf_counter
    seconds = {}

    begin = clock()
    import torch

    seconds["torch"] = clock() - begin

    def synchronize() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    begin = clock()
    torch.zeros(128, device=device)
    synchronize()
    seconds["start"] = clock() - begin
    call = call_of(kind, device)
    synchronize()

    begin = clock()
    import flashmoe_science

    assert flashmoe_science.float32
    seconds["import"] = clock() - begin
    with torch.inference_mode():
        for name in ("first", "second"):
            begin = clock()
            call()
            synchronize()
            seconds[name] = clock() - begin
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
