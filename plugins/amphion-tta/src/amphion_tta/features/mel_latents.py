"""Latents of an autoencoder of mels, as a cached feature: what latent diffusion learns from."""

from functools import cached_property
from typing import TYPE_CHECKING, Self

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, FeatureExtractor
from amphion_core.features.mel import hop_aligned_mel
from amphion_tta.autoencoders import AutoencoderSource, open_autoencoder

if TYPE_CHECKING:
    from amphion_tta.models.autoencoder_kl import AutoencoderKL, Posterior


class MelLatents(FeatureExtractor):
    """(B, T) -> (B, dim, N): means and log-variances of the latents of each step in time, dim = 2 * Z * bands.

    Silence fills up the last latent of a recording. Each item is encoded alone, since an autoencoder looks at the whole
    recording. `read_latents` turns a part of them into a posterior again.
    """

    needs_packages = ("diffusers",)

    class Config(BaseConfig):
        """The autoencoder."""

        autoencoder: AutoencoderSource = Field(
            default="autoencoder/kl", description="card, weights folder or run of the autoencoder; or an untrained one"
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._device = "cpu"

    @property
    def autoencoder(self) -> "AutoencoderKL":
        """The autoencoder on the extractor's device. Raises WeightsError."""
        return open_autoencoder(self.config.autoencoder, self._device)

    @cached_property
    def variant(self) -> str:
        """The checksum of the autoencoder's weights."""
        return self.autoencoder.fingerprint()

    @property
    def sample_rate(self) -> int:  # type: ignore[override]
        """The rate of the autoencoder's mel, Hz."""
        return self.autoencoder.config.mel.sample_rate

    @property
    def frame_shift(self) -> float:  # type: ignore[override]
        """Seconds between latents."""
        return self.autoencoder.hop_length / self.sample_rate

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Values of one step in time."""
        c = self.autoencoder.config
        return 2 * c.latent_channels * (c.mel.n_mels // c.reduction)

    def to(self, device: torch.device | str) -> Self:
        """Encode on ``device``."""
        self._device = str(device)
        return self

    def frames(self, samples: int) -> int:
        """N, a step in time for each begun one."""
        return self.autoencoder.latent_frames(samples // self.autoencoder.config.mel.hop_length)

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, dim, N); 0 after the end of an item. Raises AudioError for less than one frame of the mel."""
        net = self.autoencoder
        sizes = [wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()
        found = torch.zeros(len(wave), self.dim, self.frames(wave.shape[1]), device=wave.device)
        for row, samples, size in zip(found, wave, sizes, strict=True):
            posterior = net.encode(hop_aligned_mel(samples[None, :size], net.config.mel))
            values = torch.cat([posterior.mean, posterior.log_variance], 1)  # (1, 2 Z, H, W)
            in_rows = values[0].mT if net.config.time_first else values[0]  # (2 Z, bands, N)
            row[:, : in_rows.shape[2]] = in_rows.flatten(0, 1)
        return found


def read_latents(values: Tensor, autoencoder: "AutoencoderKL") -> "Posterior":
    """Cached latents (B, dim, N) -> the distribution of latents (B, Z, H, W)."""
    from amphion_tta.models.autoencoder_kl import Posterior

    c = autoencoder.config
    picture = values.reshape(len(values), 2 * c.latent_channels, -1, values.shape[2])  # (B, 2 Z, bands, N)
    mean, log_variance = (picture.mT if c.time_first else picture).chunk(2, 1)
    return Posterior(mean, log_variance)
