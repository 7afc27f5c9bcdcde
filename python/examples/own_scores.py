"""Attention with functions of one's own: ALiBi's scores, and documents that don't see each other.

Both compile into the kernel; nothing of the size of the scores is ever in memory.
"""

import numpy as np

import flashmoe_science as fms

ALIBI_WITHIN_DOCUMENTS = """
struct Mods {
  const float* slopes;     // of each head
  const int* documents;    // the number of each token's
  __device__ float score(float score, int batch, int head, int query, int key) const {
    return score - slopes[head] * float(query - key);
  }
  __device__ bool mask(int batch, int head, int query, int key) const {
    return documents[query] == documents[key];
  }
};
"""


def exact(q, k, v, slopes, documents):
    """The same in double precision, of arrays in the order (heads, seq, head_dim)."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    query, key = np.ogrid[: q.shape[1], : k.shape[1]]
    scores = scores - slopes[:, None, None] * (query - key)
    seen = (documents[:, None] == documents[None, :]) & (query >= key)
    weights = np.where(seen, np.exp(scores - scores.max()), 0)
    return weights / weights.sum(axis=-1, keepdims=True) @ v


def main():
    random = np.random.default_rng(0)
    q, k, v = random.standard_normal((3, 1, 200, 4, 32)).astype(np.float32)
    slopes = 2.0 ** -np.arange(1, 5, dtype=np.float32)
    documents = np.repeat(np.arange(4, dtype=np.int32), (20, 90, 60, 30))

    mods = fms.mods(ALIBI_WITHIN_DOCUMENTS, slopes=slopes, documents=documents)
    # The same for all heads and layers: made once, it lets them skip what no query sees.
    table = fms.block_table(q, k, v, mods=mods, causal=True, per_batch=False, per_head=False)
    out = fms.attention(q, k, v, mods=mods, causal=True, block_table=table)

    expected = exact(*(x[0].transpose(1, 0, 2) for x in (q, k, v)), slopes, documents)
    error = np.abs(out[0].transpose(1, 0, 2) - expected).max()
    visits, tiles = int(table.visits().sum()), table.visits().size * table.shape[1]
    print(f"visits {visits} of {tiles} tiles, off by {error:.1e}")


if __name__ == "__main__":
    main()
