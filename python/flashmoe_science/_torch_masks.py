"""Masks as torch.nn.MultiheadAttention takes them, as a bias of attention's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ._errors import InvalidArgumentError

if TYPE_CHECKING:
    from torch import Tensor


def bias_of_masks(
    attn_mask: Tensor | None, key_padding_mask: Tensor | None, batch: int, heads: int
) -> Tensor | None:
    """What to add to the scores; it broadcasts to (batch, heads, seq_q, seq_k).

    Args:
        attn_mask: (seq_q, seq_k), or (batch * heads, seq_q, seq_k); of bool, where True hides a
            key, or of numbers that are added.
        key_padding_mask: (batch, seq_k), alike.
        batch: of the queries.
        heads: of the queries.

    Raises:
        InvalidArgumentError: a mask has another shape, or is of integers.
    """
    bias: Tensor | None = None
    if attn_mask is not None:
        bias = _numbers_of("attn_mask", attn_mask)
        if bias.ndim == 3 and bias.shape[0] == batch * heads:
            bias = bias.reshape(batch, heads, *bias.shape[1:])
        elif bias.ndim != 2:
            raise InvalidArgumentError(
                f"attn_mask is of shape {tuple(bias.shape)}; it may be (seq_q, seq_k), or (batch * "
                f"n_heads, seq_q, seq_k), where batch * n_heads is {batch * heads}"
            )
    if key_padding_mask is not None:
        if key_padding_mask.ndim != 2 or key_padding_mask.shape[0] != batch:
            raise InvalidArgumentError(
                f"key_padding_mask is of shape {tuple(key_padding_mask.shape)}; it may be (batch, "
                f"seq_k), where batch is {batch}"
            )
        padding = _numbers_of("key_padding_mask", key_padding_mask)[:, None, None]
        bias = padding if bias is None else bias + padding
    return bias


def _numbers_of(name: str, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=torch.float32).masked_fill(mask, -torch.inf)
    if not mask.is_floating_point():
        raise InvalidArgumentError(f"{name} is of {mask.dtype}; it may be of bool, or of floats")
    return mask
