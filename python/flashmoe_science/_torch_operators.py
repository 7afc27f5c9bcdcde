"""Attention as operators of PyTorch, and the way around its dispatcher.

``torch.ops.flashmoe_science.attention_forward`` and ``attention_forward_lse`` are what
``torch.compile``, ``torch.export``, FakeTensor, ``vmap`` and dispatch modes see. A call that none
of them watches goes to the kernel directly, also one of the operator by its name: the dispatcher
and its way back into Python cost more than the whole launch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.autograd import forward_ad

from ._attention_checks import (
    BATCH_AXIS, DTYPES, HEAD_AXIS, ROW_AXIS, checked, lse_shape, run,
)  # fmt: skip
from ._attention_options import BlockTable, Options, softcap_of
from ._errors import InvalidArgumentError, UnsupportedError
from ._frameworks import framework_of, refuse_gradient
from ._masks import NO_WINDOW, Causal, Layout, mask_of, plain_mask_of, scale_of
from ._mods import Mods
from ._operators import operators
from ._torch_direct import direct, is_direct, is_dynamo_compiling, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

Mask = Literal["none", "bottom-right", "top-left", "window", "window-top-left"]

_MASK_NAMES: tuple[Mask, ...] = (  # by the number of the kernel
    "none", "bottom-right", "top-left", "window", "window-top-left",
)  # fmt: skip
_MASK_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(_MASK_NAMES)}
# As the argument causal says those without a window.
_CAUSAL: dict[str, Causal] = {"none": False, "bottom-right": True, "top-left": "top-left"}
_MAX_ROWS = 1 << 30

# Functions of mods are their source, the bytes of the struct in hexadecimal, and where in those the
# addresses of mods_arrays belong.
_ARGUMENTS = (
    "(Tensor q, Tensor k, Tensor v, Tensor? sinks=None, Tensor? bias=None, "
    "Tensor? cu_seqlens_q=None, Tensor? cu_seqlens_k=None, Tensor? block_table=None, "
    "Tensor[]? mods_arrays=None, *, float? softmax_scale=None, str mask='none', "
    "str layout='bshd', int window_left=-1, int window_right=-1, float softcap=0.0, "
    "SymInt max_seqlen_q=0, SymInt max_seqlen_k=0, str[]? mods=None, str mods_bytes='', "
    "int[]? mods_offsets=None, int[]? block_table_shape=None)"
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


def attention(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, return_lse: bool, layout: Layout,
    window: Any = NO_WINDOW, softcap: float = 0.0, sinks: Any = None, bias: Any = None,
    mods: Mods | None = None, table: BlockTable | None = None, starts_q: Any = None,
    starts_k: Any = None, max_q: int | None = None, max_k: int | None = None,
) -> Any:  # fmt: skip
    """:func:`flashmoe_science.attention` of PyTorch's tensors."""
    plain = (
        window == NO_WINDOW and not softcap and sinks is None and bias is None and mods is None
        and starts_q is None and starts_k is None and table is None
    )  # fmt: skip
    if plain and is_direct(q, k, v) and layout in HEAD_AXIS:
        if v.shape[-1] == q.shape[-1]:
            out = torch.empty_like(q)
            lse = _empty_lse(q, layout) if return_lse else None
            mask = plain_mask_of(causal)
            operators().attention_forward(
                q, k, v, out, lse, scale_of(scale), mask, layout, "", -1
            )  # fmt: skip
            return (out, lse) if return_lse else out
    if is_dynamo_compiling():  # which can't look into arrays; the operator checks the rest
        mask, left, right = mask_of(causal, window)
        if starts_q is not None and (max_q is None or max_k is None):
            raise InvalidArgumentError(
                "torch.compile can't look into cu_seqlens_q: pass max_seqlen_q and max_seqlen_k"
            )
        options = Options(
            mask, left, right, softcap_of(softcap), sinks, bias, mods, starts_q,
            starts_q if starts_k is None else starts_k, max_q or 0, max_k or 0, table,
        )  # fmt: skip
    else:
        framework, options = checked(
            q, k, v, scale, causal, layout, window, softcap, sinks, bias, mods, table, starts_q,
            starts_k, max_q, max_k,
        )  # fmt: skip
        _refuse_tangents(q, k, v)
        others = [each for _, each in options.arrays()]
        if others and is_direct(q, k, v, *others):
            out = _empty_output(q, v)
            lse = _empty_lse(q, layout, options.packed) if return_lse else None
            run(framework, q, k, v, out, lse, scale, layout, options)
            return (out, lse) if return_lse else out
    operator = attention_forward_lse if return_lse else attention_forward
    return operator(q, k, v, *_tensors_of(options), **_keywords_of(options, scale, layout))


