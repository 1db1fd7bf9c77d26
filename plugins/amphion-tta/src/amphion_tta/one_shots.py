"""Single sounds cut out of recordings, with the names of their classes: the material of simulated mixtures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from amphion_core.api import Audio, DatasetPart, Utterance
from amphion_core.errors import AudioError, DataError
from amphion_tta.sound_events import EnergyDetector, Samples

FADE = 0.005  # seconds of the fades at both ends of a cut
NAMED_BY = ("category", "class", "label", "caption", "text")  # fields that may hold the class, the first one wins
_QUIET = 15.0  # dB under the loudest sound of a recording; quieter sounds of it are not used
_MOST = 4  # sounds of one recording


@dataclass(frozen=True, slots=True, eq=False)
class OneShot:
    """One sound (T,) of the class ``event``, with level 1 (root of the mean square); ``source`` is its recording."""

    event: str
    source: str
    split: str
    samples: Samples

    @property
    def peak(self) -> float:
        """Largest magnitude of a sample at level 1."""
        return float(np.abs(self.samples).max())


def find_one_shots(
    reader: DatasetPart, root: str, *, rate: int, detector: EnergyDetector, shortest: float, longest: float,
    problems: list[tuple[str, str]],
) -> Iterator[OneShot]:  # fmt: skip
    """The single sounds of every recording of a corpus, at ``rate`` Hz, at most ``longest`` seconds each.

    Recordings without a class, or without a sound of ``shortest`` seconds, are added to ``problems``. Raises DataError
    for a folder that the reader does not read.
    """
    if "root" not in type(reader.config).model_fields:
        raise DataError(f"the reader {reader.name} takes no folder", hint="choose reader=folder, or reader=esc50")
    dataset = DatasetPart.named(reader.name, **{**reader.config.model_dump(), "root": root}).build()
    for utterance in dataset.utterances():
        event = class_of(utterance)
        if not event:
            problems.append((utterance.path, "it has no class: no category, caption, text, or sub-folder"))
            continue
        try:
            audio = Audio.load(utterance.path).mono().resample(rate)
        except AudioError as error:
            problems.append((utterance.path, error.message))
            continue
        first = round(utterance.start * rate)
        samples = audio.samples[first : first + round(utterance.duration * rate)]
        found = list(cut(samples, rate, detector=detector, shortest=shortest, longest=longest))
        if not found:
            problems.append((utterance.path, f"it has no sound of {shortest:g} seconds"))
        for samples in found:
            yield OneShot(event, utterance.id, utterance.split, samples)
    problems += dataset.problems


def class_of(utterance: Utterance) -> str:
    """The class of a recording: a field of its table, or the sub-folder it is in; empty without any."""
    fields = {**utterance.extra, "caption": utterance.caption, "text": utterance.text}
    stated = next((fields[name] for name in NAMED_BY if fields.get(name)), utterance.speaker)
    return " ".join(stated.replace("_", " ").replace("-", " ").split()).casefold()


def cut(samples: Samples, rate: int, *, detector: EnergyDetector, shortest: float, longest: float) -> Iterator[Samples]:
    """The sounds of a recording (T,), the loudest first, each with short fades and at level 1.

    What is longer than ``longest`` seconds, such as rain, is cut there.
    """
    found: list[tuple[float, Samples]] = []
    for start, end in detector.find(samples, rate):
        piece = samples[round(start * rate) : round(min(end, start + longest) * rate)]
        level = float(np.sqrt(np.mean(np.square(piece, dtype=np.float64)))) if len(piece) else 0.0
        if len(piece) >= shortest * rate and level > 0:
            found.append((level, piece))
    found.sort(key=lambda pair: -pair[0])
    for level, piece in found[:_MOST]:
        if level >= found[0][0] * 10 ** (-_QUIET / 20):
            yield np.asarray(_faded(piece, round(FADE * rate)) / level, np.float32)


def _faded(piece: Samples, length: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    length = min(length, len(piece) // 2)
    gain = np.ones(len(piece))
    ramp = (np.arange(length) + 0.5) / max(length, 1)
    gain[:length], gain[len(piece) - length :] = ramp, ramp[::-1]
    return piece * gain


def by_class(shots: Iterable[OneShot]) -> dict[str, list[OneShot]]:
    """The sounds of each class, the classes in order of their names."""
    found: dict[str, list[OneShot]] = {}
    for shot in shots:
        found.setdefault(shot.event, []).append(shot)
    return dict(sorted(found.items()))
