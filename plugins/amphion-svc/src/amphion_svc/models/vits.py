"""VitsSVC: content, melody and loudness to a waveform in one network, a variational autoencoder with a GAN decoder.

Kim, Kong, Son: "Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech",
arXiv:2106.06103. The condition encoder of the SVC models (Zhang et al.: "Leveraging Content-based Features from
Multiple Acoustic Models for Singing Voice Conversion", arXiv:2310.11160) replaces the text, so there is neither an
alignment nor a duration predictor. The decoder is a vocoder that reads the latent as its mel.
Layouts read: "amphion". Deviations: in training, NSF-HiFiGAN gets the F0 of the decoded slice, where the published code
gives that of the first frames. Items are decoded one by one, so padding does not change their ends.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, FeaturePart, MelConfig, Precision, Synthesis, Vocoder
from amphion_core.config import validate
from amphion_core.modules.item_noise import draw_noise, generators
from amphion_core.modules.latent_flow import Flow, PosteriorEncoder
from amphion_core.modules.masks import random_starts, slice_frames
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_svc.models.conditioned import ConditionedConfig, ConditionedConverter, example_condition_inputs
from amphion_svc.models.vits_parts import DecoderPart, PriorEncoder, VitsSVCOutput


class VitsSVC(ConditionedConverter):
    """Voice conversion: features and F0 in the frames of a mel -> wave (B, T), T = N * mel.hop_length."""

    class Config(ConditionedConfig):
        """The conditions, the latent, and the decoder. The defaults are the published sizes at 24 kHz."""

        latent_channels: int = Field(default=384, gt=0, multiple_of=2, description="channels of the latent z")
        hidden_channels: int = Field(default=384, gt=0, description="channels of posterior encoder and flow")
        filter_channels: int = Field(default=256, gt=0, description="width of the prior encoder's feed-forward layers")
        n_heads: int = Field(default=2, gt=0, description="attention heads of the prior encoder")
        n_layers: int = Field(default=6, gt=0, description="layers of the prior encoder")
        dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout of the prior encoder")
        speaker_channels: int = Field(
            default=256, gt=0, description="size of the singer's vector in posterior encoder and flow"
        )
        decoder: DecoderPart = Field(
            default_factory=lambda: DecoderPart.named(
                "vocoder/nsf_hifigan", mel="amphion_24k_100", channels=768, upsample_rates=(8, 8, 2, 2),
                upsample_kernels=(16, 16, 4, 4),
            ),
            description="vocoder that makes the wave of the latent; its mel follows from the model's mel",
        )  # fmt: skip
        segment: int = Field(default=32, gt=0, description="frames that a training step decodes of each item")
        noise_scale: float = Field(
            default=0.35, ge=0, le=100, description="standard deviation of the prior sample at inference"
        )

        @field_validator("decoder", mode="before")
        @classmethod
        def _decoder_reads_the_latent(cls, value: Any, info: ValidationInfo) -> Any:
            if "mel" not in info.data or "latent_channels" not in info.data:  # an error there is reported already
                return value
            return DecoderPart.reading(value, info.data["mel"], info.data["latent_channels"])

        @model_validator(mode="after")
        def _parts_agree(self) -> Self:
            if self.condition_channels % self.n_heads:
                raise ValueError(
                    f"n_heads: {self.n_heads} does not divide condition_channels {self.condition_channels}"
                )
            return self

    class Controls(BaseConfig):
        """What a request may change. A control that is not given has the value of the config."""

        noise_scale: float | None = Field(
            default=None, ge=0, le=3, description="variation of the voice, as a factor on its deviation; 0: none"
        )

    config: Config
    layouts = layouts_with_config = ("amphion",)
    output = "wave"

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage where a content feature or the voice needs a package."""
        super().__init__(config)
        c, g = config, config.speaker_channels
        self.emb_g: nn.Module = nn.Embedding(c.n_speakers, g)
        if c.voice is not None:
            self.emb_g = nn.Linear(c.voice.build().dim, g)
        self.enc_p = PriorEncoder(
            c.condition_channels, c.filter_channels, c.n_heads, c.n_layers, c.latent_channels, c.dropout
        )
        self.enc_q = PosteriorEncoder(c.mel.n_fft // 2 + 1, c.latent_channels, c.hidden_channels, g)
        self.flow = Flow(c.latent_channels, c.hidden_channels, g)
        self.dec: Vocoder = c.decoder.build()

    @classmethod
    def example_config(cls) -> Config:
        """The content is a mel, a hop of 64 samples, two singers, and a decoder with a source."""
        mel = MelConfig.preset("amphion_24k_100").replace(
            sample_rate=16000, n_fft=256, win_length=256, hop_length=64, n_mels=8, fmax=None
        )
        return cls.Config(
            mel=mel, content=(FeaturePart.named("mel", mel=mel),), n_speakers=2, condition_channels=8,
            latent_channels=8, hidden_channels=8, filter_channels=16, n_layers=1, speaker_channels=4, dropout=0.0,
            segment=8,
            decoder=DecoderPart.named(
                "vocoder/nsf_hifigan", mel=mel, channels=16, upsample_rates=(8, 8), upsample_kernels=(16, 16),
                resblock_kernels=(3,), resblock_dilations=((1, 3),), harmonics=2,
            ),
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two items of 12 and 8 frames."""
        spec = torch.rand(2, self.config.mel.n_fft // 2 + 1, 12, generator=torch.Generator().manual_seed(1))
        return {**example_condition_inputs(self), "spec": spec}

    def forward(
        self, features: Mapping[str, Tensor], lengths: Tensor, speaker: Tensor, f0: Tensor, spec: Tensor, *,
        counts: Mapping[str, Tensor] | None = None, offsets: Mapping[str, Tensor] | None = None,
        noise: Tensor | None = None, starts: Tensor | None = None,
    ) -> VitsSVCOutput:  # fmt: skip
        """The training pass: what `encode` reads, and linear magnitudes spec (B, n_fft / 2 + 1, N) of the recordings.

        ``noise`` (B, latent, N) and ``starts`` (B) are drawn unless given. Raises DataError as `encode`.
        """
        condition, mask = self.encode(features, lengths, speaker, f0, counts=counts, offsets=offsets)
        g = self.emb_g(speaker)[..., None]  # (B, G, 1)
        m_p, logs_p = self.enc_p(condition, mask)
        z, _, logs_q = self.enc_q(spec, mask, g, noise)
        z_p = self.flow(z, mask, g)
        starts = random_starts(lengths, self.config.segment) if starts is None else starts
        wave = self._wave(slice_frames(z, starts, self.config.segment), self._slice(f0, starts))
        return VitsSVCOutput(wave, starts, z, z_p, m_p, logs_p, logs_q, mask)

    def _wave(self, z: Tensor, f0: Tensor) -> Tensor:
        """(B, latent, N), F0 (B, N) -> (B, 1, N * hop), differentiable."""
        return self.dec(z, f0) if self.dec.needs_f0 else self.dec(z)

    def _slice(self, f0: Tensor, starts: Tensor) -> Tensor:
        """The F0 (B, S) of the decoded frames."""
        return slice_frames(f0[:, None], starts, self.config.segment)[:, 0]

    @torch.no_grad()
    def convert(
        self, features: Mapping[str, Tensor], lengths: Tensor, speaker: Tensor, *, f0: Tensor | None = None,
        seed: int | None = None, controls: Controls | None = None,
    ) -> Synthesis:  # fmt: skip
        """Features of the source and F0 (B, N) in Hz -> wave (B, T), lengths in samples. Item b draws from seed + b.

        ``speaker`` are indices (B) in the config's ``speakers``, or vectors (B, G) where the config has ``voice``.
        Raises DataError for a missing feature or F0, and for a speaker of the wrong kind.
        """
        f0 = f0 if f0 is None else f0[:, : int(lengths.max())]
        condition, mask = self.encode(features, lengths, speaker, f0)
        assert f0 is not None
        g = self.emb_g(speaker)[..., None]
        z_p, logs_p = self.enc_p(condition, mask)
        scale = getattr(controls, "noise_scale", None)
        scale = self.config.noise_scale if scale is None else float(scale)
        if scale:
            draws = generators(seed, len(z_p), z_p.device)
            noise = draw_noise(draws, z_p.shape[1], lengths.tolist(), z_p.shape[2])
            z_p = z_p + noise * torch.exp(logs_p) * scale
        z = self.flow.reverse(z_p * mask, mask, g)
        return Synthesis(lengths * self.config.mel.hop_length, wave=self.decode(z, lengths, f0, seed=seed))

    def decode(self, z: Tensor, lengths: Tensor, f0: Tensor, *, seed: int | None = None) -> Tensor:
        """Latents (B, latent, N) of ``lengths`` (B) frames, F0 (B, N) -> wave (B, N * hop), 0 after each item's end.

        No gradients. The source of the decoder draws from ``seed`` + b.
        """
        wave = z.new_zeros(len(z), z.shape[2] * self.config.mel.hop_length)
        for item, count in enumerate(lengths.tolist()):
            own = None if seed is None else seed + item
            made = self.dec.vocode(z[item : item + 1, :, :count], f0[item : item + 1, :count], seed=own)
            wave[item, : made.shape[1]] = made[0]
        return wave

    def for_inference(self, precision: Precision = "float32") -> Self:
        """As for every model; the weights are also laid out for the CPU. Only the decoder computes in bfloat16."""
        super().for_inference(precision)
        for part in (self.enc_p, self.flow) if self.device.type == "cpu" else ():
            pack_convolutions(part)
        self.dec.for_inference(self.precision)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint with its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_svc.models.vits_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