def _tensors_of(options: Options) -> tuple[Any, ...]:
    """What the operator has after q, k and v."""
    return (
        options.sinks, options.bias, options.starts_q, options.starts_k,
        None if options.table is None else options.table.memory,
        None if options.mods is None else options.mods.arrays,
    )  # fmt: skip


def _keywords_of(options: Options, scale: float | None, layout: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "softmax_scale": scale, "mask": _MASK_NAMES[options.mask], "layout": layout,
    }  # fmt: skip
    if options.plain:
        return given
    mods, table = options.mods, options.table
    given.update(
        window_left=options.window_left, window_right=options.window_right,
        softcap=options.softcap, max_seqlen_q=options.max_q, max_seqlen_k=options.max_k,
    )  # fmt: skip
    if mods is not None:
        given.update(
            mods=[mods.kind, mods.name, mods.text], mods_bytes=mods.hexadecimal,
            mods_offsets=mods.offsets,
        )  # fmt: skip
    if table is not None:
        given["block_table_shape"] = list(table.shape)
    return given


def _options_of(
    sinks: Any, bias: Any, starts_q: Any, starts_k: Any, table: Any, mods_arrays: Any, mask: str,
    window_left: int = -1, window_right: int = -1, softcap: float = 0.0, max_seqlen_q: int = 0,
    max_seqlen_k: int = 0, mods: Any = None, mods_bytes: str = "", mods_offsets: Any = None,
    block_table_shape: Any = None,
) -> Options:  # fmt: skip
    """The reverse of _tensors_of() and _keywords_of()."""
    functions = None
    if mods is not None:
        if len(mods) != 3:
            raise InvalidArgumentError("mods must be kind, name and text")
        kind, name, text = mods
        functions = Mods.restored(
            kind, name, text, bytes.fromhex(mods_bytes), list(mods_arrays or ()),
            list(mods_offsets or ()),
        )  # fmt: skip
    return Options(
        _mask_number(mask), window_left, window_right, softcap_of(softcap), sinks, bias, functions,
        starts_q, starts_k, max_seqlen_q, max_seqlen_k,
        None if table is None else BlockTable(table, tuple(block_table_shape or ())),
    )  # fmt: skip


def _empty_lse(q: Tensor, layout: str, packed: bool = False) -> Tensor:
    return torch.empty(lse_shape(q.shape, layout, packed), dtype=torch.float32, device=q.device)


def _empty_output(q: Tensor, v: Tensor) -> Tensor:
    if q.shape[-1] == v.shape[-1]:
        return torch.empty_like(q)
    return q.new_empty((*q.shape[:-1], v.shape[-1]))


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


