"""Networks whose random values are not drawn, because stored weights replace them."""

from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_DRAWS = frozenset({Tensor.uniform_, Tensor.normal_, nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_})


class Undrawn(TorchFunctionMode):
    """Parameters of networks that are built in this block by this thread stay without values.

    Drawing them takes longer than reading the stored ones. Everything else, such as windows and tables, is computed.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func``, unless it draws the values of a parameter."""
        if func in _DRAWS:
            drawn = args[0] if args else kwargs["tensor"]
            if isinstance(drawn, nn.Parameter):
                return drawn
        return func(*args, **(kwargs or {}))
