"""The operators of PyTorch that this package has.

Importing it registers them. Attention of tensors does so itself where a compiler or a transform
looks on; a program that calls ``torch.ops.flashmoe_science`` by name, or loads one that was
exported, imports this first.
"""

from ._torch_operators import attention_forward as attention_forward
from ._torch_operators import attention_forward_lse as attention_forward_lse

__all__ = ["attention_forward", "attention_forward_lse"]
