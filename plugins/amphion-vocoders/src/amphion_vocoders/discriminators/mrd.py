"""Multi-resolution discriminator: scores magnitude spectrograms of several resolutions by 2-D convolutions.

Jang et al.: "UnivNet: A Neural Vocoder with Multi-Resolution Spectrogram Discriminators for High-Fidelity Waveform
Generation", arXiv:2106.07889, section 2.3.
Siuzdak: "Vocos", arXiv:2306.00814, section 3.4, has other convolutions and centred frames, and so has APNet2
(arXiv:2311.11545): ``convolutions: vocos``.
Layouts read: "nvidia" (BigVGAN), "amphion" (the same names), "redmist328" (APNet2, the same names too).
Deviations: a rectangular window, as in every published implementation; set ``window`` to "hann" for another one.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.config import validate
from amphion_core.modules.padding import reflect
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.checks import Size, check_wave

SLOPE = 0.1
CONVOLUTIONS: dict[str, tuple[tuple[tuple[int, int], tuple[int, int]], ...]] = {
    "univnet": (((3, 9), (1, 1)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 3), (1, 1))),
    "vocos": (((7, 5), (2, 2)), ((5, 3), (2, 1)), ((5, 3), (2, 2)), ((3, 3), (2, 1)), ((3, 3), (2, 2))),
}
"""Kernel and stride of each convolution but the last, along frequency and time."""

VOCOS_RESOLUTIONS = ((1024, 256, 1024), (2048, 512, 2048), (512, 128, 512))


class MRD(Discriminator):
    """Multi-resolution discriminator: wave (B, 1, T) -> a score map and feature maps for each resolution."""

    class Config(BaseConfig):
        """The defaults are UnivNet's."""

        resolutions: tuple[tuple[Size, Size, Size], ...] = Field(
            default=((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)), min_length=1,
            description="FFT size, hop and window of each spectrogram, samples",
        )  # fmt: skip
        channels: int = Field(default=32, gt=0, le=4096, description="channels of every convolution")
        window: Literal["rectangular", "hann"] = Field(default="rectangular", description="analysis window")
        convolutions: Literal["univnet", "vocos"] = Field(
            default="univnet", description="kernels and strides; vocos: those of Vocos, whose frames are also centred"
        )

    config: Config
    layouts = ("nvidia", "amphion", "redmist328")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        judges = [_Resolution(*resolution, config) for resolution in config.resolutions]
        self.shortest = 1 + max(judge.around for judge in judges)  # samples that can be mirrored at both ends
        self.discriminators = nn.ModuleList(judges)

    @classmethod
    def example_config(cls) -> Config:
        """Two small resolutions, 4 channels."""
        return cls.Config(resolutions=((128, 30, 120), (64, 12, 60)), channels=4)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores (B, S) and feature maps (B, C, bins', N'), one entry for each resolution.

        Raises AudioError for another shape, and for audio that is too short to be mirrored at its ends.
        """
        check_wave(wave, shortest=self.shortest)
        found = [judge(wave) for judge in self.discriminators]
        return [score for score, _ in found], [features for _, features in found]

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError."""
        tensors = layouts.network_tensors(state, "mrd", "MultiResolutionDiscriminator")
        given = flat_values(config)
        fields: dict[str, Any] = {"channels": layouts.width(tensors, "discriminators.0.convs.0.bias", 32)}
        if layout == "redmist328":
            fields |= {"convolutions": "vocos", "resolutions": VOCOS_RESOLUTIONS}
        if "resolutions" in given:
            fields["resolutions"] = given.rows("resolutions")
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors


class _Resolution(nn.Module):
    """The discriminator of one resolution."""

    def __init__(self, n_fft: int, hop: int, win: int, config: MRD.Config) -> None:
        super().__init__()
        self.n_fft, self.hop, self.win = n_fft, hop, win
        self.around = (n_fft if config.convolutions == "vocos" else n_fft - hop) // 2  # samples mirrored at each end
        shape = torch.ones(win) if config.window == "rectangular" else torch.hann_window(win)
        self.register_buffer("window", shape, persistent=False)
        self.convs, inputs = nn.ModuleList(), 1
        for kernel, stride in CONVOLUTIONS[config.convolutions]:
            padding = (kernel[0] // 2, kernel[1] // 2)
            self.convs.append(weight_norm(nn.Conv2d(inputs, config.channels, kernel, stride, padding)))
            inputs = config.channels
        self.conv_post = weight_norm(nn.Conv2d(config.channels, 1, (3, 3), padding=1))

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S), feature maps."""
        x = self.magnitude(wave)[:, None]  # (B, 1, bins, N)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*features, x]

    def magnitude(self, wave: Tensor) -> Tensor:
        """(B, 1, T) -> linear magnitudes (B, bins, N), in float32."""
        window: Any = self.window
        with torch.autocast(wave.device.type, enabled=False):
            x = reflect(wave[:, 0].float(), self.around, self.around)
            spectrum = torch.stft(x, self.n_fft, self.hop, self.win, window, center=False, return_complex=True)
            return (
                torch.view_as_real(spectrum).square().sum(-1).clamp_min(1e-18).sqrt()
            )  # the square root has no finite gradient at 0
