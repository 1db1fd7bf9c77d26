"""A network with a second copy of its weights, in the order that is fastest where it generates."""

from typing import Any, Self

import torch
from torch import nn


class PackedModule(nn.Module):
    """Holds ``packed``, which computes the same from reordered weights, or None.

    The packed weights are a copy. Any change of the weights discards it; `forward` then uses the normal path.
    """

    def __init__(self) -> None:
        super().__init__()
        self.packed: Any = None

    @property
    def uses_packed(self) -> bool:
        """Whether a call now is to be computed by ``packed``: it has no gradients and cannot be compiled."""
        return self.packed is not None and not torch.is_grad_enabled() and not torch.compiler.is_compiling()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, which discards the packed weights, or eval mode."""
        self.packed = None if mode else self.packed
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        self.packed = None
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.packed = None
        super()._load_from_state_dict(*args, **kwargs)
