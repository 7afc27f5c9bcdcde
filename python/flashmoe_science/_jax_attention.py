"""Attention of JAX's arrays: a custom call of XLA's, and its rules for derivatives and batches."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _xla
from ._alibi import alibi
from ._attention_checks import (
    DTYPES, HEAD_AXIS, check_lists, check_shapes, lse_shape, score_shape,
)  # fmt: skip
from ._attention_options import Options, check_options, check_starts, softcap_of
from ._errors import InvalidArgumentError
from ._jax_rules import can_fold, folded, not_differentiable, one_by_one, unfolded
from ._masks import Causal, mask_of, scale_of
from ._mods import Mods, number_of, with_addresses
from ._operators import operators

TARGET = "flashmoe_science.attention_forward"


_NO_DERIVATIVE = (
    "attention can't be differentiated yet, since the backward pass isn't here: pass its arrays "
    "through jax.lax.stop_gradient, or take jax.nn.dot_product_attention where a gradient is needed"
)


@dataclass(frozen=True)
class _Static:
    """What a call is traced with, beside its arrays: these are q, k, v and those named."""

    scale: float
    mask: int
    layout: str
    return_lse: bool
    arrays: tuple[str, ...] = ()
    window: tuple[int, int] = (-1, -1)
    softcap: float = 0.0
    longest: tuple[int, int] = (0, 0)
    mods: tuple[str, str, str] | None = None  # kind, name, text
    mods_bytes: str = ""
    mods_offsets: tuple[int, ...] = ()

    @property
    def packed(self) -> bool:
        return "cu_seqlens_q" in self.arrays

    @property
    def plain(self) -> bool:
        return not self.arrays and self.mods is None and self.mask < 3 and not self.softcap


class _Arrays:
    """What check_options() asks of a framework, of JAX's arrays, traced ones too.

    XLA hands them over dense, and all on one device.
    """

    def check(self, name: str, array: Any) -> None: ...

    def dtype_name(self, array: Any) -> str:
        return str(array.dtype.name)

    def place(self, array: Any) -> str:
        return ""

    def is_contiguous(self, array: Any) -> bool:
        return True

    def broadcast_strides(self, array: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _broadcast_strides(tuple(array.shape), shape)


def _broadcast_strides(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """Of a dense array, in elements; ValueError if it doesn't broadcast."""
    if np.broadcast_shapes(shape, to) != to:
        raise ValueError(f"{shape} doesn't broadcast to {to}")
    strides, step = [0] * len(to), 1
    for axis in range(1, len(shape) + 1):
        strides[-axis] = step if shape[-axis] > 1 else 0
        step *= shape[-axis]
    return tuple(strides)


def attention(
    q: Any, k: Any, v: Any, *, scale: float | None, causal: Causal, window: tuple[int, int],
    softcap: float, sinks: Any, bias: Any, slopes: Any, mods: Mods | None, starts_q: Any,
    starts_k: Any, max_q: int | None, max_k: int | None, return_lse: bool, layout: str,
) -> Any:  # fmt: skip
    """See :func:`flashmoe_science.jax.attention`."""
    if layout not in HEAD_AXIS:
        raise InvalidArgumentError(f"layout is {layout!r}; it may be 'bshd', 'bhsd' or 'sbhd'")
    if mods is not None and not isinstance(mods, Mods):
        raise InvalidArgumentError(f"mods is {mods!r}; make it by flashmoe_science.mods()")
    mask, left, right = mask_of(causal, window)
    q, k, v = (jnp.asarray(each) for each in (q, k, v))
    if q.dtype.name not in DTYPES:
        raise InvalidArgumentError(f"q is of {q.dtype.name}; it may be {', '.join(DTYPES)}")
    sinks, bias, starts_q, starts_k = (
        None if each is None else jnp.asarray(each) for each in (sinks, bias, starts_q, starts_k)
    )
    if slopes is not None:
        mods = alibi(
            slopes, mods, bias, q=q, k=k, layout=layout, cu_seqlens_q=starts_q,
            cu_seqlens_k=starts_k,
        )  # fmt: skip
    if starts_q is not None:
        starts_k = starts_q if starts_k is None else starts_k
        max_q = _longest("q", starts_q, max_q, q)
        max_k = _longest("k", starts_k, max_k, k)
    options = Options(
        mask, left, right, softcap_of(softcap), sinks, bias, mods, starts_q, starts_k, max_q or 0,
        max_k or 0,
    )  # fmt: skip
    check_shapes(q, k, v, layout, options.packed)
    arrays: Any = _Arrays()
    check_lists(arrays, q, options, layout)
    check_options(arrays, q, options, score_shape(q, k, layout, options.packed))
    named = {"sinks": sinks, "bias": bias, "cu_seqlens_q": starts_q, "cu_seqlens_k": starts_k}
    named = {name: each for name, each in named.items() if each is not None}
    static = _Static(
        float(scale_of(scale)), mask, layout, bool(return_lse), tuple(named), (left, right),
        options.softcap, (options.max_q, options.max_k),
    )  # fmt: skip
    given = list(named.values())
    if mods is not None:
        static = replace(
            static, arrays=static.arrays + ("mods",) * len(mods.arrays),
            mods=(mods.kind, mods.name, mods.text), mods_bytes=mods.hexadecimal,
            mods_offsets=tuple(mods.offsets),
        )  # fmt: skip
        given += [_array_of_mods(each) for each in mods.arrays]
    out = _function(static)(q, k, v, *given)
    return tuple(out) if return_lse else out[0]


