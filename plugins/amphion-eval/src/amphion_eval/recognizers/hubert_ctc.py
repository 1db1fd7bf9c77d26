"""HuBERT with CTC by transformers: recognises letters without a language model; used for table 5 of the Amphion paper.

Hsu et al.: "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
arXiv:2106.07447. The text is the most probable letter of each frame, without repeats and blanks.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Device, SpeechRecognizer
from amphion_core.errors import DataError
from amphion_eval.analysis.windows import windows
from amphion_eval.pretrained import pretrained

WINDOW = 60.0  # seconds recognised at once, which limits the memory
SHORTEST = 0.1  # seconds


class HubertCTC(SpeechRecognizer):
    """Mono audio at 16 kHz, of any length -> text in capitals; the default model knows English."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The model, its language and its device."""

        model: str = Field(
            default="facebook/hubert-large-ls960-ft", description="folder of a transformers HubertForCTC, or a hub name"
        )
        language: str = Field(default="en", description="code of the only language that the model knows")
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 16000

    @property
    def variant(self) -> str:
        """The name of the model."""
        return Path(self.config.model).name

    @torch.inference_mode()
    def transcribe(self, audio: Audio, language: str) -> str:
        """The spoken text. Raises DataError for another language, MissingPackage, WeightsError without the model."""
        if language != self.config.language:
            raise DataError(
                f"{self.variant} knows only {self.config.language!r}, not {language!r}",
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
        return pretrained(self.config.model, self.config.device, model="HubertForCTC", processor="Wav2Vec2Processor")
