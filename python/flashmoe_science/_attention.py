"""Attention, eagerly, on arrays of PyTorch, NumPy and CuPy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ._masks import NO_WINDOW, Causal, Layout

if TYPE_CHECKING:
    from ._attention_options import BlockTable
    from ._mods import Mods


def attention(
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
) -> Any:
    """softmax(softmax_scale * q k^T, masked) v, for each batch and head.

    Any strides are taken as they are, without a copy, as long as the last dimension is contiguous.
    Sums are float32; the result is rounded once. Deterministic. On a GPU the call returns at once,
    and works on the current stream of the arrays' framework; on the CPU it has then computed.

    Args:
        q: (batch, seq_q, heads, head_dim) in the layout ``"bshd"``; float32, float16 or bfloat16;
            head_dim 1 to 256. A PyTorch tensor, or an array of NumPy or CuPy. Of packed sequences
            (total_q, heads, head_dim).
        k: (batch, seq_k, kv_heads, head_dim), of q's type and device. kv_heads divides heads: query
            head h sees key head h // (heads / kv_heads), as in grouped-query attention.
        v: as k, but for the last dimension, which may be another one, 1 to 256.
        softmax_scale: what scores are multiplied by. None: 1 / sqrt(head_dim).
        causal: True, or ``"bottom-right"``: query i sees keys up to i + seq_k - seq_q, as in
            FlashAttention: the last query sees all. ``"top-left"``: keys up to i, as PyTorch's
            ``is_causal``. They are the same where both lengths are.
        window_size: (left, right): query i sees keys from i + seq_k - seq_q - left to
            i + seq_k - seq_q + right; -1 is no limit. With causal right is 0, and ``"top-left"``
            leaves seq_k - seq_q out.
        softcap: above 0: a score s becomes softcap * tanh(s / softcap). 0: as it is.
        sinks: float32, (heads,): a logit of each head that takes part in the sum of weights, as of
            a key with no value, and in the log-sum-exp.
        bias: added to the scores: of float32 or q's type, any shape that broadcasts to (batch,
            heads, seq_q, seq_k), which nobody copies; -inf hides a key.
        alibi_slopes: float32, (heads,) or (batch, heads), on q's device: ALiBi, as FlashAttention
            has it. slope * |i + seq_k - seq_q - j| is subtracted from the score of query i and key
            j, of packed sequences with each one's lengths. Not with bias or mods.
        mods: functions of scores and masks of one's own: see :func:`flashmoe_science.mods`.
        block_table: which tiles the mask of mods leaves: see :func:`block_table`.
        cu_seqlens_q: int32, (batch + 1,), on q's device: sequences of several lengths lie one
            behind the other, and sequence b has rows cu_seqlens_q[b] to cu_seqlens_q[b + 1]. They
            must not fall, begin with 0 and end with total_q. On the CPU this is checked; on a GPU
            only where max_seqlen isn't given, and with ``sanitize="address"``: else the kernel
            reads and writes what they say. layout doesn't count.
        cu_seqlens_k: the same of k and v. None: cu_seqlens_q.
        max_seqlen_q: at least the length of the longest sequence of queries; more are not computed.
            None: found in cu_seqlens_q, for which the call waits for the device.
        max_seqlen_k: the same of keys.
        return_lse: also give the logarithm of the sum of exponentials.
        layout: the order of q's dimensions: ``"bshd"``, ``"bhsd"`` or ``"sbhd"``; also of k, v and
            the result.

    Returns:
        The result: q's shape but for v's last dimension, q's type and device, and the order of its
        strides (contiguous if the last dimension is another one). A query with no key to see has
        zeros. With ``return_lse`` also, as the second of a tuple, float32 of shape (batch, heads,
        seq_q), or (heads, total_q): the natural logarithm of the sum of exp(score), and of
        exp(sink); -inf where there is none.

    Raises:
        UnsupportedError: an argument has a value that isn't supported yet; the message names it.
        InvalidArgumentError: shapes, types or devices don't fit together.
        ArgumentError: an argument isn't an array.
        CompileError: mods don't compile.
    """
    if alibi_slopes is not None:
        mods = _slopes(
            alibi_slopes, mods, bias, q=q, k=k, layout=layout, cu_seqlens_q=cu_seqlens_q,
            cu_seqlens_k=cu_seqlens_k,
        )  # fmt: skip
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(q, torch.Tensor):
        if torch.compiler.is_dynamo_compiling():
            # Nothing that a later call changes may be read, or there would be another graph.
            from ._torch_operators import attention as of_pytorch

            return of_pytorch(
                q, k, v, softmax_scale, causal, return_lse, layout, window_size, softcap, sinks,
                bias, mods, block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k,
            )  # fmt: skip
        if (
            window_size == NO_WINDOW and not softcap and sinks is None and bias is None
            and mods is None and block_table is None and cu_seqlens_q is None
            and cu_seqlens_k is None and not return_lse
            and (layout == "bshd" or layout == "bhsd")
        ):  # fmt: skip
            out = _direct()(q, k, v, softmax_scale, causal, layout == "bhsd")
            if out is not None:
                return out
        return _of_pytorch()(
            q, k, v, softmax_scale, causal, return_lse, layout, window_size, softcap, sinks, bias,
            mods, block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k,
        )  # fmt: skip
    return _of_arrays()(
        q, k, v, softmax_scale, causal, return_lse, layout, window_size, softcap, sinks, bias,
        mods, block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k,
    )  # fmt: skip


def flash_attention_science(
    query: Any,
    key: Any,
    value: Any,
    causal: bool = False,
    softmax_scale: float | None = None,
) -> Any:
    """Attention on (batch, heads, seq, head_dim), exact.

    As :func:`attention` with the layout ``"bhsd"``.

    Args:
        query: (batch, heads, seq_q, head_dim); float32, float16 or bfloat16.
        key: (batch, kv_heads, seq_k, head_dim); kv_heads divides heads.
        value: as key.
        causal: query i sees keys up to i + seq_k - seq_q: aligned to the last key.
        softmax_scale: what scores are multiplied by. None: 1 / sqrt(head_dim).

    Returns:
        Of query's shape, type and device.

    Raises:
        UnsupportedError: a tensor requires a gradient, or is on a device that has no kernels.
        InvalidArgumentError: shapes, types or devices don't fit together.
    """
    torch = sys.modules.get("torch")
    if (
        torch is not None and not torch.compiler.is_dynamo_compiling()
        and _direct_of_pytorch is not None
    ):  # fmt: skip
        out = _direct_of_pytorch(query, key, value, softmax_scale, causal, True)
        if out is not None:
            return out
    return attention(query, key, value, softmax_scale=softmax_scale, causal=causal, layout="bhsd")


# What of the package is imported when it is needed: a first call is to take few milliseconds.


def _slopes(slopes: Any, mods: Any, bias: Any, **arrays: Any) -> Any:
    """The functions of alibi_slopes."""
    from ._alibi import alibi

    return alibi(slopes, mods, bias, **arrays)


def _direct() -> Any:
    """The short way of PyTorch's tensors."""
    global _direct_of_pytorch
    if _direct_of_pytorch is None:
        from . import _torch_direct

        _direct_of_pytorch = _torch_direct.direct
    return _direct_of_pytorch


def _of_pytorch() -> Any:
    """What all calls with PyTorch's tensors take."""
    global _attention_of_pytorch
    if _attention_of_pytorch is None:
        from . import _torch_operators

        _attention_of_pytorch = _torch_operators.attention
    return _attention_of_pytorch


def _of_arrays() -> Any:
    """What arrays of NumPy and CuPy take."""
    global _attention_of_arrays
    if _attention_of_arrays is None:
        from . import _array_attention

        _attention_of_arrays = _array_attention.attention
    return _attention_of_arrays


_attention_of_pytorch: Any = None
_attention_of_arrays: Any = None
_direct_of_pytorch: Any = None
