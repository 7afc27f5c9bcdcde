"""What a launch costs the host, beside its peers, on the device that is here."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

from .. import _attention, _dtypes, _jit
from . import _first_call, first_call
from ._report import Aim, Report, Row, machine_of
from ._timing import Call, TimesItself, host_seconds, median, spread

RAW = "raw driver launch, C++"
OURS = "fms frozen handle"
KEYWORDS = "fms template, keywords"
ATTENTION = "flash_attention_science"
OPERATOR = "torch.ops.flashmoe_science"
SDPA = "torch SDPA"
PROBLEM = "launch with 8 arguments, 1 block"
TINY = "tiny attention, B1 H1 N1 D16"

SOURCE = """
extern "C" __global__ void bench_launch(float* a, const float* b, float* c, float* d, int n, int m,
                                        float s, long long t) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) a[i] = b[i] * s;
}
"""


def run(rounds: int = 0, processes: int = 5, commit: str = "") -> Report:
    """Measures host time per call; the device does next to nothing.

    Args:
        rounds: samples of each; 0: 30 on a GPU, 7 on a CPU.
        processes: new ones whose first call is measured, of each kind of call; 0: none.
        commit: what is measured, if there is no history to ask.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rounds = rounds if rounds > 0 else (30 if device == "cuda" else 7)
    synchronize = torch.cuda.synchronize if device == "cuda" else _nothing
    missing: dict[str, str] = {}
    rows = []
    with torch.inference_mode():
        launches, tiny = dict(_launches(torch, device, missing)), dict(_tiny(torch, device))
        # Together: of a host whose clock changes both see the same.
        for name, times in host_seconds(launches | tiny, rounds, 0.005, synchronize).items():
            problem = PROBLEM if name in launches else TINY
            rows.append(Row(problem, name, median(times), spread=spread(times)))
    rows += _first_call.measure(device, processes, missing)
    title = f"Host time per call, {device}, PyTorch tensors, median of {rounds}; x: over ours"
    if device == "cpu":
        title += " (on the CPU a call also computes)"
    report = _Report(title, machine_of(torch, device, commit), rows, missing, OURS)
    report.aims.extend(_aims(rows, device))
    return report


class _Report(Report):
    """Ratios of each problem are to ours of that problem."""

    def ratio(self, row: Row) -> float:
        ours = {PROBLEM: OURS, TINY: ATTENTION, **_first_call.OURS}[row.problem]
        for each in self.rows:
            if (each.problem, each.peer) == (row.problem, ours):
                return row.seconds / each.seconds
        return float("nan")


def _aims(rows: list[Row], device: str) -> Iterator[Aim]:
    """What the project wants of these times on a GPU. On the CPU a call also computes."""
    times = {(row.problem, row.peer): row.seconds for row in rows}
    raw, sdpa = times[PROBLEM, RAW], times[TINY, SDPA]
    aims = [
        ("frozen handle, 8 arguments", (PROBLEM, OURS), "raw + 1.0 us", raw + 1e-6),
        ("template[grid, block] with keywords", (PROBLEM, KEYWORDS), "raw + 3 us", raw + 3e-6),
        ("flash_attention_science, tiny", (TINY, ATTENTION), "0.5 x SDPA", 0.5 * sdpa),
        ("through torch.ops, tiny", (TINY, OPERATOR), "raw + 4 us", raw + 4e-6),
        *_first_call.AIMS,
    ]
    for what, row, text, most in aims:
        if row in times:
            met = times[row] <= most if device == "cuda" else None
            yield Aim(what, text, most, times[row], met)


def _nothing() -> None:
    pass


