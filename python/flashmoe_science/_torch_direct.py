"""The way around PyTorch's dispatcher, and when it may be taken."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from ._masks import Causal, plain_mask_of, scale_of
from ._native import native

if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):  # before 2.10: tvm-ffi adds it
    import tvm_ffi as tvm_ffi

_Tensor, _strided, _empty_like = torch.Tensor, torch.strided, torch.empty_like
_direct = native.attention_direct
is_dynamo_compiling = torch.compiler.is_dynamo_compiling
_count_modes = torch._C._len_torch_dispatch_stack
_functorch_level = torch._C._functorch.maybe_current_level
_tracing_state = torch._C._get_tracing_state


def _is_watched() -> bool:
    """Whether a compiler, a mode, a function transform, derivatives or a tracer look on."""
    return (
        is_dynamo_compiling() or _count_modes() > 0 or _functorch_level() is not None
        or forward_ad._current_level >= 0 or _tracing_state() is not None
    )  # fmt: skip


def _is_as_its_memory(tensor: Any) -> bool:
    """A tensor of PyTorch's own; not `z.conj().imag`, of which the memory has the other sign."""
    return type(tensor) is _Tensor and not tensor.is_neg()


def direct(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, is_bhsd: bool
) -> Any:  # fmt: skip
    """Attention without options, where nothing but the kernel would take note; else None."""
    if _is_watched():
        return None
    mask = 1 if causal is True else 0 if causal is False else plain_mask_of(causal)
    return _direct(
        q, k, v, 0.0 if scale is None else scale_of(scale), mask, is_bhsd, _Tensor, _empty_like
    )  # fmt: skip


def is_direct(q: Any, k: Any, v: Any, *others: Any) -> bool:
    """Whether nothing but the kernel would take note of the call.

    These are then tensors of PyTorch's own with memory of their own, in which the numbers stand as
    they are, and neither gradients, nor a compiler, a tracer, a mode or a function transform ask
    what becomes of them.
    """
    if _is_watched():
        return False
    for each in (q, k, v, *others):
        if not _is_as_its_memory(each) or each.is_meta:
            return False
        if each.requires_grad and torch.is_grad_enabled():
            return False
    return q.layout is _strided
