"""SketchSpeech: letters to mel with equal durations, for several speakers with names."""

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    CorpusFacts,
    FeaturePart,
    FrontendPart,
    Mel,
    MelConfig,
    Prompt,
    Synthesis,
    TextToSpeech,
    report,
)
from amphion_core.speakers import speakers_for
from amphion_core.text.symbols import frontend_with_symbols
from amphion_sketch.batches import noise, valid


class TextEncoder(nn.Module):
    """ids (B, L) -> hidden (B, C, L) and log durations in frames (B, L)."""

    def __init__(self, symbols: int, speakers: int, channels: int) -> None:
        super().__init__()
        self.symbols = nn.Embedding(symbols, channels)
        self.speakers = nn.Embedding(speakers, channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=1)
        self.duration = nn.Conv1d(channels, 1, 1)

    def forward(self, ids: Tensor, lengths: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        mask = valid(lengths, ids.shape[1])
        hidden = (self.symbols(ids) + self.speakers(speaker)[:, None]).mT * mask
        hidden = torch.tanh(self.conv(hidden)) * mask
        return hidden, self.duration(hidden)[:, 0] + 2.0  # about seven frames before any training


class SpeechDecoder(nn.Module):
    """hidden (B, C, N) -> normalised mel (B, F, N)."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 5, padding=2)
        self.out = nn.Conv1d(channels, bands, 1)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        mask = valid(lengths, hidden.shape[2])
        return self.out(torch.relu(self.conv(hidden * mask)) * mask) * mask


class SketchSpeech(TextToSpeech):
    """Letters (B, L) -> mel (B, F, N). What depends on the corpus is filled into the config before training."""

    class Config(BaseConfig):
        """Everything that is empty here is filled from the corpus."""

        mel: Mel = Field(default=MelConfig.preset("hifigan_22k_80"), description="mel convention of the output")
        frontend: FrontendPart = Field(
            default_factory=lambda: FrontendPart.named("sketch_letters"), description="how text becomes symbols"
        )
        speakers: tuple[str, ...] = Field(default=(), description="names of the speakers; empty: those of the corpus")
        channels: int = Field(default=32, gt=0, description="channels of both networks")
        mel_mean: tuple[float, ...] = Field(default=(), description="mean of each band over the corpus")
        mel_deviation: tuple[float, ...] = Field(default=(), description="deviation of each band over the corpus")

        @model_validator(mode="after")
        def _statistics_fit(self) -> Self:
            if {len(self.mel_mean), len(self.mel_deviation)} - {0, self.mel.n_mels}:
                raise ValueError(f"mel_mean, mel_deviation: need one value for each of {self.mel.n_mels} bands")
            return self

    class Controls(BaseConfig):
        """What a request may change."""

        length_scale: float | None = Field(default=None, ge=0.25, le=10, description="factor on all durations (1)")
        variation: float | None = Field(default=None, ge=0, le=2, description="noise in the mel, relative (0)")

    config: Config
    output = "mel"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        bands = config.mel.n_mels
        symbols = len(config.frontend.config.symbols)
        self.encoder = TextEncoder(max(1, symbols), max(1, len(config.speakers)), config.channels)
        self.decoder = SpeechDecoder(config.channels, bands)
        mean, deviation = config.mel_mean or (0.0,) * bands, config.mel_deviation or (1.0,) * bands
        self.register_buffer("mean", torch.tensor(mean)[:, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None], persistent=False)

    @classmethod
    def config_for(cls, config: Config, facts: CorpusFacts) -> Config:
        """Fill in the names of the speakers, the symbols, and the mel's statistics."""
        texts = (utterance.text for utterance in facts.utterances())
        changes: dict[str, Any] = {
            "speakers": speakers_for(config.speakers, facts),
            "frontend": frontend_with_symbols(config.frontend, texts),
        }
        if not config.mel_mean:
            found = facts.statistics(FeaturePart.named("mel", mel=config.mel))
            changes |= {"mel_mean": found.mean, "mel_deviation": found.deviation}
        return config.replace(**changes)

    @classmethod
    def example_config(cls) -> Config:
        """Two speakers and eight bands."""
        mel = MelConfig.preset("hifigan_22k_80").replace(n_mels=8)
        frontend = FrontendPart.named("sketch_letters", symbols=("~", " ", *"abcdefghijklmnopqrstuvwxyz"))
        return cls.Config(mel=mel, frontend=frontend, speakers=("ann", "bob"), channels=16)

    def example_inputs(self) -> dict[str, Any]:
        """Two texts of four and three symbols."""
        ids = torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0]])
        return {
            "ids": ids, "lengths": torch.tensor([4, 3]), "frames": torch.tensor([9, 6]), "speaker": torch.tensor([0, 1])
        }  # fmt: skip

    def forward(self, ids: Tensor, lengths: Tensor, frames: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, L), lengths (B), frames (B), speaker (B) -> mel (B, F, N) and log durations (B, L)."""
        hidden, log_durations = self.encoder(ids, lengths, speaker)
        size = int(frames.max())
        at = torch.arange(size, device=ids.device) * lengths[:, None] // frames[:, None]
        at = torch.minimum(at, lengths[:, None] - 1)
        spread = hidden.gather(2, at[:, None].expand(-1, hidden.shape[1], -1))
        return self._scaled(self.decoder(spread, frames), frames), log_durations

    @torch.inference_mode()
    def synthesize(
        self,
        ids: Tensor,
        lengths: Tensor,
        speaker: Tensor | None = None,
        *,
        prompt: Prompt | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """ids (B, L), lengths (B), speaker (B) -> mel (B, F, N)."""
        controls = controls or self.Controls()
        if speaker is None:
            speaker = torch.zeros(len(ids), dtype=torch.long, device=ids.device)
        hidden, log_durations = self.encoder(ids, lengths, speaker)
        scale = 1.0 if controls.length_scale is None else controls.length_scale
        durations = (log_durations.exp() * scale).round().long().clamp(1, 100) * valid(lengths, ids.shape[1])[:, 0]
        rows = [hidden[item].repeat_interleave(durations[item], 1).T for item in range(len(ids))]
        frames = durations.sum(1)
        spread = nn.utils.rnn.pad_sequence(rows, batch_first=True).mT
        report("spread_states", spread, "BCN")
        made = self.decoder(spread, frames)
        if controls.variation:
            drawn = noise(len(ids), (int(frames.max()), made.shape[1]), seed, ids.device).mT
            made = made + controls.variation * drawn * valid(frames, made.shape[2])
        return Synthesis(frames, mel=self._scaled(made, frames), durations=durations)

    def _scaled(self, normalised: Tensor, frames: Tensor) -> Tensor:
        return (normalised * self.deviation + self.mean) * valid(frames, normalised.shape[2])
