"""Text to speech as a task: text -> symbols -> acoustic model (-> vocoder) -> audio, sentence by sentence."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

import amphion_core as amphion
from amphion_core import cards
from amphion_core.api import Audio, BaseConfig, Precision, TaskFramework, TextFrontend, TextToSpeech, Vocoder
from amphion_core.config import validate
from amphion_core.errors import AudioError, DataError, WeightsError
from amphion_core.text import split_sentences

SENTENCE_LIMIT = 400  # characters at once; longer sentences are cut at commas, then at spaces


class TTSRequest(BaseConfig):
    """What is to be said, and how. None leaves a control at the model's own value."""

    text: str = Field(description="the text, any length")
    speaker: int | None = Field(default=None, ge=0, description="speaker id of a multi-speaker model")
    length_scale: float | None = Field(
        default=None, gt=0, le=10, description="duration of everything; 2 is half the speed"
    )
    noise_scale: float | None = Field(default=None, ge=0, description="variation of the voice; 0: none")
    duration_noise_scale: float | None = Field(default=None, ge=0, description="variation of the rhythm; 0: none")
    pause: float = Field(default=0.2, ge=0, le=10, description="silence between sentences, seconds")
    seed: int = Field(default=0, ge=0, description="the same seed gives the same audio")

    @property
    def controls(self) -> dict[str, float]:
        """The controls that are set, as ``synthesize`` takes them."""
        names = ("length_scale", "noise_scale", "duration_noise_scale")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class TTSTask(TaskFramework):
    """Speaks text with any ``tts/...`` model; a model that ends at a mel is followed by a vocoder."""

    class Config(BaseConfig):
        """Which networks speak."""

        model: str | None = Field(
            default=None, description="card or weights folder; null: the default card on this disk"
        )
        vocoder: str | None = Field(default=None, description="card or weights folder, for models that end at a mel")

    config: Config

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the networks. Raises UnknownComponent, WeightsError, and AudioError when mel conventions differ."""
        super().__init__(config)
        self.model_name = config.model or cards.default("tts").name
        self.net: TextToSpeech = amphion.load(self.model_name, precision=precision, device=device)
        if self.net.config.frontend is None:
            raise WeightsError(
                f"{self.model_name} states no text frontend, so text cannot become its symbols",
                hint="convert it again with a config that has a frontend, or call synthesize with ids",
            )
        self.frontend: TextFrontend = self.net.config.frontend.build()
        self.vocoder: Vocoder | None = None
        if self.net.output == "mel":
            self.vocoder = amphion.load(
                config.vocoder or cards.default("vocoder").name, precision=precision, device=device
            )
            self.net.config.mel.require_same(self.vocoder.config.mel)
        elif config.vocoder:
            raise AudioError(f"{self.model_name} makes waves itself", hint="leave the vocoder out")

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that comes out."""
        return int((self.vocoder or self.net).config.mel.sample_rate)

    def generate(self, request: TTSRequest | str) -> Audio:
        """The whole text as one mono audio. Raises DataError: nothing to say, a symbol or speaker the model lacks."""
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: TTSRequest | str) -> Iterator[Audio]:
        """The text sentence by sentence, each as soon as it is spoken, the pause after each but the last."""
        if isinstance(request, str):
            request = TTSRequest(text=request)
        speaker = self._speaker(request.speaker)
        sentences = self.sentences(request.text)
        rows = [self.frontend.ids(self.frontend.tokens(sentence)) for sentence in sentences]  # all errors come first
        for place, ids in enumerate(rows):
            wave = self._speak(ids, speaker, request, seed=request.seed + place)
            silence = round(request.pause * self.sample_rate) if place + 1 < len(rows) else 0
            yield Audio(np.pad(wave, (0, silence)), self.sample_rate)

    def sentences(self, text: str) -> list[str]:
        """The pieces that ``stream`` speaks, without those that say nothing. Raises DataError when none is left."""
        found = [piece for piece in split_sentences(text, max_chars=SENTENCE_LIMIT) if any(map(str.isalnum, piece))]
        if not found:
            shown = repr(text[:40]) if text.strip() else "the text is empty"
            raise DataError(f"there is nothing to say: {shown}", hint='amphion tts "Any sentence you like."')
        return found

    def _speaker(self, speaker: int | None) -> Tensor | None:
        count = int(getattr(self.net.config, "n_speakers", 1))
        if count <= 1 and speaker in (None, 0):
            return None
        if speaker is None or speaker >= count:
            asked = "choose one" if speaker is None else f"there is no speaker {speaker}"
            raise DataError(f"{self.model_name} has {count} speaker(s); {asked}", hint=f"--speaker 0 to {count - 1}")
        return torch.tensor([speaker], device=self.net.device)

    def _speak(self, ids: list[int], speaker: Tensor | None, request: TTSRequest, *, seed: int) -> np.ndarray[Any, Any]:
        row = torch.tensor([ids], device=self.net.device)
        lengths = torch.tensor([len(ids)], device=self.net.device)
        made = self.net.synthesize(row, lengths, speaker, seed=seed, controls=self.net.controls(request.controls))
        if made.wave is not None:
            wave = made.wave[0, : int(made.lengths[0])]
        else:
            assert made.mel is not None and self.vocoder is not None
            wave = self.vocoder.vocode(made.mel[..., : int(made.lengths[0])], seed=seed)[0]
        return wave.float().cpu().numpy()


def request(**fields: Any) -> TTSRequest:
    """A checked request. Raises RecipeError that lists every field that is wrong."""
    return validate(TTSRequest, fields, where="speech request", hint="amphion tts --help")
