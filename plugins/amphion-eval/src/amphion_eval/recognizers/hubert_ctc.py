"""HuBERT with CTC by transformers: recognises letters without a language model; used for table 5 of the Amphion paper.

Hsu et al.: "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
arXiv:2106.07447. The text is the most probable letter of each frame, without repeats and blanks. A known text can be
aligned with the audio.
"""

import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Device, SpeechRecognizer
from amphion_core.errors import DataError
from amphion_core.text.english import normalize_english
from amphion_eval.analysis.forced_alignment import SpokenWord, align_labels
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
        _, processor = self._loaded
        found = [processor.decode(logits.argmax(-1)).strip() for logits in self._logits(audio)]
        return " ".join(filter(None, found))

    @torch.inference_mode()
    def align(self, audio: Audio, text: str) -> list[SpokenWord]:
        """When each word of ``text`` is spoken in mono audio. English numbers are written out; marks are left out.

        Raises DataError for a text with no letter that the model knows, or too long for the audio; MissingPackage,
        WeightsError without the model.
        """
        tokenizer = self._loaded[1].tokenizer
        letters = tokenizer.get_vocab()
        space = tokenizer.word_delimiter_token
        text = normalize_english(text) if self.config.language == "en" else text
        plain = unicodedata.normalize("NFKD", text).upper()  # a letter, then its accents, which the model lacks
        words = ["".join(char for char in word if char in letters and char != space) for word in plain.split()]
        words = [word for word in words if word]
        labels = [letters[char] for char in space.join(words)]
        pieces = [logits.log_softmax(-1).double().cpu().numpy() for logits in self._logits(audio)]
        if not words or not pieces:
            raise DataError("there is no text to align" if pieces else "the audio is too short to align")
        log_p = np.concatenate(pieces)
        spans = align_labels(log_p, labels, tokenizer.pad_token_id)
        seconds = len(audio.samples) / self.sample_rate / len(log_p)
        found, position = [], 0
        for word in words:
            part = spans[position : position + len(word)]
            probability = float(np.exp(np.mean([span.score for span in part])))
            found.append(SpokenWord(word.lower(), part[0].first * seconds, part[-1].end * seconds, probability))
            position += len(word) + 1
        return found

    def _logits(self, audio: Audio) -> Iterator[torch.Tensor]:
        """The logits (N, V) of each window of the audio that is long enough."""
        model, processor = self._loaded
        for piece in windows(audio.samples, self.sample_rate, WINDOW):
            if len(piece) >= SHORTEST * self.sample_rate:
                inputs = processor(piece, sampling_rate=self.sample_rate, return_tensors="pt").to(self.config.device)
                yield model(inputs.input_values).logits[0]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return pretrained(self.config.model, self.config.device, model="HubertForCTC", processor="Wav2Vec2Processor")
