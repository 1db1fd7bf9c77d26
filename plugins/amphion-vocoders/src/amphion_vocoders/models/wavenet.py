"""WaveNet: predicts each sample of a waveform from all samples before it and from a mel spectrogram.

Van den Oord, Dieleman, Zen, Simonyan, Vinyals, Graves, Kalchbrenner, Senior, Kavukcuoglu: "WaveNet: A Generative Model
for Raw Audio", arXiv:1609.03499. Section numbers refer to it. Layout read: "r9y9" (wavenet_vocoder, present revision).
Deviations, as in that implementation: residual sums are scaled by the root of 1/2 and the sum of skips by the root of
1/layers; the mel is upsampled by repetition and a smoothing convolution. Output t predicts sample t + 1.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import BaseConfig, FeaturePart, Mel, MelConfig, Vocoder
from amphion_core.config import validate
from amphion_core.errors import DataError
from amphion_core.speakers import check_speakers, speaker_fields, speaker_index, speakers_for
from amphion_vocoders.models.mel_input import check_mel
from amphion_vocoders.models.wave_outputs import Gaussian, Logistics, MuLaw, WaveOutput

if TYPE_CHECKING:
    from amphion_core.data.facts import CorpusFacts


class WaveNet(Vocoder):
    """Mel (B, F, N) -> wave (B, T), T = N * mel.hop_length, one sample after another."""

    class Config(BaseConfig):
        """The defaults are those of the published mixture of logistics: 3.72 M parameters at 22.05 kHz."""

        mel: Mel = Field(
            default=MelConfig.preset("wavenet_22k_80"),
            description="mel convention: bands F, hop in samples, rate in Hz",
        )
        mel_mean: tuple[float, ...] = Field(
            default=(), description="mean of each band, subtracted; left out: the corpus's, or none"
        )
        mel_deviation: tuple[float, ...] = Field(
            default=(), description="standard deviation of each band, which divides; left out: the corpus's, or none"
        )
        output: Literal["logistics", "gaussian", "mu_law"] = Field(
            default="logistics", description="distribution of a sample: mixture of logistics, normal, or classes"
        )
        mixtures: int = Field(default=10, gt=0, le=100, description="logistic distributions in the mixture")
        classes: int = Field(default=256, gt=1, le=2**16, description="classes of the mu-law")
        layers: int = Field(default=24, gt=0, le=200, description="layers with a dilated convolution each")
        stacks: int = Field(default=4, gt=0, description="stacks of layers; in each, the dilation doubles from 1 on")
        channels: int = Field(default=128, gt=0, le=4096, description="channels of the residual connections")
        gate_channels: int = Field(
            default=256, gt=0, le=8192, multiple_of=2, description="channels of signals and gates together"
        )
        skip_channels: int = Field(default=128, gt=0, le=4096, description="channels of the skip connections")
        kernel: int = Field(default=3, gt=1, le=31, description="kernel of the dilated convolutions, samples")
        dropout: float = Field(default=0.0, ge=0, lt=1, description="share of a layer's inputs that training drops")
        context: int = Field(
            default=2, ge=0, le=32, description="frames of the mel on either side that the condition sees"
        )
        upsample_rates: tuple[int, ...] = Field(default=(4, 4, 4, 4), description="factors that stretch the mel")
        n_speakers: int = Field(default=1, ge=1, description="number of speakers; 1: no speaker embedding")
        speakers: tuple[str, ...] = Field(
            default=(), description="names of the speakers by index; left out: the corpus's, or numbers"
        )
        speaker_channels: int = Field(default=16, gt=0, le=4096, description="size of the speaker embedding")

        @model_validator(mode="before")
        @classmethod
        def _complete_speakers(cls, values: Any) -> Any:
            return speaker_fields(values) if isinstance(values, Mapping) else values

        @model_validator(mode="after")
        def _fields_agree(self) -> Self:
            check_speakers(self.speakers, self.n_speakers)
            if math.prod(self.upsample_rates) != self.mel.hop_length:
                raise ValueError(
                    f"upsample_rates: product {math.prod(self.upsample_rates)} is not mel.hop_length "
                    f"{self.mel.hop_length}"
                )
            if self.layers % self.stacks:
                raise ValueError(f"stacks: {self.layers} layers are not a multiple of {self.stacks}")
            if self.layers // self.stacks > 16:
                raise ValueError(f"stacks: {self.layers // self.stacks} layers in a stack are more than 16")
            for name in ("mel_mean", "mel_deviation"):
                if len(getattr(self, name)) not in (0, self.mel.n_mels):
                    raise ValueError(f"{name}: {len(getattr(self, name))} values for {self.mel.n_mels} bands")
            if len(self.mel_mean) != len(self.mel_deviation) or min(self.mel_deviation, default=1) <= 0:
                raise ValueError("mel_deviation: one number above 0 for each number of mel_mean")
            return self

        @property
        def dilations(self) -> tuple[int, ...]:
            """The dilation of each layer, in samples."""
            return tuple(2 ** (layer % (self.layers // self.stacks)) for layer in range(self.layers))

        @property
        def distribution(self) -> WaveOutput:
            """What the outputs mean."""
            if self.output == "mu_law":
                return MuLaw(self.classes)
            return Logistics(self.mixtures) if self.output == "logistics" else Gaussian()

    class Controls(BaseConfig):
        """Of a request."""

        speaker: str = Field(default="", description="name of the speaker, for a model with several")
        piece: int = Field(
            default=86, ge=0, le=100_000,
            description="frames that are generated one after another; the pieces of a recording are generated side by "
            "side, which is faster, and cross-faded. 0: the whole recording in one piece",
        )  # fmt: skip

    config: Config
    layouts = ("r9y9",)
    mean: Tensor  # (F, 1)
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, self.distribution = config, config.distribution
        # Parameters have the names of the published checkpoints.
        inputs = c.classes if c.output == "mu_law" else 1
        self.first_conv = _pointwise(inputs, c.channels)
        speaker_channels = c.speaker_channels if c.n_speakers > 1 else 0
        self.conv_layers = nn.ModuleList(_Layer(c, dilation, speaker_channels) for dilation in c.dilations)
        unused: Any = self.conv_layers[-1]  # no layer follows its residual output, which published checkpoints have
        unused.conv1x1_out.requires_grad_(False)
        self.last_conv_layers = nn.Sequential(
            nn.ReLU(),
            _pointwise(c.skip_channels, c.skip_channels),
            nn.ReLU(),
            _pointwise(c.skip_channels, self.distribution.channels),
        )
        self.upsample_net = _Upsampler(c)
        if speaker_channels:
            self.embed_speakers = nn.Embedding(c.n_speakers, speaker_channels)
            nn.init.normal_(self.embed_speakers.weight, std=0.1)
        bands = c.mel.n_mels
        self.register_buffer("mean", torch.tensor(c.mel_mean or (0.0,) * bands)[:, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(c.mel_deviation or (1.0,) * bands)[:, None], persistent=False)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 4 layers of 8 channels, a mixture of 2."""
        mel = MelConfig.preset("wavenet_22k_80").replace(n_mels=4, hop_length=16, n_fft=64, win_length=64, fmin=0.0)
        return cls.Config(
            mel=mel, mixtures=2, layers=4, stacks=2, channels=8, gate_channels=8, skip_channels=8,
            upsample_rates=(4, 4), n_speakers=2,
        )  # fmt: skip

    @classmethod
    def config_for(cls, config: Config, facts: "CorpusFacts") -> Config:
        """``config`` with the corpus's speakers and the statistics of its mels, where it has none.

        Raises DataError for a speaker that the stated table lacks.
        """
        speakers = speakers_for(config.speakers, facts)
        changes: dict[str, Any] = {"speakers": speakers, "n_speakers": max(1, len(speakers))}
        if not config.mel_mean:
            found = facts.statistics(FeaturePart.named("mel", mel=config.mel))
            deviation = tuple(value or 1.0 for value in found.deviation)
            changes |= {"mel_mean": found.mean, "mel_deviation": deviation}
        return config.replace(**changes)

    def example_inputs(self) -> dict[str, Any]:
        """Four frames, and their audio."""
        mel = self.config.mel
        wave = torch.linspace(-1, 1, 4 * mel.hop_length)[None].sin()
        speaker = torch.tensor([1]) if self.config.n_speakers > 1 else None
        return {"mel": torch.zeros(1, mel.n_mels, 4), "wave": wave, "speaker": speaker}

    def forward(self, mel: Tensor, wave: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Mel (B, F, N), its audio (B, T), T = N * hop, indices of speakers (B) -> what is predicted (B, C, T).

        Column t describes sample t + 1. Raises DataError without the speakers that the model needs.
        """
        return self.predict(self._inputs(wave), self.condition(mel), self._embedded(speaker, len(mel)))

    def predict(self, inputs: Tensor, condition: Tensor, speaker: Tensor | None) -> Tensor:
        """Inputs (B, 1 or classes, T), mel (B, F, T), embedded speakers (B, S, 1) -> (B, C, T)."""
        x = self.first_conv(inputs)
        total: Tensor | None = None
        for layer in self.conv_layers:
            x, skip = layer(x, condition, speaker)
            total = skip if total is None else total + skip
        assert total is not None  # there is at least one layer
        return self.last_conv_layers(total * math.sqrt(1 / self.config.layers))

    def negative_log_likelihood(self, mel: Tensor, wave: Tensor, speaker: Tensor | None = None) -> Tensor:
        """As `forward` -> the loss of each item (B), nats for each sample; the first sample is not predicted."""
        predicted = self(mel, wave, speaker)[..., :-1]
        return self.distribution.negative_log_likelihood(predicted, wave[:, 1:]).mean(1)

    def condition(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, F, T): the mel at the rate of the audio; its first and last frames are repeated."""
        edges = (self.config.context, self.config.context)
        return self.upsample_net(F.pad((mel - self.mean) / self.deviation, edges, "replicate"))

    @torch.no_grad()
    def vocode(
        self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None, controls: Controls | None = None
    ) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]; ``seed`` draws the samples, and ``f0`` is not used.

        Raises AudioError for another shape and for values that are not finite, DataError for an unknown speaker.
        """
        from amphion_vocoders.models.wavenet_generation import generate_in_pieces

        check_mel(mel, self.config.mel.n_mels)
        controls = controls or self.Controls()
        speaker = None
        if self.config.n_speakers > 1:
            name = controls.speaker or self.config.speakers[0]
            index = speaker_index(name, self.config.speakers, model="this WaveNet")
            speaker = torch.full((len(mel),), index, device=mel.device)
        return generate_in_pieces(self, mel, speaker, piece=controls.piece, seed=seed)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Sizes that its tensors show are taken from them.

        Raises WeightsError for another checkpoint, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.wavenet_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors

    def _inputs(self, wave: Tensor) -> Tensor:
        """(B, T) -> (B, 1, T), or (B, classes, T) with a 1 at each sample's class."""
        if isinstance(self.distribution, MuLaw):
            return F.one_hot(self.distribution.encode(wave), self.distribution.classes).mT.to(
                self.first_conv.bias.dtype
            )
        return wave[:, None]

    def _embedded(self, speaker: Tensor | None, items: int) -> Tensor | None:
        """Indices (B) -> (B, S, 1), or None for a model of one speaker. Raises DataError."""
        if self.config.n_speakers == 1:
            return None
        if speaker is None or speaker.shape != (items,):
            raise DataError(
                f"this WaveNet has {self.config.n_speakers} speakers, and needs one index for each item",
                hint=f"give each item an index from 0 to {self.config.n_speakers - 1}",
            )
        return self.embed_speakers(speaker)[..., None]


