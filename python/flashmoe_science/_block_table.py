"""Which tiles of keys attention need visit."""

from __future__ import annotations

from typing import Any

from ._attention_checks import checked
from ._attention_options import BlockTable, mods_of
from ._masks import Causal, Layout
from ._mods import Mods
from ._operators import operators


def block_table(
    q: Any,
    k: Any,
    v: Any,
    *,
    mods: Mods,
    causal: Causal = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    cu_seqlens_q: Any = None,
    cu_seqlens_k: Any = None,
    max_seqlen_q: int | None = None,
    max_seqlen_k: int | None = None,
    per_batch: bool = True,
    per_head: bool = True,
    layout: Layout = "bshd",
) -> BlockTable:
    """Which tiles of keys need be visited, by the mask function of `mods`.

    A call of :func:`attention` with it reads no tile of which no query sees a key, and asks no mask
    in one of which all see all; its result is the same, bit for bit, but where 16 queries or fewer
    share keys among heads, which sums in another order. It pays where the mask leaves out whole
    tiles, and is used more than once: to make it asks the mask of every pair of a query and a key,
    of each batch and head that it is made for.

    It is good for all calls with the same lengths, mods (and what these read), causal,
    window_size and cu_seqlens, and arrays aligned alike: for all layers of a model, say. A call
    whose kernel has other tiles refuses it.

    Args:
        q: as the calls will have it; so are the other arguments. Nothing is read of it.
        k: as q.
        v: as q.
        mods: the functions.
        causal: as :func:`attention` has it.
        window_size: as :func:`attention` has it.
        softcap: as :func:`attention` has it.
        cu_seqlens_q: as :func:`attention` has it.
        cu_seqlens_k: as :func:`attention` has it.
        max_seqlen_q: as :func:`attention` has it.
        max_seqlen_k: as :func:`attention` has it.
        per_batch: False: the mask is the same for all elements of the batch; the first is asked.
        per_head: False: the mask is the same for all heads.
        layout: as :func:`attention` has it.

    Raises:
        InvalidArgumentError: as :func:`attention`.
    """
    framework, options = checked(
        q, k, v, None, causal, layout, window_size, softcap, None, None, mods, None, cu_seqlens_q,
        cu_seqlens_k, max_seqlen_q, max_seqlen_k,
    )  # fmt: skip
    number, block = mods_of(framework, options)
    arrays = [framework.exported(each) for each in (q, k, v)]
    starts = [
        None if each is None else framework.exported(each)
        for each in (options.starts_q, options.starts_k)
    ]

    def call(memory: Any) -> Any:
        return operators().attention_block_table(
            *arrays, memory, 0.0, options.mask, layout, framework.named_dtype(q),
            framework.stream(q), options.window_left, options.window_right, options.softcap,
            *starts, options.max_q, options.max_k, number, block, per_batch, per_head,
        )  # fmt: skip

    shape = tuple(int(each) for each in call(None))
    memory = framework.empty_int32(q, shape[-1])
    call(memory)
    return BlockTable(memory, shape)
