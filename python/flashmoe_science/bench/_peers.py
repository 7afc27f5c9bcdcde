"""The peers of attention, and ours, each as a call on the same arrays."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import _attention as ours_
from .._session import configure
from ._timing import Call, DeviceClock, host_seconds

OURS = "flashmoe_science"
OURS_DYNAMIC = "flashmoe_science, dynamic"

_TURNS = 3  # of each peer, on a GPU


@dataclass(frozen=True)
class Shape:
    """(batch, heads, seq, head_dim), with or without a causal mask."""

    batch: int
    heads: int
    seq: int
    head_dim: int
    causal: bool

    def __str__(self) -> str:
        mask = "causal" if self.causal else "full"
        return f"B{self.batch} H{self.heads} N{self.seq} D{self.head_dim} {mask}"

    def operations(self) -> float:
        """Floating-point operations of both products; a causal mask halves them."""
        pairs = self.seq**2 * (0.5 if self.causal else 1.0)
        return 4.0 * self.batch * self.heads * pairs * self.head_dim


@dataclass(frozen=True)
class Peer:
    """Who computes, and within what its turns are."""

    name: str
    call: Call
    scope: Callable[[], Any] = contextlib.nullcontext  # entered before each turn


def time_peers(
    peers: list[Peer], clock: DeviceClock | None, rounds: int
) -> dict[str, list[float]]:
    """Seconds of so many calls of each, which take turns. No clock: on the host."""
    if clock is None:
        return host_seconds({peer.name: peer.call for peer in peers}, rounds)
    samples: dict[str, list[float]] = {peer.name: [] for peer in peers}
    turns = min(_TURNS, rounds)
    for _ in range(turns):
        for peer in peers:
            with peer.scope():
                samples[peer.name] += clock.samples(peer.call, rounds // turns, 0.5)
    return samples


def sdpa(torch: Any, backend: Any) -> Any:
    """PyTorch's function, by one of its kernels. None: whichever it chooses."""
    function = torch.nn.functional.scaled_dot_product_attention
    if backend is None:
        return lambda q, k, v, causal: function(q, k, v, is_causal=causal)

    def call(q: Any, k: Any, v: Any, causal: bool) -> Any:
        with torch.nn.attention.sdpa_kernel(backend):
            return function(q, k, v, is_causal=causal)

    return call


def peers_of(
    torch: Any, q: Any, k: Any, v: Any, shape: Shape, missing: dict[str, str]
) -> Iterator[Peer]:
    """All that can compute it. Ours are the first; on a GPU with exact and with dynamic lengths."""

    def ours() -> Any:
        return ours_.flash_attention_science(q, k, v, shape.causal)

    if q.is_cuda:
        yield Peer(OURS, ours, lambda: configure(policy="exact"))
        yield Peer(OURS_DYNAMIC, ours, lambda: configure(policy="dynamic"))
    else:
        yield Peer(OURS, ours)
    for name, call in _others(torch, q, k, v, shape, missing):
        yield Peer(name, call)


def _others(
    torch: Any, q: Any, k: Any, v: Any, shape: Shape, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    causal = shape.causal
    backends = torch.nn.attention.SDPBackend
    on_cuda = q.is_cuda
    of_torch = {
        "torch cuDNN": backends.CUDNN_ATTENTION,
        "torch flash (FA2)": backends.FLASH_ATTENTION,
        "torch efficient": backends.EFFICIENT_ATTENTION,
        "torch math": backends.MATH,
    }
    if not on_cuda:
        of_torch = {"torch math": backends.MATH, "torch flash (CPU)": backends.FLASH_ATTENTION}
        missing["torch efficient, cuDNN, Flex"] = "measured on CUDA only"
    scores = q.element_size() * shape.batch * shape.heads * shape.seq**2
    for name, backend in of_torch.items():
        if backend == backends.MATH and scores > 8e9:
            missing[f"{name} ({shape})"] = f"its scores take {scores / 1e9:.0f} GB"
            continue
        call = sdpa(torch, backend)
        yield name, lambda call=call: call(q, k, v, causal)  # type: ignore[misc]
    if on_cuda:
        yield "torch Flex", _flex(torch, q, k, v, causal)
        yield from _flash_attn(q, k, v, causal, missing)
    else:
        yield from _numpy(q, k, v, shape, missing)
        yield from _jax(q, k, v, causal, missing)


def _flex(torch: Any, q: Any, k: Any, v: Any, causal: bool) -> Call:
    made: list[Call] = []

    def make() -> Call:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        torch._dynamo.reset()  # it gives up compiling after eight shapes
        compiled = torch.compile(flex_attention, dynamic=False)
        seq, mask = q.shape[2], None
        if causal:
            mask = create_block_mask(
                lambda b, h, i, j: i >= j, None, None, seq, seq, device=q.device
            )
        return lambda: compiled(q, k, v, block_mask=mask)

    def call() -> Any:
        if not made:
            made.append(make())
        return made[0]()

    return call


def _flash_attn(
    q: Any, k: Any, v: Any, causal: bool, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    """The packages of FlashAttention, whose layout is (batch, seq, heads, head_dim)."""
    import importlib

    packed = [each.transpose(1, 2).contiguous() for each in (q, k, v)]
    for name, module in (("FA3", "flash_attn_interface"), ("FA4", "flash_attn.cute")):
        try:
            function = importlib.import_module(module).flash_attn_func
        except ImportError:
            missing[name] = f"{module} isn't installed"
            continue

        def call(function: Any = function) -> Any:
            out = function(*packed, causal=causal)
            return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)

        yield name, call


def _numpy(
    q: Any, k: Any, v: Any, shape: Shape, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    import numpy as np

    if str(q.dtype) != "torch.float32":
        missing["numpy"] = "measured in float32 only"
        return
    arrays = [each.numpy() for each in (q, k, v)]
    seen = np.tri(shape.seq, dtype=bool)

    def call() -> Any:
        a, b, c = arrays
        scores = a @ b.swapaxes(-1, -2)
        scores *= 1 / math.sqrt(shape.head_dim)
        if shape.causal:
            scores = np.where(seen, scores, -np.inf)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return scores @ c

    yield "numpy", call


def _jax(
    q: Any, k: Any, v: Any, causal: bool, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    try:
        import jax
    except ImportError:
        missing["jax"] = "jax isn't installed"
        return
    if str(q.dtype) != "torch.float32":
        missing["jax"] = "measured in float32 only"
        return
    arrays = [jax.numpy.asarray(each.transpose(1, 2).numpy()) for each in (q, k, v)]
    function = jax.jit(lambda a, b, c: jax.nn.dot_product_attention(a, b, c, is_causal=causal))

    def call() -> Any:
        import numpy as np

        return np.array(function(*arrays).block_until_ready()).swapaxes(1, 2)

    yield "jax", call
