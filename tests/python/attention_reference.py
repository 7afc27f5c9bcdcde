"""Attention with all its options, in double precision, of arrays of NumPy."""

import math

import numpy as np


def visible(seq_q, seq_k, causal=False, window=(-1, -1)):
    """Which keys each query sees, as attention's causal and window_size say it."""
    shift = 0 if causal == "top-left" else seq_k - seq_q
    distance = np.arange(seq_k)[None, :] - np.arange(seq_q)[:, None] - shift
    left, right = window
    seen = np.ones((seq_q, seq_k), bool)
    if causal:
        right = 0
    if left >= 0:
        seen &= distance >= -left
    if right >= 0:
        seen &= distance <= right
    return seen


def attention(q, k, v, *, scale=None, causal=False, window=(-1, -1), softcap=0.0, sinks=None,
              bias=None, score=None, mask=None):
    """(out, lse) of arrays in the order (batch, heads, seq, dim).

    score and mask are functions of whole arrays: (scores,) batch, head, query, key.
    """
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.einsum("bhqd,bhkd->bhqk", q, k) * (scale or 1 / math.sqrt(q.shape[-1]))
    where = np.ogrid[tuple(slice(n) for n in scores.shape)]
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    if bias is not None:
        scores = scores + np.asarray(bias, np.float64)
    if score is not None:
        scores = score(scores, *where)
    seen = np.broadcast_to(visible(*scores.shape[2:], causal, window), scores.shape)
    if mask is not None:
        seen = seen & mask(*where)
    scores = np.where(seen, scores, -np.inf)
    sink = np.full(scores.shape[1], -np.inf) if sinks is None else np.asarray(sinks, np.float64)
    sink = np.broadcast_to(sink[None, :, None, None], (*scores.shape[:3], 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.maximum(np.max(scores, axis=-1, keepdims=True, initial=-np.inf), sink)
        largest = np.where(np.isfinite(largest), largest, 0)
        weights = np.exp(scores - largest)
        total = weights.sum(axis=-1, keepdims=True) + np.exp(sink - largest)
        out = np.einsum("bhqk,bhkd->bhqd", np.where(total > 0, weights / total, 0), v)
        lse = np.log(total[..., 0]) + largest[..., 0]
    return out, lse
