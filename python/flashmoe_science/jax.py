"""Attention and kernels of the user's own in JAX, inside and outside of ``jax.jit``.

Each is a custom call of XLA's (``jax.ffi``) that works on XLA's own buffers and on its stream,
without a copy, on CUDA and on the CPU::

    import flashmoe_science.jax as fms_jax

    out = jax.jit(fms_jax.attention)(q, k, v)          # (batch, seq, heads, head_dim)

Neither can be differentiated: attention's backward pass isn't here yet, and a kernel's own rule is
given by :func:`jax.custom_vjp`. Under ``jax.vmap`` a kernel is launched once for each element.
"""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np

from . import _jax_attention, _xla
from ._errors import InvalidArgumentError, UnsupportedError
from ._jax_attention import attention as _attention
from ._jax_rules import not_differentiable
from ._jit import KernelTemplate
from ._launch_config import Extent, LaunchConfig
from ._masks import Causal, Layout
from ._mods import Mods

__all__ = ["attention", "launch"]

_LAUNCH = "flashmoe_science.launch"
_NO_DERIVATIVE = (
    "a launch can't be differentiated: call it in a function with a rule of its own "
    "(jax.custom_vjp), or pass its arrays through jax.lax.stop_gradient"
)


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
    block_table: None = None,
    cu_seqlens_q: Any = None,
    cu_seqlens_k: Any = None,
    max_seqlen_q: int | None = None,
    max_seqlen_k: int | None = None,
    return_lse: bool = False,
    layout: Layout = "bshd",
) -> Any:
    """:func:`flashmoe_science.attention` of JAX's arrays, traced ones too.

    What isn't an array is static. Under :func:`jax.vmap` the mapped axis is folded into the batch,
    in one call; with packed sequences, mods, alibi_slopes, or sinks that are mapped it is one call
    for each.

    Args:
        q: (batch, seq_q, heads, head_dim) in the layout ``"bshd"``; float32, float16 or bfloat16.
            Of packed sequences (total_q, heads, head_dim).
        k: (batch, seq_k, kv_heads, head_dim), of q's type; kv_heads divides heads.
        v: as k, but for the last dimension, which may be another one, 1 to 256.
        softmax_scale: what scores are multiplied by. None: 1 / sqrt(head_dim).
        causal: False, True or ``"bottom-right"``, or ``"top-left"``.
        window_size: (left, right): keys that a query sees on each side of its own place; -1 is no
            limit.
        softcap: above 0: a score s becomes softcap * tanh(s / softcap).
        sinks: float32, (heads,): a logit of each head that takes part in the sum of weights.
        bias: added to the scores: of float32 or q's type, any shape that broadcasts to (batch,
            heads, seq_q, seq_k), which nobody copies; -inf hides a key.
        alibi_slopes: float32, (heads,) or (batch, heads): slope * |i + seq_k - seq_q - j| is
            subtracted from the score of query i and key j. Not with bias or mods.
        mods: functions of scores and masks of one's own (:func:`flashmoe_science.mods`), whose
            arrays are JAX's, or NumPy's.
        block_table: only None: a mask of mods is asked about every key that causal and window_size
            leave.
        cu_seqlens_q: int32, (batch + 1,): where packed sequences begin, and the last ends.
        cu_seqlens_k: the same of k and v. None: cu_seqlens_q.
        max_seqlen_q: at least the length of the longest sequence of queries. None: found in
            cu_seqlens_q, if that isn't traced.
        max_seqlen_k: the same of keys.
        return_lse: also give the natural logarithm of the sum of exponentials.
        layout: ``"bshd"``, ``"bhsd"`` or ``"sbhd"``.

    Returns:
        The result: q's shape but for v's last dimension, of q's type; with return_lse also (batch,
        heads, seq_q), or (heads, total_q), in float32.

    Raises:
        InvalidArgumentError: shapes or types don't fit together.
        UnsupportedError: an argument has a value that isn't supported; the message names it. Also
            (and then a NotImplementedError too) where a derivative is asked for: there is none yet.
    """
    if block_table is not None:
        raise UnsupportedError(
            "block_table is given, which JAX's attention doesn't take yet: leave it out, and the "
            "result is the same"
        )
    return _attention(
        q, k, v, scale=softmax_scale, causal=causal, window=window_size, softcap=softcap,
        sinks=sinks, bias=bias, slopes=alibi_slopes, mods=mods, starts_q=cu_seqlens_q,
        starts_k=cu_seqlens_k, max_q=max_seqlen_q, max_k=max_seqlen_k, return_lse=return_lse,
        layout=layout,
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
        UnsupportedError: a derivative is asked for; also a NotImplementedError.
    """
    plan = _Planned(kernel, grid, block, smem_bytes, arguments, parameters)
    results = [each for each in arguments if isinstance(each, jax.ShapeDtypeStruct)]
    if not results:
        raise InvalidArgumentError("no argument is a jax.ShapeDtypeStruct, for what is written")
    name = plan.name()
    _planned[name] = plan
    inputs = [each for each, kind in zip(arguments, plan.kinds) if kind == "in"]
    call = jax.ffi.ffi_call(_LAUNCH, results, vmap_method="sequential")
    out = not_differentiable(lambda *arrays: call(*arrays, plan=name), _NO_DERIVATIVE)(*inputs)
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


_xla.register(jax, _jax_attention.TARGET, _jax_attention.compute)
_xla.register(jax, _LAUNCH, _compute_launch)
