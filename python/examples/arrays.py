"""Attention on arrays that aren't PyTorch's: CuPy's where there is a GPU, and else NumPy's."""

import numpy

import flashmoe_science as fms

try:
    import cupy as xp

    xp.cuda.runtime.getDeviceCount()
except Exception:  # no CuPy, or no GPU
    xp = numpy

rng = numpy.random.default_rng(0)
# One array of (batch, seq, q k v, heads, head_dim), as a projection makes it: views, no copies.
packed = xp.asarray(rng.standard_normal((2, 70, 3, 4, 32)), dtype=xp.float32)
q, k, v = packed[:, :, 0], packed[:, :, 1], packed[:, :, 2]
out, lse = fms.attention(q, k, v, causal=True, return_lse=True)

scores = xp.einsum("bqhd,bkhd->bhqk", q, k) / 32**0.5
scores = xp.where(xp.tri(70, dtype=bool), scores, -xp.inf)
weights = xp.exp(scores - lse[..., None])  # they sum to 1
error = abs(xp.einsum("bhqk,bkhd->bqhd", weights, v) - out).max()
print(f"{xp.__name__}: {type(out).__name__} of {out.shape}, off by {float(error):.1e}")
