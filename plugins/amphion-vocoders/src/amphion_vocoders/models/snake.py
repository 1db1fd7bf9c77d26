"""Snake, the periodic activation of DAC: one frequency for each channel, at the rate of the signal.

Ziyin et al.: "Neural Networks Fail to Learn Periodic Functions and How to Fix It", arXiv:2006.08195.
"""

import torch
from torch import Tensor, nn

LEAST = 1e-9  # added to alpha before dividing by it, as in the code of DAC's authors


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, with one alpha for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return x + (self.alpha + LEAST).reciprocal() * (self.alpha * x).sin().square()
