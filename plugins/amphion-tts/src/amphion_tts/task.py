"""Text to speech as a task: text -> symbols -> acoustic model (-> vocoder) -> audio, sentence by sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

import amphion_core as amphion
from amphion_core import cards, registry
from amphion_core.api import Audio, BaseConfig, Precision, Prompt, TaskFramework, TextFrontend, TextToSpeech, Vocoder
from amphion_core.errors import AudioError, DataError, WeightsError
from amphion_core.speakers import speaker_index
from amphion_core.vocoding import open_vocoder, own_vocoder
from amphion_tts.lexicon import Lexicon, Pronunciations
from amphion_tts.pieces import Piece, pieces_of
from amphion_tts.request import TTSRequest


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request: the pieces of its text, and what else the network gets."""

    request: TTSRequest
    pieces: list[Piece]
    speaker: Tensor | None
    prompt: Prompt | None
    controls: Any

    @property
    def text(self) -> str:
        """The words that are spoken, without the markup of pauses and escapes."""
        return " ".join(piece.text for piece in self.pieces if piece.parts)

    @property
    def has_phones(self) -> bool:
        """Whether the text has phones where no word says what is spoken."""
        return not all(part.is_word for piece in self.pieces for part in piece.parts)


class TTSTask(TaskFramework):
    """Speaks text with any ``tts/...`` model; a vocoder follows a model whose output is a mel."""

    class Config(BaseConfig):
        """Which networks speak."""

        model: str | None = Field(
            default=None, description="card, weights folder or run; null: the default card on this disk"
        )
        vocoder: str | None = Field(
            default=None,
            description="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel; "
            "null: the model's own, else the default card with the same mel, else one that needs no weights",
        )

    config: Config
    Request = TTSRequest

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the networks. Raises UnknownComponent, WeightsError, and AudioError when mel conventions differ."""
        super().__init__(config)
        self.model_name = cards.default("tts").name if config.model is None else config.model
        architecture = self.model_name.partition("@")[0]
        if architecture in registry.names("models") and not issubclass(
            amphion.get("models", architecture), TextToSpeech
        ):
            raise _other_family(self.model_name)  # before its weights are looked for
        self.net: TextToSpeech = amphion.load(self.model_name, precision=precision, device=device)
        if not isinstance(self.net, TextToSpeech):
            raise _other_family(self.model_name)
        if self.net.config.frontend is None:
            raise WeightsError(
                f"{self.model_name} states no text frontend, so text cannot become its symbols",
                hint="convert it again with a config that has a frontend, or call synthesize with ids",
            )
        self.frontend: TextFrontend = self.net.config.frontend.build()
        self._pronunciations: Pronunciations | None = None
        self.vocoder: Vocoder | None = None
        if self.net.output == "mel":
            name = config.vocoder or own_vocoder(self.model_name)
            self.vocoder = open_vocoder(name, self.net.config.mel, precision=precision, device=device)
        elif config.vocoder:
            raise AudioError(f"{self.model_name} makes waves itself", hint="leave the vocoder out")

    @property
    def sample_rate(self) -> int:
        """Hz of the generated audio."""
        return int((self.vocoder or self.net).config.mel.sample_rate)

    def generate(self, request: TTSRequest | str) -> Audio:
        """The whole text as one mono audio.

        Raises DataError (nothing to say; a symbol or a speaker that the model lacks; a prompt that is missing or not
        used) and RecipeError that lists the model's controls.
        """
        return Audio.concatenate(list(self.speak(self.plan(request))))

    def stream(self, request: TTSRequest | str) -> Iterator[Audio]:
        """The text sentence by sentence, each as soon as it is spoken, with the silence after it.

        Long sentences at the beginning are cut at clauses, so that the first audio comes early.
        """
        yield from self.speak(self.plan(request, early=True))

    def plan(self, request: TTSRequest | str, *, early: bool = False) -> "Plan":
        """Everything that is checked before anything is spoken. Raises the errors of ``generate``.

        ``early``: cut long sentences at the beginning at clauses.
        """
        given: TTSRequest = self.as_request(request, "text")
        speaker = self._speaker(given.speaker)
        controls = self.net.controls(given.controls)
        prompt = self._prompt(given)
        pieces = pieces_of(given, self.frontend, self._lexicon(given.lexicon), early=early)
        return Plan(given, pieces, speaker, prompt, controls)

    def _lexicon(self, lexicon: Lexicon | None) -> Pronunciations | None:
        """A lexicon in the symbols of the frontend. That of the last request is kept, because many texts share one."""
        if lexicon is not (self._pronunciations.lexicon if self._pronunciations else None):
            self._pronunciations = Pronunciations(lexicon, self.frontend) if lexicon else None
        return self._pronunciations

    def speak(self, plan: "Plan") -> Iterator[Audio]:
        """The pieces of ``stream`` for a request that is checked."""
        for piece in plan.pieces:
            wave = np.zeros(0, np.float32)
            if piece.ids:
                wave = self._speak(
                    piece.ids, plan.speaker, plan.prompt, plan.controls, seed=plan.request.seed + piece.number
                )
            yield Audio(np.pad(wave, (0, round(piece.pause * self.sample_rate))), self.sample_rate)

    def _speaker(self, name: str | None) -> Tensor | None:
        """(1), the index of the speaker called ``name``; None for a model of one speaker."""
        speakers: tuple[str, ...] = getattr(self.net.config, "speakers", ())
        if name is None:
            if len(speakers) > 1 and not self.net.takes_prompt:
                raise DataError(
                    f"{self.model_name} has {len(speakers)} speakers, and none is chosen",
                    hint=f"--speaker NAME, such as {', '.join(speakers[:5])}",
                )
            return None
        index = speaker_index(name, speakers or ("0",), model=self.model_name)
        return torch.tensor([index], device=self.net.device) if len(speakers) > 1 else None

    def _prompt(self, request: TTSRequest) -> Prompt | None:
        """The recording to imitate at the model's rate, with the symbols of its text."""
        if not self.net.takes_prompt:
            if request.prompt is not None or request.prompt_text is not None:
                raise DataError(f"{self.model_name} cannot imitate a recording", hint="leave the prompt out")
            return None
        if request.prompt is None:
            raise DataError(f"{self.model_name} needs a recording of the voice to imitate", hint="--prompt FILE")
        device = self.net.device
        samples = request.prompt.mono().resample(self.net.config.mel.sample_rate).samples
        wave = torch.from_numpy(samples.copy())[None].to(device)
        lengths = torch.tensor([wave.shape[1]], device=device)
        if request.prompt_text is None:
            return Prompt(wave, lengths)
        ids = torch.tensor([self.frontend.ids(self.frontend.tokens(request.prompt_text))], device=device)
        return Prompt(wave, lengths, ids, torch.tensor([ids.shape[1]], device=device))

    def _speak(
        self, ids: tuple[int, ...], speaker: Tensor | None, prompt: Prompt | None, controls: Any, *, seed: int
    ) -> np.ndarray[Any, Any]:
        row = torch.tensor([list(ids)], device=self.net.device)
        lengths = torch.tensor([len(ids)], device=self.net.device)
        made = self.net.synthesize(row, lengths, speaker, prompt=prompt, seed=seed, controls=controls)
        count = int(made.lengths[0])
        if made.wave is not None:
            wave = made.wave[0, :count]
        else:
            assert made.mel is not None and self.vocoder is not None
            f0 = made.f0[:, :count] if self.vocoder.needs_f0 and made.f0 is not None else None
            wave = self.vocoder.vocode(made.mel[..., :count], f0, seed=seed)[0]
        return wave.float().cpu().numpy()


def _other_family(name: str) -> WeightsError:
    return WeightsError(f"{name} is not a model for text to speech", hint="amphion list models 'tts/*'")
