"""Makes stages audible: a mel by a vocoder without weights, a melody as a hum, durations as clicks."""

from typing import Any

import numpy as np
import torch

from amphion_core.audio import Audio
from amphion_core.mel import MelConfig
from amphion_core.visualize.pictures import Array
from amphion_core.vocoding import open_vocoder, weightless_vocoders

SECONDS = 12.0  # of a recording that a page shows
CLICK = 0.008  # seconds
OVERTONES = 8  # of the hum


def shortened_recording(path: str) -> Audio:
    """The beginning of a recording, as long as a page shows. Raises AudioError."""
    audio = Audio.load(path).mono()
    return Audio(audio.samples[: round(SECONDS * audio.sample_rate)], audio.sample_rate)


def sound_of_mel(values: Array, mel: MelConfig) -> Audio | None:
    """A mel (F, N) as a vocoder without weights makes it; None where no such vocoder is installed."""
    name = next(iter(weightless_vocoders()), None)
    return None if name is None else vocoded(open_vocoder(name, mel), values)


def vocoded(vocoder: Any, values: Array, f0: Array | None = None) -> Audio:
    """A mel (F, N), with its F0 (N,) where the vocoder needs it, as sound."""
    mel = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None].to(vocoder.device)
    pitch = None if f0 is None else torch.from_numpy(np.ascontiguousarray(f0, np.float32))[None].to(vocoder.device)
    wave = vocoder.vocode(mel, pitch, seed=0)[0].float().cpu().numpy()
    return Audio(np.nan_to_num(wave), int(vocoder.config.mel.sample_rate))


def hum(f0: Array, loudness: Array | None, hop: int, sample_rate: int) -> Audio:
    """A tone with overtones that follows F0 (N,) in Hz, silent where it is 0, as loud as ``loudness`` (N,) says."""
    pitch = np.repeat(np.nan_to_num(f0), hop)
    level = np.where(pitch > 0, 1.0, 0.0)
    if loudness is not None:
        level = level * np.repeat(np.clip(loudness, 0, None) / max(float(np.max(loudness)), 1e-9), hop)
    smooth = np.ones(max(1, sample_rate // 100)) / max(1, sample_rate // 100)
    level = np.convolve(level, smooth, "same")
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    tone = sum(np.sin(k * phase) / k * (k * pitch < sample_rate / 2) for k in range(1, OVERTONES + 1))
    return Audio((0.2 * level * tone).astype(np.float32), sample_rate)


def clicks(starts: Array, seconds: float, sample_rate: int) -> Audio:
    """A short click at each of ``starts``, in seconds."""
    samples = np.zeros(max(1, round(seconds * sample_rate)), np.float32)
    size = round(CLICK * sample_rate)
    click = 0.4 * np.sin(2 * np.pi * 1500 * np.arange(size) / sample_rate) * np.linspace(1, 0, size)
    for start in starts:
        at = min(round(float(start) * sample_rate), len(samples))
        samples[at : at + size] += click[: len(samples) - at].astype(np.float32)
    return Audio(samples, sample_rate)
