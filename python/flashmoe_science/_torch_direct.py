"""The way around PyTorch's dispatcher, and when it may be taken."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from ._attention_checks import Causal, plain_mask_of, scale_of
from ._native import native

_Tensor, _strided, _empty_like = torch.Tensor, torch.strided, torch.empty_like
_direct = native.attention_direct
is_dynamo_compiling = torch.compiler.is_dynamo_compiling
_count_modes = torch._C._len_torch_dispatch_stack
_functorch_level = torch._C._functorch.maybe_current_level
_tracing_state = torch._C._get_tracing_state


def direct(
    q: Any, k: Any, v: Any, scale: float | None, causal: Causal, is_bhsd: bool
) -> Any:  # fmt: skip
    """Attention without options, where nothing but the kernel would take note; else None."""
    if is_dynamo_compiling() or _count_modes():
        return None
    if type(q) is not _Tensor or type(k) is not _Tensor or type(v) is not _Tensor:
        return None
    if _functorch_level() is not None or forward_ad._current_level >= 0:
        return None
    if _tracing_state() is not None or q.is_neg() or k.is_neg() or v.is_neg():
        return None
    mask = 1 if causal is True else 0 if causal is False else plain_mask_of(causal)
    return _direct(
        q, k, v, 0.0 if scale is None else scale_of(scale), mask, is_bhsd, _empty_like
    )  # fmt: skip


def is_direct(q: Any, k: Any, v: Any, *others: Any) -> bool:
    """Whether nothing but the kernel would take note of the call.

    These are then tensors of PyTorch's own with memory of their own, in which the numbers stand as
    they are, and neither gradients, nor a compiler, a tracer, a mode or a function transform ask
    what becomes of them.
    """
    if is_dynamo_compiling():
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
    for each in others:
        if type(each) is not _Tensor or each.is_neg() or each.is_meta:
            return False
        if each.requires_grad and torch.is_grad_enabled():
            return False
    return q.layout is _strided and _tracing_state() is None
