"""Attention and kernels of the user's own in JAX, inside and outside of ``jax.jit``.

Each is a custom call of XLA's (``jax.ffi``) that works on XLA's own buffers and on its stream,
without a copy, on CUDA and on the CPU::

    import flashmoe_science.jax as fms_jax

    out = jax.jit(fms_jax.attention)(q, k, v)          # (batch, seq, heads, head_dim)

It isn't differentiable yet; under ``jax.vmap`` it is called once for each element.
"""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np

from . import _xla
from ._attention_checks import (
    BATCH_AXIS, DTYPES, HEAD_AXIS, ROW_AXIS, Causal, Layout, check_shapes, plain_mask_of, scale_of,
)  # fmt: skip
from ._errors import InvalidArgumentError
from ._jit import Extent, KernelTemplate, LaunchConfig
from ._operators import attention_forward as _forward

__all__ = ["attention", "launch"]

_ATTENTION = "flashmoe_science.attention_forward"
_LAUNCH = "flashmoe_science.launch"


def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    softmax_scale: float | None = None,
    causal: Causal = False,
    return_lse: bool = False,
    layout: Layout = "bshd",
) -> Any:
    """:func:`flashmoe_science.attention` of JAX's arrays, traced ones too.

    Args:
        q: (batch, seq_q, heads, head_dim) in the layout ``"bshd"``; float32, float16 or bfloat16.
        k: (batch, seq_k, kv_heads, head_dim), of q's type; kv_heads divides heads.
        v: as k.
        softmax_scale: what scores are multiplied by; static. None: 1 / sqrt(head_dim).
        causal: False, True or ``"bottom-right"``, or ``"top-left"``; static.
        return_lse: also give the natural logarithm of the sum of exponentials; static.
        layout: ``"bshd"``, ``"bhsd"`` or ``"sbhd"``; static.

    Returns:
        The result, of q's shape and type; with return_lse also (batch, heads, seq_q) in float32.

    Raises:
        InvalidArgumentError: shapes or types don't fit together.
    """
    if layout not in HEAD_AXIS:
        raise InvalidArgumentError(f"layout is {layout!r}; it may be 'bshd', 'bhsd' or 'sbhd'")
    q, k, v = (jax.numpy.asarray(each) for each in (q, k, v))
    if q.dtype.name not in DTYPES:
        raise InvalidArgumentError(f"q is of {q.dtype.name}; it may be {', '.join(DTYPES)}")
    check_shapes(q, k, v, layout)
    struct: Any = jax.ShapeDtypeStruct
    shapes = [struct((*q.shape[:3], v.shape[3]), q.dtype)]
    if return_lse:
        axes = BATCH_AXIS[layout], HEAD_AXIS[layout], ROW_AXIS[layout]
        shapes.append(struct(tuple(q.shape[i] for i in axes), np.float32))
    call = jax.ffi.ffi_call(_ATTENTION, shapes, vmap_method="sequential")
    out = call(
        q, k, v, scale=np.float64(scale_of(softmax_scale)), mask=np.int32(plain_mask_of(causal)),
        layout=layout,
    )  # fmt: skip
    return tuple(out) if return_lse else out[0]


def _compute_attention(call: _xla.Call) -> None:
    import tvm_ffi

    q, k, v = (tvm_ffi.from_dlpack(each) for each in call.arguments)
    out, *lse = (tvm_ffi.from_dlpack(each) for each in call.results)
    options = call.attributes
    _forward(
        q, k, v, out, lse[0] if lse else None, options["scale"], options["mask"],
        options["layout"], "", call.stream,
    )  # fmt: skip


class _Planned:
    """A launch as it was traced: what isn't an array in it is constant."""

    def __init__(
        self, kernel: KernelTemplate, grid: Extent, block: Extent, smem_bytes: int,
        arguments: tuple[Any, ...], parameters: dict[str, Any],
    ) -> None:  # fmt: skip
        self.kernel, self.grid, self.block, self.smem_bytes = kernel, grid, block, smem_bytes
        self.parameters = parameters
        self.constants = tuple(None if _is_array(each) else each for each in arguments)
        self.kinds = tuple(
            "out" if isinstance(each, jax.ShapeDtypeStruct) else "in" if _is_array(each) else ""
            for each in arguments
        )

    def name(self) -> str:
        """Tells it apart from every other launch, in other processes too."""
        parts = (
            self.kernel.key(**self.parameters), self.grid, self.block, self.smem_bytes,
            self.constants, self.kinds,
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()


_planned: dict[str, _Planned] = {}


def _is_array(argument: Any) -> bool:
    return isinstance(argument, (jax.Array, jax.ShapeDtypeStruct, np.ndarray))


def launch(
    kernel: KernelTemplate, grid: Extent, block: Extent, *arguments: Any, smem_bytes: int = 0,
    **parameters: Any,
) -> Any:  # fmt: skip
    """Launches a kernel of one's own: ``kernel[grid, block](*arguments, **parameters)``, in JAX.

    JAX's arrays can't be written: what the kernel writes are results, each a
    :class:`jax.ShapeDtypeStruct` in the arguments where the kernel takes its pointer::

        y = fms_jax.launch(scale, n // 256, 256, n, 2.0, x, jax.ShapeDtypeStruct(x.shape, x.dtype))

    Args:
        kernel: made by :func:`flashmoe_science.jit`.
        grid: blocks; static, as all that isn't an array.
        block: threads of a block.
        *arguments: arrays, numbers, None, and ShapeDtypeStruct for each result. The kernel must
            write all of a result, and nothing of an array.
        smem_bytes: dynamic shared memory of a block.
        **parameters: values of the template's parameters.

    Returns:
        The result, or a tuple of them in the order of the arguments.

    Raises:
        InvalidArgumentError: there is no result among the arguments.
    """
    plan = _Planned(kernel, grid, block, smem_bytes, arguments, parameters)
    results = [each for each in arguments if isinstance(each, jax.ShapeDtypeStruct)]
    if not results:
        raise InvalidArgumentError("no argument is a jax.ShapeDtypeStruct, for what is written")
    name = plan.name()
    _planned[name] = plan
    inputs = [each for each, kind in zip(arguments, plan.kinds) if kind == "in"]
    out = jax.ffi.ffi_call(_LAUNCH, results, vmap_method="sequential")(*inputs, plan=name)
    return tuple(out) if len(out) > 1 else out[0]


def _compute_launch(call: _xla.Call) -> None:
    plan = _planned.get(call.attributes["plan"])
    if plan is None:
        raise RuntimeError("the launch was traced by another process: trace it again in this one")
    buffers = {"in": iter(call.arguments), "out": iter(call.results)}
    arguments = (
        next(buffers[kind]) if kind else constant
        for kind, constant in zip(plan.kinds, plan.constants)
    )
    how = LaunchConfig(plan.grid, plan.block, plan.smem_bytes, call.stream or None)
    plan.kernel[how](*arguments, **plan.parameters)


_xla.register(jax, _ATTENTION, _compute_attention)
_xla.register(jax, _LAUNCH, _compute_launch)
