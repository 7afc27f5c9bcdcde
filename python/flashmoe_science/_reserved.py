"""Names that are kept for what comes with its kernels."""

from __future__ import annotations

from typing import Any, NoReturn


def _missing(name: str) -> NoReturn:
    raise NotImplementedError(
        f"flashmoe_science.{name} isn't here yet: its kernels aren't written. The name is reserved"
    )


def flash_attention_backward(*args: Any, **kwargs: Any) -> NoReturn:
    """The gradients of attention. Not here yet.

    Raises:
        NotImplementedError: always.
    """
    _missing("flash_attention_backward")


def fused_moe(*args: Any, **kwargs: Any) -> NoReturn:
    """A Mixture-of-Experts layer as one call. Not here yet.

    Raises:
        NotImplementedError: always.
    """
    _missing("fused_moe")


class FlashMoELayer:
    """A Mixture-of-Experts layer as a module. Not here yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Raises NotImplementedError, always."""
        _missing("FlashMoELayer")
