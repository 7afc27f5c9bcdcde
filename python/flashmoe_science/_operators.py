"""The operators of the native module, as tvm-ffi has them."""

from __future__ import annotations

import functools
import types
from typing import Any

from ._native import native as native  # registers the operators

# attention_forward: (q, k, v, out, lse or None, scale, mask, layout, dtype or "", stream or -1).
# Of the others native/operators.cpp has the arguments.
_NAMES = (
    "attention_forward", "attention_forward_options", "attention_block_table", "attention_mods",
    "attention_mods_text",
)  # fmt: skip


@functools.cache
def operators() -> Any:
    """All of them, by name. The first call imports tvm-ffi, for longer than most programs start."""
    import tvm_ffi

    from . import _errors

    for code in _errors.codes():
        tvm_ffi.register_error(f"flashmoe_science.{code}", _errors.error_of_tvm_ffi(code))
    found = {name: tvm_ffi.get_global_func(f"flashmoe_science.{name}") for name in _NAMES}
    return types.SimpleNamespace(**found)
