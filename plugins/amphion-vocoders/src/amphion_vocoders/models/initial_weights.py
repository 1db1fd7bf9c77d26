"""First weights with which the latents of a codec depend on the audio from the first step of its training."""

import math

from torch import nn
from torch.nn.utils.parametrizations import weight_norm


def variance_preserving(layer: nn.Conv1d | nn.ConvTranspose1d, *, gain: float = 1.0) -> nn.Module:
    """``layer`` with weight norm, normal weights that keep the variance of their input, and biases of 0.

    ``gain`` multiplies the deviation of what it makes.

    PyTorch's own first weights divide the variance by three in each layer, while its random biases add a constant.
    After ten layers the constant is hundreds of times larger than what the audio contributes: all frames are alike, so
    all of them choose the same entry of a codebook. The variance is that of He et al., arXiv:1502.01852, eq. 10,
    without the factor 2 of ReLU. Each output of a transposed convolution is the sum of kernel / stride inputs.
    """
    weight = layer.weight
    if isinstance(layer, nn.ConvTranspose1d):
        inputs = weight.shape[0] * weight.shape[2] / layer.stride[0]
    else:
        inputs = weight.shape[1] * weight.shape[2]
    nn.init.normal_(weight, std=gain / math.sqrt(inputs))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return weight_norm(layer)


def zero_biases(net: nn.Module) -> None:
    """Set the biases of all convolutions and linear layers of ``net`` to 0, as the authors of DAC do.

    PyTorch's random biases are larger than what the audio contributes to the latents; see `variance_preserving`.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
