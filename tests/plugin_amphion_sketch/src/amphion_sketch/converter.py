"""SketchConverter: content at 50 Hz, energy and F0 at the mel's rate, and a voice vector, to mel."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, CorpusFacts, FeaturePart, Mel, MelConfig, Synthesis, VoiceConverter
from amphion_sketch.batches import valid

CONTENT_SHIFT = 0.02  # seconds between the frames of the content


class SketchConverter(VoiceConverter):
    """The features of a recording and any voice's vector -> mel (B, F, N)."""

    class Config(BaseConfig):
        """The mel, the sizes of the features, and the statistics of F0."""

        mel: Mel = Field(default=MelConfig.preset("hifigan_22k_80"), description="mel convention of the output")
        content_dim: int = Field(default=6, gt=0, description="values of a frame of content")
        voice_dim: int = Field(default=8, gt=0, description="values of the voice vector")
        channels: int = Field(default=32, gt=0, description="channels of the network")
        f0_mean: float | None = Field(default=None, gt=0, description="mean F0 of the corpus, Hz; null: not yet known")
        voice_variant: str | None = Field(
            default=None, description="weights of the voice vector in the training; null: not yet known"
        )

    class Controls(BaseConfig):
        """What a request may change."""

        pitch_scale: float | None = Field(default=None, gt=0, le=4, description="factor on F0 (1)")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.input = nn.Conv1d(config.content_dim + 2, config.channels, 5, padding=2)
        self.voice = nn.Linear(config.voice_dim, config.channels)
        self.output_layer = nn.Conv1d(config.channels, config.mel.n_mels, 1)

    @classmethod
    def config_for(cls, config: Config, facts: CorpusFacts) -> Config:
        """Fill in the mean F0 of the voiced frames, and which weights the voice vector has."""
        if config.voice_variant is None:
            config = config.replace(voice_variant=FeaturePart.named("sketch_voice").build().variant)
        if config.f0_mean is not None:
            return config
        found = facts.statistics(FeaturePart.named("f0_dio", mel=config.mel), positive_only=True)
        return config.replace(f0_mean=found.mean[0])

    @classmethod
    def example_config(cls) -> Config:
        """A mel of eight bands."""
        mel = MelConfig.preset("hifigan_22k_80").replace(n_mels=8)
        return cls.Config(mel=mel, channels=16, f0_mean=150.0)

    def example_inputs(self) -> dict[str, Any]:
        """Two items of 20 and 12 mel frames."""
        lengths = torch.tensor([20, 12])
        seconds = lengths.max() * self.config.mel.hop_length / self.config.mel.sample_rate
        content = torch.linspace(-1, 1, int(seconds / CONTENT_SHIFT)).expand(2, self.config.content_dim, -1)
        return {
            "features": {"content": content, "energy": torch.ones(2, 1, 20)}, "lengths": lengths,
            "speaker": torch.linspace(-1, 1, 2 * self.config.voice_dim).view(2, -1), "f0": torch.full((2, 20), 150.0),
        }  # fmt: skip

    @property
    def features(self) -> dict[str, FeaturePart]:
        """Content at 50 Hz and energy at the mel's rate. ``convert`` takes F0 as a separate argument."""
        return {
            "content": FeaturePart.named("sketch_content", bands=self.config.content_dim),
            "energy": FeaturePart.named("energy", mel=self.config.mel),
        }

    @property
    def voice_feature(self) -> FeaturePart:
        """The vector of any voice."""
        return FeaturePart.named("sketch_voice", dim=self.config.voice_dim)

    @property
    def feature_variants(self) -> dict[str, str]:
        """The weights of the voice vector, where they are known."""
        return {} if self.config.voice_variant is None else {"voice": self.config.voice_variant}

    def forward(
        self, features: Mapping[str, Tensor], lengths: Tensor, speaker: Tensor, f0: Tensor, lead: Tensor | None = None
    ) -> Tensor:
        """Features, lengths (B), voice (B, G), F0 (B, N) -> mel (B, F, N).

        ``lead`` (B) is the time in seconds from the first frame of the content to the first frame of the mel.
        """
        mel = self.config.mel
        size = int(lengths.max())
        if lead is None:
            lead = torch.full((len(lengths),), mel.first_centre - CONTENT_SHIFT / 2, device=lengths.device)
        shift = mel.hop_length / mel.sample_rate
        times = torch.arange(size, device=lengths.device) * shift + lead[:, None]
        last = (lengths * shift / CONTENT_SHIFT).long() - 1
        at = torch.minimum((times / CONTENT_SHIFT).round().long().clamp_min(0), last[:, None].clamp_min(0))
        content = features["content"].gather(2, at[:, None].expand(-1, self.config.content_dim, -1))
        pitch = (f0[:, None, :size] / (self.config.f0_mean or 150.0)).clamp_min(0.1).log()
        mask = valid(lengths, size)
        hidden = torch.cat([content, features["energy"][:, :, :size].clamp_min(1e-3).log(), pitch], 1) * mask
        hidden = torch.relu(self.input(hidden) + self.voice(speaker)[..., None]) * mask
        return self.output_layer(hidden) * mask

    @torch.inference_mode()
    def convert(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        *,
        f0: Tensor | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Features by name, lengths (B) in mel frames, speaker (B, G) -> mel (B, F, N)."""
        controls = controls or self.Controls()
        size = int(lengths.max())
        f0 = torch.zeros(len(lengths), size, device=lengths.device) if f0 is None else f0[:, :size]
        f0 = f0 * (controls.pitch_scale or 1.0)
        return Synthesis(lengths, mel=self(features, lengths, speaker, f0), f0=f0)
