"""Text to audio as a task: caption -> text encoder -> model of sounds (-> vocoder) -> audio."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

import amphion_core as amphion
from amphion_core import cards, registry
from amphion_core.api import (
    Audio,
    BaseConfig,
    Precision,
    Synthesis,
    TaskFramework,
    TextCondition,
    TextEncoder,
    TextToAudio,
    Vocoder,
)
from amphion_core.audio import Samples
from amphion_core.errors import AudioError, DataError, WeightsError, shortened
from amphion_core.recording import report
from amphion_core.vocoding import open_vocoder, own_vocoder
from amphion_tta.edits import check_regions, joined
from amphion_tta.languages import foreign_note
from amphion_tta.opening import open_text_encoder
from amphion_tta.request import LONGEST, TTARequest, check_not_empty

STRENGTH = 0.6  # of a change to a whole recording, unless a request states one


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that was checked: what the model is given, and notes for the user."""

    request: TTARequest
    seconds: float
    controls: Any  # of the model
    recording: Samples | None  # at the model's rate
    notes: tuple[str, ...]


class TTATask(TaskFramework):
    """Makes the sounds that captions describe, with any ``tta/...`` model; music as well, if the model knows it."""

    class Config(BaseConfig):
        """Which networks make the sound."""

        model: str | None = Field(
            default=None, description="card, weights folder or run; null: the default card on this disk"
        )
        vocoder: str | None = Field(
            default=None,
            description="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel; "
            "null: the model's own, else the default card with the same mel, else one that needs no weights",
        )
        text_encoder: str | None = Field(
            default=None, description="card or weights folder of the encoder of captions; null: the one of the model"
        )
        ranker: str | None = Field(
            default=None,
            description="card or weights folder of a text encoder that hears, such as text_encoder/clap, which chooses "
            "among several candidates",
        )

    config: Config
    Request = TTARequest
    command = "tta {caption} --from {source}"

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the networks. Raises UnknownComponent, WeightsError, AudioError, MissingPackage.

        WeightsError also if the model was trained with a text encoder of other weights.
        """
        super().__init__(config)
        self.model_name = config.model or cards.default("tta").name
        self.net = _open_model(self.model_name, precision=precision, device=device)
        self.encoder = self._open_encoder(precision, device)
        self.ranker: TextEncoder | None = None
        if config.ranker:
            self.ranker = open_text_encoder(config.ranker, device=device)
            if not self.ranker.hears_audio:
                raise WeightsError(
                    f"{config.ranker} does not hear, so it cannot compare sounds with a caption",
                    hint="name a text_encoder/clap with its audio tower",
                )
        self.vocoder: Vocoder | None = None
        if self.net.output == "mel":
            name = config.vocoder or own_vocoder(self.model_name)
            self.vocoder = open_vocoder(name, self.net.config.mel, precision=precision, device=device)
        elif config.vocoder:
            raise AudioError(f"{self.model_name} makes waves itself", hint="leave the vocoder out")

    def _open_encoder(self, precision: Precision, device: str) -> TextEncoder | None:
        place = self.config.text_encoder or getattr(self.net.config, "text_encoder", None)
        if not place:
            return None
        encoder = open_text_encoder(str(place), precision=precision, device=device)
        trained = getattr(self.net.config, "text_encoder_fingerprint", "")
        if trained and trained != encoder.fingerprint():
            raise WeightsError(
                f"{self.model_name} was trained with a text encoder of other weights than {place}",
                hint="name the text encoder of its training: --text-encoder FOLDER",
            )
        return encoder

    @classmethod
    def example_request(cls) -> TTARequest:
        """Half a second of a dog."""
        return TTARequest(caption="a dog barks", seconds=0.5)

    @property
    def sample_rate(self) -> int:
        """Hz of the sounds."""
        return self.net.sample_rate

    def generate(self, request: TTARequest | str) -> Audio:
        """The sound that a caption describes, mono. Raises what `plan` and `render` raise."""
        return self.render([self.plan(self.as_request(request, "caption"))])[0]

    def plan(self, request: TTARequest) -> Plan:
        """Everything that is checked before anything is generated.

        Raises DataError (an empty or too long caption, a sound that is too long for the model, spans outside of the
        recording, a recording for a model that cannot edit, candidates without a ranker) and RecipeError that lists
        the model's controls.
        """
        check_not_empty(request.caption)
        self._check_caption(request.caption)
        if request.negative:
            self._check_caption(request.negative, "the negative caption")
        if request.candidates > 1 and self.ranker is None:
            raise DataError(
                f"{request.candidates} candidates need a model that compares sounds with captions",
                hint="--ranker FOLDER, a converted text_encoder/clap; or another --seed for each candidate",
            )
        controls = self.net.controls(request.controls)
        seconds, recording = request.seconds, None
        if request.source is not None:
            self._check_length(request.source.duration, "cut the recording: ffmpeg -i FILE -t {most:g} PART.wav")
            recording = self._recording(request)
            seconds = len(recording) / self.sample_rate
        elif request.inpaint:
            raise DataError("spans to make anew need a recording", hint="--from RECORDING")
        elif request.strength is not None:
            raise DataError(
                "a strength says how far a recording is changed, and there is none", hint="--from RECORDING"
            )
        if round(seconds * self.sample_rate) < 1:
            raise DataError(
                f"{seconds:g} seconds are less than one sample of {self.sample_rate} Hz", hint="--seconds 1"
            )
        self._check_length(seconds, "--seconds {most:g}")
        if type(self.net).read_captions is not TextToAudio.read_captions:  # it finds more in a caption, such as times
            self._read([request.caption, request.negative], seconds)
        note = foreign_note(request.caption, self.encoder.languages) if self.encoder else None
        return Plan(request, seconds, controls, recording, (note,) if note else ())

    def _check_length(self, seconds: float, hint: str) -> None:
        """Raise DataError for a sound that is too long. ``{most:g}`` in the hint stands for the longest one."""
        most = LONGEST if self.net.max_duration is None else min(LONGEST, self.net.max_duration)
        if seconds > most + 1e-6:
            raise DataError(
                f"{self.model_name} makes sounds of at most {most:g} seconds, and {seconds:.4g} are wanted",
                hint=hint.format(most=most),
            )

    def _read(self, captions: Sequence[str], seconds: float) -> TextCondition:
        return self.net.read_captions(captions, duration=seconds, encoder=self.encoder)

    def _check_caption(self, text: str, what: str = "the caption") -> None:
        if self.encoder is None:
            return
        most = self.encoder.max_tokens
        if most is not None and (count := self.encoder.token_count(text)) > most:
            raise DataError(
                f"{what} {shortened(text, 40)!r} has {count:,} tokens, and the text encoder reads at most {most}",
                hint="describe one sound in a sentence or two",
            )

    def _recording(self, request: TTARequest) -> Samples:
        """The recording at the model's rate. Raises DataError where the model cannot start from it."""
        assert request.source is not None
        if not self.net.can_edit:
            raise DataError(
                f"{self.model_name} cannot start from a recording", hint="leave --from out, or name another model"
            )
        source = request.source.mono()
        check_regions(request.inpaint, source.duration)
        if not len(source.samples):
            raise DataError("the recording has no samples", hint="give a recording of at least a tenth of a second")
        return source.resample(self.sample_rate).samples

    def render(self, plans: Sequence[Plan]) -> list[Audio]:
        """The sound of each plan. Plans that `alike` puts together are generated in one batch.

        Raises DataError where the model gives numbers that are not finite.
        """
        first = plans[0]
        if len(plans) > 1 and not self.alike(plans):
            return [audio for plan in plans for audio in self.render([plan])]
        count = first.request.candidates
        captions = [plan.request.caption for plan in plans for _ in range(count)]
        condition = self._read(captions, first.seconds)
        negative = self._read([first.request.negative] * len(captions), first.seconds)
        given = {"negative": negative, "seed": first.request.seed, "controls": first.controls}
        if first.recording is None:
            found = self.net.sample(condition, duration=first.seconds, **given)
        else:
            found = self._edited(first, condition, given)
        waves = self._waves(found, first)
        made = [Audio(wave, self.sample_rate) for wave in waves]
        if first.recording is not None:
            made = [
                Audio(joined(first.recording, audio.samples, first.request.inpaint, self.sample_rate), self.sample_rate)
                for audio in made
            ]
        return [self._best(plan.request.caption, made[i * count : (i + 1) * count]) for i, plan in enumerate(plans)]

    def alike(self, plans: Sequence[Plan]) -> bool:
        """Whether plans can be one batch: they differ in their captions, and in seeds that count up one by one."""
        first = plans[0].request
        return first.candidates == 1 and all(
            plan.request.replace(caption=first.caption, seed=first.seed) == first
            and plan.request.seed == first.seed + index
            and plan.recording is None
            for index, plan in enumerate(plans)
        )

    def work(self, plan: Plan) -> dict[str, Any]:
        """What determines the sound of a plan, in values of JSON, so that a repeated command keeps its file."""
        return {
            "request": plan.request.model_dump(mode="json", exclude={"source"}),
            "recording": None if plan.recording is None else zlib.crc32(plan.recording.tobytes()),
            "weights": self._fingerprints,
            "precision": self.net.precision,
        }

    @cached_property
    def _fingerprints(self) -> list[str | None]:
        networks = (self.net, self.encoder, self.vocoder, self.ranker)
        return [None if net is None else net.fingerprint() for net in networks]

    def _edited(self, plan: Plan, condition: TextCondition, given: dict[str, Any]) -> Synthesis:
        assert plan.recording is not None
        wave = torch.from_numpy(plan.recording.copy()).to(self.net.device).expand(len(condition.states), -1)
        regions = plan.request.inpaint
        strength = plan.request.strength or (1.0 if regions else STRENGTH)
        return self.net.edit(condition, wave, strength=strength, regions=regions, **given)

    def _waves(self, found: Synthesis, plan: Plan) -> list[Samples]:
        """The samples of each item, at most as many as the plan asks for."""
        made = found.wave if found.mel is None else found.mel
        assert made is not None
        _require_finite(made, self.model_name)
        lengths = found.lengths
        wave: Tensor = made
        if found.mel is not None:
            assert self.vocoder is not None
            report("mel", found.mel, "BFN", mel=self.net.config.mel)
            wave = self.vocoder.vocode(found.mel, seed=plan.request.seed)
            _require_finite(wave, "the vocoder")
            lengths = lengths * self.net.config.mel.hop_length
        most = round(plan.seconds * self.sample_rate)
        return [row[: min(int(size), most)].float().cpu().numpy() for row, size in zip(wave, lengths, strict=True)]

    def _best(self, caption: str, made: Sequence[Audio]) -> Audio:
        """The sound that is nearest to the caption."""
        return (
            made[0] if len(made) == 1 else made[max(range(len(made)), key=self.similarities(caption, made).__getitem__)]
        )

    def similarities(self, caption: str, sounds: Sequence[Audio]) -> list[float]:
        """Cosine between the caption and each sound, -1 to 1. Raises DataError without a ranker."""
        if self.ranker is None:
            raise DataError("no model compares sounds with captions", hint="name one as ranker: --ranker FOLDER")
        text = self.ranker.encode([caption]).pooled
        assert text is not None
        found = []
        for sound in sounds:
            heard = self.ranker.encode_audio(torch.from_numpy(sound.samples.copy())[None], sound.sample_rate).pooled
            assert heard is not None
            found.append(float((text * heard).sum()))
        return found


def _require_finite(values: Tensor, network: str) -> None:
    """Raise DataError for what a network that is damaged, or was driven too far, has made."""
    if not bool(torch.isfinite(values).all()):
        raise DataError(
            f"{network} gave numbers that are not finite (NaN or infinite), so there is no sound",
            hint="use --precision float32, less guidance, or weights of an earlier step of the training",
        )


def _open_model(name: str, *, precision: Precision, device: str) -> TextToAudio:
    """The model called ``name``. Raises UnknownComponent, and WeightsError, also for a model of another family."""
    architecture = name.partition("@")[0]
    if architecture in registry.names("models") and not issubclass(amphion.get("models", architecture), TextToAudio):
        raise _other_family(name)
    net = amphion.load(name, precision=precision, device=device)
    if not isinstance(net, TextToAudio):
        raise _other_family(name)
    return net


def _other_family(name: str) -> WeightsError:
    return WeightsError(f"{name} does not make sounds from captions", hint="amphion list models 'tta/*'")
