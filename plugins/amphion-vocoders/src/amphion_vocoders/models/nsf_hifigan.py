"""NSF-HiFiGAN generator: mel spectrogram and F0 to waveform, for singing voices; a HiFi-GAN driven by sines at F0.

Wang, Takaki, Yamagishi: "Neural source-filter waveform models for statistical parametric speech synthesis",
arXiv:1904.12088, inside of Kong, Kim, Bae: "HiFi-GAN", arXiv:2010.05646. The definition is openvpi's (44.1 kHz).
Layouts read: "openvpi" (SingingVocoders, also its mini_nsf), "amphion" (v0.1, see `nsf_hifigan_layouts`).
Deviations: under a seed, all items of a batch have the same noise. The phase is summed in double precision.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.api import Mel, MelConfig, OnnxGraph, Precision, vocoder_graph
from amphion_core.config import validate
from amphion_vocoders.models.feed_forward import FeedForwardVocoder
from amphion_vocoders.models.generator_config import GeneratorConfig
from amphion_vocoders.models.mel_input import check_f0, check_f0_values
from amphion_vocoders.models.sine_source import GlidingSine, HarmonicSource


class NSFHiFiGAN(FeedForwardVocoder):
    """Feed-forward vocoder: mel (B, F, N) and F0 (B, N) in Hz -> wave (B, 1, T) in [-1, 1], T = N * mel.hop_length."""

    class Config(GeneratorConfig):
        """HiFi-GAN's fields, and those of the source. The defaults are openvpi's, 44.1 kHz."""

        mel: Mel = Field(
            default=MelConfig.preset("nsf_44k_128"), description="mel convention: bands F, hop in samples, rate in Hz"
        )
        upsample_rates: tuple[int, ...] = Field(default=(8, 8, 2, 2, 2), description="factor of each stage")
        upsample_kernels: tuple[int, ...] = Field(
            default=(16, 16, 4, 4, 4), description="kernel of each stage, output samples"
        )
        source: Literal["harmonics", "mini", "ignored"] = Field(
            default="harmonics",
            description="harmonics: sines at F0 and its multiples, with noise, in every stage; mini: one sine, in the"
            " second stage (mini_nsf); ignored: none, for published weights of Amphion, which never heard theirs",
        )
        harmonics: int = Field(default=8, ge=0, le=1000, description="sines above F0, with source harmonics")

        @model_validator(mode="after")
        def _mini_has_a_second_stage(self) -> Self:
            if self.source == "mini" and len(self.upsample_rates) <= GlidingSine.STAGE:
                raise ValueError("source: mini is added in the second stage, and upsample_rates has one only")
            return self

    config: Config
    needs_f0 = True
    layouts = layouts_with_config = ("openvpi", "amphion")

    def __init__(self, config: Config) -> None:
        from amphion_vocoders.models.hifigan import HiFiGANGenerator  # resolving a model imports no other model

        super().__init__(config)
        self.generator = HiFiGANGenerator(config.mel.n_mels, config)
        shape = config.mel.sample_rate, config.channels, config.upsample_rates
        self.needs_f0 = config.source != "ignored"
        self.source: HarmonicSource | GlidingSine | None = None
        if config.source == "harmonics":
            self.source = HarmonicSource(*shape, config.harmonics)
        elif config.source == "mini":
            self.source = GlidingSine(*shape)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 stages, 16 channels."""
        mel = MelConfig.preset("nsf_44k_128").replace(n_mels=4, hop_length=4)
        return cls.Config(mel=mel, channels=16, upsample_rates=(2, 2), upsample_kernels=(4, 4))

    def example_inputs(self) -> dict[str, Any]:
        """One mel of four frames, the last without voice."""
        mel = torch.zeros(1, self.config.mel.n_mels, 4)
        return {"mel": mel, "f0": torch.tensor([[220.0, 220.0, 230.0, 0.0]])}

    def forward(self, mel: Tensor, f0: Tensor | None = None, signal: Tensor | None = None) -> Tensor:
        """(B, F, N), (B, N) -> (B, 1, T). ``signal`` is that of the source; by default it is made from ``f0``.

        Raises AudioError where both are missing, and for F0 of another shape.
        """
        if self.source is None:
            return self.generator(mel)
        signal = self.source(check_f0(f0, mel)) if signal is None else signal
        return self.generator(mel, None, self.source.added(signal))

    def vocode(self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(B, F, N), F0 (B, N) in Hz, 0 = unvoiced -> (B, T) in [-1, 1]; ``seed`` draws the phases and the noise.

        Raises AudioError without F0, for another shape and for values that are not finite.
        """
        if self.needs_f0:
            check_f0(f0, mel)  # a part may have more of it
        return self.vocode_part(mel, f0, start=0, seed=seed)

    @torch.no_grad()
    def vocode_part(
        self, mel: Tensor, f0: Tensor | None = None, *, start: int, seed: int | None = None, **controls: Any
    ) -> Tensor:
        """The frames from ``start`` on as `vocode` makes them from the whole, but at the ends of the part.

        The phase goes on from the frames before, and the seed's noise is that of the same frames. Errors as `vocode`.
        """
        if self.source is None:
            return self.one_pass(mel)
        stop = start + mel.shape[-1]
        check_f0(None if f0 is None else f0[:, start:stop], mel)
        assert f0 is not None
        check_f0_values(f0)
        draws = None if seed is None else self.source.draws(seed, start, stop, mel.device)
        return self.one_pass(mel, signal=self.source(f0, draws, start, stop))

    def onnx_graph(self) -> OnnxGraph:
        """The mel (B, F, N), F0 (B, N) in Hz and what the source draws -> the wave (B, T); see ``nsf_onnx.py``."""
        if self.source is None:
            return vocoder_graph(self)
        from amphion_vocoders.models.nsf_onnx import source_graph

        return source_graph(self)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and reorder the weights as HiFi-GAN does."""
        super().for_inference(precision)
        self.generator.for_inference(self.precision)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published generator and its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.nsf_hifigan_layouts import read

        fields, tensors = read(state, layout, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
