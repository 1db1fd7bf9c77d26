"""F0 and voicing of a pair of recordings, tracked once for all metrics that compare them.

Frames are 5 ms apart and centred on their times; the frames of the tracker are converted to them. ``amphion_v01`` uses
the tracker of Amphion v0.1: Praat's autocorrelation in steps of 256 samples.
"""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from amphion_core import registry
from amphion_core.api import Audio, BaseConfig, MelConfig, Metric
from amphion_core.errors import DataError
from amphion_core.features.f0 import align_f0, require_package
from amphion_eval.analysis.alignment import ALIGNMENT, Alignment, align_curves, warp_path
from amphion_eval.analysis.cepstrum import FRAME, cepstra
from amphion_eval.analysis.signals import DEFINITION, Definition, Samples, mono, required

SHORTEST = 0.1  # seconds
FMIN, FMAX = 50.0, 1100.0  # Hz
HOP = 256  # samples between the frames of amphion_v01
Tracker = Literal["dio", "harvest", "praat", "crepe", "swift"]


class PitchMetric(Metric):
    """Base of the metrics that compare F0 or voicing."""

    class Config(BaseConfig):
        """The tracker, the alignment of frames, and the definition."""

        tracker: Tracker = Field(
            default="dio",
            description="F0 tracker: dio, harvest, praat (GPL), crepe, swift",
        )
        alignment: Alignment = Field(default="cut", description=f"{ALIGNMENT} of mel-cepstra")
        definition: Definition = Field(default="ours", description=f"{DEFINITION}; it always tracks by Praat")

    config: Config
    higher_is_better = False

    @property
    def published(self) -> bool:
        """Whether the definition is amphion_v01."""
        return bool(self.config.definition == "amphion_v01")

    @property
    def variant(self) -> str:
        """The tracker, the alignment, and amphion_v01 if it is the definition."""
        end = ", amphion_v01" if self.published else ""
        return f"{'praat' if self.published else self.config.tracker}, {self.config.alignment}{end}"

    def tracks(self, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
        """F0 of generated and reference in Hz, 0 where unvoiced, in aligned frames, (P,) each.

        Raises DataError for audio that cannot be tracked, MissingPackage for a tracker that is not installed.
        """
        both = generated, required(reference)
        for audio, what in zip(both, ("generated", "reference")):
            if len(mono(audio, what=what)) < SHORTEST * audio.sample_rate:
                raise DataError(f"F0 needs {SHORTEST} seconds of audio")
        x, s = (track(audio, self.config.tracker) for audio in both)
        if self.config.alignment == "dtw":
            path = warp_path(*(cepstra(audio)[:, 1:] for audio in both))
            return x[path[:, 0]], s[path[:, 1]]
        return align_curves(self.config.alignment, x, s)

    def published_tracks(self, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
        """F0 of generated and reference as amphion_v01 tracks it, not aligned, (N,) and (M,)."""
        mono(generated, what="generated")
        mono(required(reference), what="reference")
        return track_published(generated), track_published(required(reference))

    def aligned(self, x: Samples, s: Samples) -> tuple[Samples, Samples]:
        """Two sequences (N,), (M,) of amphion_v01, aligned by their values, (P,) each."""
        return align_curves(self.config.alignment, x, s)


@lru_cache(maxsize=8)
def _tracker(name: str, rate: int) -> Any:
    component = registry.get("features", f"f0_{name}")
    mel = MelConfig.preset("hifigan_22k_80").replace(sample_rate=rate, fmax=None)
    return component(component.Config(mel=mel, fmin=FMIN, fmax=FMAX))


@lru_cache(maxsize=4)
def track(audio: Audio, tracker: str) -> Samples:
    """F0 (N,) in Hz, 0 where unvoiced, at 0, 5, 10, ... ms; N = floor(T / rate / 5 ms) + 1."""
    times, f0 = _tracker(tracker, audio.sample_rate).track(torch.from_numpy(audio.mono().samples))
    return align_f0(times, f0, np.arange(int(audio.duration / FRAME + 1e-9) + 1, dtype=np.float64) * FRAME)


@lru_cache(maxsize=4)
def track_published(audio: Audio) -> Samples:
    """F0 (N,) in Hz, in the frames of Praat. Raises MissingPackage, and DataError for audio too short for Praat."""
    parselmouth = require_package("parselmouth", "praat")
    rate, samples = audio.sample_rate, audio.mono().samples.astype(np.float64)
    try:
        pitch = parselmouth.Sound(samples, rate).to_pitch_ac(
            time_step=HOP / rate, pitch_floor=FMIN, pitch_ceiling=FMAX, voicing_threshold=0.6
        )
    except parselmouth.PraatError as error:
        raise DataError("the audio is too short for Praat") from error
    f0: Samples = pitch.selected_array["frequency"]
    return f0
