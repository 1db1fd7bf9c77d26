"""Weight norms folded into plain weights, for inference."""

from torch import nn
from torch.nn.utils import parametrize


def fold_weight_norms(net: nn.Module) -> None:
    """Replace every parametrised ``weight`` inside ``net`` by a plain parameter of the same value, without gradient."""
    for module in net.modules():
        if parametrize.is_parametrized(module, "weight"):
            weight = nn.Parameter(module.weight.detach().clone(), requires_grad=False)  # type: ignore[operator]
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            del module.weight  # torch has stored it as a buffer, because it needs no gradient
            module.weight = weight
