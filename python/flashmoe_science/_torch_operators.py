"""Attention as operators of PyTorch, and the way around its dispatcher.

``torch.ops.flashmoe_science.attention_forward`` and ``attention_forward_lse`` are what
``torch.compile``, ``torch.export``, FakeTensor, ``vmap`` and dispatch modes see. A call that none
of them watches goes to the kernel directly: the dispatcher and its way back into Python cost more
than the whole launch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.autograd import forward_ad

from ._attention import _BATCH_AXIS, _DTYPES, _HEAD_AXIS, _ROW_AXIS, Causal, Layout
from ._attention import _check, _mask_of, _scale_of
from ._errors import InvalidArgumentError, UnsupportedError
from ._frameworks import refuse_gradient
from ._operators import attention_forward as _forward

if TYPE_CHECKING:
    from torch import Tensor

Mask = Literal["none", "bottom-right", "top-left"]

_MASK_NAMES: tuple[Mask, ...] = ("none", "bottom-right", "top-left")  # by the number of the kernel
_MASK_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(_MASK_NAMES)}
_MAX_ROWS = 1 << 30

_ARGUMENTS = (
    "(Tensor q, Tensor k, Tensor v, *, float? softmax_scale=None, str mask='none', "
    "str layout='bshd')"
)
_NAME = "flashmoe_science::attention_forward"
_NAME_LSE = "flashmoe_science::attention_forward_lse"

# The kernel takes strides as they are; Inductor must hand over those that were traced, or the
# result's, which follow q's, are other ones than it has planned for.
_TAGS = tuple(
    getattr(torch.Tag, name)
    for name in ("pt2_compliant_tag", "needs_exact_strides")
    if hasattr(torch.Tag, name)
)
if not hasattr(torch.Tag, "needs_exact_strides"):  # before 2.8
    _TAGS += (torch.Tag.needs_fixed_stride_order,)

torch.library.define(_NAME, f"{_ARGUMENTS} -> Tensor", tags=_TAGS)
torch.library.define(_NAME_LSE, f"{_ARGUMENTS} -> (Tensor, Tensor)", tags=_TAGS)

# Bound once: looking an overload up costs as much as calling it.
attention_forward = torch.ops.flashmoe_science.attention_forward.default
attention_forward_lse = torch.ops.flashmoe_science.attention_forward_lse.default

_Tensor, _strided = torch.Tensor, torch.strided
_is_dynamo_compiling = torch.compiler.is_dynamo_compiling
_count_modes = torch._C._len_torch_dispatch_stack
_functorch_level = torch._C._functorch.maybe_current_level
_tracing_state = torch._C._get_tracing_state


def attention(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, window: tuple[int, int],
    softcap: float, return_lse: bool, layout: Layout,
) -> Any:  # fmt: skip
    """:func:`flashmoe_science.attention` of PyTorch's tensors."""
    if _is_direct(q, k, v) and window == (-1, -1) and not softcap and layout in _HEAD_AXIS:
        out = torch.empty_like(q)
        lse = _empty_lse(q, layout) if return_lse else None
        _forward(q, k, v, out, lse, _scale_of(scale), _mask_of(causal), layout, "", -1)
        return (out, lse) if return_lse else out
    if not _is_dynamo_compiling():  # which makes nothing of our exceptions; the operator checks too
        _check(q, k, v, scale, causal, window, softcap, layout)
        _refuse_tangents(q, k, v)
    elif window != (-1, -1) or softcap:
        raise NotImplementedError("attention: windows and softcap aren't here yet")
    mask = _MASK_NAMES[_mask_of(causal)]
    if return_lse:
        return attention_forward_lse(q, k, v, softmax_scale=scale, mask=mask, layout=layout)
    return attention_forward(q, k, v, softmax_scale=scale, mask=mask, layout=layout)


