"""What scores are multiplied by, and which keys a query sees, as the operators take them."""

from __future__ import annotations

from typing import Any, Literal

from ._errors import ArgumentError, InvalidArgumentError, UnsupportedError

Layout = Literal["bshd", "bhsd", "sbhd"]
Causal = Literal[False, True, "bottom-right", "top-left"]

NO_WINDOW = (-1, -1)
WINDOW, _WINDOW_TOP_LEFT = 3, 4  # masks below have no window
_MASKS = {False: 0, True: 1, "bottom-right": 1, "top-left": 2}


def mask_of(causal: Any, window: Any) -> tuple[int, int, int]:
    """(mask, left, right) as the operators number masks."""
    if not isinstance(causal, (bool, str)):
        raise ArgumentError(
            f"causal is of type {type(causal).__name__!r}; it may be False, True, 'bottom-right' "
            "or 'top-left'"
        )
    mask = _MASKS.get(causal)
    if mask is None:
        raise InvalidArgumentError(
            f"causal is {causal!r}; it may be False, True, 'bottom-right' or 'top-left'"
        )
    try:
        left, right = (int(each) for each in window)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"window_size is {window!r}; it may be (left, right), each 0 or more, or -1 for no "
            "limit"
        ) from None
    if left < -1 or right < -1:
        raise InvalidArgumentError(f"window_size is {window}; -1, and nothing below, is no limit")
    if left == right == -1 or (left == -1 and mask):
        return mask, -1, -1
    return (_WINDOW_TOP_LEFT if mask == 2 else WINDOW), left, (0 if mask else right)


def plain_mask_of(causal: Causal) -> int:
    """The number of a mask without a window."""
    return mask_of(causal, NO_WINDOW)[0]


def scale_of(scale: float | None) -> float:
    """As the operator takes it: 0 is the default."""
    if scale is None:
        return 0.0
    if scale == 0:
        raise UnsupportedError("softmax_scale is 0: pass None for the default, or another number")
    return scale
