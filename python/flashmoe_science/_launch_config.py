"""How a kernel is launched, and the types of what says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Union

Extent = Union[int, "tuple[int, ...]"]
Policy = Literal["auto", "exact", "dynamic"]


@dataclass(frozen=True)
class LaunchConfig:
    """How a kernel is launched, where ``kernel[grid, block]`` can't say it.

    Attributes:
        grid: blocks, as a number or as (x, y, z).
        block: threads of a block, as a number or as (x, y, z).
        smem_bytes: dynamic shared memory of a block, in bytes.
        stream: a stream of any framework, or its handle. None: the current one of the framework
            whose arrays are passed.
        cluster: blocks of a cluster (compute capability 9.0 or later). 1: none.
        cooperative: all blocks are resident at once, so that they may wait for each other.
        programmatic_launch: may start before the kernel in front of it has ended.
    """

    grid: Extent
    block: Extent
    smem_bytes: int = 0
    stream: Any = None
    cluster: Extent = 1
    cooperative: bool = False
    programmatic_launch: bool = False

    def _members(self) -> tuple[Any, ...]:
        return (
            self.grid, self.block, self.smem_bytes, self.stream, self.cluster, self.cooperative,
            self.programmatic_launch,
        )  # fmt: skip


LaunchKey = Union["LaunchConfig", "tuple[Extent, Extent]", "tuple[Extent, Extent, int]",
                  "tuple[Extent, Extent, int, Any]"]


class Launch(Protocol):
    """What ``kernel[grid, block]`` gives: call it with the kernel's arguments."""

    def __call__(self, *arguments: Any, **parameters: Any) -> None: ...