def _is_direct(q: Any, k: Any, v: Any) -> bool:
    """Whether nothing but the kernel would take note of the call.

    These are then tensors of PyTorch's own with memory of their own, in which the numbers stand as
    they are, and neither gradients, nor a compiler, a tracer, a mode or a function transform ask
    what becomes of them.
    """
    if _is_dynamo_compiling():
        return False
    if type(q) is not _Tensor or type(k) is not _Tensor or type(v) is not _Tensor:
        return False
    if (q.requires_grad or k.requires_grad or v.requires_grad) and torch.is_grad_enabled():
        return False
    if _count_modes() or _functorch_level() is not None or forward_ad._current_level >= 0:
        return False
    if q.is_neg() or k.is_neg() or v.is_neg():  # `z.conj().imag`: its memory has the other sign
        return False
    if q.is_meta or k.is_meta or v.is_meta:
        return False
    return q.layout is _strided and _tracing_state() is None


def _empty_lse(q: Tensor, layout: str) -> Tensor:
    shape = q.shape
    return torch.empty(
        (shape[_BATCH_AXIS[layout]], shape[_HEAD_AXIS[layout]], shape[_ROW_AXIS[layout]]),
        dtype=torch.float32, device=q.device,
    )  # fmt: skip


def _refuse_tangents(*tensors: Tensor) -> None:
    """As refuse_gradient(), for forward-mode derivatives."""
    if forward_ad._current_level >= 0:
        for name, tensor in zip("qkv", tensors):
            dual = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call, unused-ignore]
            if dual.tangent is not None:
                raise UnsupportedError(
                    f"{name} has a tangent: forward-mode derivatives aren't here yet"
                )


def _mask_number(mask: str) -> int:
    number = _MASK_NUMBERS.get(mask)
    if number is None:
        raise InvalidArgumentError(f"mask is {mask!r}; it may be {', '.join(_MASK_NAMES)}")
    return number


def _compute(
    q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float | None = None, mask: str = "none",
    layout: str = "bshd",
) -> Tensor:  # fmt: skip
    if q.requires_grad or k.requires_grad or v.requires_grad:
        q, k, v = q.detach(), k.detach(), v.detach()
    out = torch.empty_like(q)
    _forward(q, k, v, out, None, _scale_of(softmax_scale), _mask_number(mask), layout, "", -1)
    return out


