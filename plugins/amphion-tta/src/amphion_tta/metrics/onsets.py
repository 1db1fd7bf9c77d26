"""Control of time in generated sounds: whether they begin when the caption says, and as often as it says.

Both metrics find the sounds by energy, so they need no trained detector, and cannot tell one event from another. Xie et
al., "PicoAudio", arXiv:2407.02869, section 4, measure the same two things with a trained detector of events.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_tta.onsets import read_caption
from amphion_tta.sound_events import EnergyDetector
from amphion_tta.timed_events import Span

if TYPE_CHECKING:
    import numpy as np

ROUNDED = 0.1  # seconds by which a generated sound may be shorter than was asked


class _ByEnergy(Metric):
    """Finds the sounds in the audio, and reads those that the caption states."""

    class Config(BaseConfig):
        """How sounds are found."""

        detector: EnergyDetector = Field(default=EnergyDetector(), description="what counts as a sound")

    config: Config
    needs = frozenset({"text"})

    @property
    def variant(self) -> str:
        """The settings of the detector that are not the usual ones."""
        usual, chosen = EnergyDetector(), self.config.detector
        changed = {name: getattr(chosen, name) for name in EnergyDetector.model_fields}
        shown = [f"{name} {value:g}" for name, value in changed.items() if value != getattr(usual, name)]
        return ", ".join(["by energy", *shown])

    def sounds(self, generated: Audio, text: str | None) -> tuple[list[Span], list[Span]]:
        """(start, end) of the sounds in the audio, and of those in the caption. Raises DataError."""
        if not (text or "").strip():
            raise DataError("a caption with times is needed", hint="dog at 1-2 and cat at 3-4")
        audio = generated.mono()
        events = read_caption(text or "", None, duration=audio.duration + ROUNDED)
        stated = joined([span for event in events for span in event.spans], gap=self.config.detector.gap)
        return self.config.detector.find(audio.samples, audio.sample_rate), stated


class OnsetF1(_ByEnergy):
    """F1 of the onsets, %: twice the right onsets, divided by the number of stated and found onsets."""

    class Config(_ByEnergy.Config):
        """How sounds are found, and how near an onset must be."""

        collar: float = Field(default=0.2, gt=0, le=10, description="largest error of an onset that is right, seconds")

    config: Config
    unit = "%"
    higher_is_better = True

    @property
    def variant(self) -> str:
        """The detector and the collar."""
        return f"{super().variant}, collar {self.config.collar:g} s"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """``details`` are the numbers of ``right``, ``stated`` and ``found`` onsets. Raises DataError without events.

        Stated events that overlap, or are nearer than the detector's gap, are one sound.
        """
        found, stated = self.sounds(generated, text)
        right = matches([start for start, _ in stated], [start for start, _ in found], self.config.collar)
        value = 200.0 * right / (len(stated) + len(found))
        return Score(value, {"right": float(right), "stated": float(len(stated)), "found": float(len(found))})

    def combine(
        self, sums: "Mapping[str, np.ndarray[Any, np.dtype[Any]]]", count: "np.ndarray[Any, np.dtype[Any]]"
    ) -> "np.ndarray[Any, np.dtype[Any]]":
        """F1 of all onsets of a set, not the mean of the items."""
        return 200.0 * sums["right"] / (sums["stated"] + sums["found"])


class EventCountError(_ByEnergy):
    """Difference between the number of sounds in the audio and in the caption, without sign; the mean of the items."""

    unit = "events"
    higher_is_better = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """``details`` are the numbers of ``stated`` and ``found`` sounds. Raises DataError without events."""
        found, stated = self.sounds(generated, text)
        return Score(float(abs(len(found) - len(stated))), {"stated": float(len(stated)), "found": float(len(found))})


def joined(spans: Sequence[Span], *, gap: float) -> list[Span]:
    """Spans in order of time; those that overlap, or have less than ``gap`` seconds between them, are one.

    >>> joined([(3.0, 4.0), (1.0, 2.0), (1.5, 2.9)], gap=0.2)
    [(1.0, 4.0)]
    """
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] < gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def matches(stated: Sequence[float], found: Sequence[float], collar: float) -> int:
    """The largest number of pairs (one stated, one found) that are at most ``collar`` apart; each is in one pair.

    Both are in order of time, so the earliest partner that fits is always a right choice.

    >>> matches([1.0, 2.0], [1.1, 1.15, 2.5], 0.2)
    1
    """
    pairs = index = 0
    for onset in stated:
        while index < len(found) and found[index] < onset - collar - 1e-9:
            index += 1
        if index < len(found) and found[index] <= onset + collar + 1e-9:
            pairs += 1
            index += 1
    return pairs
