"""The configuration of NaturalSpeech 2: the codec, the text, and the sizes of the networks."""

from typing import Self

from pydantic import Field, model_validator

from amphion_core.api import BaseConfig, CodecSource, FeaturePart, FrontendPart, Mel, MelConfig
from amphion_tts.models.naturalspeech2_prior import Positional
from amphion_tts.models.naturalspeech2_sde import Midpoint


class NaturalSpeech2Config(BaseConfig):
    """The defaults are the sizes of Amphion's configuration: 378 M parameters."""

    codec: CodecSource = Field(
        default="codec/encodec@24k", description="card, weights folder or run of the codec of the latents"
    )
    codec_fingerprint: str = Field(
        default="", description="checksum of the codec's weights in the training; empty: not known"
    )
    n_codebooks: int = Field(default=16, gt=0, le=1024, description="codebooks whose sum is a latent")
    latent_channels: int = Field(default=128, gt=0, description="channels of the codec's latents")
    latent_scale: float | None = Field(
        default=None, gt=0, description="latents are divided by it; null: their deviation, computed before training"
    )
    frontend: FrontendPart | None = Field(
        default=None, description="frontend that turns text into symbols; null: the network takes ids only"
    )
    vocabulary: int | None = Field(
        default=None, gt=0, description="rows of the text embedding; null: as many as the frontend has symbols"
    )
    mel: Mel = Field(
        default=MelConfig(sample_rate=24000, n_fft=1280, win_length=1280, hop_length=320, fmax=None),
        description="rate and hop of the codec, for the frames of the pitch; bands that an aligner reads in training",
    )
    hidden_channels: int = Field(default=512, gt=0, description="channels of all networks")
    prompt_layers: int = Field(default=6, gt=0, description="blocks of the prompt encoder")
    prompt_filter: int = Field(default=2048, gt=0, description="width of the convolutions in these blocks")
    prompt_kernel: int = Field(default=9, gt=0, description="kernel of these convolutions, odd")
    prompt_heads: int = Field(default=8, gt=0, description="attention heads of the prompt encoder")
    prompt_dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of the prompt encoder")
    query_tokens: int = Field(default=32, gt=0, description="tokens by which the denoiser knows the voice")
    query_heads: int = Field(default=8, gt=0, description="attention heads that make these tokens")
    encoder_layers: int = Field(default=6, gt=0, description="blocks of the phone encoder")
    encoder_filter: int = Field(default=2048, gt=0, description="width of the convolutions in these blocks")
    encoder_kernel: int = Field(default=9, gt=0, description="kernel of these convolutions, odd")
    encoder_heads: int = Field(default=8, gt=0, description="attention heads of the phone encoder")
    encoder_dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of the phone encoder")
    duration_layers: int = Field(default=30, gt=0, description="convolutions of the duration predictor")
    duration_kernel: int = Field(default=3, gt=0, description="kernel of these convolutions, odd")
    pitch_layers: int = Field(default=30, gt=0, description="convolutions of the pitch predictor")
    pitch_kernel: int = Field(default=5, gt=0, description="kernel of these convolutions, odd")
    predictor_heads: int = Field(default=8, gt=0, description="attention heads of the predictors")
    predictor_attention_every: int = Field(default=3, gt=0, description="layers from one attention to the next")
    predictor_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the predictors")
    n_bins: int = Field(default=512, gt=2, description="entries of the embedding of the pitch")
    pitch_range: tuple[float, float] = Field(
        default=(50.0, 1100.0), description="lowest and highest pitch with its own embedding, Hz"
    )
    f0: FeaturePart | None = Field(
        default=None, description="tracker of the pitch in training, which gets this mel; null: f0_dio"
    )
    denoiser_layers: int = Field(default=40, gt=0, description="layers of the WaveNet")
    denoiser_heads: int = Field(default=8, gt=0, description="attention heads of the WaveNet")
    denoiser_attention_every: int = Field(default=3, gt=0, description="layers from one attention to the next")
    denoiser_dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of the WaveNet")
    dilation_cycle: int = Field(default=2, gt=0, le=16, description="dilations are 1, 2, 4, ..., and then again 1")
    noise_rate: tuple[float, float] = Field(
        default=(0.05, 20.0), description="rate of the noise at the times 0 and 1 of the diffusion"
    )
    time_scale: float = Field(
        default=1000.0, gt=0, description="factor on the diffusion time before its embedding; published weights: 1"
    )
    positional: Positional = Field(
        default="time", description="positions of the Transformers; batch_index: a constant, for published weights"
    )
    midpoint: Midpoint = Field(
        default="half_step", description="order of the times in midpoint steps; upstream: that of Amphion v0.1"
    )

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding."""
        return self.vocabulary or (len(self.frontend.config.symbols) if self.frontend else 0)  # type: ignore[attr-defined]

    @property
    def scale(self) -> float:
        """The divisor of the latents; 1 where none is stated."""
        return self.latent_scale or 1.0

    @property
    def pitch_feature(self) -> FeaturePart:
        """The extractor of F0 in Hz in the frames of the codec, 0 where unvoiced."""
        name, fields = ("f0_dio", {}) if self.f0 is None else (self.f0.name, self.f0.config.model_dump())
        return FeaturePart.named(name, **fields | {"mel": self.mel})

    @property
    def codes_feature(self) -> FeaturePart:
        """The extractor of the codes whose latents are generated."""
        return FeaturePart.named("codec_codes", codec=self.codec, n_codebooks=self.n_codebooks)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        symbols = len(self.frontend.config.symbols) if self.frontend else 0  # type: ignore[attr-defined]
        if self.vocabulary is not None and self.vocabulary < symbols:
            raise ValueError(f"vocabulary: {self.vocabulary} rows are too few for {symbols} symbols")
        for name in ("prompt_heads", "query_heads", "encoder_heads", "predictor_heads", "denoiser_heads"):
            if self.hidden_channels % getattr(self, name):
                raise ValueError(f"{name}: {getattr(self, name)} does not divide {self.hidden_channels} channels")
        for name in ("prompt_kernel", "encoder_kernel", "duration_kernel", "pitch_kernel"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not odd, so the length would change")
        if self.hidden_channels % 2 or self.hidden_channels < 4:
            raise ValueError(f"hidden_channels: {self.hidden_channels} is not an even number of at least 4")
        for name, (low, high) in (("pitch_range", self.pitch_range), ("noise_rate", self.noise_rate)):
            if not 0 < low < high:
                raise ValueError(f"{name}: {low} and {high} are not two growing numbers above 0")
        if self.noise_rate[1] >= 1000:
            raise ValueError(f"noise_rate: {self.noise_rate[1]} is not below 1000")
        if self.mel.padding != "same":
            raise ValueError("mel: padding has to be same, because a codec has T / hop frames")
        return self