def _compute_lse(
    q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float | None = None, mask: str = "none",
    layout: str = "bshd",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    if q.requires_grad or k.requires_grad or v.requires_grad:
        q, k, v = q.detach(), k.detach(), v.detach()
    if layout not in _HEAD_AXIS or q.ndim != 4:
        return _fake_lse(q, k, v, softmax_scale=softmax_scale, mask=mask, layout=layout)  # raises
    out, lse = torch.empty_like(q), _empty_lse(q, layout)
    _forward(q, k, v, out, lse, _scale_of(softmax_scale), _mask_number(mask), layout, "", -1)
    return out, lse


def _above_autograd(operator: Any, compute: Any) -> Any:
    """The operator's kernel for autograd: without one, a gradient would silently be zero."""

    def above(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Any:
        for name, tensor in zip("qkv", (q, k, v)):
            refuse_gradient(torch, name, tensor)
        if _is_direct(q, k, v):
            return compute(q, k, v, **options)
        with torch._C._AutoDispatchBelowAutograd():
            return operator(q, k, v, **options)

    return above


def _require(holds: bool | torch.SymBool, message: str) -> None:
    check: Any = torch._check_value  # knows sizes that are symbols
    check(holds, lambda: f"can't compute attention: {message}")


def _fake(
    q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float | None = None, mask: str = "none",
    layout: str = "bshd",
) -> Tensor:  # fmt: skip
    _mask_number(mask)
    _scale_of(softmax_scale)
    if layout not in _HEAD_AXIS:
        raise InvalidArgumentError(f"layout is {layout!r}; it may be 'bshd', 'bhsd' or 'sbhd'")
    batch, head, row = _BATCH_AXIS[layout], _HEAD_AXIS[layout], _ROW_AXIS[layout]
    dtypes = tuple(getattr(torch, name) for name in _DTYPES)
    _require(q.dtype in dtypes, f"dtype is {q.dtype}; it may be {', '.join(_DTYPES)}")
    for name, each in (("q", q), ("k", k), ("v", v)):
        _require(each.ndim == 4, f"{name} has {each.ndim} dimensions, and must have 4")
        _require(each.dtype == q.dtype, f"{name} has another dtype than q")
        _require(each.device == q.device, f"{name} is on another device than q")
        _require(each.shape[batch] == q.shape[batch], f"{name}'s batch is not q's")
        _require(each.shape[3] == q.shape[3], f"{name}'s head dimension is not q's")
        _require(each.shape[row] <= _MAX_ROWS, f"{name} is longer than {_MAX_ROWS}")
        _require(
            each.shape[3] == 1 or each.stride(3) == 1,
            f"{name} has a stride of {each.stride(3)} in its last dimension, and must have 1",
        )
    _require(1 <= q.shape[3] and q.shape[3] <= 256, f"head_dim is {q.shape[3]}; it may be 1 to 256")
    _require(k.shape[head] == v.shape[head], "v's number of heads is not k's")
    _require(k.shape[row] == v.shape[row], "v's length is not k's")
    _require(k.shape[head] >= 1, "k has no heads")
    _require(q.shape[head] % k.shape[head] == 0, "k's heads are no divisor of q's")
    return torch.empty_like(q)


def _fake_lse(
    q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float | None = None, mask: str = "none",
    layout: str = "bshd",
) -> tuple[Tensor, Tensor]:  # fmt: skip
    out = _fake(q, k, v, softmax_scale=softmax_scale, mask=mask, layout=layout)
    return out, _empty_lse(q, layout)


def _fold(tensor: Tensor, axis: int | None, size: int, layout: str) -> Tensor:
    """A batch that vmap has taken out, put in front of the tensor's own batch, as one."""
    batch = _BATCH_AXIS[layout]
    if axis is None:
        whole = tensor.unsqueeze(batch).expand(
            *tensor.shape[:batch], size, *tensor.shape[batch:]
        )
    else:
        whole = tensor.movedim(axis, batch)
    folded = whole.flatten(batch, batch + 1)
    return folded if folded.stride(3) == 1 else folded.contiguous()


def _vmap(
    info: Any, axes: tuple[Any, ...], q: Tensor, k: Tensor, v: Tensor, *,
    softmax_scale: float | None = None, mask: str = "none", layout: str = "bshd",
) -> tuple[Tensor, int]:  # fmt: skip
    size, batch = info.batch_size, _BATCH_AXIS[layout]
    out = attention_forward(
        *(_fold(each, axis, size, layout) for each, axis in zip((q, k, v), axes)),
        softmax_scale=softmax_scale, mask=mask, layout=layout,
    )  # fmt: skip
    return out.unflatten(batch, (size, -1)), batch


def _vmap_lse(
    info: Any, axes: tuple[Any, ...], q: Tensor, k: Tensor, v: Tensor, *,
    softmax_scale: float | None = None, mask: str = "none", layout: str = "bshd",
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:  # fmt: skip
    size, batch = info.batch_size, _BATCH_AXIS[layout]
    out, lse = attention_forward_lse(
        *(_fold(each, axis, size, layout) for each, axis in zip((q, k, v), axes)),
        softmax_scale=softmax_scale, mask=mask, layout=layout,
    )  # fmt: skip
    return (out.unflatten(batch, (size, -1)), lse.unflatten(0, (size, -1))), (batch, 0)


for _name, _operator, _kernel, _fake_kernel, _batched in (
    (_NAME, attention_forward, _compute, _fake, _vmap),
    (_NAME_LSE, attention_forward_lse, _compute_lse, _fake_lse, _vmap_lse),
):
    torch.library.impl(_name, ("CPU", "CUDA"), _kernel)
    torch.library.impl(_name, "Autograd", _above_autograd(_operator, _kernel))
    torch.library.register_fake(_name, _fake_kernel)
    torch.library.register_vmap(_name, _batched)
