"""Reads a recording piece by piece as one channel at a given rate, in memory that does not grow with its length."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from amphion_core.audio import Audio, Samples, check_peak, peak_of
from amphion_core.audio_files import AudioFileError
from amphion_core.audio_files.reading import PIECE, AudioFile

LONG = 1 << 20  # samples; the end of a longer file is looked for before its beginning is read


def mono_pieces(recording: Audio | str | Path, sample_rate: int) -> Iterator[Samples]:
    """The samples of a recording at ``sample_rate`` in Hz, mixed to one channel, in pieces (T,) of different lengths.

    ``recording`` is audio or the path of an audio file. The pieces together equal
    ``Audio.load(path).mono().resample(sample_rate)``. Of a file, a piece is read when it is asked for.
    Raises AudioFileError, also after some pieces, for what `Audio.load` refuses.

    >>> sum(len(piece) for piece in mono_pieces(Audio(np.zeros(44100, np.float32), 44100), 22050))
    22050
    """
    if isinstance(recording, Audio):
        samples = recording.mono().samples
        pieces = (samples[start : start + PIECE] for start in range(0, len(samples), PIECE))
        yield from _resampled(pieces, recording.sample_rate, sample_rate)
        return
    with AudioFile(recording) as file:
        yield from _resampled(_mixed(file), int(file.samplerate), sample_rate)
        doubt = file.doubt
    if doubt is not None:
        warnings.warn(f"{recording}: {doubt}", UserWarning, stacklevel=2)


def _mixed(file: AudioFile) -> Iterator[Samples]:
    """The samples of an open file, mixed to one channel (T,) and checked."""
    if (file.stated or 0) > LONG:
        file.check_stated_end()  # so that a file that was cut short is refused before long work
        file.go_to(0)
    empty = True
    for piece in file.pieces():
        empty = False
        check_peak(file.path, peak_of(piece))
        yield piece[:, 0] if piece.shape[1] == 1 else piece.mean(1)
    if empty:
        raise AudioFileError(file.path, "it holds no samples", hint="record or copy it again")


def _resampled(pieces: Iterable[Samples], old: int, new: int) -> Iterator[Samples]:
    """Pieces (T,) at the rate ``old`` -> pieces at the rate ``new``, by soxr with its high quality."""
    if old == new:
        yield from pieces
        return
    import soxr

    stream = soxr.ResampleStream(old, new, 1, dtype="float32", quality="HQ")
    for piece in pieces:
        if len(made := stream.resample_chunk(np.ascontiguousarray(piece))):
            yield made
    if len(made := stream.resample_chunk(np.zeros(0, np.float32), last=True)):
        yield made
