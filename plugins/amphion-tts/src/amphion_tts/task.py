"""Text to speech as a task: text -> symbols -> acoustic model (-> vocoder) -> audio, sentence by sentence."""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

import amphion_core as amphion
from amphion_core import cards, registry
from amphion_core.api import Audio, BaseConfig, Precision, Prompt, TaskFramework, TextFrontend, TextToSpeech, Vocoder
from amphion_core.errors import AudioError, DataError, WeightsError
from amphion_core.speakers import speaker_index
from amphion_core.vocoding import VocoderChoice, choose_vocoder, open_vocoder, own_vocoder
from amphion_tts import voices as stored_voices
from amphion_tts.lexicon import Lexicon, Pronunciations
from amphion_tts.pieces import Piece, pieces_of
from amphion_tts.plan import Plan
from amphion_tts.prompts import BEST, CheckedPrompt, checked_prompt, imitators, transcribed
from amphion_tts.request import TTSRequest
from amphion_tts.speaking import BATCH, Voice, spoken_in_parts, spoken_pieces
from amphion_tts.spoken import Spoken
from amphion_tts.voices import StoredVoice

KEPT = 64  # checked prompts in memory, at most 15 seconds each; a recogniser may have taken seconds for each text


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
    command = "tts {text}"
    voice_recipes = ("fastspeech2_from_kathleen", "fastspeech2_small", "vits_from_joe")

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
        self._planning = threading.RLock()  # what is kept between requests, and frontends such as eSpeak's
        self._pronunciations: Pronunciations | None = None
        self._weights: list[str] | None = None
        self._stored: dict[str, StoredVoice] = {}
        self._heard: dict[tuple[int, str | None, bool], tuple[Audio, CheckedPrompt]] = {}  # of the last requests
        self.vocoder: Vocoder | None = None
        self.note: str | None = None  # a sentence for the user about the choice of the vocoder
        if self.net.output == "mel":
            mel, name = self.net.config.mel, config.vocoder or own_vocoder(self.model_name)
            choice = choose_vocoder(mel) if name is None else VocoderChoice(name)
            self.note = choice.note
            self.vocoder = open_vocoder(choice.name, mel, precision=precision, device=device)
        elif config.vocoder:
            raise AudioError(f"{self.model_name} makes waves itself", hint="leave the vocoder out")

    @property
    def sample_rate(self) -> int:
        """Hz of the generated audio."""
        return self.net.sample_rate if self.vocoder is None else int(self.vocoder.config.mel.sample_rate)

    @property
    def is_thread_safe(self) -> bool:
        """On a CPU, with networks that are. On a GPU, sentences would share the recorded graphs of one network."""
        networks = [net for net in (self.net, self.vocoder) if net is not None]
        return self.net.device.type == "cpu" and all(net.is_thread_safe for net in networks)

    def voices(self) -> list[str]:
        """The speakers of the model; for one that imitates a recording also the stored voices."""
        speakers: tuple[str, ...] = getattr(self.net.config, "speakers", ())
        return [*(speakers if len(speakers) > 1 else ()), *(stored_voices.names() if self.net.takes_prompt else ())]

    def voice(self, name: str) -> dict[str, Any]:
        """The speaker or the stored voice. Raises DataError for a name that neither has."""
        if name in getattr(self.net.config, "speakers", ()):
            return {"speaker": name}
        found = stored_voices.load(name)
        known = self._stored.get(found.name)
        if known is None or known.about != found.about:
            self._stored[found.name] = known = found
        return {"prompt": known}  # the same object as before, so that a recogniser hears it once

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

    def stream_early(self, request: TTSRequest | str) -> Iterator[Audio]:
        """As ``stream``; on a CPU, the first sentence comes in parts where the decoder can begin before its end."""
        plan = self.plan(request, early=True)
        if self.net.device.type != "cpu":
            yield from self.speak(plan)
            return
        count = next((number for number, piece in enumerate(plan.pieces) if piece.ids), -1) + 1
        for piece in plan.pieces[:count]:
            yield from spoken_in_parts(self._voice, plan, piece)
        yield from self.speak(plan, start=count)

    def pieces(self, request: TTSRequest | str) -> tuple[Iterator[Audio], int]:
        """The sentences of `generate`, and their number."""
        plan = self.plan(request)
        return self.speak(plan), len(plan.pieces)

    def plan(self, request: TTSRequest | str, *, early: bool = False) -> Plan:
        """Everything that is checked before anything is spoken. Raises the errors of ``generate``.

        ``early``: cut long sentences at the beginning at clauses.
        """
        given: TTSRequest = self.as_request(request, "text")
        with self._planning:
            return self._plan(given, early=early)

    def _plan(self, given: TTSRequest, *, early: bool) -> Plan:
        speaker = self._speaker(given.speaker)
        controls = self.net.controls(given.controls)
        continuing = bool(getattr(controls, "continuation", False))
        pieces = pieces_of(given, self.frontend, self._lexicon(given.lexicon), early=early and not continuing)
        if continuing and (count := sum(bool(piece.ids) for piece in pieces)) > 1:
            raise DataError(
                f"the text has {count} sentences, and a continuation can speak one: it begins with the prompt's words",
                hint="leave the control continuation out, and state what is said in the prompt: --prompt-text TEXT",
            )
        heard = self._checked_prompt(given, says_all=continuing)
        return Plan(given, pieces, speaker, self._prompt(heard), controls, heard)

    def _lexicon(self, lexicon: Lexicon | None) -> Pronunciations | None:
        """A lexicon in the symbols of the frontend. That of the last request is kept, because many texts share one."""
        if lexicon is not (self._pronunciations.lexicon if self._pronunciations else None):
            self._pronunciations = Pronunciations(lexicon, self.frontend) if lexicon else None
        return self._pronunciations

    def speak(self, plan: Plan, *, start: int = 0) -> Iterator[Spoken]:
        """The pieces of a plan from number ``start`` on, each as soon as it is spoken, with the times of its words."""
        return self.speak_all((plan, piece) for piece in plan.pieces[start:])

    def speak_all(self, pieces: Iterable[tuple[Plan, Piece]]) -> Iterator[Spoken]:
        """Pieces of one or more plans in their order, each equal to the piece spoken alone.

        ``batch_size`` pieces of similar length are spoken at once, so that on a GPU several are ready together.
        """
        return spoken_pieces(self._voice, pieces, self.batch_size)

    @property
    def _voice(self) -> Voice:
        return Voice(self.net, self.vocoder, self.frontend, self.sample_rate)

    @property
    def batch_size(self) -> int:
        """Pieces that are spoken at once: several on a GPU, where the model takes a seed for each of them.

        On a CPU a batch takes as long as its pieces one by one, and pieces of a batch are equal to rounding only.
        """
        return BATCH if self.net.device.type != "cpu" and self.net.takes_seeds else 1

    def work(self, plan: Plan) -> dict[str, Any]:
        """What determines the audio of a plan, in values of JSON: symbols, pauses, weights, seed, controls."""
        if self._weights is None:
            self._weights = [net.fingerprint() for net in (self.net, self.vocoder) if net is not None]
        symbols = hashlib.sha256(repr([(each.ids, each.pause, each.number) for each in plan.pieces]).encode())
        heard = plan.heard
        return {
            "model": self.model_name, "weights": self._weights, "device": self.net.device.type,
            "precision": self.net.precision, "symbols": symbols.hexdigest(), "speaker": plan.request.speaker,
            "seed": plan.request.seed, "controls": plan.request.controls, "prompt_text": heard and heard.text,
            "prompt": heard and hashlib.sha256(heard.audio.samples.tobytes()).hexdigest(),
        }  # fmt: skip

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

    def _checked_prompt(self, request: TTSRequest, *, says_all: bool) -> CheckedPrompt | None:
        """The recording to imitate, checked, with its text. The last ``KEPT`` are kept, because many texts share them.

        ``says_all``: the text begins with that of the prompt, so nobody needs to find it out.
        """
        given, text = request.prompt, request.prompt_text
        if not self.net.takes_prompt:
            if given is None and text is None:
                return None
            others = ", ".join(imitators())
            raise DataError(
                f"{self.model_name} cannot imitate a recording",
                hint=f"leave --prompt out, or use a --model of {others}"
                if others
                else "leave --prompt out: no installed model imitates a recording",
            )
        if given is None:
            raise DataError(
                f"{self.model_name} needs a recording of the voice to imitate",
                hint=f"--prompt FILE ({BEST}), or --prompt NAME of a stored voice: amphion voice list",
            )
        key = id(given), text, says_all  # the recording is kept too, so no other one gets its id
        if key not in self._heard:
            heard = checked_prompt(given, text)
            if self.net.needs_prompt_text and not says_all:
                own = given.language if isinstance(given, StoredVoice) else self.frontend.config.language
                heard = transcribed(heard, own)
            if len(self._heard) == KEPT:
                del self._heard[next(iter(self._heard))]
            self._heard[key] = given, heard
        return self._heard[key][1]

    def _prompt(self, heard: CheckedPrompt | None) -> Prompt | None:
        """The recording at the model's rate, with the symbols of its text."""
        if heard is None:
            return None
        device = self.net.device
        samples = heard.audio.resample(self.net.sample_rate).samples
        wave = torch.from_numpy(samples.copy())[None].to(device)
        lengths = torch.tensor([wave.shape[1]], device=device)
        if heard.text is None:
            return Prompt(wave, lengths)
        try:
            found = self.frontend.ids(self.frontend.tokens(heard.text))
        except DataError as error:
            raise DataError(f"in the text of the prompt: {error.message}", hint=error.hint) from error
        ids = torch.tensor([found], device=device)
        return Prompt(wave, lengths, ids, torch.tensor([ids.shape[1]], device=device))


def _other_family(name: str) -> WeightsError:
    return WeightsError(f"{name} is not a model for text to speech", hint="amphion list models 'tts/*'")