class _Upsampler(nn.Module):
    """The mel at the rate of the audio: a convolution over its neighbours, then repetition and smoothing."""

    def __init__(self, config: WaveNet.Config) -> None:
        super().__init__()
        bands = config.mel.n_mels
        self.conv_in = nn.Conv1d(bands, bands, 2 * config.context + 1, bias=False)
        self.upsample = nn.Module()
        steps: list[nn.Module] = []
        for rate in config.upsample_rates:
            smooth = nn.Conv2d(1, 1, (1, 2 * rate + 1), padding=(0, rate), bias=False)
            nn.init.constant_(smooth.weight, 1 / (2 * rate + 1))
            steps += [nn.Upsample(scale_factor=(1, rate), mode="nearest"), weight_norm(smooth)]
        self.upsample.up_layers = nn.Sequential(*steps)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N + 2 * context) -> (B, F, T)."""
        return self.upsample.up_layers(self.conv_in(mel)[:, None])[:, 0]  # type: ignore[operator]


class _Layer(nn.Module):
    """A gated causal convolution with a residual and a skip connection: section 2.3 to 2.5."""

    def __init__(self, config: WaveNet.Config, dilation: int, speaker_channels: int) -> None:
        super().__init__()
        c, half = config, config.gate_channels // 2
        self.reach, self.dropout = (c.kernel - 1) * dilation, nn.Dropout(c.dropout)
        self.conv = _initialised(nn.Conv1d(c.channels, c.gate_channels, c.kernel, dilation=dilation))
        self.conv1x1c = _pointwise(c.mel.n_mels, c.gate_channels, bias=False)
        if speaker_channels:
            self.conv1x1g = _pointwise(speaker_channels, c.gate_channels, bias=False)
        self.conv1x1_out = _pointwise(half, c.channels)
        self.conv1x1_skip = _pointwise(half, c.skip_channels)

    def forward(self, x: Tensor, condition: Tensor, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, C, T), mel (B, F, T), speakers (B, S, 1) -> the next layer's input (B, C, T), skip (B, S, T)."""
        gates = self.conv(F.pad(self.dropout(x), (self.reach, 0))) + self.conv1x1c(condition)
        if speaker is not None:
            gates = gates + self.conv1x1g(speaker)
        signal, gate = gates.chunk(2, 1)
        found = torch.tanh(signal) * torch.sigmoid(gate)  # eq. 2
        return (self.conv1x1_out(found) + x) * math.sqrt(0.5), self.conv1x1_skip(found)


def _pointwise(inputs: int, outputs: int, *, bias: bool = True) -> Any:
    return _initialised(nn.Conv1d(inputs, outputs, 1, bias=bias))


def _initialised(layer: nn.Conv1d) -> Any:
    """A convolution of unit gain with a weight norm, as in the published code."""
    nn.init.normal_(layer.weight, std=math.sqrt(1 / (layer.in_channels * layer.kernel_size[0])))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return weight_norm(layer)
