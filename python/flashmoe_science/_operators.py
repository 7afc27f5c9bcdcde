"""The operators of the native module, as tvm-ffi has them."""

from __future__ import annotations

from typing import Any

from ._native import native as native  # registers the operators


def _load(*names: str) -> list[Any]:
    import tvm_ffi

    from . import _errors

    for code in _errors.codes():
        tvm_ffi.register_error(f"flashmoe_science.{code}", _errors.error_of_tvm_ffi(code))
    return [tvm_ffi.get_global_func(f"flashmoe_science.{name}") for name in names]


# attention_forward: (q, k, v, out, lse or None, scale, mask, layout, dtype or "", stream or -1).
# Of the others native/operators.cpp has the arguments.
(
    attention_forward, attention_forward_options, attention_block_table, attention_mods,
    attention_mods_text,
) = _load(
    "attention_forward", "attention_forward_options", "attention_block_table", "attention_mods",
    "attention_mods_text",
)  # fmt: skip
