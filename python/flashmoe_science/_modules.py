"""The module of PyTorch's, or what stands for it where PyTorch isn't installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or importlib.util.find_spec("torch") is not None:
    from ._torch_module import FlashMoEScienceAttention as FlashMoEScienceAttention
else:

    class FlashMoEScienceAttention:
        """Multi-head attention as a module of PyTorch, which isn't installed here."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Raises UnavailableError, always."""
            from ._errors import UnavailableError

            raise UnavailableError("FlashMoEScienceAttention takes PyTorch: pip install torch")
