"""Attention in a block of a transformer: beside PyTorch's own, and compiled as one graph."""

import torch
from torch import nn

import flashmoe_science as fms


class Block(nn.Module):
    def __init__(self, dim, n_heads, n_kv_heads):
        super().__init__()
        self.norm, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = fms.FlashMoEScienceAttention(dim, n_heads, n_kv_heads, causal=True)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        x = x + self.attention(self.norm(x))[0]
        return x + self.mlp(self.norm_mlp(x))


def main(backend="inductor"):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.inference_mode():
        block = Block(dim=128, n_heads=8, n_kv_heads=2).to(device, dtype).eval()
        x = torch.randn(2, 100, 128, device=device, dtype=dtype)
        out = block(x)
        # What a token is can't depend on those that come after it.
        tolerance = 1e-1 if device == "cuda" else 1e-5
        assert torch.allclose(block(x[:, :50]), out[:, :50], atol=tolerance)
        compiled = torch.compile(block, fullgraph=True, backend=backend)
        difference = (compiled(x) - out).abs().max().item()

        # The attention of a layer of PyTorch's, with its weights.
        layer = nn.TransformerEncoderLayer(128, 8, batch_first=True).to(device, dtype).eval()
        before = layer(x)
        layer.self_attn = fms.FlashMoEScienceAttention.from_multihead_attention(layer.self_attn)
        swapped = (layer(x) - before).abs().max().item()
    print(f"{tuple(out.shape)} on {device}; compiled: differs by {difference:.1e}; "
          f"in PyTorch's layer: by {swapped:.1e}")


if __name__ == "__main__":
    main()
