"""The way around PyTorch's dispatcher, and when it may be taken."""

from __future__ import annotations

from typing import Any

import torch
from torch._C._dynamo import guards as _guards
from torch.autograd import forward_ad, profiler
from torch.jit import _builtins

from ._native import native

if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):  # before 2.10: tvm-ffi adds it
    import tvm_ffi as tvm_ffi

native._set_torch(
    torch.Tensor, torch.empty_like, getattr(_guards, "_empty_strided_cuda", None),
    torch.is_grad_enabled, torch._C._len_torch_dispatch_stack,
    torch._C._len_torch_function_stack, torch._C._functorch.maybe_current_level,
    torch._C._is_tracing, vars(forward_ad), vars(profiler),
)  # fmt: skip

# direct(q, k, v, scale, causal, is_bhsd): attention without options, where nothing but the kernel
# would take note; else None. Not to be called where Dynamo reads the code.
direct = native.attention_direct
is_dynamo_compiling = torch.compiler.is_dynamo_compiling
_Tensor, _strided = torch.Tensor, torch.strided


def _is_as_its_memory(tensor: Any) -> bool:
    """A tensor of PyTorch's own; not `z.conj().imag`, of which the memory has the other sign."""
    return type(tensor) is _Tensor and not tensor.is_neg()


def is_direct(q: Any, k: Any, v: Any, *others: Any) -> bool:
    """Whether nothing but the kernel would take note of the call.

    These are then tensors of PyTorch's own with memory of their own, in which the numbers stand as
    they are, and neither gradients, nor a compiler, a tracer, a profiler, a mode or a function
    transform ask what becomes of them.
    """
    if is_dynamo_compiling() or native.is_watched():
        return False
    for each in (q, k, v, *others):
        if not _is_as_its_memory(each) or each.is_meta:
            return False
        if each.requires_grad and torch.is_grad_enabled():
            return False
    return q.layout is _strided


def shorten(operator: Any) -> None:
    """Has attention's operator take the short way, where that can be taken, when it is called.

    That is a call in Python of an overload, or of the packet of that name: eager code, and graphs
    that were compiled or exported. PyTorch's dispatcher, and what calls it, stay as they are.
    """
    packet = operator.overloadpacket
    for each in (operator, packet):
        original = vars(each).get("_op")
        if original is None or isinstance(original, native.ShortWay):
            continue  # a PyTorch that has another name for it calls its dispatcher
        short = native.ShortWay(original)
        if each is packet:  # TorchScript knows functions by the object
            _builtins._register_builtin(short, operator.name())
        each._op = short
