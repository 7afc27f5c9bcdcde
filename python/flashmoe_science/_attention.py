"""Attention, eagerly, on arrays of PyTorch, NumPy and CuPy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

from ._errors import Error, InvalidArgumentError, UnsupportedError
from ._frameworks import Framework, framework_of
from ._operators import attention_forward  # now, so that the first call needn't wait for it

Layout = Literal["bshd", "bhsd", "sbhd"]
Causal = Literal[False, True, "bottom-right", "top-left"]

_HEAD_AXIS = {"bshd": 2, "bhsd": 1, "sbhd": 2}
_BATCH_AXIS = {"bshd": 0, "bhsd": 0, "sbhd": 1}
_ROW_AXIS = {"bshd": 1, "bhsd": 2, "sbhd": 0}
_DTYPES = ("float32", "float16", "bfloat16")
_MASKS = {False: 0, True: 1, "bottom-right": 1, "top-left": 2}


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
    return_lse: bool = False,
    layout: Layout = "bshd",
) -> Any:
    """softmax(softmax_scale * q k^T, masked) v, for each batch and head.

    Any strides are taken as they are, without a copy, as long as the last dimension is contiguous.
    Sums are float32; the result is rounded once. Deterministic. On a GPU the call returns at once,
    and works on the current stream of the arrays' framework; on the CPU it has then computed.

    Args:
        q: (batch, seq_q, heads, head_dim) in the layout ``"bshd"``; float32, float16 or bfloat16;
            head_dim 1 to 256. A PyTorch tensor, or an array of NumPy or CuPy.
        k: (batch, seq_k, kv_heads, head_dim), of q's type and device. kv_heads divides heads: query
            head h sees key head h // (heads / kv_heads), as in grouped-query attention.
        v: as k.
        softmax_scale: what scores are multiplied by. None: 1 / sqrt(head_dim).
        causal: True, or ``"bottom-right"``: query i sees keys up to i + seq_k - seq_q, as in
            FlashAttention: the last query sees all. ``"top-left"``: keys up to i, as PyTorch's
            ``is_causal``. They are the same where both lengths are.
        window_size: only (-1, -1), which is none.
        softcap: only 0.0, which is none.
        return_lse: also give the logarithm of the sum of exponentials.
        layout: the order of q's dimensions: ``"bshd"``, ``"bhsd"`` or ``"sbhd"``; also of k, v and
            the result.

    Returns:
        The result: q's shape, type and device, and the order of its strides. A query with no key to
        see has zeros. With ``return_lse`` also, as the second of a tuple, float32 of shape
        (batch, heads, seq_q): the natural logarithm of the sum of exp(softmax_scale * score); -inf
        for such a query.

    Raises:
        UnsupportedError: an argument has a value that isn't supported yet; the message names it.
        InvalidArgumentError: shapes, types or devices don't fit together.
        ArgumentError: an argument isn't an array.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(q, torch.Tensor):
        return _of_pytorch()(
            q, k, v, softmax_scale, causal, window_size, softcap, return_lse, layout
        )
    framework = _check(q, k, v, softmax_scale, causal, window_size, softcap, layout)
    out = framework.empty_like(q)
    lse = None
    if return_lse:
        shape = q.shape
        lse = framework.empty_lse(
            q, (shape[_BATCH_AXIS[layout]], shape[_HEAD_AXIS[layout]], shape[_ROW_AXIS[layout]])
        )
    _run(framework, q, k, v, out, lse, softmax_scale, causal, layout)
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
    return_lse: bool = False,
    layout: Layout = "bshd",
) -> Support:
    """Whether :func:`attention` takes these arguments, and if not, why. Computes nothing."""
    try:
        _check(q, k, v, softmax_scale, causal, window_size, softcap, layout)
        _check_shapes(q, k, v, layout)
    except Error as error:
        return Support(False, error.message)
    return Support(True)


