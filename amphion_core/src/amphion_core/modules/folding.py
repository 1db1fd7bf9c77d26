"""Weight norms multiplied out, for inference."""

from torch import nn
from torch.nn.utils import parametrize


def fold_weight_norms(net: nn.Module) -> None:
    """Turn every parametrised weight inside ``net`` into a plain parameter without gradient."""
    for module in net.modules():
        if parametrize.is_parametrized(module, "weight"):
            weight = nn.Parameter(module.weight.detach().clone(), requires_grad=False)  # type: ignore[operator]
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            del module.weight  # torch leaves a tensor without gradient as a buffer
            module.weight = weight
