"""What becomes of calls under JAX's transformations: derivatives are refused, by name; an axis that
vmap maps over is folded into attention's batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ._attention_checks import BATCH_AXIS
from ._errors import UnsupportedError


class NotDifferentiableError(UnsupportedError, NotImplementedError):
    """A derivative was asked for of what has none."""


NotDifferentiableError.__module__ = "flashmoe_science"


def not_differentiable(function: Callable[..., Any], message: str) -> Any:
    """`function`, with a rule for derivatives that raises."""

    def refuse(primals: Any, tangents: Any) -> Any:
        raise NotDifferentiableError(message)

    made: Any = jax.custom_jvp(function)
    made.defjvp(refuse)
    return made


def can_fold(names: Sequence[str], mapped: Sequence[bool]) -> bool:
    """Whether what vmap maps over may become a part of the batch.

    Not with functions of one's own, which are told the batch's number; nor with packed sequences,
    or sinks for each.

    Args:
        names: what the arrays behind q, k and v are.
        mapped: whether each array, q first, has an axis in front that is mapped over.
    """
    if "mods" in names or "cu_seqlens_q" in names:
        return False
    return not any(name == "sinks" and each for name, each in zip(names, mapped[3:]))


def folded(
    names: Sequence[str], layout: str, size: int, mapped: Sequence[bool], arrays: Sequence[Any]
) -> list[Any]:
    """The arrays with the mapped axis, of `size`, as one with the batch, and in front of it.

    What isn't mapped is repeated, but for what all of a batch share.
    """
    batch = BATCH_AXIS[layout]
    made = [_fold(each, is_mapped, size, batch) for each, is_mapped in zip(arrays[:3], mapped)]
    count = made[0].shape[batch] // max(size, 1)
    for name, each, is_mapped in zip(names, arrays[3:], mapped[3:]):
        is_bias_of_each = name == "bias" and (
            is_mapped or (each.ndim == 4 and each.shape[0] > 1)
        )
        made.append(_fold_bias(each, is_mapped, size, count) if is_bias_of_each else each)
    return made


def _fold_bias(bias: Any, is_mapped: bool, size: int, count: int) -> Any:
    """With all four dimensions."""
    front = bias.shape[:1] if is_mapped else ()
    own = bias.shape[len(front) :]
    own = (1,) * (4 - len(own)) + own
    bias = jnp.broadcast_to(bias.reshape(*front, *own), (*front, count, *own[1:]))
    return _fold(bias, is_mapped, size, 0)


def _fold(array: Any, is_mapped: bool, size: int, batch: int) -> Any:
    if not is_mapped:
        array = jnp.broadcast_to(array, (size, *array.shape))
    shape = array.shape[1:]
    array = jnp.moveaxis(array, 0, batch)
    return array.reshape(*shape[:batch], size * shape[batch], *shape[batch + 1 :])


def unfolded(layout: str, size: int, results: Sequence[Any]) -> tuple[Any, ...]:
    """The result, and the log-sum-exp if there is one, with the mapped axis in front again."""
    axes = (BATCH_AXIS[layout], 0)

    def unfold(array: Any, batch: int) -> Any:
        shape = array.shape
        apart = (size, shape[batch] // max(size, 1))
        return jnp.moveaxis(
            array.reshape(*shape[:batch], *apart, *shape[batch + 1 :]), batch, 0
        )

    return tuple(unfold(each, axis) for each, axis in zip(results, axes))


def one_by_one(call: Callable[..., Any], mapped: Sequence[bool], arrays: Sequence[Any]) -> Any:
    """Calls for each element of the mapped axis."""

    def one(some: Any) -> Any:
        of_it = iter(some)
        return call(
            *(next(of_it) if is_mapped else each for each, is_mapped in zip(arrays, mapped))
        )

    return jax.lax.map(one, [each for each, is_mapped in zip(arrays, mapped) if is_mapped])
