"""The options of a call of attention, as its operators take them."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

from ._errors import InvalidArgumentError, UnsupportedError
from ._frameworks import Framework
from ._masks import WINDOW
from ._mods import Mods, with_addresses

@dataclass(frozen=True, eq=False)
class BlockTable:
    """Which tiles of keys each tile of queries visits. Made by :func:`block_table`.

    Attributes:
        memory: int32, on the device; of the framework that q is of.
        shape: what the kernel has to know of it.
    """

    memory: Any
    shape: tuple[int, ...]

    def visits(self) -> Any:
        """How many tiles each tile of queries visits: (batch, heads, tiles of queries)."""
        tiles_q, _, batch, heads = self.shape[:4]
        return self.memory[: tiles_q * batch * heads].reshape(batch, heads, tiles_q)


@dataclass(frozen=True)
class Options:
    """What a call has beside its arrays, its scale and its layout."""

    mask: int = 0
    window_left: int = -1
    window_right: int = -1
    softcap: float = 0.0
    sinks: Any = None
    bias: Any = None
    mods: Mods | None = None
    starts_q: Any = None
    starts_k: Any = None
    max_q: int = 0
    max_k: int = 0
    table: BlockTable | None = None

    @property
    def packed(self) -> bool:
        """Whether sequences lie one behind the other."""
        return self.starts_q is not None

    @property
    def plain(self) -> bool:
        """Whether there is a mask at most, and no window."""
        return (
            self.mask < WINDOW and not self.softcap and self.sinks is None and self.bias is None
            and self.mods is None and self.starts_q is None and self.table is None
        )  # fmt: skip

    def arrays(self) -> list[tuple[str, Any]]:
        """Those that there are, by name."""
        named = [
            ("sinks", self.sinks), ("bias", self.bias), ("cu_seqlens_q", self.starts_q),
            ("cu_seqlens_k", self.starts_k),
            ("block_table", None if self.table is None else self.table.memory),
        ]  # fmt: skip
        if self.mods is not None:
            named += [("an array of mods", each) for each in self.mods.arrays]
        return [(name, each) for name, each in named if each is not None]


def check_starts(name: str, starts: list[int], rows_of: str, rows: int) -> int:
    """The length of the longest packed sequence.

    Args:
        name: of the argument.
        starts: where each sequence begins, and the last ends.
        rows_of: whose rows are packed.
        rows: how many there are.

    Raises:
        InvalidArgumentError: sequences don't follow each other from the first row to the last.
    """
    lengths = list(map(operator.sub, starts[1:], starts))
    if not starts or starts[0] != 0:
        raise InvalidArgumentError(
            f"{name} begins with {starts[0] if starts else 'nothing'}, and must begin with 0"
        )
    if min(lengths, default=0) < 0:
        at = lengths.index(min(lengths))
        raise InvalidArgumentError(
            f"{name} falls from {starts[at]} to {starts[at + 1]}, at {at + 1}; it must not fall"
        )
    if starts[-1] != rows:
        raise InvalidArgumentError(
            f"{name} ends with {starts[-1]}, and must end with {rows}, the rows of {rows_of}"
        )
    return max(lengths, default=0)


def softcap_of(softcap: Any) -> float:
    """As the operators take it: 0 is none."""
    number = float(softcap or 0)
    if not 0 <= number < math.inf:  # in symbols too, which Dynamo makes of what changes
        raise InvalidArgumentError(f"softcap is {softcap}; it may be above 0, or 0 for none")
    return number


def check_options(
    framework: Framework, q: Any, options: Options, shape: tuple[int, int, int, int] | None
) -> None:
    """Raises where options don't fit together, or q.

    Args:
        framework: of all arrays.
        q: the queries.
        options: what else there is.
        shape: (batch, heads, seq_q, seq_k), unless sequences are packed.
    """
    if options.bias is not None and options.mods is not None:
        raise InvalidArgumentError(
            "bias and mods are both given: add the bias in a function score of the mods"
        )
    if options.bias is not None and options.packed:
        raise UnsupportedError(
            "bias is given with packed sequences: write what it adds as a function score of mods"
        )
    if (options.starts_q is None) != (options.starts_k is None):
        raise InvalidArgumentError("cu_seqlens_k is given without cu_seqlens_q")
    if options.table is not None and options.mods is None:
        raise InvalidArgumentError("block_table is given without the mods that it was made with")
    for name, array in options.arrays():
        framework.check(name, array)
        if framework.place(array) != framework.place(q):
            raise InvalidArgumentError(f"{name} is on another device than q")
    if options.bias is not None and shape is not None:
        bias_strides(framework, q, options.bias, shape)
    if options.mods is not None:
        for array in options.mods.arrays:
            if not framework.is_contiguous(array):
                raise InvalidArgumentError("an array of mods isn't contiguous: copy it")


def bias_strides(
    framework: Framework, q: Any, bias: Any, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Of a batch, head, query and key; 0 where these share it."""
    dtype = framework.dtype_name(bias)
    if dtype not in ("float32", framework.dtype_name(q)):
        raise InvalidArgumentError(f"bias is of {dtype}; it may be of float32, or of q's type")
    try:
        return framework.broadcast_strides(bias, shape)
    except ValueError:
        raise InvalidArgumentError(
            f"bias is of shape {tuple(bias.shape)}, which doesn't broadcast to (batch, heads, "
            f"seq_q, seq_k), {tuple(shape)}"
        ) from None


def mods_of(framework: Framework, options: Options) -> tuple[int, bytes]:
    """(number, bytes) of the functions of a call; (-1, b"") if there are none."""
    if options.mods is None:
        return -1, b""
    addresses = [framework.address(array) for array in options.mods.arrays]
    return options.mods.number, with_addresses(options.mods.block, options.mods.offsets, addresses)
