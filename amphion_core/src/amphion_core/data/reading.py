"""Reading audio for training: spans of files, by seeking, at the rate that is asked for. No torch here."""

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from amphion_core.component import Utterance
from amphion_core.errors import DataError

Samples = np.ndarray[Any, np.dtype[np.float32]]
_OPEN_FILES = 32  # crops of long recordings come from the same files again
_MARGIN = 0.05  # seconds read on both sides of a span that is resampled, so that its edges are right


class Reader:
    """Spans of utterances as mono float32, through a few files kept open. One a process.

    ``read`` raises DataError for a file that is gone, is not audio, is shorter than its manifest says, or holds samples
    that are not finite.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[str, Any] = OrderedDict()

    def read(self, utterance: Utterance, rate: int, start: int = 0, length: int | None = None) -> Samples:
        """``length`` samples at ``rate`` Hz from sample ``start`` of the utterance, or all of it: (T,)."""
        import soundfile

        try:
            file = self._open(utterance.path)
            if rate == file.samplerate:
                offset = round(utterance.start * rate) + start
                count = round(utterance.duration * rate) - start if length is None else length
                samples = self._span(file, offset, count)
            else:
                samples = self._resampled(file, utterance, rate, start, length)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            raise DataError(
                f"{utterance.path} of item {utterance.id} cannot be read: {error}",
                hint="run amphion prepare again: it leaves out what cannot be read",
            ) from error
        if length is not None and len(samples) < length:
            raise DataError(
                f"{utterance.path} of item {utterance.id} has become shorter than its manifest says",
                hint="run amphion prepare again",
            )
        if not np.isfinite(samples).all():
            raise DataError(
                f"{utterance.path} of item {utterance.id} holds samples that are not finite",
                hint="run amphion prepare again: it leaves out such files",
            )
        return samples

    def _open(self, path: str) -> Any:
        import soundfile

        if (file := self._files.pop(path, None)) is None:
            file = soundfile.SoundFile(path)
            if len(self._files) >= _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files[path] = file
        return file

    @staticmethod
    def _span(file: Any, offset: int, count: int) -> Samples:
        file.seek(min(offset, file.frames))
        samples: Samples = file.read(count, dtype="float32")
        return samples if samples.ndim == 1 else samples.mean(1, dtype=np.float32)

    def _resampled(self, file: Any, utterance: Utterance, rate: int, start: int, length: int | None) -> Samples:
        """A span read with a margin at the file's own rate, from a sample that both rates have, then resampled."""
        import soxr

        length = round(utterance.duration * rate) - start if length is None else length
        common = math.gcd(rate, file.samplerate)
        old, new = file.samplerate // common, rate // common  # every old samples of the file are new ones of ours
        wanted = round(utterance.start * rate) + start
        place = max(0, wanted - round(_MARGIN * rate)) // new
        first = wanted - place * new
        count = math.ceil((first + length) / new * old + _MARGIN * file.samplerate)
        samples = soxr.resample(self._span(file, place * old, count), file.samplerate, rate)
        cut: Samples = samples[first : first + length]
        missing = length - len(cut)  # rounding of the two rates may miss the last sample of a file
        return np.pad(cut, (0, missing)) if 0 < missing <= 2 else cut

    def __getstate__(self) -> dict[str, Any]:
        return {"_files": OrderedDict()}  # open files stay in their process
