"""Attention on arrays of NumPy and CuPy."""

from __future__ import annotations

from typing import Any

from ._attention_checks import checked, lse_shape, run
from ._attention_options import BlockTable
from ._masks import Causal, Layout
from ._mods import Mods


def attention(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, return_lse: bool, layout: Layout,
    window: Any, softcap: float, sinks: Any, bias: Any, mods: Mods | None,
    table: BlockTable | None, starts_q: Any, starts_k: Any, max_q: int | None, max_k: int | None,
) -> Any:  # fmt: skip
    """:func:`flashmoe_science.attention` of arrays that their framework's functions make."""
    framework, options = checked(
        q, k, v, scale, causal, layout, window, softcap, sinks, bias, mods, table, starts_q,
        starts_k, max_q, max_k,
    )  # fmt: skip
    same = v.shape[-1] == q.shape[-1] or len(v.shape) != len(q.shape)
    out = framework.empty_like(q) if same else framework.empty(q, (*q.shape[:-1], v.shape[-1]))
    lse = None
    if return_lse:
        lse = framework.empty_lse(q, lse_shape(q.shape, layout, options.packed))
    run(framework, q, k, v, out, lse, scale, layout, options)
    return (out, lse) if return_lse else out
