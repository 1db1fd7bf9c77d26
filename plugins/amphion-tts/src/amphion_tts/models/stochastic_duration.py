"""The stochastic duration predictor of VITS: durations as samples of a normalising flow, conditioned on the text.

Kim, Kong, Son, arXiv:2106.06103, section 2.2.2 and appendix A.1 (variational dequantisation and augmentation); the
rational-quadratic splines are Durkan et al., "Neural Spline Flows", arXiv:1906.04032, equations 4 to 8.
Letters: B batch, C channels, L tokens. A mask is (B, 1, L), 1 where a token is valid.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.masks import masked, without_needless_mask
from amphion_core.modules.relative_attention import ChannelNorm

SMALLEST_BIN = 1e-3  # width and height of a spline bin, relative to the interval
SMALLEST_SLOPE = 1e-3
BINS = 10
TAIL = 5.0  # outside [-TAIL, TAIL] a spline is the identity


class DilatedSeparableConv(nn.Module):
    """Residual stack of depth-wise convolutions with dilation kernel^i, each followed by a 1x1 convolution."""

    def __init__(self, channels: int, kernel: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.convs_sep = nn.ModuleList(
            nn.Conv1d(
                channels, channels, kernel, groups=channels, dilation=kernel**i, padding=(kernel - 1) * kernel**i // 2
            )
            for i in range(n_layers)
        )
        self.convs_1x1 = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(n_layers))
        self.norms_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))
        self.norms_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        """(B, C, L) -> (B, C, L); ``condition`` (B, C, L) is added first; ``mask`` None: every position is valid."""
        if condition is not None:
            x = x + condition
        for separable, pointwise, norm_1, norm_2 in zip(self.convs_sep, self.convs_1x1, self.norms_1, self.norms_2):
            y = F.gelu(norm_1(separable(masked(x, mask))))
            y = F.gelu(norm_2(pointwise(y)))
            x = x + self.dropout(y)
        return masked(x, mask)


class Affine(nn.Module):
    """y = m + exp(logs) x, element by element over two channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(channels, 1))
        self.logs = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 2, L) -> y (B, 2, L) and the log determinant (B)."""
        return (self.m + torch.exp(self.logs) * x) * mask, (self.logs * mask).sum((1, 2))

    def reverse(self, y: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        """(B, 2, L) -> x (B, 2, L)."""
        return masked((y - self.m) * torch.exp(-self.logs), mask)


class ConvFlow(nn.Module):
    """Coupling: the first channel and the text determine a spline, which is applied to the second channel."""

    def __init__(self, channels: int, kernel: int, n_layers: int, bins: int, tail: float) -> None:
        super().__init__()
        self.bins, self.tail, self.scale = bins, tail, 1 / math.sqrt(channels)
        self.pre = nn.Conv1d(1, channels, 1)
        self.convs = DilatedSeparableConv(channels, kernel, n_layers, 0.0)
        self.proj = nn.Conv1d(channels, 3 * bins - 1, 1)
        for tensor in self.proj.parameters():  # a new flow is the identity
            nn.init.zeros_(tensor)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 2, L) -> y (B, 2, L) and the log determinant (B)."""
        kept, bent = x.chunk(2, 1)
        shape = self._shape(kept, mask, condition)
        widths, heights, slopes = torch.split(shape, [self.bins, self.bins, self.bins - 1], -1)
        bent, log_slope = spline(
            bent[:, 0], widths * self.scale, heights * self.scale, slopes, tail=self.tail, inverse=False
        )
        return masked(torch.cat([kept, bent[:, None]], 1), mask), masked(log_slope[:, None], mask).sum((1, 2))

    def reverse(self, y: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        """(B, 2, L) -> x (B, 2, L)."""
        kept, bent = y.chunk(2, 1)
        shape = self._shape(kept, mask, condition)
        bent = inverse_spline(
            bent[:, 0], shape[..., : 2 * self.bins] * self.scale, shape[..., 2 * self.bins :], self.tail
        )
        return masked(torch.cat([kept, bent[:, None]], 1), mask)

    def _shape(self, kept: Tensor, mask: Tensor | None, condition: Tensor | None) -> Tensor:
        """The numbers that describe the spline of each token: widths, heights, slopes, (B, L, 3 bins - 1)."""
        return masked(self.proj(self.convs(self.pre(kept), mask, condition)), mask).mT


def spline(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, *, tail: float, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Monotonic rational-quadratic spline on [-tail, tail], the identity outside; arXiv:1906.04032, equations 4 to 8.

    x (B, L); unnormalised widths, heights (B, L, K) and inner slopes (B, L, K - 1) -> value and log slope, (B, L) each.
    With ``inverse`` the value is the x of a given y, and the log slope that of the inverse.
    """
    inside = (x >= -tail) & (x <= tail)
    at = x.clamp(-tail, tail)
    left, width = _knots(widths, tail)
    bottom, height = _knots(heights, tail)
    slope = F.pad(SMALLEST_SLOPE + F.softplus(slopes), (1, 1), value=1.0)  # the identity continues outside
    edges = (bottom if inverse else left).clone()
    edges[..., -1] += 1e-6  # the last bin owns the right end
    index = (at[..., None] >= edges).sum(-1, keepdim=True) - 1

    def pick(values: Tensor) -> Tensor:
        return values.gather(-1, index)[..., 0]

    x0, w, y0, h, d0, d1 = (pick(v) for v in (left, width, bottom, height, slope[..., :-1], slope[..., 1:]))
    s = h / w
    curve = d0 + d1 - 2 * s
    if inverse:
        a = (at - y0) * curve + h * (s - d0)
        b = h * d0 - (at - y0) * curve
        c = -s * (at - y0)
        theta = 2 * c / (-b - torch.sqrt(b.square() - 4 * a * c))
        value = theta * w + x0
    else:
        theta = (at - x0) / w
    mixed = theta * (1 - theta)
    below = s + curve * mixed
    if not inverse:
        value = y0 + h * (s * theta.square() + d0 * mixed) / below
    gradient = s.square() * (d1 * theta.square() + 2 * s * mixed + d0 * (1 - theta).square())
    log_slope = torch.log(gradient) - 2 * torch.log(below)
    log_slope = -log_slope if inverse else log_slope
    return torch.where(inside, value, x), torch.where(inside, log_slope, torch.zeros_like(log_slope))


def inverse_spline(y: Tensor, sizes: Tensor, slopes: Tensor, tail: float) -> Tensor:
    """The value that ``spline(..., inverse=True)`` returns, to rounding, with a third of the operations.

    y (B, L); unnormalised widths and heights side by side (B, L, 2 K), inner slopes (B, L, K - 1) -> x (B, L).
    """
    bins = slopes.shape[-1] + 1
    shares = F.softmax(sizes.reshape(*y.shape, 2, bins), -1)
    sizes = SMALLEST_BIN * 2 * tail + (1 - SMALLEST_BIN * bins) * 2 * tail * shares  # (B, L, 2, K)
    starts = F.pad(sizes[..., :-1].cumsum(-1), (1, 0)) - tail
    slope = F.pad(SMALLEST_SLOPE + F.softplus(slopes), (1, 1), value=1.0)[..., None, :]
    at = y.clamp(-tail, tail)
    index = (at[..., None] >= starts[..., 1, 1:]).sum(-1)  # the bin: the number of inner knots that are not above
    table = torch.cat([starts, sizes, slope[..., :-1], slope[..., 1:]], -2)  # (B, L, 6, K)
    picked = table.gather(-1, index[..., None, None].expand(*index.shape, 6, 1))
    x0, y0, w, h, d0, d1 = picked[..., 0].unbind(-1)
    s, above = h / w, at - y0
    bend = above * (d0 + d1 - 2 * s)
    b = h * d0 - bend
    a_times_c = (bend + h * (s - d0)) * s * above
    value = 2 * s * above / (b + torch.sqrt(b.square() + 4 * a_times_c)) * w + x0
    return torch.where(at == y, value, y)


def _knots(logits: Tensor, tail: float) -> tuple[Tensor, Tensor]:
    """(B, L, K) logits -> K + 1 increasing knots from -tail to tail, and the K distances between them."""
    share = SMALLEST_BIN + (1 - SMALLEST_BIN * logits.shape[-1]) * F.softmax(logits, -1)
    knots = F.pad(share.cumsum(-1), (1, 0)) * (2 * tail) - tail
    knots[..., -1] = tail
    return knots, knots[..., 1:] - knots[..., :-1]


class StochasticDurationPredictor(nn.Module):
    """log duration given text: ``forward`` is the variational bound on -log p(d), ``sample`` draws log d.

    The text (B, ``channels``, L) is detached: durations do not train the text encoder. In the authors' code, ``width``
    is always ``channels``. Without ``posterior`` it can only sample; exported voices lack the other parts.
    """

    def __init__(
        self, channels: int, width: int, kernel: int, dropout: float, condition_channels: int, *, posterior: bool = True
    ) -> None:
        super().__init__()
        self.pre = nn.Conv1d(channels, width, 1)
        self.convs = DilatedSeparableConv(width, kernel, 3, dropout)
        self.proj = nn.Conv1d(width, width, 1)
        if condition_channels:
            self.cond = nn.Conv1d(condition_channels, width, 1)
        self.flows = self._chain(width, kernel)
        if posterior:
            self.post_pre = nn.Conv1d(1, width, 1)
            self.post_convs = DilatedSeparableConv(width, kernel, 3, dropout)
            self.post_proj = nn.Conv1d(width, width, 1)
            self.post_flows = self._chain(width, kernel)
        else:
            self.flows[1] = nn.Identity()  # see sample

    @staticmethod
    def _chain(channels: int, kernel: int) -> nn.ModuleList:
        """The published lists have a channel swap after each coupling, so the four couplings have odd indices."""
        chain: list[nn.Module] = [Affine(2)]
        for _ in range(4):
            chain += [ConvFlow(channels, kernel, 3, BINS, TAIL), nn.Identity()]
        return nn.ModuleList(chain)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        durations: Tensor,
        condition: Tensor | None = None,
        *,
        noise: Tensor | None = None,
    ) -> Tensor:
        """x (B, C, L), durations (B, 1, L) in frames, noise (B, 2, L) -> bound on the negative log likelihood (B)."""
        h = self._encode(x, mask, condition)
        h_w = self.post_proj(self.post_convs(self.post_pre(durations), mask)) * mask
        noise = torch.randn_like(durations.expand(-1, 2, -1)) if noise is None else noise
        noise = noise * mask
        z, log_q = noise, torch.zeros_like(x[:, 0, 0])
        for flow in (self.post_flows[0], *self.post_flows[1::2]):
            z, log_det = flow(z, mask, h + h_w)
            z, log_q = (z if isinstance(flow, Affine) else z.flip(1)), log_q - log_det
        z_u, z_1 = z.chunk(2, 1)
        u = torch.sigmoid(z_u) * mask
        log_q = log_q - ((F.logsigmoid(z_u) + F.logsigmoid(-z_u)) * mask).sum((1, 2))
        log_q = log_q + (_log_normal(noise) * mask).sum((1, 2))
        dequantised = torch.log(((durations - u) * mask).clamp_min(1e-5)) * mask
        nll = (dequantised * mask).sum((1, 2))  # the log flow's determinant is -log
        z = torch.cat([dequantised, z_1], 1)
        for flow in (self.flows[0], *self.flows[1::2]):
            z, log_det = flow(z, mask, h)
            z, nll = (z if isinstance(flow, Affine) else z.flip(1)), nll - log_det
        return nll - (_log_normal(z) * mask).sum((1, 2)) + log_q

    def sample(self, x: Tensor, mask: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (B, C, L), noise (B, 2, L) already scaled -> log durations (B, 1, L).

        As in the published implementation, the first coupling of the list is not inverted.
        """
        needed = without_needless_mask(mask)
        h = self._encode(x, needed, condition)
        z = noise
        couplings: list[Any] = [self.flows[index] for index in (7, 5, 3)]
        for coupling in couplings:
            z = coupling.reverse(z.flip(1), needed, h)
        affine: Any = self.flows[0]
        return affine.reverse(z.flip(1), needed)[:, :1]

    def _encode(self, x: Tensor, mask: Tensor | None, condition: Tensor | None) -> Tensor:
        h = self.pre(x.detach())
        if condition is not None:
            h = h + self.cond(condition.detach())
        return masked(self.proj(self.convs(h, mask)), mask)


class DurationPredictor(nn.Module):
    """The deterministic alternative: two convolutions, trained on the squared error of log durations."""

    def __init__(
        self, channels: int, width: int, kernel: int, dropout: float, condition_channels: int, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(channels, width, kernel, padding=kernel // 2)
        self.norm_1 = ChannelNorm(width, epsilon)
        self.conv_2 = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.norm_2 = ChannelNorm(width, epsilon)
        self.proj = nn.Conv1d(width, 1, 1)
        self.dropout = nn.Dropout(dropout)
        if condition_channels:
            self.cond = nn.Conv1d(condition_channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, L) -> log durations (B, 1, L). The text is detached."""
        x = x.detach()
        if condition is not None:
            x = x + self.cond(condition.detach())
        x = self.dropout(self.norm_1(torch.relu(self.conv_1(x * mask))))
        x = self.dropout(self.norm_2(torch.relu(self.conv_2(x * mask))))
        return self.proj(x * mask) * mask


def _log_normal(x: Tensor) -> Tensor:
    return -0.5 * (math.log(2 * math.pi) + x.square())
