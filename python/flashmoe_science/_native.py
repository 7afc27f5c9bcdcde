"""Loads the native module, and gives it what it asks of Python."""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any


def _load_tvm_ffi() -> None:
    """Has libtvm_ffi.so in the process, without importing tvm_ffi: that would import PyTorch."""
    if "tvm_ffi" in sys.modules:
        return
    spec = importlib.util.find_spec("tvm_ffi")
    if spec is None or spec.origin is None:
        raise ImportError("flashmoe_science needs tvm-ffi: pip install apache-tvm-ffi")
    here = Path(__file__).parent.parent
    library = Path(spec.origin).parent / "lib" / "libtvm_ffi.so"
    if library.parent.parent.parent != here:  # else the module's own search path has it
        import ctypes

        ctypes.CDLL(str(library))


def _site_packages() -> list[str]:
    """The folders in which NVIDIA's wheels, NVRTC's among them, may be installed."""
    return [folder for folder in sys.path if os.path.isdir(os.path.join(folder, "nvidia"))]


def _load() -> Any:
    _load_tvm_ffi()
    from . import _C, _convert, _dtypes, _errors

    _C._set_hooks(
        _errors.make_error, _convert.convert, _convert.stream_handle, _dtypes.parameter_text,
        _convert.host_ranges,
    )  # fmt: skip
    _C._set_site_packages("\n".join(_site_packages()))
    atexit.register(_C.shutdown)
    return _C


native = _load()
