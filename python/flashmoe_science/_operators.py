"""The operators of the native module, as tvm-ffi has them."""

from __future__ import annotations

from typing import Any

from ._native import native as native  # registers the operators


def _load() -> Any:
    import tvm_ffi

    from . import _errors

    for code in _errors.codes():
        tvm_ffi.register_error(f"flashmoe_science.{code}", _errors.error_of_tvm_ffi(code))
    return tvm_ffi.get_global_func("flashmoe_science.attention_forward")


# (q, k, v, out, lse or None, scale, mask, layout, dtype or "", stream or -1)
attention_forward = _load()