def _longest(of: str, starts: Any, longest: int | None, packed: Any) -> int:
    """Of the sequences: as given, or found in what isn't traced; which is checked too."""
    if isinstance(starts, jax.core.Tracer):
        if longest is None:
            raise InvalidArgumentError(
                f"cu_seqlens_{of} is traced, and max_seqlen_{of} isn't given: pass it, a number"
            )
        return int(longest)
    if starts.ndim != 1 or packed.ndim != 3:
        return 0  # check_shapes() and check_lists() say it
    found = check_starts(f"cu_seqlens_{of}", np.asarray(starts).tolist(), of, packed.shape[0])
    return found if longest is None else int(longest)


def _array_of_mods(array: Any) -> Any:
    made = jnp.asarray(array)
    if made.dtype != array.dtype:
        raise InvalidArgumentError(
            f"an array of mods is of {array.dtype}, of which JAX makes {made.dtype}: enable "
            "jax_enable_x64"
        )
    return made


@functools.lru_cache(maxsize=1024)
def _function(static: _Static) -> Any:
    """The call with these options: of q, k, v and the arrays that it names; gives a tuple."""

    def batched(size: int, mapped: Any, *arrays: Any) -> Any:
        names, layout, again = static.arrays, static.layout, _function(static)
        if can_fold(names, mapped):
            results = unfolded(layout, size, again(*folded(names, layout, size, mapped, arrays)))
        else:
            results = one_by_one(again, mapped, arrays)
        return results, (True,) * len(results)

    forward: Any = jax.custom_batching.custom_vmap(functools.partial(_call, static))
    forward.def_vmap(batched)
    return jax.jit(not_differentiable(forward, _NO_DERIVATIVE))


def _call(static: _Static, q: Any, k: Any, v: Any, *others: Any) -> Any:
    struct: Any = jax.ShapeDtypeStruct
    shapes = [struct((*q.shape[:-1], v.shape[-1]), q.dtype)]
    if static.return_lse:
        shapes.append(struct(lse_shape(q.shape, static.layout, static.packed), np.float32))
    call = jax.ffi.ffi_call(TARGET, shapes)
    return tuple(call(q, k, v, *others, call=json.dumps(asdict(static))))


@functools.lru_cache(maxsize=1024)
def _static_of(text: str) -> _Static:
    fields = json.loads(text)
    for name, each in fields.items():
        if isinstance(each, list):
            fields[name] = tuple(each)
    return _Static(**fields)


def compute(call: _xla.Call) -> None:
    """What XLA calls."""
    import tvm_ffi

    static = _static_of(call.attributes["call"])
    out, *lse = (tvm_ffi.from_dlpack(each) for each in call.results)
    first = (
        *(tvm_ffi.from_dlpack(each) for each in call.arguments[:3]), out, lse[0] if lse else None,
        static.scale, static.mask, static.layout, "", call.stream,
    )  # fmt: skip
    if static.plain:
        operators().attention_forward(*first)
        return
    others = call.arguments[3:]
    named: dict[str, Any] = {
        name: each for name, each in zip(static.arrays, others) if name != "mods"
    }
    strides: tuple[int, ...] = ()
    if "bias" in named:
        shape = score_shape(call.arguments[0], call.arguments[1], static.layout, False)
        strides = _broadcast_strides(named["bias"].shape, shape or ())
    number, block = -1, b""
    if static.mods is not None:
        number = number_of(*static.mods)
        addresses = [each.address for name, each in zip(static.arrays, others) if name == "mods"]
        block = with_addresses(
            bytes.fromhex(static.mods_bytes), list(static.mods_offsets), addresses
        )
    sinks, bias, starts_q, starts_k = (
        tvm_ffi.from_dlpack(named[name]) if name in named else None
        for name in ("sinks", "bias", "cu_seqlens_q", "cu_seqlens_k")
    )
    operators().attention_forward_options(
        *first, *static.window, static.softcap, sinks, bias, strides, starts_q, starts_k,
        *static.longest, number, block, None, (),
    )  # fmt: skip