def _results(
    q: Tensor, k: Tensor, v: Tensor, sinks: Any, bias: Any, starts_q: Any, starts_k: Any,
    table: Any, mods_arrays: Any, softmax_scale: float | None, mask: str, layout: str,
    with_lse: bool, options: dict[str, Any],
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    if q.requires_grad or k.requires_grad or v.requires_grad:
        q, k, v = q.detach(), k.detach(), v.detach()
    made = _options_of(sinks, bias, starts_q, starts_k, table, mods_arrays, mask, **options)
    if layout not in HEAD_AXIS or q.ndim != (3 if made.packed else 4):
        _require_shapes(q, k, v, layout, made.packed)  # raises
    out = _empty_output(q, v)
    lse = _empty_lse(q, layout, made.packed) if with_lse else None
    run(framework_of("q", q), q, k, v, out, lse, softmax_scale, layout, made)
    return out, lse


def _are_none(*tensors: Any) -> bool:
    return tensors.count(None) == len(tensors)


def _of_memory(q: Any, k: Any, v: Any, scale: float | None, mask: str, layout: str) -> Any:
    """Attention without options by the short way, where that can be taken; else None."""
    causal = _CAUSAL.get(mask)
    if causal is None or (layout != "bshd" and layout != "bhsd"):
        return None
    return direct(q, k, v, scale, causal, layout == "bhsd")


def _compute(
    q: Tensor, k: Tensor, v: Tensor, sinks: Any = None, bias: Any = None, starts_q: Any = None,
    starts_k: Any = None, table: Any = None, mods_arrays: Any = None, *,
    softmax_scale: float | None = None, mask: str = "none", layout: str = "bshd", **options: Any,
) -> Tensor:  # fmt: skip
    if not options and _are_none(sinks, bias, starts_q, starts_k, table, mods_arrays):
        out = _of_memory(q, k, v, softmax_scale, mask, layout)
        if out is not None:
            return out
    return _results(
        q, k, v, sinks, bias, starts_q, starts_k, table, mods_arrays, softmax_scale, mask, layout,
        False, options,
    )[0]  # fmt: skip


def _compute_lse(
    q: Tensor, k: Tensor, v: Tensor, sinks: Any = None, bias: Any = None, starts_q: Any = None,
    starts_k: Any = None, table: Any = None, mods_arrays: Any = None, *,
    softmax_scale: float | None = None, mask: str = "none", layout: str = "bshd", **options: Any,
) -> Any:  # fmt: skip
    return _results(
        q, k, v, sinks, bias, starts_q, starts_k, table, mods_arrays, softmax_scale, mask, layout,
        True, options,
    )  # fmt: skip


def _each_tensor(arguments: tuple[Any, ...]) -> Iterator[Tensor]:
    for each in arguments:
        if isinstance(each, (list, tuple)):
            yield from each
        elif each is not None:
            yield each


def _above_autograd(operator: Any, compute: Any) -> Any:
    """The operator's kernel for autograd: without one, a gradient would silently be zero."""

    def above(
        q: Tensor, k: Tensor, v: Tensor, *tensors: Any, softmax_scale: float | None = None,
        mask: str = "none", layout: str = "bshd", **options: Any,
    ) -> Any:  # fmt: skip
        if not tensors and not options and operator is attention_forward:
            out = _of_memory(q, k, v, softmax_scale, mask, layout)
            if out is not None:
                return out
        options = {"softmax_scale": softmax_scale, "mask": mask, "layout": layout, **options}
        for name, tensor in zip("qkv", (q, k, v)):
            refuse_gradient(torch, name, tensor)
        _refuse_tangents(q, k, v)
        others = list(_each_tensor(tensors))
        for tensor in others:
            refuse_gradient(torch, "an option of attention", tensor)
        if is_direct(q, k, v, *others):
            return compute(q, k, v, *tensors, **options)
        with torch._C._AutoDispatchBelowAutograd():
            return operator(q, k, v, *tensors, **options)

    return above


def _require(holds: bool | torch.SymBool, message: str) -> None:
    check: Any = torch._check_value  # knows sizes that are symbols
    check(holds, lambda: f"can't compute attention: {message}")


def _require_shapes(q: Tensor, k: Tensor, v: Tensor, layout: str, packed: bool) -> None:
    if layout not in HEAD_AXIS:
        raise InvalidArgumentError(f"layout is {layout!r}; it may be 'bshd', 'bhsd' or 'sbhd'")
    rank = 3 if packed else 4
    batch, head, row = BATCH_AXIS[layout], HEAD_AXIS[layout], ROW_AXIS[layout]
    if packed:
        head, row = 1, 0
    dtypes = tuple(getattr(torch, name) for name in DTYPES)
    _require(q.dtype in dtypes, f"dtype is {q.dtype}; it may be {', '.join(DTYPES)}")
    for name, each in (("q", q), ("k", k), ("v", v)):
        _require(each.ndim == rank, f"{name} has {each.ndim} dimensions, and must have {rank}")
        _require(each.dtype == q.dtype, f"{name} has another dtype than q")
        _require(each.device == q.device, f"{name} is on another device than q")
        if not packed:
            _require(each.shape[batch] == q.shape[batch], f"{name}'s batch is not q's")
        _require(each.shape[row] <= _MAX_ROWS, f"{name} is longer than {_MAX_ROWS}")
        _require(
            each.shape[-1] == 1 or each.stride(-1) == 1,
            f"{name} has a stride of {each.stride(-1)} in its last dimension, and must have 1",
        )
        _require(
            1 <= each.shape[-1] and each.shape[-1] <= 256,
            f"{name}'s head dimension is {each.shape[-1]}; it may be 1 to 256",
        )
    _require(k.shape[-1] == q.shape[-1], "k's head dimension is not q's")
    _require(k.shape[head] == v.shape[head], "v's number of heads is not k's")
    _require(k.shape[row] == v.shape[row], "v's length is not k's")
    _require(k.shape[head] >= 1, "k has no heads")
    _require(q.shape[head] % k.shape[head] == 0, "k's heads are no divisor of q's")


def _fake(
    q: Tensor, k: Tensor, v: Tensor, sinks: Any = None, bias: Any = None, starts_q: Any = None,
    starts_k: Any = None, table: Any = None, mods_arrays: Any = None, *,
    softmax_scale: float | None = None, mask: str = "none", layout: str = "bshd", **options: Any,
) -> Tensor:  # fmt: skip
    _mask_number(mask)
    scale_of(softmax_scale)
    softcap_of(options.get("softcap", 0))
    _require_shapes(q, k, v, layout, starts_q is not None)
    for each in _each_tensor((sinks, bias, starts_q, starts_k, table, mods_arrays)):
        _require(each.device == q.device, "an option's array is on another device than q")
    return _empty_output(q, v)


def _fake_lse(
    q: Tensor, k: Tensor, v: Tensor, *tensors: Any, layout: str = "bshd", **options: Any
) -> tuple[Tensor, Tensor]:
    out = _fake(q, k, v, *tensors, layout=layout, **options)
    packed = len(tensors) > 2 and tensors[2] is not None
    return out, _empty_lse(q, layout, packed)


def _fold(tensor: Tensor, axis: int | None, size: int, layout: str) -> Tensor:
    """A batch that vmap has taken out, put in front of the tensor's own batch, as one."""
    batch = BATCH_AXIS[layout]
    if axis is None:
        whole = tensor.unsqueeze(batch).expand(
            *tensor.shape[:batch], size, *tensor.shape[batch:]
        )
    else:
        whole = tensor.movedim(axis, batch)
    folded = whole.flatten(batch, batch + 1)
    return folded if folded.stride(3) == 1 else folded.contiguous()


def _folded(
    info: Any, axes: tuple[Any, ...], tensors: tuple[Any, ...], layout: str
) -> list[Tensor]:
    """q, k and v with what vmap has taken out in their batch."""
    sinks, *others = (*tensors[3:], None)
    if any(each is not None for each in others):
        raise UnsupportedError("vmap over attention with bias, mods or packed sequences isn't here")
    if sinks is not None and axes[3] is not None:
        raise UnsupportedError("vmap over attention's sinks isn't here")
    return [_fold(each, axis, info.batch_size, layout) for each, axis in zip(tensors[:3], axes)]


def _vmap(
    info: Any, axes: tuple[Any, ...], *tensors: Any, layout: str = "bshd", **options: Any
) -> tuple[Tensor, int]:
    size, batch = info.batch_size, BATCH_AXIS[layout]
    folded = _folded(info, axes, tensors, layout)
    out = attention_forward(*folded, *tensors[3:4], layout=layout, **options)
    return out.unflatten(batch, (size, -1)), batch


def _vmap_lse(
    info: Any, axes: tuple[Any, ...], *tensors: Any, layout: str = "bshd", **options: Any
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    size, batch = info.batch_size, BATCH_AXIS[layout]
    folded = _folded(info, axes, tensors, layout)
    out, lse = attention_forward_lse(*folded, *tensors[3:4], layout=layout, **options)
    return (out.unflatten(batch, (size, -1)), lse.unflatten(0, (size, -1))), (batch, 0)


for _name, _operator, _kernel, _fake_kernel, _batched in (
    (_NAME, attention_forward, _compute, _fake, _vmap),
    (_NAME_LSE, attention_forward_lse, _compute_lse, _fake_lse, _vmap_lse),
):
    torch.library.impl(_name, ("CPU", "CUDA"), _kernel)
    torch.library.impl(_name, "Autograd", _above_autograd(_operator, _kernel))
    torch.library.register_fake(_name, _fake_kernel)
    torch.library.register_vmap(_name, _batched)

shorten(attention_forward)
