"""Play audio as it is spoken: by the package sounddevice, or by a player that the computer has."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from amphion_core.errors import AmphionError

if TYPE_CHECKING:
    from amphion_core.api import Audio

Piece = TypeVar("Piece", bound="Audio")
Player = Callable[[int], contextlib.AbstractContextManager[Callable[[bytes], Any]]]
"""Given the rate in Hz, a context with a function that plays 16-bit mono samples."""
HINT = 'pip install "amphion-tts[play]", or install aplay (alsa-utils) or ffplay (ffmpeg); -o FILE writes a file'
_PLAYERS = {  # programs that read 16-bit mono samples from standard input, so that they end when this process ends
    "aplay": "-q -t raw -f S16_LE -c 1 -r {rate} -",
    "paplay": "--raw --format=s16le --channels=1 --rate={rate}",
    "play": "-q -t raw -e signed-integer -b 16 -c 1 -r {rate} -",
    "ffplay": "-nodisp -autoexit -loglevel error -f s16le -ar {rate} -i -",
}


def play(pieces: "Iterable[Piece]", sample_rate: int, player: Player) -> "Iterator[Piece]":
    """Yield the pieces, each after it was given to the player; ends when all are played.

    Raises AmphionError if the player fails.
    """
    with player(sample_rate) as write:
        for piece in pieces:
            write(pcm(piece))
            yield piece


def pcm(audio: "Audio") -> bytes:
    """Samples of 16 bits, little-endian; those beyond full scale are clipped."""
    return bytes((audio.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def find_player() -> Player:
    """What plays audio here. Raises AmphionError if nothing does."""
    try:
        import sounddevice  # type: ignore[import-not-found, unused-ignore]

        return partial(_by_sounddevice, sounddevice)
    except (ImportError, OSError):  # OSError: the package is there, but PortAudio is not
        pass
    for name, options in _PLAYERS.items():
        if program := shutil.which(name):
            return partial(_by_program, program, options)
    if program := shutil.which("afplay"):
        return partial(_by_afplay, program)
    raise AmphionError("no program here can play audio", hint=HINT)


@contextlib.contextmanager
def _by_sounddevice(sounddevice: Any, rate: int) -> Iterator[Callable[[bytes], Any]]:
    try:
        with sounddevice.RawOutputStream(samplerate=rate, channels=1, dtype="int16") as stream:
            yield stream.write
    except sounddevice.PortAudioError as error:
        raise AmphionError(f"the audio cannot be played: {error}", hint="-o FILE writes a file") from error


@contextlib.contextmanager
def _by_program(program: str, options: str, rate: int) -> Iterator[Callable[[bytes], Any]]:
    command = [program, *options.format(rate=rate).split()]
    with tempfile.TemporaryFile() as errors:
        player = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
        assert player.stdin is not None
        pipe = player.stdin

        def check() -> None:
            if code := player.wait():
                errors.seek(0)
                lines = errors.read().decode("utf-8", "replace").strip().splitlines() or [f"exit code {code}"]
                raise AmphionError(f"{program} cannot play the audio: {lines[-1]}", hint="-o FILE writes a file")

        def write(samples: bytes) -> None:
            try:
                pipe.write(samples)
                pipe.flush()
            except BrokenPipeError:  # the player has ended: it failed, or the user closed its window
                check()

        try:
            yield write
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            check()
        except BaseException:
            player.kill()
            player.wait()
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            raise


@contextlib.contextmanager
def _by_afplay(program: str, rate: int) -> Iterator[Callable[[bytes], Any]]:
    """The player of macOS plays files only, so it begins when everything is spoken."""
    import wave

    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        with wave.open(file.name, "wb") as target:
            target.setnchannels(1)
            target.setsampwidth(2)
            target.setframerate(rate)
            yield target.writeframes
        if code := subprocess.run([program, file.name], check=False).returncode:
            raise AmphionError(f"afplay cannot play the audio: exit code {code}", hint="-o FILE writes a file")
