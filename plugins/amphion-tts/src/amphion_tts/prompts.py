"""The recording that a model of zero-shot speech imitates: whether it is fit, its best part, and what is said in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import amphion_core as amphion
from amphion_core import registry
from amphion_core.api import Audio, RecognizerPart, SpeechRecognizer
from amphion_core.audio import Samples
from amphion_core.errors import AmphionError, AudioError, DataError, MissingPackage, RegistryError, WeightsError
from amphion_core.sounds import clipped, sounding
from amphion_tts.voices import StoredVoice

SHORTEST = 1.0  # seconds of voice that a prompt must have
SHORT = 2.0  # seconds of voice below which a user is warned
LONGEST = 15.0  # seconds that a model hears; the papers' prompts have 3 seconds
BEST = "3 to 10 seconds of one voice without noise are best"
MARGIN = 0.1  # seconds of silence that stay before and after the voice
RATE = 16000  # Hz at which a recording is judged
FRAME = 512  # samples in which the level is measured, 32 ms
QUIET = 35.0  # dB below the loudest frame, from where on a frame has no voice
PAUSE = 0.12  # seconds of silence where a long recording may be cut
SILENT = 1e-4  # peak below which a recording is silent: -80 dB
CLIPPED = 1e-3  # share of samples in flat tops, from where on clipping is audible
DIFFERENT = 0.1  # power of the difference of two channels, relative to their sum, from where on they differ audibly
NOISY = 15.0  # dB between the loud and the quiet frames; 16 to 53 in 32 clean recordings, 11 to 16 with noise at 10 dB
PIECE = 1.6  # seconds of voice that are compared with others; the window of the speaker embedding
ONE_VOICE = 0.68  # cosine of the parts of a recording: at least 0.71 in 28 of one voice, less in 19 of 20 of two voices
EMBEDDING = "resemblyzer"

Levels = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class CheckedPrompt:
    """A recording that can be imitated: mono, without silence at its ends, ``LONGEST`` seconds at most.

    ``text`` is what is said in it, None where nobody has asked; ``is_transcript``: a recogniser has heard it.
    ``notes`` are sentences for the user.
    """

    audio: Audio
    text: str | None = None
    is_transcript: bool = False
    notes: tuple[str, ...] = ()


def checked_prompt(recording: Audio, text: str | None = None) -> CheckedPrompt:
    """The part of ``recording`` that a model imitates, and what a user should know about it.

    A longer recording is cut at a pause, unless its ``text`` is given. A stored voice was checked when it was added.
    Raises AudioError for audio that is empty, not finite or silent; DataError for less than a second of voice, for an
    empty text, and for a recording with a text that is too long.
    """
    if text is not None and not text.strip():
        raise DataError(
            "the text of the prompt is empty", hint="leave --prompt-text out, and a recogniser finds it out"
        )
    if isinstance(recording, StoredVoice):
        return CheckedPrompt(recording, text or recording.text or None)
    _check_sound(recording)
    mono = recording.mono()
    heard = mono.resample(RATE).samples
    voice = _phrases(heard)
    lasting = float(np.diff(voice, axis=1).sum())
    if lasting < SHORTEST:
        raise DataError(
            f"the prompt has {lasting:.1f} seconds of voice, and {SHORTEST:g} second is needed",
            hint=f"record more: {BEST}",
        )
    start, stop = max(0.0, voice[0, 0] - MARGIN), min(mono.duration, voice[-1, 1] + MARGIN)
    notes = _notes(recording, heard[round(start * RATE) : round(stop * RATE)], lasting)
    if stop - start > LONGEST:
        if text is not None:
            raise DataError(
                f"the prompt lasts {stop - start:.0f} seconds, and a prompt with its text may last {LONGEST:g}",
                hint=f"cut the recording and its text; {BEST}. Without the text, the recording is cut at a pause",
            )
        end = _pause_before(voice, start + LONGEST)
        notes.append(
            f"the prompt lasts {stop - start:.0f} seconds; the first {end - start:.1f} are used, up to "
            f"{'a pause' if end < start + LONGEST else 'the limit, because there is no pause'}"
        )
        stop = end
    part = mono.samples[round(start * mono.sample_rate) : round(stop * mono.sample_rate)]
    notes += _voices(heard[round(start * RATE) : round(stop * RATE)])
    return CheckedPrompt(Audio(part, mono.sample_rate), text, notes=tuple(notes))


def transcribed(prompt: CheckedPrompt, language: str) -> CheckedPrompt:
    """``prompt`` with its text: the given one, or what a recogniser hears. ``language`` is a code such as ``en``.

    Raises DataError where no recogniser is installed, and where it hears no words.
    """
    if prompt.text is not None:
        return prompt
    try:
        recognizer = _recognizer()
        text = recognizer.transcribe(prompt.audio.resample(recognizer.sample_rate), language.partition("-")[0])
    except (RegistryError, MissingPackage, WeightsError) as error:
        raise DataError(
            f"the model needs the text of the prompt, and no recogniser can find it out: {error.message}",
            hint=f"--prompt-text TEXT, or {error.hint or 'pip install amphion-eval'}",
        ) from error
    if not text.strip():
        raise DataError("the recogniser hears no words in the prompt", hint="--prompt-text TEXT, or another recording")
    return CheckedPrompt(prompt.audio, text.strip(), is_transcript=True, notes=prompt.notes)


@lru_cache(maxsize=1)
def _recognizer() -> SpeechRecognizer:
    """The recogniser, which loads its network once."""
    found: SpeechRecognizer = RecognizerPart.named("faster_whisper").build()
    return found


def imitators() -> list[str]:
    """The names of the installed models that imitate a recording; a model that cannot be imported is left out."""
    found = []
    for name in registry.names("models", "tts/*"):
        try:
            component = amphion.get("models", name)
        except AmphionError:
            continue
        if getattr(component, "takes_prompt", False):
            found.append(name)
    return found


def _phrases(heard: Samples) -> Levels:
    """Beginning and end in seconds of each phrase in (T,) at ``RATE``, (M, 2); pauses of ``PAUSE`` are between them."""
    parts = sounding(heard, quiet=QUIET, frame=FRAME, hop=FRAME // 4) / RATE
    is_pause = parts[1:, 0] - parts[:-1, 1] >= PAUSE
    starts = parts[np.concatenate([[True], is_pause]), 0]
    ends = parts[np.concatenate([is_pause, [True]]), 1]
    return np.stack([starts, ends], axis=1)


def _check_sound(recording: Audio) -> None:
    """Raise AudioError for a recording without any sound."""
    if not recording.samples.size:
        raise AudioError("the prompt is empty", hint=f"record it again; {BEST}")
    if not np.isfinite(recording.samples).all():
        raise AudioError("the prompt has samples that are not finite (NaN or infinite)", hint="record it again")
    if recording.peak < SILENT:
        raise AudioError("the prompt is silent", hint=f"check the microphone and record it again; {BEST}")
    if recording.mono().peak < SILENT:
        raise AudioError(
            "the prompt is silent when its channels are mixed, because they are opposite",
            hint="take one channel: ffmpeg -i PROMPT -af pan=mono|c0=c0 MONO.wav",
        )


def _notes(recording: Audio, heard: Samples, lasting: float) -> list[str]:
    """What may make the imitation worse, a sentence for each thing."""
    found = []
    if lasting < SHORT:
        found.append(f"the prompt has only {lasting:.1f} seconds of voice; {BEST}")
    if recording.samples.ndim > 1 and _different(recording.samples):
        found.append(
            "the channels of the prompt differ and are mixed; if one of them is better: "
            "ffmpeg -i PROMPT -af pan=mono|c0=c0 MONO.wav"
        )
    if recording.sample_rate < RATE:
        found.append(f"the prompt has a rate of {recording.sample_rate} Hz, so the voice will be dull")
    if (share := clipped(recording.mono().samples)) > CLIPPED:
        found.append(f"the prompt is clipped in {100 * share:.1f} % of its samples, and the voice may sound distorted")
    if (span := _span(heard)) < NOISY:
        found.append(f"the prompt is noisy or has music: its quiet moments are only {span:.0f} dB below its loud ones")
    return found


def _different(channels: Samples) -> bool:
    """Whether channels (C, T) have other content, so that their mean is no copy of one of them."""
    mean = channels.mean(0)
    rest = np.square(channels - mean).sum()
    return bool(rest > DIFFERENT * len(channels) * np.square(mean).sum())


def _span(heard: Samples) -> float:
    """Decibels between the levels that 90 % and 10 % of the frames of 20 ms do not exceed."""
    frames = heard[: len(heard) // 320 * 320].reshape(-1, 320)
    power: Levels = np.square(frames, dtype=np.float64).mean(1)
    quiet, loud = np.percentile(np.maximum(power, SILENT**2), [10, 90])
    return float(10 * np.log10(loud / quiet))


def _pause_before(voice: Levels, limit: float) -> float:
    """The middle of the last pause before ``limit``, after enough voice; ``limit`` where there is none. Seconds.

    ``voice`` (M, 2) are the beginnings and ends of what is not silent.
    """
    ends, starts = voice[:-1, 1], voice[1:, 0]
    middles = (ends + starts) / 2
    fits = (middles <= limit) & (middles >= voice[0, 0] + SHORT)
    return float(middles[fits][-1]) if fits.any() else limit


def _voices(heard: Samples) -> list[str]:
    """A sentence if the parts of a recording (T,) at ``RATE`` sound like different speakers; needs amphion-eval."""
    size = round(PIECE * RATE)
    phrases = np.round(_phrases(heard) * RATE).astype(int).tolist()
    voice = np.concatenate([heard[start:stop] for start, stop in phrases])
    pieces = [Audio(voice[start : start + size], RATE) for start in range(0, len(voice) - size + 1, size)]
    if len(pieces) < 2:
        return []
    try:
        component = amphion.get("embeddings", EMBEDDING)
        embedding = component(component.Config())
        vectors = np.concatenate([embedding.embed(piece).vectors for piece in pieces])
    except AmphionError:  # the note is worth no package
        return []
    if (cosine := _least_similar(vectors)) >= ONE_VOICE:
        return []
    return [
        f"the prompt seems to have several voices: two parts of it have a speaker similarity of {cosine:.2f}; "
        "a recording of one voice is imitated better"
    ]


def _least_similar(vectors: Sequence[Any] | np.ndarray[Any, Any]) -> float:
    """The smallest cosine of the means before and after a point, over all points between vectors (N, D)."""
    rows = np.asarray(vectors, np.float64)
    found = []
    for point in range(1, len(rows)):
        one, other = rows[:point].mean(0), rows[point:].mean(0)
        found.append(float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))
    return min(found)
