"""What varies in speech, for FastSpeech 2: durations, pitch and energy, predicted, stated or changed by a request.

Ren et al., arXiv:2006.04558, section 2.3. Pitch and energy are normalised by the statistics of the corpus. Parameters
are named as in the published checkpoints (ming024).
Letters: B batch, C channels, L tokens, N frames. A mask is (B, N) of bool, True where valid; None: all is valid.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from amphion_core.errors import DataError
from amphion_core.recording import is_recording, report
from amphion_tts.models.fastspeech2_modules import ConvOverTime, masked

LONGEST_TOKEN = 5.0  # seconds; limits the memory that a wrong network or text can need

Level = Literal["token", "frame"]


class Predictor(nn.Module):
    """One number for each row: log duration, pitch or energy; section 2.3."""

    def __init__(self, channels: int, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv_layer = nn.ModuleDict(
            {
                "conv1d_1": ConvOverTime(channels, width, kernel), "layer_norm_1": nn.LayerNorm(width),
                "conv1d_2": ConvOverTime(width, width, kernel), "layer_norm_2": nn.LayerNorm(width),
            }
        )  # fmt: skip
        self.linear_layer = nn.Linear(width, 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N), 0 where the mask is False."""
        for index in (1, 2):
            x = torch.relu(self.conv_layer[f"conv1d_{index}"](masked(x, mask)))
            x = self.drop(self.conv_layer[f"layer_norm_{index}"](x))
        return masked(self.linear_layer(x), mask)[..., 0]


def spread(x: Tensor, durations: Tensor, size: int) -> Tensor:
    """Length regulator: each row as often as its duration says; (B, L, C), (B, L) of int -> (B, size, C).

    Rows behind the end of an item are 0.
    """
    ends = durations.cumsum(1)
    frame = torch.arange(size, device=x.device).repeat(x.shape[0], 1)  # len(x) would be a constant in an export
    if torch.compiler.is_exporting():  # ONNX has no search in sorted values
        token = (frame[..., None] >= ends[:, None]).sum(2)
    else:
        token = torch.searchsorted(ends, frame, right=True)  # the first token that ends behind this frame
    inside = token < x.shape[1]
    rows = token.clamp(max=x.shape[1] - 1)[..., None].expand(-1, -1, x.shape[2])
    return masked(x.gather(1, rows), inside)


def _bin(values: Tensor, edges: Tensor) -> Tensor:
    """The number of edges (K) that are below each value: (B, N) -> (B, N) of int."""
    if torch.compiler.is_exporting():  # ONNX has no search in sorted values
        return (edges < values[..., None]).sum(-1)
    return torch.bucketize(values.contiguous(), edges)


class VarianceAdaptor(nn.Module):
    """Predictors of duration, pitch and energy, and the embeddings of pitch and energy.

    ``config`` is that of `FastSpeech2`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = c = config
        sizes = c.hidden_channels, c.predictor_channels, c.predictor_kernel, c.predictor_dropout
        self.duration_predictor, self.pitch_predictor, self.energy_predictor = (Predictor(*sizes) for _ in range(3))
        self.pitch_bins, self.energy_bins = (
            nn.Buffer(torch.linspace(float(low), float(high), c.n_bins - 1))
            for low, high in (c.pitch_range, c.energy_range)
        )
        self.pitch_embedding = nn.Embedding(c.n_bins, c.hidden_channels)
        self.energy_embedding = nn.Embedding(c.n_bins, c.hidden_channels)

    def with_pitch(self, x: Tensor, values: Tensor) -> Tensor:
        """x (B, N, C) with the embedding of the normalised pitch (B, N) added."""
        return x + self.pitch_embedding(_bin(values, self.pitch_bins))

    def with_energy(self, x: Tensor, values: Tensor) -> Tensor:
        """x (B, N, C) with the embedding of the normalised energy (B, N) added."""
        return x + self.energy_embedding(_bin(values, self.energy_bins))

    def vary(
        self, x: Tensor, mask: Tensor | None, level: Level, pitch: Tensor | None, energy: Tensor | None,
        controls: Any = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
        """x (B, N, C) with pitch and energy of ``level`` added, and their predictions (B, N) before the controls.

        The stated pitch or energy is used instead of the prediction. What has another level is left out and None.
        """
        found_pitch = found_energy = None
        if self.config.pitch_level == level:
            found_pitch = self.pitch_predictor(x, mask)
            used = self._controlled("pitch", found_pitch, controls) if pitch is None else pitch
            self._report("pitch", used, level)
            x = masked(self.with_pitch(x, used), mask)
        if self.config.energy_level == level:
            found_energy = self.energy_predictor(x, mask)
            used = self._controlled("energy", found_energy, controls) if energy is None else energy
            self._report("energy", used, level)
            x = masked(self.with_energy(x, used), mask)
        return x, found_pitch, found_energy

    def _report(self, name: Literal["pitch", "energy"], values: Tensor, level: Level) -> None:
        """Report the values (B, L) or (B, N) that are used, in the units of the corpus where these are known."""
        mean, std = getattr(self.config, f"{name}_mean"), getattr(self.config, f"{name}_std")
        if is_recording():
            unit = "" if mean is None else "Hz" if name == "pitch" else "magnitude"
            used = values if mean is None else values * std + mean
            report(name, used, "BL" if level == "token" else "BN", unit=unit)

    def frames(self, log_durations: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        """ln(frames + 1) (B, L) -> whole frames (B, L); at least one for each item."""
        mel = self.config.mel
        longest = LONGEST_TOKEN * mel.sample_rate / mel.hop_length
        found = torch.round((torch.expm1(log_durations.float()) * scale).clamp(0.0, longest)).long()
        found = found if mask is None else found * mask
        found[:, 0] += found.sum(1) == 0
        return found

    def _controlled(self, name: Literal["pitch", "energy"], values: Tensor, controls: Any) -> Tensor:
        """Normalised pitch or energy as a request wants it: first the variation, then the shift of the whole voice."""
        variation, shift = getattr(controls, f"{name}_variation", None), getattr(controls, name, None)
        if variation is not None:
            values = values * variation
        if shift:
            mean, std = getattr(self.config, f"{name}_mean"), getattr(self.config, f"{name}_std")
            if mean is None:
                raise DataError(
                    f"this checkpoint does not state the mean and deviation of its {name}, so {name} cannot be shifted",
                    hint="convert it again with its statistics: amphion convert ... --file statistics=stats.json",
                )
            factor = 2 ** (shift / 12) if name == "pitch" else 10 ** (shift / 20)
            values = ((values * std + mean) * factor - mean) / std
        return values
