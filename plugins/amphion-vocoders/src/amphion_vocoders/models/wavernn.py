"""WaveRNN: predicts each sample of a waveform with two recurrent layers, from the sample before and a mel spectrogram.

Kalchbrenner, Elsen, Simonyan, Noury, Casagrande, Lockhart, Stimberg, van den Oord, Dieleman, Kavukcuoglu: "Efficient
Neural Audio Synthesis", arXiv:1802.08435. Layouts read: "fatchord" (WaveRNN), "torchaudio" (its WaveRNN).
Deviations, as in these implementations: two GRUs with residual connections and two layers after them in place of the
paper's one GRU with two softmax layers; a sample is one class of the mu-law, or a mixture of logistics; a residual
network computes auxiliary channels from the mel. Output t predicts sample t + 1. Unlike "fatchord", generation does not
fade out the end of the audio and does not leave out the last frame.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Mel, MelConfig, Vocoder
from amphion_core.config import validate
from amphion_core.modules.frame_norm import FrameNorm
from amphion_vocoders.models.mel_input import check_mel
from amphion_vocoders.models.wave_outputs import Logistics, MuLaw

SECTION = 40  # frames of a recording whose likelihood is computed sample after sample
SMALLEST_LOG_SCALE = math.log(1e-14)  # of a logistic distribution, as published


class WaveRNN(Vocoder):
    """Mel (B, F, N) -> wave (B, T), T = N * mel.hop_length, one sample after another."""

    class Config(BaseConfig):
        """The defaults are those of the published mixture of logistics: 4.23 M parameters at 22.05 kHz."""

        mel: Mel = Field(
            default=MelConfig.preset("wavernn_22k_80"),
            description="mel convention: bands F, hop in samples, rate in Hz",
        )
        output: Literal["logistics", "mu_law"] = Field(
            default="logistics", description="distribution of a sample: mixture of logistics, or classes (raw)"
        )
        mixtures: int = Field(default=10, gt=0, le=100, description="logistic distributions in the mixture")
        classes: int = Field(default=512, gt=1, le=2**16, description="classes of the mu-law; 512 are 9 bits")
        channels: int = Field(default=512, gt=0, le=4096, multiple_of=4, description="channels of both GRUs")
        head_channels: int = Field(
            default=512, gt=0, le=4096, multiple_of=4, description="channels of the two layers after the GRUs"
        )
        context: int = Field(
            default=2, ge=2, le=32, description="frames of the mel on either side that the condition sees"
        )
        upsample_rates: tuple[int, ...] = Field(default=(5, 5, 11), description="factors that stretch the mel")
        residual_channels: int = Field(default=128, gt=0, le=4096, description="channels of the mel's residual network")
        residual_blocks: int = Field(default=10, ge=0, le=100, description="blocks of the mel's residual network")
        auxiliary_channels: int = Field(
            default=128, gt=0, le=4096, multiple_of=4,
            description="channels that it computes; each quarter goes to one of four layers",
        )  # fmt: skip

        @model_validator(mode="after")
        def _fields_agree(self) -> Self:
            if (hop := math.prod(self.upsample_rates)) != self.mel.hop_length:
                raise ValueError(f"upsample_rates: product {hop} is not mel.hop_length {self.mel.hop_length}")
            if min(self.upsample_rates) < 2:
                raise ValueError("upsample_rates: every factor is at least 2")
            return self

        @property
        def distribution(self) -> Logistics | MuLaw:
            """What the outputs mean."""
            if self.output == "mu_law":
                return MuLaw(self.classes, nearest=True)
            return Logistics(self.mixtures, SMALLEST_LOG_SCALE)

    class Controls(BaseConfig):
        """Of a request."""

        piece: int = Field(
            default=40, ge=0, le=100_000,
            description="frames that are generated one after another; the pieces of a recording are generated side by "
            "side, which is faster, and cross-faded. 0: the whole recording in one piece",
        )  # fmt: skip

    config: Config
    layouts = ("fatchord", "torchaudio")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, self.distribution = config, config.distribution
        quarter = c.auxiliary_channels // 4
        # Parameters have the names of the layout fatchord.
        self.upsample = _Upsampler(c)
        self.I = nn.Linear(1 + c.mel.n_mels + quarter, c.channels)
        self.rnn1 = nn.GRU(c.channels, c.channels, batch_first=True)
        self.rnn2 = nn.GRU(c.channels + quarter, c.channels, batch_first=True)
        self.fc1 = nn.Linear(c.channels + quarter, c.head_channels)
        self.fc2 = nn.Linear(c.head_channels + quarter, c.head_channels)
        self.fc3 = nn.Linear(c.head_channels, self.distribution.channels)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 8 channels, a mixture of 2."""
        mel = MelConfig.preset("wavernn_22k_80").replace(n_mels=4, hop_length=16, n_fft=64, win_length=64)
        return cls.Config(
            mel=mel, mixtures=2, channels=8, head_channels=8, upsample_rates=(4, 4), residual_channels=8,
            residual_blocks=1, auxiliary_channels=8,
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Four frames, and their audio."""
        mel = self.config.mel
        return {"mel": torch.rand(1, mel.n_mels, 4), "wave": torch.linspace(-1, 1, 4 * mel.hop_length)[None].sin()}

    def forward(self, mel: Tensor, wave: Tensor) -> Tensor:
        """Mel (B, F, N), its audio (B, T), T = N * hop -> what is predicted (B, C, T).

        Column t describes sample t + 1.
        """
        return self.predict(self.inputs(wave), *self.condition(mel))

    def predict(self, inputs: Tensor, mel: Tensor, auxiliary: Tensor) -> Tensor:
        """Inputs (B, T), mel (B, F, T), auxiliary channels (B, A, N) -> (B, C, T)."""
        stretched = auxiliary.mT.repeat_interleave(self.config.mel.hop_length, 1)  # (B, T, A)
        first, second, third, fourth = stretched.chunk(4, 2)
        x = self.I(torch.cat([inputs[..., None], mel.mT, first], 2))
        x = x + self.rnn1(x)[0]
        x = x + self.rnn2(torch.cat([x, second], 2))[0]
        x = F.relu(self.fc1(torch.cat([x, third], 2)))
        x = F.relu(self.fc2(torch.cat([x, fourth], 2)))
        return self.fc3(x).mT

    def inputs(self, wave: Tensor) -> Tensor:
        """Samples (B, T) -> what the network sees of them (B, T): classes of the mu-law are in equal steps."""
        if isinstance(self.distribution, MuLaw):
            return self.distribution.level(self.distribution.encode(wave))
        return wave

    def negative_log_likelihood(self, mel: Tensor, wave: Tensor, speaker: Tensor | None = None) -> Tensor:
        """As `forward` -> the loss of each item (B), nats for each sample; there are no speakers.

        The first ``context`` frames and the last ones are only context, if there are others. What is longer than 40
        frames is cut into equal sections, each after silence; less than a frame for each section is left out at the
        end. The first sample of a section is not predicted.
        """
        hop, context = self.config.mel.hop_length, self.config.context
        if mel.shape[2] > 2 * context:
            wave = wave[:, context * hop : (mel.shape[2] - context) * hop]
        else:
            mel = F.pad(mel, (context, context))
        frames = mel.shape[2] - 2 * context
        size = frames // -(-frames // SECTION)
        waves = wave.unfold(1, size * hop, size * hop).flatten(0, 1)  # (B * sections, size * hop)
        mels = mel.unfold(2, size + 2 * context, size).transpose(1, 2).flatten(0, 1)
        predicted = self.predict(self.inputs(waves), *self.upsample(mels))[..., :-1]
        found = self.distribution.negative_log_likelihood(predicted, waves[:, 1:])
        return found.view(len(mel), -1).mean(1)

    def condition(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, N) -> mel at the rate of the audio (B, F, T), auxiliary channels (B, A, N). Zeros surround the mel."""
        edges = (self.config.context, self.config.context)
        mel_at_rate, auxiliary = self.upsample(F.pad(mel, edges))
        return mel_at_rate, auxiliary

    @torch.no_grad()
    def vocode(
        self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None, controls: Controls | None = None
    ) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]; item b draws its samples with ``seed`` + b, and ``f0`` is not used.

        Raises AudioError for another shape and for values that are not finite.
        """
        from amphion_vocoders.models.wavernn_generation import generate_in_pieces

        check_mel(mel, self.config.mel.n_mels)
        return generate_in_pieces(self, mel, piece=(controls or self.Controls()).piece, seed=seed)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Sizes that its tensors show are taken from them.

        Raises WeightsError for another checkpoint, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.wavernn_layouts import read

        fields, tensors = read(state, config or {}, layout)
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors


class _Upsampler(nn.Module):
    """The mel at the rate of the audio, by repetition and smoothing, and the auxiliary channels of each frame."""

    def __init__(self, config: WaveRNN.Config) -> None:
        super().__init__()
        self.context, self.hop = config.context, config.mel.hop_length
        self.resnet = _ResidualNetwork(config)
        steps: list[nn.Module] = []
        for rate in config.upsample_rates:
            smooth = nn.Conv2d(1, 1, (1, 2 * rate + 1), padding=(0, rate), bias=False)
            nn.init.constant_(smooth.weight, 1 / (2 * rate + 1))
            steps += [nn.Upsample(scale_factor=(1, rate), mode="nearest"), smooth]
        self.up_layers = nn.Sequential(*steps)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, N + 2 * context) -> mel (B, F, T), auxiliary channels (B, A, N)."""
        edge = self.context * self.hop
        return self.up_layers(mel[:, None])[:, 0, :, edge:-edge], self.resnet(mel)


class _ResidualNetwork(nn.Module):
    """Convolutions over the mel, each output of which sees ``context`` frames on either side."""

    def __init__(self, config: WaveRNN.Config) -> None:
        super().__init__()
        channels = config.residual_channels
        self.conv_in = nn.Conv1d(config.mel.n_mels, channels, 2 * config.context + 1, bias=False)
        self.batch_norm = FrameNorm(channels)
        self.layers = nn.ModuleList(_ResidualBlock(channels) for _ in range(config.residual_blocks))
        self.conv_out = nn.Conv1d(channels, config.auxiliary_channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N + 2 * context) -> (B, A, N)."""
        x = F.relu(self.batch_norm(self.conv_in(mel)))
        for layer in self.layers:
            x = layer(x)
        return self.conv_out(x)


class _ResidualBlock(nn.Module):
    """Two convolutions of one frame with batch norms, whose result is added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv1d(channels, channels, 1, bias=False)
        self.batch_norm1, self.batch_norm2 = FrameNorm(channels), FrameNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        return x + self.batch_norm2(self.conv2(F.relu(self.batch_norm1(self.conv1(x)))))
