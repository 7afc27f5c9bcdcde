"""A JIT runtime for CUDA C++ kernels, and attention kernels for models of language and of science.

A kernel of your own, compiled for the types and the device of its arguments when it is first used,
kept on disk, and launched on the current stream::

    import flashmoe_science as fms

    saxpy = fms.jit("saxpy.cu")                       # parameters are declared in the source
    saxpy[grid, block](n, 2.0, x, y, T=fms.float32)   # PyTorch, NumPy, CuPy or JAX arrays
    frozen = saxpy.prepare(T=fms.float32)             # a handle for hot loops
    frozen[grid, block](n, 2.0, x, y)

Arrays on a GPU run there, through NVRTC; arrays in host memory run on the CPU, through LLVM.

Attention, exact, forward only::

    out = fms.flash_attention_science(q, k, v, causal=True)       # (batch, heads, seq, head_dim)
    out, lse = fms.attention(q, k, v, return_lse=True)            # (batch, seq, heads, head_dim)
    attn = fms.FlashMoEScienceAttention(dim=512, n_heads=8)       # a module of PyTorch
    fms.attention(q, k, v, causal=True, window_size=(4096, 0), softcap=50.0, sinks=sinks)
    fms.attention(q, k, v, cu_seqlens_q=starts)                   # packed: (total, heads, head_dim)
    fms.attention(q, k, v, mods=fms.mods("alibi.cuh", slopes=slopes))  # functions of one's own

Of PyTorch's tensors these are operators, torch.ops.flashmoe_science.attention_forward and
attention_forward_lse: torch.compile, torch.export and FakeTensor know them. To call them by name,
import flashmoe_science.torch first.

Importing this touches no GPU and imports no framework; what needs one is loaded at its first use.
``python -m flashmoe_science doctor`` says what is found on this machine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# A few milliseconds, which a first call isn't to wait for. By name: mypy follows no circle.
importlib.import_module(f"{__name__}._native")

# Where each public name lives. Modules are imported when a name of theirs is first used.
_HOMES = {
    "_jit": ("jit", "KernelTemplate", "Kernel"),
    "_launch_config": ("LaunchConfig",),
    "_dtypes": (
        "DType", "Scalar", "pointer", "float64", "float32", "float16", "bfloat16",
        "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int16", "int32", "uint32", "int64",
        "uint64", "bool_",
    ),
    "_session": ("configure", "offline", "record", "wait_for_background"),
    "_warm": ("warm", "WarmReport"),
    "_machine": ("is_cuda_available", "doctor"),
    "_attention": ("attention", "flash_attention_science"),
    "_support": ("supports", "Support"),
    "_attention_options": ("BlockTable",),
    "_block_table": ("block_table",),
    "_mods": ("mods", "Mods"),
    "_modules": ("FlashMoEScienceAttention",),
    "_reserved": ("flash_attention_backward", "fused_moe", "FlashMoELayer"),
    "_errors": (
        "Error", "ArgumentError", "CancelledError", "CapturingError", "CompileError",
        "CorruptError", "DriverError", "InternalError", "InvalidArgumentError", "IoError",
        "NotFoundError", "OfflineError", "OutOfMemoryError", "RejectedError", "TimeoutError",
        "UnavailableError", "UnsupportedError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_SUBMODULES = ("cache",)

__all__ = ["__version__", *_SUBMODULES, *_HOME_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from . import cache as cache
    from ._attention import attention as attention
    from ._attention import flash_attention_science as flash_attention_science
    from ._attention_options import BlockTable as BlockTable
    from ._block_table import block_table as block_table
    from ._dtypes import DType as DType
    from ._dtypes import Scalar as Scalar
    from ._dtypes import bfloat16 as bfloat16
    from ._dtypes import bool_ as bool_
    from ._dtypes import float8_e4m3fn as float8_e4m3fn
    from ._dtypes import float8_e5m2 as float8_e5m2
    from ._dtypes import float16 as float16
    from ._dtypes import float32 as float32
    from ._dtypes import float64 as float64
    from ._dtypes import int8 as int8
    from ._dtypes import int16 as int16
    from ._dtypes import int32 as int32
    from ._dtypes import int64 as int64
    from ._dtypes import pointer as pointer
    from ._dtypes import uint8 as uint8
    from ._dtypes import uint32 as uint32
    from ._dtypes import uint64 as uint64
    from ._errors import ArgumentError as ArgumentError
    from ._errors import CancelledError as CancelledError
    from ._errors import CapturingError as CapturingError
    from ._errors import CompileError as CompileError
    from ._errors import CorruptError as CorruptError
    from ._errors import DriverError as DriverError
    from ._errors import Error as Error
    from ._errors import InternalError as InternalError
    from ._errors import InvalidArgumentError as InvalidArgumentError
    from ._errors import IoError as IoError
    from ._errors import NotFoundError as NotFoundError
    from ._errors import OfflineError as OfflineError
    from ._errors import OutOfMemoryError as OutOfMemoryError
    from ._errors import RejectedError as RejectedError
    from ._errors import TimeoutError as TimeoutError
    from ._errors import UnavailableError as UnavailableError
    from ._errors import UnsupportedError as UnsupportedError
    from ._jit import Kernel as Kernel
    from ._jit import KernelTemplate as KernelTemplate
    from ._jit import jit as jit
    from ._launch_config import LaunchConfig as LaunchConfig
    from ._machine import doctor as doctor
    from ._machine import is_cuda_available as is_cuda_available
    from ._mods import Mods as Mods
    from ._mods import mods as mods
    from ._modules import FlashMoEScienceAttention as FlashMoEScienceAttention
    from ._reserved import FlashMoELayer as FlashMoELayer
    from ._reserved import flash_attention_backward as flash_attention_backward
    from ._reserved import fused_moe as fused_moe
    from ._session import configure as configure
    from ._session import offline as offline
    from ._session import record as record
    from ._session import wait_for_background as wait_for_background
    from ._support import Support as Support
    from ._support import supports as supports
    from ._warm import WarmReport as WarmReport
    from ._warm import warm as warm
