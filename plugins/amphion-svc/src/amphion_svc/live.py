"""Converts sound while it arrives, chunk by chunk, with a latency that is known beforehand."""

from typing import Any

import numpy as np
import soxr

from amphion_core.api import Audio
from amphion_core.audio import Samples
from amphion_core.errors import DataError
from amphion_svc.conversion import Sound
from amphion_svc.recordings import SILENT
from amphion_svc.task import SVCTask

BEFORE = 0.5  # seconds of sound before a chunk that the model also hears
AHEAD = 0.2  # seconds of sound after a chunk that the model also hears, so that the F0 at its end is known
FADE = 0.05  # seconds over which two chunks are mixed
LISTEN = 32.0  # seconds of sound after which the voice of the source is known well enough


class Live:
    """One conversation of input and output: ``push`` sound as it arrives, and ``end`` after the last.

    The output has the rate ``task.sample_rate`` and is as long as the input. ``latency`` is how many seconds later than
    its input a sample can come out, without the time of computing, which must stay below ``chunk`` for each chunk.
    """

    def __init__(
        self,
        task: SVCTask,
        *,
        sample_rate: int,
        key_shift: float | None,
        singer: str | None = None,
        target: Audio | None = None,
        chunk: float = 1.0,
        seed: int = 0,
        controls: dict[str, Any] | None = None,
    ) -> None:
        """``sample_rate`` is that of the input, Hz. Raises the errors of the task.

        Raises DataError without a key shift, because the median F0 of what is to come is not known.
        """
        if key_shift is None:
            raise DataError(
                "live conversion needs a key shift, because the median F0 of the song is not known before its end",
                hint="--key-shift 0, or the number of semitones between the two voices: 12 from a man to a woman",
            )
        self.task, self.key_shift, self.seed = task, key_shift, seed
        self.speaker = task.singer(singer, target).speaker
        self.controls = task.net.controls(controls or {})
        rate, hop = task.sample_rate, task.converter.hop
        self._chunk, self._before, self._ahead = (max(1, round(s * rate / hop)) * hop for s in (chunk, BEFORE, AHEAD))
        self._fade = round(FADE * rate)
        self._resampler = soxr.ResampleStream(sample_rate, rate, 1, dtype="float32") if sample_rate != rate else None
        self._sound = np.zeros(0, np.float32)  # what the next chunk and its context need
        self._start = 0  # where the next chunk begins in it
        self._tail = np.zeros(0, np.float32)
        self._heard: list[Samples] = []
        self._of_whole: dict[str, Any] = {}
        self._next_look, self._chunks = 0.0, 0

    @property
    def latency(self) -> float:
        """Seconds from the input of a sample to its output, at most, without the time of computing."""
        return (self._chunk + self._ahead) / self.task.sample_rate

    def push(self, samples: Samples) -> Samples:
        """Take mono samples (T,) at the rate of the input; returns the converted samples that are ready, maybe none."""
        return self._take(samples, last=False)

    def end(self) -> Samples:
        """The converted samples of what was not converted yet."""
        ready = self._take(np.zeros(0, np.float32), last=True)
        rest = len(self._sound) - self._start
        return np.concatenate([ready, self._converted(rest, rest)]) if rest else ready

    def _take(self, samples: Samples, *, last: bool) -> Samples:
        samples = np.asarray(samples, np.float32)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        self._sound = np.concatenate([self._sound, samples])
        ready = [np.zeros(0, np.float32)]
        while len(self._sound) - self._start >= self._chunk + self._ahead:
            ready.append(self._converted(self._chunk, self._chunk + self._ahead))
        return np.concatenate(ready)

    def _converted(self, count: int, heard: int) -> Samples:
        """The next ``count`` samples; the model also hears those up to ``heard``, and some before."""
        window = self._sound[: self._start + heard]
        self._listen(self._sound[self._start : self._start + count])
        if np.abs(window).max() < SILENT:
            made = np.zeros(len(window), np.float32)
        else:
            sound = Sound(window, self._of_whole, self.speaker, self.key_shift)
            made = self.task.converter.convert(sound, seed=self.seed + self._chunks, controls=self.controls)
        piece = made[self._start : self._start + count].copy()
        size = min(len(self._tail), count)
        rising = np.linspace(0, 1, size, dtype=np.float32)
        piece[:size] = piece[:size] * rising + self._tail[:size] * (1 - rising)
        self._tail = made[self._start + count :][: self._fade]
        self._chunks += 1
        end = self._start + count
        kept = max(0, end - self._before)
        self._sound, self._start = self._sound[kept:], end - kept
        return piece

    def _listen(self, samples: Samples) -> None:
        """Describe the voice of the source anew after 1, 2, 4, ... 32 seconds of sound."""
        lasting = sum(map(len, self._heard)) / self.task.sample_rate
        if lasting < LISTEN and np.abs(samples).max(initial=0.0) >= SILENT:
            self._heard.append(samples)
            lasting += len(samples) / self.task.sample_rate
        if self._heard and (not self._of_whole or lasting >= self._next_look) and self._next_look < 2 * LISTEN:
            self._of_whole = self.task.of_whole(np.concatenate(self._heard))
            self._next_look = max(1.0, 2 * lasting)