def _of_pytorch() -> Any:
    """What PyTorch's tensors take: see _torch_operators.py, which imports PyTorch."""
    global _attention_of_pytorch
    if _attention_of_pytorch is None:
        from ._torch_operators import attention as of_pytorch

        _attention_of_pytorch = of_pytorch
    return _attention_of_pytorch


_attention_of_pytorch: Any = None


def _mask_of(causal: Causal) -> int:
    mask = _MASKS.get(causal) if isinstance(causal, (bool, str)) else None
    if mask is None:
        raise InvalidArgumentError(
            f"causal is {causal!r}; it may be False, True, 'bottom-right' or 'top-left'"
        )
    return mask


def _scale_of(scale: float | None) -> float:
    """As the operator takes it: 0 is the default."""
    if scale is None:
        return 0.0
    if scale == 0:
        raise UnsupportedError("softmax_scale is 0: pass None for the default, or another number")
    return scale


def _check(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, window: tuple[int, int],
    softcap: float, layout: str,
) -> Framework:  # fmt: skip
    if layout not in _HEAD_AXIS:
        raise InvalidArgumentError(f"layout is {layout!r}; it may be 'bshd', 'bhsd' or 'sbhd'")
    _mask_of(causal)
    _scale_of(scale)
    if tuple(window) != (-1, -1):
        raise UnsupportedError(f"window_size is {window}: windows aren't here yet")
    if softcap:
        raise UnsupportedError(f"softcap is {softcap}: capped scores aren't here yet")
    framework = framework_of("q", q)
    for name, array in (("q", q), ("k", k), ("v", v)):
        if type(array) is not type(q) and type(framework_of(name, array)) is not type(framework):
            raise InvalidArgumentError(f"{name} is of another framework than q")
        framework.check(name, array)
    if framework.dtype_name(q) not in _DTYPES:
        raise InvalidArgumentError(
            f"q is of type {framework.dtype_name(q)}; it may be {', '.join(_DTYPES)}"
        )
    return framework


def _check_shapes(q: Any, k: Any, v: Any, layout: str) -> None:
    """What the operator checks too; here with nothing to be computed."""
    for name, array in (("q", q), ("k", k), ("v", v)):
        if len(array.shape) != 4:
            raise InvalidArgumentError(f"{name} has {len(array.shape)} dimensions, and must have 4")
        if array.dtype != q.dtype:
            raise InvalidArgumentError(f"{name} has another dtype than q")
    batch, head, row = _BATCH_AXIS[layout], _HEAD_AXIS[layout], _ROW_AXIS[layout]
    if tuple(k.shape) != tuple(v.shape):
        raise InvalidArgumentError(f"k and v have other shapes: {k.shape} and {v.shape}")
    if k.shape[batch] != q.shape[batch] or k.shape[3] != q.shape[3]:
        raise InvalidArgumentError(f"q and k don't fit together: {q.shape} and {k.shape}")
    if not 1 <= q.shape[3] <= 256:
        raise InvalidArgumentError(f"head_dim is {q.shape[3]}; it may be 1 to 256")
    if k.shape[head] < 1 or q.shape[head] % k.shape[head]:
        raise InvalidArgumentError(
            f"kv_heads is {k.shape[head]}; it may be any divisor of heads, which is {q.shape[head]}"
        )
    if max(q.shape[row], k.shape[row]) > 1 << 30:
        raise InvalidArgumentError("a sequence is longer than 1073741824")


def _run(
    framework: Framework, q: Any, k: Any, v: Any, out: Any, lse: Any, scale: float | None,
    causal: Causal, layout: str,
) -> None:  # fmt: skip
    attention_forward(
        framework.exported(q), framework.exported(k), framework.exported(v),
        framework.exported(out), lse, _scale_of(scale), _mask_of(causal), layout,
        framework.named_dtype(q), framework.stream(q),
    )  # fmt: skip
