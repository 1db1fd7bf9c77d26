"""What is wrong or noteworthy about the recordings that the task is given, each in one sentence."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import AudioError, DataError
from amphion_core.sounds import clipped
from amphion_svc.plan import Contour

LONGEST = 3600.0  # seconds of a song
SHORTEST = 0.1  # seconds of a song
SHORTEST_TARGET = 1.0  # seconds of voice in the recording of a singer
SILENT = 1e-4  # peak below which a recording is silent: -80 dB
CLIPPED = 1e-3  # share of samples in flat tops, from where on clipping is audible
LOWEST_RATE = 16000  # Hz; below, consonants are incomplete
FEWEST = 0.05  # share of frames with sound that must have a pitch
FASTEST = 12000.0  # cents for each second, from where on F0 jumps
JUMPING = 0.35  # share of frames that jump; at most 0.30 in 119 recordings of voices, more in half of 42 loops


def check_length(seconds: float, name: str = "the song") -> None:
    """Raise AudioError for a recording that is too long or too short to convert."""
    if seconds > LONGEST:
        raise AudioError(
            f"{name} lasts {seconds / 3600:.1f} hours, and one hour is the most that is converted at once",
            hint="cut it: ffmpeg -i SONG -f segment -segment_time 1800 -c copy part%d.wav, then convert the folder",
        )
    if seconds < SHORTEST:
        raise AudioError(f"{name} lasts {seconds:.3f} seconds, which is too short", hint="give at least 0.1 seconds")


def check_sound(audio: Audio, name: str = "the song") -> None:
    """Raise AudioError for a recording that is silent, or becomes silent when its channels are mixed."""
    if audio.peak < SILENT:
        raise AudioError(f"{name} is silent", hint="check the recording: amphion needs a voice in it")
    if audio.mono().peak < SILENT:
        raise AudioError(
            f"{name} is silent when its channels are mixed, because they are opposite",
            hint="take one channel: ffmpeg -i SONG -af pan=mono|c0=c0 MONO.wav",
        )


def check_voice(contours: Sequence[Contour], frames: int, frame_shift: float, name: str = "the song") -> None:
    """Raise DataError if a recording has no voice, as far as its F0 says: drums, noise, instruments, a dense mix.

    ``contours`` are the F0 of its parts in Hz, 0 where unvoiced, with ``frame_shift`` seconds between frames, and
    ``frames`` the number of their frames with sound. A voice has a pitch in more than a third of them, and glides; of
    recordings of other sounds, trackers find pitches that jump. A single melodic instrument passes.
    """
    voiced = sum(int((each > 0).sum()) for each in contours)
    hint = "give a recording of one voice alone; remove the accompaniment with a program for source separation"
    if voiced < FEWEST * frames or not voiced:
        share = 100 * voiced / max(1, frames)
        raise DataError(f"no voice was found in {name}: {share:.0f} % of its sound has a pitch", hint=hint)
    jumping = [_jumps(each, frame_shift) for each in contours]
    steps = sum(len(each) for each in jumping)
    if steps and (share := sum(int(each.sum()) for each in jumping) / steps) > JUMPING:
        raise DataError(
            f"no single voice was found in {name}: its pitch jumps in {100 * share:.0f} % of its frames, as that of "
            "instruments or of several voices",
            hint=hint,
        )


def _jumps(contour: Contour, frame_shift: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each pair of voiced neighbours in (N,) whether the F0 changes faster than a voice can."""
    both = (contour[1:] > 0) & (contour[:-1] > 0)
    cents = 1200 * np.abs(np.log2(contour[1:][both] / contour[:-1][both]))
    found: np.ndarray[Any, np.dtype[np.bool_]] = cents > FASTEST * frame_shift
    return found


def check_target(seconds: float) -> None:
    """Raise DataError if the recording of a singer has less than a second of voice."""
    if seconds < SHORTEST_TARGET:
        raise DataError(
            f"the recording of the singer has {seconds:.1f} seconds of voice, and 1 second is needed",
            hint="give a longer recording; 10 to 60 seconds are best",
        )


def notes_of(audio: Audio, name: str = "the song") -> list[str]:
    """What a user should know about a recording that can be converted: a sentence for each thing."""
    found = []
    if audio.samples.ndim > 1 and len(audio.samples) > 1:
        found.append(f"{name} has {len(audio.samples)} channels, which are mixed to one")
    if audio.sample_rate < LOWEST_RATE:
        found.append(
            f"{name} has a rate of {audio.sample_rate} Hz, so nothing above {audio.sample_rate // 2} Hz is in it, and "
            "the converted voice is dull"
        )
    if (share := clipped(audio.mono().samples)) > CLIPPED:
        found.append(f"{name} is clipped in {100 * share:.1f} % of its samples, which stays audible")
    return found
