"""alibi_slopes of attention: slope * |query + seq_k - seq_q - key| off each score."""

import re

import numpy as np
import pytest

fms = pytest.importorskip("flashmoe_science")

SLOPES = np.array([[0.5, 0.25], [0.125, 1.0]], np.float32)


def expected(q, k, v, slopes):
    """Of (seq, heads, head_dim)."""
    rows, columns = np.arange(len(q))[:, None], np.arange(len(k))[None]
    distance = np.abs(rows + len(k) - len(q) - columns)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - slopes[:, None, None] * distance)
    return np.einsum("hqk,khd->qhd", weights / weights.sum(-1, keepdims=True), v)


def arrays(*sizes):
    random = np.random.default_rng(3)
    return [random.standard_normal((*size, 2, 16), np.float32) for size in sizes]


@pytest.mark.kernels
def test_slopes_are_of_heads_or_of_each_batchs_heads():
    q, k, v = arrays((2, 9), (2, 14), (2, 14))
    for slopes in (SLOPES[0], SLOPES):
        out = fms.attention(q, k, v, alibi_slopes=slopes)
        for b in range(2):
            wanted = expected(q[b], k[b], v[b], slopes if slopes.ndim == 1 else slopes[b])
            np.testing.assert_allclose(out[b], wanted, atol=1e-5)


@pytest.mark.kernels
def test_packed_sequences_have_diagonals_of_their_own():
    q, k, v = arrays((9,), (14,), (14,))
    at_q, at_k = np.array([0, 4, 9], np.int32), np.array([0, 9, 14], np.int32)
    out = fms.attention(q, k, v, alibi_slopes=SLOPES, cu_seqlens_q=at_q, cu_seqlens_k=at_k)
    for b in range(2):
        rows, keys = slice(*at_q[b : b + 2]), slice(*at_k[b : b + 2])
        wanted = expected(q[rows], k[keys], v[keys], SLOPES[b])
        np.testing.assert_allclose(out[rows], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alibi_slopes": np.ones(3, np.float32)}, r"\(2,\) or \(2, 2\)"),
        ({"alibi_slopes": np.ones(2, np.float64)}, "pointer to float"),
        ({"alibi_slopes": SLOPES, "bias": np.zeros((9, 14), np.float32)}, "alibi_slopes and mods"),
    ],
)
def test_what_doesnt_fit_is_named(options, said):
    q, k, v = arrays((2, 9), (2, 14), (2, 14))
    with pytest.raises(fms.InvalidArgumentError, match=said):
        fms.attention(q, k, v, **options)
    support = fms.supports(q, k, v, **options)
    assert not support and re.search(said, support.reason)


def test_what_fits_is_supported():
    q, k, v = arrays((2, 9), (2, 14), (2, 14))
    assert fms.supports(q, k, v, alibi_slopes=SLOPES[0])
    assert fms.supports(q, k, v, alibi_slopes=SLOPES, causal=True)
    starts = np.array([0, 9], np.int32), np.array([0, 14], np.int32)
    assert fms.supports(
        q[0], k[0], v[0], alibi_slopes=SLOPES[:1], cu_seqlens_q=starts[0], cu_seqlens_k=starts[1])
