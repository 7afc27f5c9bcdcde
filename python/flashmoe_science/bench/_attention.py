"""Attention beside its peers, on the device that is here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import _attention as ours_
from ._report import Report, Row, machine_of
from ._timing import Call, device_seconds, host_seconds, median

OURS = "flashmoe_science"


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
        """Floating-point operations of both products, on what the mask leaves."""
        pairs = self.seq * (self.seq + 1) / 2 if self.causal else self.seq**2
        return 4.0 * self.batch * self.heads * pairs * self.head_dim


ON_CUDA = [(4, 8, 2048, 64), (4, 8, 4096, 64), (4, 8, 8192, 64), (4, 16, 4096, 128)]
ON_CPU = [(1, 8, 1024, 64)]


def run(shapes: list[tuple[int, int, int, int]], dtype: str, rounds: int = 0) -> Report:
    """Measures all shapes, full and causal. Each peer's result is checked once."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rounds = rounds if rounds > 0 else (30 if device == "cuda" else 7)
    dtype = dtype or ("bfloat16" if device == "cuda" else "float32")
    rows: list[Row] = []
    missing: dict[str, str] = {}
    for given in shapes or (ON_CUDA if device == "cuda" else ON_CPU):
        for causal in (False, True):
            rows += _run_one(torch, Shape(*given, causal), device, dtype, rounds, missing)
    where = "GPU time by events" if device == "cuda" else "host time"
    title = f"Attention forward, {dtype}, {device}: {where}, median of {rounds}; x: over ours"
    return Report(title, machine_of(torch, device), rows, missing, OURS)


def _run_one(
    torch: Any, shape: Shape, device: str, dtype: str, rounds: int, missing: dict[str, str]
) -> list[Row]:
    torch.manual_seed(0)
    size = (shape.batch, shape.heads, shape.seq, shape.head_dim)
    q, k, v = (
        torch.randn(size, device=device, dtype=getattr(torch, dtype)) for _ in range(3)
    )
    one = [each[:1, :1].double() for each in (q, k, v)]  # a head is enough to see what is wrong
    exact = _sdpa(torch, None)(*one, shape.causal)
    calls: dict[str, Call] = {}
    errors: dict[str, float] = {}
    with torch.inference_mode():
        for name, peer in _peers(torch, q, k, v, shape, missing):
            try:
                out = torch.as_tensor(peer(), device=device)
            except Exception as error:  # of any framework; a peer that can't is named
                missing[f"{name} ({shape})"] = str(error).splitlines()[0][:100]
                continue
            errors[name] = (out[:1, :1].double() - exact).abs().max().item()
            calls[name] = peer
        if device == "cuda":
            samples = device_seconds(torch, calls, rounds)
        else:
            samples = host_seconds(calls, rounds)
    rows = []
    for name, times in samples.items():
        middle, ordered = median(times), sorted(times)
        spread = (ordered[3 * len(times) // 4] - ordered[len(times) // 4]) / middle
        rate = shape.operations() / middle * 1e-12
        rows.append(Row(str(shape), name, middle, rate, errors[name], spread))
    return rows


def _sdpa(torch: Any, backend: Any) -> Any:
    """PyTorch's function, by one of its kernels. None: whichever it chooses."""
    function = torch.nn.functional.scaled_dot_product_attention
    if backend is None:
        return lambda q, k, v, causal: function(q, k, v, is_causal=causal)

    def call(q: Any, k: Any, v: Any, causal: bool) -> Any:
        with torch.nn.attention.sdpa_kernel(backend):
            return function(q, k, v, is_causal=causal)

    return call


def _peers(
    torch: Any, q: Any, k: Any, v: Any, shape: Shape, missing: dict[str, str]
) -> Iterator[tuple[str, Call]]:
    causal = shape.causal
    yield OURS, lambda: ours_.flash_attention_science(q, k, v, causal)
    backends = torch.nn.attention.SDPBackend
    on_cuda = q.is_cuda
    of_torch = {"torch math": backends.MATH, "torch flash (FA2)": backends.FLASH_ATTENTION}
    if on_cuda:
        of_torch["torch efficient"] = backends.EFFICIENT_ATTENTION
        of_torch["torch cuDNN"] = backends.CUDNN_ATTENTION
    else:
        of_torch = {"torch math": backends.MATH, "torch flash (CPU)": backends.FLASH_ATTENTION}
        missing["torch efficient, cuDNN, Flex"] = "measured on CUDA only"
    scores = q.element_size() * shape.batch * shape.heads * shape.seq**2
    for name, backend in of_torch.items():
        if backend == backends.MATH and scores > 8e9:
            missing[f"{name} ({shape})"] = f"its scores take {scores / 1e9:.0f} GB"
            continue
        call = _sdpa(torch, backend)
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
