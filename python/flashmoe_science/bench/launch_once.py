"""Launches our kernel once for each shape and no more: what the profiler looks at."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Takes a list of [batch, heads, seq, head_dim, causal] as JSON, and a dtype's name."""
    import torch

    import flashmoe_science as fms

    with fms.configure(policy="exact"):
        for batch, heads, seq, head_dim, causal in json.loads(sys.argv[1]):
            size = (batch, heads, seq, head_dim)
            q, k, v = (
                torch.randn(size, device="cuda", dtype=getattr(torch, sys.argv[2]))
                for _ in range(3)
            )
            fms.flash_attention_science(q, k, v, causal)
            torch.cuda.synchronize()


if __name__ == "__main__":
    main()
