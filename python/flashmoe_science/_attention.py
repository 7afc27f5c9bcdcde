"""Attention, eagerly, on arrays of PyTorch, NumPy and CuPy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from ._attention_checks import (
    Causal, Layout, check_lists, check_shapes, checked, lse_shape, run,
)  # fmt: skip
from ._attention_options import BlockTable
from ._errors import Error
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
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(q, torch.Tensor):
        return _of_pytorch()(
            q, k, v, softmax_scale, causal, return_lse, layout, window_size, softcap, sinks, bias,
            mods, block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k,
        )  # fmt: skip
    framework, options = checked(
        q, k, v, softmax_scale, causal, layout, window_size, softcap, sinks, bias, mods,
        block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k,
    )  # fmt: skip
    same = v.shape[-1] == q.shape[-1] or len(v.shape) != len(q.shape)
    out = framework.empty_like(q) if same else framework.empty(q, (*q.shape[:-1], v.shape[-1]))
    lse = None
    if return_lse:
        lse = framework.empty_lse(q, lse_shape(q.shape, layout, options.packed))
    run(framework, q, k, v, out, lse, softmax_scale, layout, options)
    return (out, lse) if return_lse else out


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
    if _direct_of_pytorch is not None:
        out = _direct_of_pytorch(query, key, value, softmax_scale, causal, True)
        if out is not None:
            return out
    return attention(query, key, value, softmax_scale=softmax_scale, causal=causal, layout="bhsd")


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
        framework, options = checked(
            q, k, v, softmax_scale, causal, layout, window_size, softcap, sinks, bias, mods,
            block_table, cu_seqlens_q, cu_seqlens_k, max_seqlen_q or 0, max_seqlen_k or 0,
        )  # fmt: skip
        check_shapes(q, k, v, layout, options.packed)
        check_lists(framework, q, options, layout)
    except Error as error:
        return Support(False, error.message)
    return Support(True)


def _of_pytorch() -> Any:
    """What PyTorch's tensors take: see _torch_operators.py, which imports PyTorch."""
    global _attention_of_pytorch, _direct_of_pytorch
    if _attention_of_pytorch is None:
        from . import _torch_operators

        _attention_of_pytorch = _torch_operators.attention
        _direct_of_pytorch = _torch_operators.direct
    return _attention_of_pytorch


_attention_of_pytorch: Any = None
_direct_of_pytorch: Any = None
