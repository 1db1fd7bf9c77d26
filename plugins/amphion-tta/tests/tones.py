"""A model of sounds for tests: a tone whose pitch the caption decides, as a wave or as a mel."""

from typing import Any, Literal

import torch
from pydantic import Field

from amphion_core.api import BaseConfig, Mel, MelConfig, Synthesis, TextToAudio
from amphion_core.features.mel import mel_spectrogram

RATE = 16000


class Tones(TextToAudio):
    """Captions (B) -> sines with noise of each item's own seed."""

    class Config(BaseConfig):
        mel: Mel = Field(default=MelConfig.preset("tta_16k_80"), description="mel convention")
        kind: Literal["mel", "wave"] = Field(default="wave", description="what is made")
        text_encoder: str = Field(default="text_encoder/words", description="encoder of the captions")
        text_encoder_fingerprint: str = Field(default="", description="its fingerprint")
        broken: bool = Field(default=False, description="gives NaN")
        editable: bool = Field(default=True, description="can edit")

    class Controls(BaseConfig):
        steps: int | None = Field(default=None, ge=1, le=1000, description="steps")
        guidance: float | None = Field(default=None, ge=0, le=20, description="weight of the caption")

    config: Config
    max_duration = 10.0

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.output, self.can_edit = config.kind, config.editable
        self.gain = torch.nn.Parameter(torch.tensor(0.3))

    @classmethod
    def example_config(cls) -> Config:
        return cls.Config()

    def example_inputs(self) -> dict[str, Any]:
        return {"pitch": torch.tensor([440.0])}

    def forward(self, pitch):
        return self.gain * torch.sin(2 * torch.pi * pitch[:, None] * torch.arange(RATE) / RATE)

    @torch.inference_mode()
    def sample(self, condition, *, duration, negative=None, seed=None, controls=None):
        assert len(negative.states) == len(condition.states)
        times = torch.arange(round(duration * RATE)) / RATE
        rows = []
        for index, vector in enumerate(condition.pooled):
            noise = torch.randn(len(times), generator=torch.Generator().manual_seed((seed or 0) + index))
            pitch = 300 + 400 * vector.abs().mean()
            rows.append(self.gain * torch.sin(2 * torch.pi * pitch * times) + 0.01 * noise)
        wave = torch.stack(rows) * (torch.nan if self.config.broken else 1)
        lengths = torch.full((len(rows),), wave.shape[1])
        if self.output == "wave":
            return Synthesis(lengths, wave=wave)
        mel = mel_spectrogram(wave, self.config.mel)
        return Synthesis(torch.full((len(rows),), mel.shape[2]), mel=mel)

    def edit(self, condition, wave, *, strength=0.6, regions=(), negative=None, seed=None, controls=None):
        if not self.can_edit:
            return super().edit(condition, wave)
        made = self.sample(condition, duration=wave.shape[1] / RATE, negative=negative, seed=seed).wave
        return Synthesis(torch.full((len(wave),), wave.shape[1]), wave=wave + strength * (made - wave))
