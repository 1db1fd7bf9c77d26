"""The result of the training pass of VITS, and the likelihood and the divergence that its losses need.

Kim, Kong, Son, arXiv:2106.06103. Equation numbers refer to it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class VITSOutput:
    """Result of the training pass. ``wave`` (B, 1, S * hop) begins at frame ``starts`` (B) of each item."""

    wave: Tensor
    starts: Tensor
    path: Tensor  # (B, N, L)
    duration_loss: Tensor  # (B), summed over tokens: divide by the number of tokens of the step
    z: Tensor  # (B, C, N)
    z_p: Tensor
    m_p: Tensor  # expanded to frames
    logs_p: Tensor
    m_q: Tensor
    logs_q: Tensor
    token_mask: Tensor  # (B, 1, L)
    frame_mask: Tensor  # (B, 1, N)


def prior_log_likelihood(z_p: Tensor, m_p: Tensor, logs_p: Tensor) -> Tensor:
    """log N(z_p; m_p, exp(logs_p)) of every frame given every token: (B, C, N), (B, C, L) -> (B, N, L); equation 5.

    Computed in four terms, which need no tensor of size N x L x C.
    """
    precision = torch.exp(-2 * logs_p)
    constant = (-0.5 * math.log(2 * math.pi) - logs_p - 0.5 * m_p.square() * precision).sum(1, keepdim=True)
    return constant + z_p.mT @ (m_p * precision) - 0.5 * z_p.square().mT @ precision


def latent_loss(z: Tensor, m_q: Tensor, logs_q: Tensor, mask: Tensor) -> Tensor:
    """Negative log likelihood, without its constant, of known latents z under the posterior, summed as in `kl_loss`."""
    z, m_q, logs_q = z.float(), m_q.float(), logs_q.float()
    return ((logs_q + 0.5 * (z - m_q).square() * torch.exp(-2 * logs_q)) * mask).sum()
