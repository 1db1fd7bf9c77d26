"""HuBERT with CTC by transformers: hears letters without a language model; what the paper's table 5 was measured with.

Hsu et al.: "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
arXiv:2106.07447. The likeliest letter of each frame, repeats and blanks taken out.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Device, SpeechRecognizer
from amphion_core.errors import DataError, MissingPackage
from amphion_eval.analysis.windows import windows
from amphion_eval.pretrained import pretrained

WINDOW = 60.0  # seconds heard at once, which bounds the memory
SHORTEST = 0.1  # seconds


class HubertCTC(SpeechRecognizer):
    """Mono audio at 16 kHz -> text in capitals, of any length; the default model knows English."""

    class Config(BaseConfig):
        """Model, its language and device."""

        model: str = Field(
            default="facebook/hubert-large-ls960-ft", description="folder of a transformers HubertForCTC, or a hub name"
        )
        language: str = Field(default="en", description="the one language it was trained for")
        device: Device = Field(default="cpu", description="where the network runs")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 16000

    @property
    def variant(self) -> str:
        """The model's name."""
        return Path(self.config.model).name

    @torch.inference_mode()
    def transcribe(self, audio: Audio, language: str) -> str:
        """Raises DataError for another language, MissingPackage, and WeightsError without the model."""
        if language != self.config.language:
            raise DataError(
                f"{self.variant} knows {self.config.language!r} alone, not {language!r}",
                hint="--recognizer faster_whisper",
            )
        model, processor = self._loaded
        found = []
        for piece in windows(audio.samples, self.sample_rate, WINDOW):
            if len(piece) < SHORTEST * self.sample_rate:
                continue
            inputs = processor(piece, sampling_rate=self.sample_rate, return_tensors="pt").to(self.config.device)
            ids = model(inputs.input_values).logits.argmax(-1)
            found.append(processor.batch_decode(ids)[0].strip())
        return " ".join(filter(None, found))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        try:
            from transformers import HubertForCTC, Wav2Vec2Processor
        except ImportError as error:
            raise MissingPackage(
                "this recogniser needs transformers", hint='pip install "amphion-eval[transformers]"'
            ) from error
        return pretrained(self.config.model, self.config.device, HubertForCTC, Wav2Vec2Processor)
