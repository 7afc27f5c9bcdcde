"""ALiBi by its slopes alone, as FlashAttention takes them."""

from __future__ import annotations

from typing import Any

from ._attention_checks import BATCH_AXIS, HEAD_AXIS, ROW_AXIS
from ._errors import InvalidArgumentError
from ._mods import Mods, mods

# One text for all calls, and hence one kernel: what differs is in the members.
_SOURCE = """
struct Mods {
  const float* slopes;
  const int* cu_seqlens_q;
  const int* cu_seqlens_k;
  int batch_stride;
  int offset;
  __device__ float slope(int batch, int head) const { return slopes[batch * batch_stride + head]; }
  __device__ int slope_offset(int batch) const {
    if (cu_seqlens_q == nullptr) return offset;
    return cu_seqlens_k[batch + 1] - cu_seqlens_k[batch] -
           (cu_seqlens_q[batch + 1] - cu_seqlens_q[batch]);
  }
};
"""


def alibi(
    slopes: Any, mods_given: Mods | None, bias: Any, *, q: Any, k: Any, layout: str,
    cu_seqlens_q: Any, cu_seqlens_k: Any,
) -> Mods | None:  # fmt: skip
    """The functions that subtract slope * |query + seq_k - seq_q - key|.

    None where q and k aren't what they must be, of which the call says more.
    """
    if mods_given is not None or bias is not None:
        raise InvalidArgumentError(
            "can't compute attention with alibi_slopes and mods or bias: have a function slope "
            "beside those of mods"
        )
    rank = 4 if cu_seqlens_q is None else 3
    if layout not in HEAD_AXIS or any(len(getattr(x, "shape", ())) != rank for x in (q, k)):
        return None
    if cu_seqlens_q is None:
        batch, row = q.shape[BATCH_AXIS[layout]], ROW_AXIS[layout]
        heads, offset = q.shape[HEAD_AXIS[layout]], k.shape[row] - q.shape[row]
    else:
        batch, heads, offset = len(cu_seqlens_q) - 1, q.shape[1], 0
        cu_seqlens_k = cu_seqlens_q if cu_seqlens_k is None else cu_seqlens_k
    shape = tuple(getattr(slopes, "shape", ()))
    if shape not in ((heads,), (batch, heads)):
        raise InvalidArgumentError(
            f"alibi_slopes must be an array of ({heads},) or ({batch}, {heads}), heads of q or "
            f"(batch, heads): it is of {shape}"
        )
    return mods(
        _SOURCE, slopes=slopes, cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_k=None if cu_seqlens_q is None else cu_seqlens_k,
        batch_stride=heads if len(shape) == 2 else 0, offset=offset,
    )  # fmt: skip
