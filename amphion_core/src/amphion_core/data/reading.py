"""Reads parts of audio files for training, at any rate, without reading the whole file. Does not import torch."""

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from amphion_core.audio_files import AudioFileError
from amphion_core.component import Utterance
from amphion_core.errors import DataError

Samples = np.ndarray[Any, np.dtype[np.float32]]
_OPEN_FILES = 32  # files kept open, because crops of long recordings come from the same files again
_ROUNDED = 0.01  # seconds by which a duration in a manifest may be rounded up
_MARGIN = 0.05  # seconds read on both sides of a part that is resampled, so that its edges are right


class Reader:
    """Reads parts of utterances as mono float32 samples, and keeps a few files open. Each process has its own.

    ``read`` raises DataError for a file that is missing, is not audio, is shorter than its manifest says, or has
    samples that are not finite.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[str, Any] = OrderedDict()

    def read(self, utterance: Utterance, rate: int, start: int = 0, length: int | None = None) -> Samples:
        """``length`` samples at ``rate`` Hz from ``start`` of the utterance, or all of it, with its gain: (T,)."""
        try:
            file = self._open(utterance.path)
            if rate == file.samplerate:
                offset = round(utterance.start * rate) + start
                count = round(utterance.duration * rate) - start if length is None else length
                samples = self._span(file, offset, count)
            else:
                samples = self._resampled(file, utterance, rate, start, length)
        except AudioFileError as error:
            raise DataError(
                f"{utterance.path} of item {utterance.id} cannot be read: {error.reason}",
                hint="run amphion prepare again: it skips unreadable files",
            ) from error
        missing = (round((utterance.duration - _ROUNDED) * rate) - start if length is None else length) - len(samples)
        if missing > 0:
            raise DataError(
                f"{utterance.path} of item {utterance.id} has become shorter than its manifest says",
                hint="run amphion prepare again",
            )
        if not np.isfinite(samples).all():
            raise DataError(
                f"{utterance.path} of item {utterance.id} has samples that are not finite",
                hint="run amphion prepare again: it skips such files",
            )
        if utterance.gain:
            samples = samples * np.float32(10 ** (utterance.gain / 20))
        return samples

    def _open(self, path: str) -> Any:
        from amphion_core.audio_files.reading import AudioFile

        if (file := self._files.pop(path, None)) is None:
            file = AudioFile(path)
            if len(self._files) >= _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files[path] = file
        return file

    @staticmethod
    def _span(file: Any, offset: int, count: int) -> Samples:
        file.go_to(offset)
        samples: Samples = file.part(count)
        return samples[:, 0] if samples.shape[1] == 1 else samples.mean(1, dtype=np.float32)

    def _resampled(self, file: Any, utterance: Utterance, rate: int, start: int, length: int | None) -> Samples:
        """Reads a part with a margin at the file's own rate, then resamples it.

        Reading begins at a time at which both rates have a sample, so that no fraction of a sample is lost.
        """
        import soxr

        length = round(utterance.duration * rate) - start if length is None else length
        common = math.gcd(rate, file.samplerate)
        old, new = file.samplerate // common, rate // common  # ``old`` samples of the file last as long as ``new``
        wanted = round(utterance.start * rate) + start
        period = max(0, wanted - round(_MARGIN * rate)) // new
        first = wanted - period * new
        count = math.ceil((first + length) / new * old + _MARGIN * file.samplerate)
        samples = soxr.resample(self._span(file, period * old, count), file.samplerate, rate)
        cut: Samples = samples[first : first + length]
        missing = length - len(cut)  # rounding between the rates can lose the last sample of a file
        return np.pad(cut, (0, missing)) if 0 < missing <= 2 else cut

    def __getstate__(self) -> dict[str, Any]:
        return {"_files": OrderedDict()}  # open files cannot be pickled