def _launches(
    torch: Any, device: str, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    a, b, c, d = (torch.zeros(128, device=device) for _ in range(4))
    template = _jit.jit(SOURCE)
    frozen = template.prepare(device=device)
    launch = frozen[1, 128]
    launch(a, b, c, d, 0, 1, 1.0, 2)
    given = (a, b, c, d, 0, 1, 1.0, 2)
    raw: Any = launch
    yield RAW, TimesItself(lambda count: raw._raw_seconds(given, count))
    yield OURS, lambda: frozen[1, 128](a, b, c, d, 0, 1, 1.0, 2)
    yield "fms frozen, grid kept", lambda: launch(a, b, c, d, 0, 1, 1.0, 2)
    yield "fms template", lambda: template[1, 128](a, b, c, d, 0, 1, 1.0, 2)
    saxpy, float32 = _jit.jit(first_call.SAXPY), _dtypes.float32
    yield KEYWORDS, lambda: saxpy[1, 128](0, 2.0, a, b, T=float32)
    yield "torch.add(out=)", lambda: torch.add(a, b, out=c)
    if device == "cpu":
        x, y = a.numpy(), b.numpy()
        import numpy as np

        yield "numpy.add(out=)", lambda: np.add(x, y, out=y)
        missing["Triton, CuPy, cuda.core"] = "no CUDA device"
        return
    peers = {"Triton": _triton, "CuPy RawKernel": _cupy, "cuda.core": _cuda_core}
    for name, peer in peers.items():
        try:
            yield name, peer(torch, template, (a, b, c, d))
        except ImportError as error:
            missing[name] = f"{error.name or error} isn't installed"
        except Exception as error:  # of any framework; a peer that can't is named
            missing[name] = f"{type(error).__name__}: {str(error)[:100]}"


def _tiny(torch: Any, device: str) -> Iterator[tuple[str, Call]]:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    q, k, v = (torch.randn(1, 1, 1, 16, device=device, dtype=dtype) for _ in range(3))
    importlib.import_module("flashmoe_science.torch")  # registers the operator
    operator = torch.ops.flashmoe_science.attention_forward
    ours = _attention.flash_attention_science
    sdpa = torch.nn.functional.scaled_dot_product_attention
    yield ATTENTION, lambda: ours(q, k, v)
    yield OPERATOR, lambda: operator(q, k, v, layout="bhsd")
    yield SDPA, lambda: sdpa(q, k, v)


def _triton(torch: Any, template: Any, arrays: tuple[Any, ...]) -> Call:
    import tempfile

    import triton as triton

    text = (
        "import triton, triton.language as tl\n@triton.jit\n"
        "def k(a, b, c, d, n, m, s, t, B: tl.constexpr):\n"
        "    i = tl.program_id(0) * B + tl.arange(0, B)\n"
        "    tl.store(a + i, tl.load(b + i, mask=i < n) * s, mask=i < n)\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(text)  # Triton reads the source of its kernels
    spec = importlib.util.spec_from_file_location("fms_bench_triton", file.name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.unlink(file.name)
    kernel = module.k
    return lambda: kernel[(1,)](*arrays, 0, 1, 1.0, 2, B=128)


def _cupy(torch: Any, template: Any, arrays: tuple[Any, ...]) -> Call:
    import cupy
    import numpy as np

    kernel = cupy.RawKernel(SOURCE, "bench_launch")
    views = [cupy.from_dlpack(each) for each in arrays]
    given = (*views, np.int32(0), np.int32(1), np.float32(1), np.int64(2))
    return lambda: kernel((1,), (128,), given)


def _cuda_core(torch: Any, template: Any, arrays: tuple[Any, ...]) -> Call:
    import numpy as np

    try:
        from cuda.core import Device, LaunchConfig, ObjectCode, launch
    except ImportError:
        from cuda.core.experimental import Device, LaunchConfig, ObjectCode, launch
    device = Device(torch.cuda.current_device())
    device.set_current()
    stream = device.create_stream()
    kernel = ObjectCode.from_cubin(template.code()).get_kernel("bench_launch")
    how = LaunchConfig(grid=1, block=128)
    pointers = [each.data_ptr() for each in arrays]
    given = (*pointers, np.int32(0), np.int32(1), np.float32(1), np.int64(2))
    return lambda: launch(stream, how, kernel, *given)
