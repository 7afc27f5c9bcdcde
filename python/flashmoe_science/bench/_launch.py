"""What a launch costs the host, beside its peers, on the device that is here."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from typing import Any

from .. import _attention, _dtypes, _jit
from .._errors import UnavailableError
from ._report import Report, Row, machine_of
from ._timing import Call, host_seconds, median

OURS = "fms frozen handle"
PROBLEM = "launch with 8 arguments, 1 block"
TINY = "tiny attention, B1 H1 N1 D16"

SOURCE = """
extern "C" __global__ void bench_launch(float* a, const float* b, float* c, float* d, int n, int m,
                                        float s, long long t) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) a[i] = b[i] * s;
}
"""
SAXPY = """
#include "fms/parameter.cuh"
FMS_KERNEL(bench_saxpy, "y = a * x + y");
FMS_TYPE(T, float32, "element type", choices(float32, float64));
extern "C" __global__ void bench_saxpy(int n, T a, const T* x, T* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
"""


def run(rounds: int = 0) -> Report:
    """Measures host time per call; the device does next to nothing."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rounds = rounds if rounds > 0 else (30 if device == "cuda" else 7)
    synchronize = torch.cuda.synchronize if device == "cuda" else _nothing
    missing: dict[str, str] = {}
    rows = []
    with torch.inference_mode():
        for problem, calls in (
            (PROBLEM, dict(_launches(torch, device, missing))),
            (TINY, dict(_tiny(torch, device))),
        ):
            for name, times in host_seconds(calls, rounds, 0.005, synchronize).items():
                middle, ordered = median(times), sorted(times)
                spread = (ordered[3 * len(times) // 4] - ordered[len(times) // 4]) / middle
                rows.append(Row(problem, name, middle, spread=spread))
    title = f"Host time per call, {device}, PyTorch tensors, median of {rounds}; x: over ours"
    if device == "cpu":
        title += " (on the CPU a call also computes)"
    return _Report(title, machine_of(torch, device), rows, missing, OURS)


class _Report(Report):
    """Ratios of each problem are to ours of that problem."""

    def ratio(self, row: Row) -> float:
        ours = OURS if row.problem == PROBLEM else "flash_attention_science"
        return row.seconds / next(
            each.seconds for each in self.rows if (each.problem, each.peer) == (row.problem, ours)
        )


def _nothing() -> None:
    pass


def _launches(
    torch: Any, device: str, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    a, b, c, d = (torch.zeros(128, device=device) for _ in range(4))
    template = _jit.jit(SOURCE)
    frozen = template.prepare(device=device)
    yield OURS, lambda: frozen[1, 128](a, b, c, d, 0, 1, 1.0, 2)
    launch = frozen[1, 128]
    yield "fms frozen, grid kept", lambda: launch(a, b, c, d, 0, 1, 1.0, 2)
    yield "fms template", lambda: template[1, 128](a, b, c, d, 0, 1, 1.0, 2)
    saxpy, float32 = _jit.jit(SAXPY), _dtypes.float32
    yield "fms template, keywords", lambda: saxpy[1, 128](0, 2.0, a, b, T=float32)
    yield "torch.add(out=)", lambda: torch.add(a, b, out=c)
    if device == "cpu":
        x, y = a.numpy(), b.numpy()
        import numpy as np

        yield "numpy.add(out=)", lambda: np.add(x, y, out=y)
        missing["raw driver, Triton, CuPy, cuda.core"] = "no CUDA device"
        return
    peers = {"raw driver launch, ctypes": _raw, "Triton": _triton, "CuPy RawKernel": _cupy}
    peers["cuda.core"] = _cuda_core
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
    from .._torch_operators import attention_forward

    ours = _attention.flash_attention_science
    sdpa = torch.nn.functional.scaled_dot_product_attention
    yield "flash_attention_science", lambda: ours(q, k, v)
    yield "torch.ops.flashmoe_science", lambda: attention_forward(q, k, v, layout="bhsd")
    yield "torch SDPA", lambda: sdpa(q, k, v)


def _raw(torch: Any, template: Any, arrays: tuple[Any, ...]) -> Call:
    """The driver, through ctypes, whose own cost is in the row; `fms bench` has it from C++."""
    cuda = ctypes.CDLL("libcuda.so.1")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    code = template.code()
    if cuda.cuModuleLoadData(ctypes.byref(module), code) or cuda.cuModuleGetFunction(
        ctypes.byref(function), module, b"bench_launch"
    ):
        raise UnavailableError("the driver doesn't load the kernel")
    values: list[Any] = [ctypes.c_void_p(each.data_ptr()) for each in arrays]
    values += [ctypes.c_int(0), ctypes.c_int(1), ctypes.c_float(1), ctypes.c_longlong(2)]
    pointers = (ctypes.c_void_p * 8)(*(ctypes.addressof(each) for each in values))
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    launch = cuda.cuLaunchKernel
    one, threads, none = ctypes.c_uint(1), ctypes.c_uint(128), ctypes.c_uint(0)

    def call(keep: Any = (values, code)) -> None:
        launch(function, one, one, one, threads, one, one, none, stream, pointers, None)

    return call


def _triton(torch: Any, template: Any, arrays: tuple[Any, ...]) -> Call:
    import importlib.util
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
