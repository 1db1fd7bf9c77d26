"""Voice conversion as a task: a song or speech -> slices -> features -> converter (-> vocoder) -> another voice."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import Audio, BaseConfig, FeatureExtractor, Precision, TaskFramework, Vocoder
from amphion_core.audio import Samples
from amphion_core.errors import AudioError, DataError, WeightsError, nearest, shortened
from amphion_core.recording import report
from amphion_core.sounds import sounding
from amphion_core.speakers import SHOWN, speaker_index
from amphion_core.vocoding import needs_no_weights, open_vocoder, own_vocoder
from amphion_svc.conversion import Converter, Sound
from amphion_svc.opening import open_converter
from amphion_svc.pitch import choose_shift, median_f0
from amphion_svc.plan import Contour, Plan
from amphion_svc.recordings import check_length, check_sound, check_target, check_voice, notes_of
from amphion_svc.request import SVCRequest
from amphion_svc.slices import Slice, slices_of

VOICE_SECONDS = 60.0  # of a recording that describe its voice; more changes little
MELODY_SECONDS = 180.0  # of a song, spread over it, that decide about the key
FADE = 0.05  # seconds over which two slices of one phrase are mixed
EDGE = 0.01  # seconds over which a slice beside silence is faded


class Voice(NamedTuple):
    """The voice that a recording gets: ``speaker`` (1) or (1, G), its median F0 in Hz (0: not known), and notes."""

    speaker: Tensor
    f0: float
    notes: list[str]


class SVCTask(TaskFramework):
    """Gives a recording the voice of another person, with any ``svc/...`` model."""

    class Config(BaseConfig):
        """Which networks convert."""

        model: str | None = Field(
            default=None,
            description="card, weights folder, run, or a converter without weights such as svc/world; "
            "null: the default card on this disk, else a converter that needs no weights",
        )
        vocoder: str | None = Field(
            default=None,
            description="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel; "
            "null: the model's own, else the default card with the same mel, else one that needs no weights",
        )

    config: Config
    Request = SVCRequest
    command = "svc {audio} --singer {singer} --singer {target}"

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the networks. Raises UnknownComponent, WeightsError, AudioError, MissingPackage.

        WeightsError also if the model was trained with features of other weights than those on this computer.
        """
        super().__init__(config)
        self.model_name, self.net = open_converter(config.model, precision=precision, device=device)
        self.vocoder: Vocoder | None = None
        if self.net.output == "mel":
            has_own = not needs_no_weights(self.model_name, type(self.net))
            name = config.vocoder or (own_vocoder(self.model_name) if has_own else None)
            self.vocoder = open_vocoder(name, self.net.config.mel, precision=precision, device=device)
        elif config.vocoder:
            raise AudioError(f"{self.model_name} makes waves itself", hint="leave the vocoder out")
        extractors = {name: part.build().to(device) for name, part in self.net.features.items()}
        self.voice_extractor: FeatureExtractor | None = None
        if (part := self.net.voice_feature) is not None:
            self.voice_extractor = part.build().to(device)
        self._check_variants(extractors)
        self.converter = Converter(self.net, self.vocoder, extractors, self.net.pitch_feature.build())
        self._heard: tuple[Audio, Voice] | None = None

    @classmethod
    def example_request(cls) -> SVCRequest:
        """Two seconds of two synthetic voices, one a fifth above the other."""
        times = np.arange(48000) / 24000
        song, singer = (
            Audio(
                np.asarray(sum(np.sin(2 * np.pi * f0 * k * times) / k for k in range(1, 20)) * 0.1, np.float32), 24000
            )
            for f0 in (140.0, 210.0)
        )
        return SVCRequest(audio=song, target=singer)

    @property
    def sample_rate(self) -> int:
        """Hz of the converted audio."""
        return int(self.net.config.mel.sample_rate)

    @property
    def singers(self) -> tuple[str, ...]:
        """The names of the singers that the model knows; none for a model of any voice."""
        return tuple(getattr(self.net.config, "speakers", ()))

    def generate(self, request: SVCRequest | Audio) -> Audio:
        """The whole recording in the other voice: mono, as long and as loud as the recording.

        Raises AudioError (silence, an hour and more), DataError (no voice; a singer that the model lacks; a key shift
        that leaves the range of the model) and RecipeError that lists the model's controls.
        """
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: SVCRequest | Audio) -> Iterator[Audio]:
        """The recording slice by slice, each as soon as it is converted, with the silence before it.

        A slice lasts at most ten seconds. ``amphion_svc.live.Live`` converts sound that is not complete yet.
        """
        yield from self.convert(self.plan(request))

    def plan(self, request: SVCRequest | Audio) -> Plan:
        """Everything that is checked before anything is converted. Raises the errors of ``generate``."""
        given: SVCRequest = self.as_request(request, "audio")
        check_length(given.audio.duration)
        check_sound(given.audio)
        controls = self.net.controls(given.controls)
        speaker, singer_f0, notes = self.singer(given.singer, given.target)
        samples = given.audio.mono().resample(self.sample_rate).samples
        slices = slices_of(samples, self.sample_rate, self.net.config.mel.hop_length)
        contours, frames = self._listen(samples, slices)
        check_voice(contours, frames, self.converter.hop / self.sample_rate)
        shift, why = choose_shift(contours, given.key_shift, singer_f0, self.converter.span)
        return Plan(
            given, samples, slices, speaker, self.of_whole(samples), shift, why, controls,
            (*notes_of(given.audio), *notes),
        )  # fmt: skip

    def convert(self, plan: Plan) -> Iterator[Audio]:
        """The slices of a plan, each with the silence before it; together as long as the recording."""
        report("key_shift", [plan.key_shift], "K", unit="semitones")
        rate, fade = self.sample_rate, round(FADE * self.sample_rate)
        done, tail = 0, np.zeros(0, np.float32)  # the samples that were given out; what the last slice says after them
        for number, cut in enumerate(plan.slices):
            sound = Sound(plan.samples[cut.left : cut.right], plan.of_whole, plan.speaker, plan.key_shift)
            made = self.converter.convert(sound, seed=plan.request.seed + number, controls=plan.controls)
            piece = made[cut.start - cut.left : cut.stop - cut.left].copy()
            if not len(tail):
                _fade(piece[: round(EDGE * rate)], rising=True)
            count = min(len(tail), len(piece))
            rising = np.linspace(0, 1, count, dtype=np.float32)
            piece[:count] = piece[:count] * rising + tail[:count] * (1 - rising)
            goes_on = number + 1 < len(plan.slices) and plan.slices[number + 1].start == cut.stop
            tail = made[cut.stop - cut.left :][:fade] if goes_on else np.zeros(0, np.float32)
            if not goes_on:
                _fade(piece[-round(EDGE * rate) :], rising=False)
            yield Audio(np.concatenate([np.zeros(cut.start - done, np.float32), piece]), rate)
            done = cut.stop
        if rest := len(plan.samples) - done:
            yield Audio(np.zeros(rest, np.float32), rate)

    def singer(self, name: str | None, recording: Audio | None = None) -> Voice:
        """The voice of the singer called ``name``, or of a recording. Raises AudioError and DataError.

        The voice of the last recording is kept, because many songs share one.
        """
        if recording is not None:
            if name is not None:
                raise DataError("a singer is named and a recording is given", hint="give one of them")
            if self._heard is None or self._heard[0] is not recording:
                self._heard = recording, self._voice_of(recording)
            return self._heard[1]
        names = self.singers
        if name is None and len(names) != 1:
            listed = ", ".join(names[:SHOWN])
            raise DataError(
                f"{self.model_name} needs a singer",
                hint=f"one of its singers: {listed}" if names else "--singer FILE, a recording of the singer",
            )
        if name is not None and not names:
            raise DataError(
                f"{self.model_name} knows no singer by name, and {shortened(name, 100)!r} is not a recording",
                hint="--singer FILE, a recording of the singer",
            )
        index = speaker_index(names[0] if name is None else name, names, model=self.model_name)
        known = tuple(getattr(self.net.config, "speaker_f0", ()))
        return Voice(torch.tensor([index], device=self.net.device), known[index] if known else 0.0, [])

    def _voice_of(self, recording: Audio) -> Voice:
        what = "the recording of the singer"
        if self.voice_extractor is None:
            raise DataError(
                f"{self.model_name} knows the singers of its training only, and cannot imitate a recording",
                hint=f"its singers: {', '.join(self.singers[:SHOWN]) or 'none'}",
            )
        check_length(recording.duration, what)
        check_sound(recording, what)
        samples = _sounds(recording.mono().resample(self.sample_rate).samples, round(VOICE_SECONDS * self.sample_rate))
        contour = self.converter.f0(samples)
        check_target(float((contour > 0).sum()) * self.converter.hop / self.sample_rate)
        return Voice(
            self.converter.feature(self.voice_extractor, samples), median_f0([contour]), notes_of(recording, what)
        )

    def of_whole(self, samples: Samples) -> dict[str, Tensor]:
        """The features that are one vector for the whole recording, by name."""
        whole = {name: each for name, each in self.converter.extractors.items() if each.frame_shift is None}
        if not whole:
            return {}
        sound = _sounds(samples, round(VOICE_SECONDS * self.sample_rate))
        return {name: self.converter.feature(extractor, sound) for name, extractor in whole.items()}

    def _listen(self, samples: Samples, slices: list[Slice]) -> tuple[list[Contour], int]:
        """F0 of slices that are spread over the recording, three minutes of them, and how many frames have sound."""
        lasting = sum(cut.stop - cut.start for cut in slices) / self.sample_rate
        parts = [samples[cut.left : cut.right] for cut in slices[:: max(1, int(np.ceil(lasting / MELODY_SECONDS)))]]
        loud = sum(int(np.diff(sounding(part), axis=1).sum()) for part in parts)
        return [self.converter.f0(part) for part in parts], loud // self.converter.hop

    def _check_variants(self, extractors: dict[str, FeatureExtractor]) -> None:
        """Raise WeightsError for a feature that has other weights than the model was trained with."""
        here = extractors | ({"voice": self.voice_extractor} if self.voice_extractor else {})
        for name, trained in self.net.feature_variants.items():
            if name not in here:
                close = nearest(name, here)
                raise WeightsError(
                    f"{self.model_name} was trained with a feature {name!r} that it does not have",
                    hint=f"is it {close}?" if close else "convert or train the model again",
                )
            if (found := here[name].variant) != trained:
                raise WeightsError(
                    f"{self.model_name} was trained with the feature {name} of other weights ({trained or 'none'}) "
                    f"than those on this computer ({found or 'none'})",
                    hint="put the weights of the training in place, or train the model again with these",
                )


def _sounds(samples: Samples, most: int) -> Samples:
    """The parts of a recording that are not silent, joined, ``most`` samples at most."""
    parts = [samples[start:stop] for start, stop in sounding(samples).tolist()]
    return np.concatenate(parts)[:most] if parts else samples[:most]


def _fade(samples: Samples, *, rising: bool) -> None:
    """Multiply with a line from 0 to 1, or from 1 to 0, in place."""
    line = np.linspace(0, 1, len(samples), dtype=np.float32)
    samples *= line if rising else line[::-1]
