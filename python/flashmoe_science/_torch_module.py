"""Attention with its projections, as a module of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ._attention import attention
from ._attention_options import softcap_of
from ._errors import InvalidArgumentError, UnsupportedError
from ._masks import Causal, Layout, mask_of
from ._torch_masks import bias_of_masks

if TYPE_CHECKING:
    from torch import Tensor


class FlashMoEScienceAttention(nn.Module):
    """Multi-head attention with its four projections.

    Stands where :class:`torch.nn.MultiheadAttention` does, with these forms of its call::

        attn(x)                                        # self-attention
        attn(x, x, x, need_weights=False)              # the same, as MultiheadAttention has it
        attn(x, memory, memory, need_weights=False)    # cross-attention
        attn(x, x, x, attn_mask=mask)                  # True: hidden; or numbers that are added
        attn(x, x, x, key_padding_mask=padding)        # True: padding
        attn(x, x, x, attn_mask=mask, is_causal=True)  # mask: the causal one, and isn't looked at

    each of which returns ``(output, None)``: weights are never computed. Also as the ``self_attn``
    of :class:`torch.nn.TransformerEncoderLayer`. Inputs are (batch, seq, dim), or (seq, batch, dim)
    with ``batch_first=False``, or (seq, dim). Nothing is copied between layouts.

    It differs from MultiheadAttention in that batch_first is True and need_weights False unless
    said otherwise; in that weights are those of four :class:`torch.nn.Linear`, ``q_proj``,
    ``k_proj``, ``v_proj`` and ``out_proj`` (:meth:`from_multihead_attention` converts); in that a
    query with no key to see gives zeros, and not NaN, to ``out_proj``; and in what it refuses with
    :class:`UnsupportedError`: weights, dropout, and gradients: it is for inference until the
    backward pass is here, under :func:`torch.no_grad` or :func:`torch.inference_mode`.

    A mask of one's own becomes a bias of the scores, of which kernels read as much as there is:
    causal and window_size, which they know, are faster, and leave out what nobody sees.

    Args:
        dim: size of the input and of the output.
        n_heads: heads of queries.
        n_kv_heads: heads of keys and values, a divisor of n_heads. None: n_heads.
        head_dim: of each head, 1 to 256. None: dim / n_heads.
        bias: whether the projections add one.
        causal: as :func:`attention` has it.
        softmax_scale: what scores are multiplied by. None: 1 / sqrt(head_dim).
        window_size: (left, right): the keys that a query sees on each side of its own place, as
            :func:`attention` has it; -1 is no limit.
        softcap: above 0: a score s becomes softcap * tanh(s / softcap).
        sinks: True: each head has a logit of its own that takes part in the sum of weights, as of a
            key with no value: the parameter ``sinks``. Zero until weights are loaded, and frozen
            until the backward pass is here.
        kdim: size of the keys' input. None: dim.
        vdim: size of the values' input. None: dim.
        batch_first: whether inputs are (batch, seq, dim).
        dropout: only 0.
        device: where the weights are made.
        dtype: what of: float32, float16 or bfloat16; sinks are float32.

    Attributes:
        q_proj: dim to n_heads * head_dim.
        k_proj: kdim to n_kv_heads * head_dim.
        v_proj: vdim to n_kv_heads * head_dim.
        out_proj: n_heads * head_dim to dim.
        sinks: (n_heads,); None unless asked for.

    Raises:
        InvalidArgumentError: sizes don't fit together, or an option has no such value.
        UnsupportedError: dropout isn't 0.
    """

    # What torch.nn.TransformerEncoderLayer looks at, to find out whether it may use its own kernel.
    in_proj_bias = None
    in_proj_weight = None
    _qkv_same_embed_dim = False

    def __init__(
        self,
        dim: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        head_dim: int | None = None,
        *,
        bias: bool = True,
        causal: Causal = False,
        softmax_scale: float | None = None,
        window_size: tuple[int, int] = (-1, -1),
        softcap: float = 0.0,
        sinks: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        dropout: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if dropout != 0:
            raise UnsupportedError(f"dropout is {dropout}: attention without it is all there is")
        mask_of(causal, window_size)
        self.dim = dim
        self.n_heads = n_heads
        self.n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        self.head_dim = _head_dim_of(dim, n_heads) if head_dim is None else head_dim
        self.causal: Causal = causal
        self.softmax_scale = softmax_scale
        self.window_size = window_size
        self.softcap = softcap_of(softcap)
        self.batch_first = batch_first
        if self.n_kv_heads < 1 or n_heads % self.n_kv_heads:
            raise InvalidArgumentError(
                f"n_kv_heads is {self.n_kv_heads}; it may be any divisor of n_heads, {n_heads}"
            )
        if not 1 <= self.head_dim <= 256:
            raise InvalidArgumentError(f"head_dim is {self.head_dim}; it may be 1 to 256")
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        width, kv_width = n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        self.q_proj = nn.Linear(dim, width, **made)
        self.k_proj = nn.Linear(dim if kdim is None else kdim, kv_width, **made)
        self.v_proj = nn.Linear(dim if vdim is None else vdim, kv_width, **made)
        self.out_proj = nn.Linear(width, dim, **made)
        self.sinks: nn.Parameter | None = None
        if sinks:
            zeros = torch.zeros(n_heads, device=device, dtype=torch.float32)
            self.sinks = nn.Parameter(zeros, requires_grad=False)

    @property
    def embed_dim(self) -> int:
        """dim, as MultiheadAttention calls it."""
        return self.dim

    @property
    def num_heads(self) -> int:
        """n_heads, as MultiheadAttention calls it."""
        return self.n_heads

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Attends.

        Args:
            query: (batch, seq_q, dim), or (seq_q, batch, dim), or (seq_q, dim).
            key: (batch, seq_k, kdim), in the same order. None: query.
            value: (batch, seq_k, vdim). None: key.
            key_padding_mask: (batch, seq_k), or (seq_k,): True where a key is padding, which nobody
                sees; or numbers that are added to the scores.
            need_weights: only False.
            attn_mask: (seq_q, seq_k), or (batch * n_heads, seq_q, seq_k): True where a query
                doesn't see a key; or numbers, of float32 or query's type, that are added to the
                scores. Together with is_causal it is taken to be the causal one, and isn't looked
                at.
            average_attn_weights: means nothing without weights.
            is_causal: query i sees keys up to i, as in PyTorch, whatever the module's causal is.

        Returns:
            The output, of query's shape, and None.

        Raises:
            InvalidArgumentError: a mask doesn't fit.
            UnsupportedError: something asked for isn't here yet; the message names it.
        """
        if need_weights:
            raise UnsupportedError("need_weights is True: weights are never computed; pass False")
        key = query if key is None else key
        value = key if value is None else value
        batch_axis = 0 if self.batch_first else 1
        has_batch = query.ndim != 2
        if not has_batch:
            query, key, value = (each.unsqueeze(batch_axis) for each in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        bias = bias_of_masks(
            None if is_causal else attn_mask, key_padding_mask, query.shape[batch_axis],
            self.n_heads,
        )  # fmt: skip
        attended = self._attend(query, key, value, bias, is_causal)
        return (attended if has_batch else attended.squeeze(batch_axis)), None

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, is_causal: bool
    ) -> Tensor:
        layout: Layout = "bshd" if self.batch_first else "sbhd"
        attended = attention(
            self.q_proj(query).unflatten(-1, (self.n_heads, self.head_dim)),
            self.k_proj(key).unflatten(-1, (self.n_kv_heads, self.head_dim)),
            self.v_proj(value).unflatten(-1, (self.n_kv_heads, self.head_dim)),
            softmax_scale=self.softmax_scale,
            causal="top-left" if is_causal else self.causal,
            window_size=self.window_size,
            softcap=self.softcap,
            sinks=None if self.sinks is None else self.sinks.float(),  # after half(), say
            bias=bias,
            layout=layout,
        )
        return self.out_proj(attended.flatten(-2))

    @classmethod
    def from_multihead_attention(cls, other: nn.MultiheadAttention) -> FlashMoEScienceAttention:
        """The same function as `other`, with copies of its weights.

        Raises:
            UnsupportedError: it has dropout (and is in training), bias_kv or add_zero_attn.
        """
        if other.bias_k is not None or other.bias_v is not None or other.add_zero_attn:
            raise UnsupportedError("keys of the module's own (bias_kv, add_zero_attn) aren't here")
        if other.dropout and other.training:
            raise UnsupportedError("it has dropout, and is in training: call eval() first")
        weight = other.out_proj.weight
        made = cls(
            other.embed_dim, other.num_heads, head_dim=other.head_dim,
            bias=other.in_proj_bias is not None, kdim=other.kdim, vdim=other.vdim,
            batch_first=other.batch_first, device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            weights = (
                (other.q_proj_weight, other.k_proj_weight, other.v_proj_weight)
                if other.in_proj_weight is None
                else other.in_proj_weight.chunk(3)
            )
            projections = (made.q_proj, made.k_proj, made.v_proj)
            for projection, each in zip(projections, weights):
                projection.weight.copy_(each)
            made.out_proj.weight.copy_(weight)
            if other.in_proj_bias is not None:
                for projection, each in zip(projections, other.in_proj_bias.chunk(3)):
                    projection.bias.copy_(each)
                made.out_proj.bias.copy_(other.out_proj.bias)
        return made.train(other.training)

    def extra_repr(self) -> str:
        """What the printed module says of itself."""
        options = ""
        if self.window_size != (-1, -1):
            options += f", window_size={self.window_size}"
        if self.softcap:
            options += f", softcap={self.softcap}"
        if self.sinks is not None:
            options += ", sinks=True"
        return (
            f"dim={self.dim}, n_heads={self.n_heads}, n_kv_heads={self.n_kv_heads}, "
            f"head_dim={self.head_dim}, causal={self.causal!r}, batch_first={self.batch_first}"
            f"{options}"
        )


def _head_dim_of(dim: int, n_heads: int) -> int:
    if n_heads < 1 or dim % n_heads:
        raise InvalidArgumentError(
            f"dim is {dim}, no multiple of n_heads, {n_heads}: pass head_dim"
        )
    return dim // n_heads
