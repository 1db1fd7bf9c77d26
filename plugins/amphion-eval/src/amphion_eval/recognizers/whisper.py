"""Whisper by transformers, from a folder or a hub; also for a GPU.

Radford et al.: "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv:2212.04356. Pieces of 30
seconds are decoded separately, with a beam of 5, without sampling and without timestamps.
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

WINDOW = 30.0  # seconds, the length that the model processes at once


class Whisper(SpeechRecognizer):
    """Mono audio at 16 kHz, of any length -> text."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The model, its beam and its device."""

        model: str = Field(
            default="openai/whisper-large-v3", description="folder of a transformers Whisper model, or a hub name"
        )
        beam: int = Field(default=5, gt=0, description="number of hypotheses kept while decoding")
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
        """The spoken text.

        Raises DataError for a language that the model does not know, MissingPackage, WeightsError without the model.
        """
        model, processor = self._loaded
        options: dict[str, Any] = {"num_beams": self.config.beam, "do_sample": False}
        if getattr(model.generation_config, "is_multilingual", False):
            known = {token.strip("<|>") for token in model.generation_config.lang_to_id}
            if language not in known:
                some = ", ".join(sorted(known)[:12])
                raise DataError(f"{self.variant} does not know the language {language!r}", hint=f"it knows {some}, ...")
            options |= {"language": language, "task": "transcribe"}
        elif language != "en":
            raise DataError(f"{self.variant} knows only English, not {language!r}", hint="--recognizer faster_whisper")
        found = []
        for piece in windows(audio.samples, self.sample_rate, WINDOW):
            inputs = processor(piece, sampling_rate=self.sample_rate, return_tensors="pt", return_attention_mask=True)
            ids = model.generate(**inputs.to(self.config.device), **options)
            found.append(processor.batch_decode(ids, skip_special_tokens=True)[0].strip())
        return " ".join(filter(None, found))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return pretrained(
            self.config.model, self.config.device, model="WhisperForConditionalGeneration", processor="WhisperProcessor"
        )
