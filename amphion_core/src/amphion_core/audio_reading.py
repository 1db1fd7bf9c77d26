"""Reading audio files whose headers may be wrong: lengths are counted where a header does not state them."""

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import soundfile

from amphion_core.audio_files import AudioFileError, check_file

Samples = np.ndarray[Any, np.dtype[np.float32]]
PIECE = 1 << 16  # samples of each channel that are decoded at a time
UNKNOWN = 1 << 62  # libsndfile reports more samples than this where a header does not state the length
DENSEST = 64  # samples a byte that a header may claim before it is checked; FLAC of speech has less than 2
FEW = 1 << 22  # samples that a header may claim in a file of any size
MOST = 1 << 27  # samples beyond FEW and DENSEST that are decoded: 512 MiB
RATES = range(1000, 768_001)  # Hz


class AudioLength(NamedTuple):
    """The length of an audio file: ``samples`` of each channel, at ``rate`` Hz."""

    samples: int
    rate: int

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.samples / self.rate


class AudioFile(soundfile.SoundFile):  # type: ignore[misc]
    """An audio file opened for reading from its start, also where its header states no length or a wrong one.

    Raises AudioFileError with the reason for a path that is not a file, is not audio, or has an unusable rate.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.size = path, check_file(path).st_size
        try:
            super().__init__(path)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            reason = str(error).rpartition(": ")[2].rstrip(".")
            raise AudioFileError(
                path, f"not readable audio ({reason})", hint="listen to it, or copy it again"
            ) from error
        if self.samplerate not in RATES:
            self.close()
            reason = f"a rate of {self.samplerate} Hz, outside {RATES[0]} to {RATES[-1]} Hz"
            raise AudioFileError(path, reason, hint=f"ffmpeg -i {path} -ar 24000 NEW.wav")

    def seekable(self) -> bool:
        """False: soundfile would seek after each read, which fails in files without a stated length."""
        return False

    @property
    def states_length(self) -> bool:
        """Whether the header states a length that is possible in a file of this size."""
        return 0 <= self.frames < UNKNOWN and self.frames * self.channels <= max(FEW, DENSEST * self.size)

    def length(self) -> int:
        """The number of samples of each channel; decoded and counted if the header does not state it."""
        if self.states_length:
            return int(self.frames)
        return sum(len(piece) for piece in self.pieces())

    def pieces(self) -> Any:
        """The samples from the present position to the real end, in pieces (T, C), float32.

        Raises AudioFileError for a file that cannot be decoded to its end, and for one that holds far more than its
        size allows.
        """
        most = max(MOST, DENSEST * self.size) // self.channels
        while len(piece := self.part(PIECE)):
            yield piece
            if (most := most - len(piece)) < 0:
                raise AudioFileError(self.path, f"it holds more than {DENSEST} samples a byte", hint="record it again")

    def part(self, count: int) -> Samples:
        """At most ``count`` samples of each channel from the present position, (T, C) float32."""
        try:
            samples: Samples = self.read(count, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            reason = str(error).removeprefix("Error : ").rstrip(".")
            raise AudioFileError(self.path, f"it is damaged ({reason})", hint="copy it again") from error
        return samples

    def __enter__(self) -> Self:
        return self


def open_audio(path: str | Path) -> AudioFile:
    """An audio file, checked and opened. Raises AudioFileError with the reason if it is not one."""
    return AudioFile(path)


def audio_length(path: str | Path) -> AudioLength:
    """The length of an audio file, from its header; from its content where the header does not state it.

    Raises AudioFileError with the reason for a file that is missing, not a file, empty or not audio.
    """
    with open_audio(path) as file:
        return AudioLength(file.length(), file.samplerate)
