"""Chapter (c): the melody and the loudness of a song and of its conversion, with the errors shaded."""

from typing import Any

import numpy as np
import torch

from amphion_core.audio import Audio
from amphion_core.visualize.explanations import SINGING
from amphion_core.visualize.page import Page, card, columns
from amphion_core.visualize.pictures import Array, Line, chart

TOLERATED = 0.5  # semitones; a larger error is another note
QUIETEST = -70.0  # dB of full scale
Spans = list[tuple[float, float]]


def add_singing(page: Page, made: Any, tracker: Any, *, condition: str = "") -> None:
    """The chapter about one conversion: ``made`` holds the request with the song, the result, and what was recorded.

    ``tracker`` is a feature that finds F0.
    """
    source: Audio = made.request.audio
    key = made.recorder.last("key_shift")
    shift = float(key.array[0]) if key is not None else 0.0
    melody, found = contour(tracker, source), contour(tracker, made.audio)
    size = min(len(melody), len(found))
    melody, found = melody[:size] * 2 ** (shift / 12), found[:size]
    seconds = tracker.frame_shift
    errors = pitch_errors(melody, found)
    both = (melody > 0) & (found > 0)
    wrong, unvoiced = both & (np.abs(errors) > TOLERATED), (melody > 0) != (found > 0)
    shaded = {f"pitch wrong by more than {TOLERATED} semitones": spans(wrong, seconds),
              "voice where there is none, or none where there is": spans(unvoiced, seconds)}  # fmt: skip
    times = np.arange(size) * seconds
    melodies = chart(
        f"F0 of the song, moved by {shift:+g} semitones, and of the result",
        [Line("song, in the new key", times, _gaps(melody)), Line("result", times, _gaps(found))],
        x_label="seconds", y_label="Hz", shaded=shaded,
    )  # fmt: skip
    difference = chart(
        "Error of F0", [Line("semitones", times, np.where(both, errors, np.nan))], x_label="seconds",
        y_label="semitones", shaded={"wrong": spans(wrong, seconds)},
    )  # fmt: skip
    loud, other = loudness(source, seconds), loudness(made.audio, seconds)
    most = min(len(loud), len(other))
    energy = chart(
        "Energy of the song and of the result",
        [Line("song", np.arange(most) * seconds, loud[:most]), Line("result", np.arange(most) * seconds, other[:most])],
        x_label="seconds", y_label="dB of full scale",
    )  # fmt: skip
    scores = _scores(melody, found, errors, both, unvoiced)
    page.data.setdefault("singing", []).append({"label": made.label, "key_shift": shift, **scores})
    players = [page.player("song", source, "The song"), page.player("result", made.audio, f"The result: {made.label}")]
    parts = [
        card("Listen", columns(*players)),
        card("Melody", melodies, difference, _table(scores)),
        card("Energy", energy),
    ]
    if isinstance(target := getattr(made.request, "target", None), Audio):
        parts.append(_target(page, target, tracker))
    page.chapter(SINGING, parts, condition=condition)


def contour(tracker: Any, audio: Audio) -> Array:
    """F0 (N,) in Hz, 0 where unvoiced."""
    own = audio.mono().resample(tracker.sample_rate).samples
    found: Array = tracker.extract(torch.from_numpy(np.ascontiguousarray(own))[None])[0, 0].cpu().numpy()
    return found


def pitch_errors(melody: Array, found: Array) -> Array:
    """Semitones by which ``found`` (N,) is higher than ``melody`` (N,); 0 where either has no voice.

    >>> pitch_errors(np.array([220.0, 0.0]), np.array([440.0, 100.0])).tolist()
    [12.0, 0.0]
    """
    both = (melody > 0) & (found > 0)
    return np.where(both, 12 * np.log2(np.where(both, found, 1) / np.where(both, melody, 1)), 0.0)


def spans(mask: Array, seconds: float) -> Spans:
    """The runs of True in a mask of frames (N,), from and to in seconds.

    >>> spans(np.array([False, True, True, False]), 0.5)
    [(0.5, 1.5)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(float(a) * seconds, float(b) * seconds) for a, b in edges.reshape(-1, 2)]


def loudness(audio: Audio, seconds: float) -> Array:
    """The level of each frame of ``seconds`` (N,), dB of full scale."""
    hop = max(1, round(seconds * audio.sample_rate))
    samples = audio.mono().samples
    blocks = samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64)
    level = 10 * np.log10(np.maximum(np.square(blocks).mean(1), 10 ** (QUIETEST / 10)))
    width = min(5, max(1, len(level)))
    return np.convolve(np.pad(level, width // 2, mode="edge"), np.ones(width) / width, "valid")[: len(level)]


def _gaps(f0: Array) -> Array:
    return np.where(f0 > 0, f0, np.nan)


def _scores(melody: Array, found: Array, errors: Array, both: Array, unvoiced: Array) -> dict[str, float]:
    if both.sum() < 2:
        return {"voicing_errors": float(unvoiced.mean()) if len(unvoiced) else 0.0}
    return {
        "f0_rmse_semitones": float(np.sqrt(np.square(errors[both]).mean())),
        "f0_correlation": float(np.corrcoef(melody[both], found[both])[0, 1]),
        "wrong_notes": float((np.abs(errors[both]) > TOLERATED).mean()),
        "voicing_errors": float(unvoiced.mean()),
    }


def _table(scores: dict[str, float]) -> str:
    names = {
        "f0_rmse_semitones": "F0 RMSE, semitones", "f0_correlation": "F0 correlation",
        "wrong_notes": "share of voiced frames with a wrong note",
        "voicing_errors": "share of frames with wrong voicing",
    }  # fmt: skip
    rows = "".join(f"<tr><th>{names[key]}</th><td>{value:.3f}</td></tr>" for key, value in scores.items())
    return f"<table><tbody>{rows}</tbody></table>"


def _target(page: Page, target: Audio, tracker: Any) -> str:
    """The recording of the singer, whose melody is its own: only its range can be compared."""
    f0 = contour(tracker, target)
    voiced = f0[f0 > 0]
    curve = chart(
        "F0 of the singer's recording", [Line("singer", np.arange(len(f0)) * tracker.frame_shift, _gaps(f0))],
        x_label="seconds", y_label="Hz",
    )  # fmt: skip
    middle = f"Half of its voiced frames are above {np.median(voiced):.0f} Hz." if voiced.size else ""
    return card("The singer", page.player("singer", target, "The recording of the singer"), curve, note=middle)
