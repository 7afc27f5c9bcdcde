"""Whether a call of attention can be computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._alibi import alibi
from ._attention_checks import check_lists, check_shapes, checked
from ._attention_options import BlockTable
from ._errors import Error
from ._masks import Causal, Layout
from ._mods import Mods


@dataclass(frozen=True)
class Support:
    """Whether something can be computed. True or false as a bool.

    Attributes:
        ok: it can.
        reason: why not; empty if it can.
    """

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


def supports(
    q: Any,
    k: Any,
    v: Any,
    *,
    softmax_scale: float | None = None,
    causal: Causal = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    sinks: Any = None,
    bias: Any = None,
    alibi_slopes: Any = None,
    mods: Mods | None = None,
    block_table: BlockTable | None = None,
    cu_seqlens_q: Any = None,
    cu_seqlens_k: Any = None,
    max_seqlen_q: int | None = None,
    max_seqlen_k: int | None = None,
    return_lse: bool = False,
    layout: Layout = "bshd",
) -> Support:
    """Whether :func:`attention` takes these arguments, and if not, why.

    Computes nothing, and looks into no array: not at what cu_seqlens_q and cu_seqlens_k say.
    """
    try:
        if alibi_slopes is not None:
            mods = alibi(
                alibi_slopes, mods, bias, q=q, k=k, layout=layout, cu_seqlens_q=cu_seqlens_q,
                cu_seqlens_k=cu_seqlens_k,
            )  # fmt: skip
        framework, options = checked(
            q, k, v, softmax_scale, causal, layout, window_size, softcap, sinks, bias, mods,
            block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q or 0, max_seqlen_k or 0,
        )  # fmt: skip
        check_shapes(q, k, v, layout, options.packed)
        check_lists(framework, q, options, layout)
    except Error as error:
        return Support(False, error.message)
    return Support(True)
