"""Chapter (e): one mel through several vocoders, with difference spectrograms, and a rising tone for aliasing."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import torch

from amphion_core.audio import Audio
from amphion_core.features.mel import hop_aligned_mel
from amphion_core.mel import MelConfig
from amphion_core.parts import FeaturePart
from amphion_core.visualize.explanations import VOCODERS
from amphion_core.visualize.page import Page, card, columns, short_name
from amphion_core.visualize.pictures import Array
from amphion_core.visualize.sounds import vocoded
from amphion_core.vocoding import needs_no_weights, open_named_vocoder, weightless_vocoders

WINDOW, HOP = 1024, 256  # samples of the pictures' spectra
RANGE = 80.0  # dB between the darkest and the lightest colour
DIFFERENCE = 30.0  # dB that have the strongest red or blue
SWEEP_SECONDS, SWEEP_START = 3.0, 200.0  # of the rising tone; Hz
BELOW = 0.8  # of the tone's frequency: what sounds below it is no harmonic of it


@dataclass(frozen=True, slots=True)
class _Result:
    name: str
    audio: Audio
    spectrum: Array  # (bins, N), dB
    sweep: Audio
    sweep_spectrum: Array
    below: float  # dB of what sounds below the tone, relative to all


def add_vocoders(page: Page, names: Sequence[str], recording: Audio, *, device: str) -> None:
    """The chapter about the vocoders ``names``, of which the first states the mel, and one without weights.

    Raises AudioError for a vocoder of another mel convention, and for a recording shorter than a frame.
    """
    named = [open_named_vocoder(names[0], device=device)]
    mel: MelConfig = named[0][1].config.mel
    named += [open_named_vocoder(name, mel, device=device) for name in names[1:]]
    plain = next(iter(weightless_vocoders()), None)
    if plain is not None and not any(needs_no_weights(name) for name, _ in named):
        named.append(open_named_vocoder(plain, mel, device=device))
    source = recording.resample(mel.sample_rate)
    tone, track = sweep(mel)
    frames = _mel(source, mel)
    original = Audio(source.samples[: frames.shape[1] * mel.hop_length], mel.sample_rate)
    reference = spectrum(original)
    results = [_result(short_name(name), net, original, frames, tone, track, mel) for name, net in named]
    top = float(reference.max())
    page.facts.append(("mel", f"{mel.n_mels} bands, {mel.fmin:g} to {mel.top:g} Hz, {mel.sample_rate} Hz"))
    page.data["vocoders"] = [
        {"name": one.name, "difference_db": _distance(one.spectrum, reference), "below_tone_db": one.below}
        for one in results
    ]
    page.chapter(
        VOCODERS,
        [
            _compared(page, original, reference, results, top),
            _table(results, reference),
            _aliasing(page, tone, results),
        ],
    )


def sweep(mel: MelConfig) -> tuple[Audio, Array]:
    """A tone that rises evenly in octaves to 90 % of the highest band, and its frequency at each sample in Hz."""
    rate = mel.sample_rate
    top = 0.9 * min(mel.top, rate / 2)
    share = np.arange(round(SWEEP_SECONDS * rate)) / (SWEEP_SECONDS * rate)
    track = SWEEP_START * (top / SWEEP_START) ** share
    return Audio((0.3 * np.sin(2 * np.pi * np.cumsum(track) / rate)).astype(np.float32), rate), track


def spectrum(audio: Audio) -> Array:
    """The level of each frequency (bins, N), dB, at least ``RANGE`` below the loudest."""
    wave = torch.from_numpy(audio.samples.copy())
    found = torch.stft(
        wave, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True, pad_mode="constant"
    ).abs()  # fmt: skip
    level: Array = 20 * np.log10(np.maximum(found.numpy(), 1e-6))
    return np.maximum(level, level.max() - RANGE)


def energy_below(audio: Audio, track: Array) -> float:
    """What sounds below a rising tone, relative to all, dB: no harmonic of the tone is there, but mirrored ones are."""
    level = spectrum(audio)
    power = 10 ** (level / 10)
    at = np.minimum(np.arange(level.shape[1]) * HOP, len(track) - 1)
    bins = np.arange(level.shape[0])[:, None] * audio.sample_rate / WINDOW
    inside = (bins < BELOW * track[at][None]) & (track[at][None] > 4 * SWEEP_START)
    counted = np.broadcast_to(track[at][None] > 4 * SWEEP_START, level.shape)
    return float(10 * np.log10(max(float(power[inside].sum()), 1e-12) / max(float(power[counted].sum()), 1e-12)))


def _mel(audio: Audio, mel: MelConfig) -> Array:
    found: Array = hop_aligned_mel(torch.from_numpy(audio.samples.copy())[None], mel)[0].numpy()
    return found


def _result(name: str, net: Any, original: Audio, frames: Array, tone: Audio, track: Array, mel: MelConfig) -> _Result:
    audio = vocoded(net, frames, _f0(net, original, mel, frames.shape[1]))
    rising = _mel(tone, mel)
    again = vocoded(net, rising, _f0(net, tone, mel, rising.shape[1]))
    return _Result(name, audio, spectrum(audio), again, spectrum(again), energy_below(again, track))


def _f0(net: Any, audio: Audio, mel: MelConfig, frames: int) -> Array | None:
    """F0 (N,) for a vocoder that needs it."""
    if not net.needs_f0:
        return None
    wave = torch.from_numpy(audio.samples.copy())[None]
    found: Array = FeaturePart.named("f0_dio", mel=mel).build().extract(wave)[0, 0].numpy()
    return np.pad(found, (0, max(0, frames - len(found))))[:frames]


def _distance(found: Array, reference: Array) -> float:
    size = min(found.shape[1], reference.shape[1])
    return float(np.abs(found[:, :size] - reference[:, :size]).mean())


def _compared(page: Page, original: Audio, reference: Array, results: Sequence[_Result], top: float) -> str:
    high = f"up to {original.sample_rate / 2:g} Hz"
    label = f"Spectrogram of the recording, {high}"
    first = page.spectrum("recording", _half(reference), label, low=top - RANGE, high=top)
    cells = [card("Recording", first, page.player("recording", original, "The recording"))]
    for number, one in enumerate(results):
        size = min(one.spectrum.shape[1], reference.shape[1])
        shown = page.spectrum(
            f"vocoder-{number}", _half(one.spectrum), f"Spectrogram of {one.name}, {high}", low=top - RANGE, high=top
        )
        away = page.difference(
            f"difference-{number}", _half(one.spectrum[:, :size] - reference[:, :size]),
            f"Difference of {one.name} from the recording: red is louder, blue is quieter", most=DIFFERENCE,
        )  # fmt: skip
        sound = page.player(f"vocoder-{number}", one.audio, f"Copy by {one.name}")
        caption = f"<p class='note'>Below: difference, red is louder, blue quieter, at most {DIFFERENCE:g} dB</p>"
        cells.append(card(one.name, shown, sound, caption, away))
    return columns(*cells)


def _table(results: Sequence[_Result], reference: Array) -> str:
    rows = "".join(
        f"<tr><th>{escape(one.name)}</th><td>{_distance(one.spectrum, reference):.2f} dB</td>"
        f"<td>{one.below:.1f} dB</td></tr>"
        for one in results
    )
    return card(
        "In numbers",
        "<table><thead><tr><th>vocoder</th><th>mean difference of the spectra</th><th>sound below the rising tone</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>",
        note="Less is better in both columns. The second one is relative to the whole sound.",
    )


def _aliasing(page: Page, tone: Audio, results: Sequence[_Result]) -> str:
    reference = spectrum(tone)
    top = float(reference.max())
    picture = page.spectrum("tone", _half(reference), "Spectrogram of a rising tone", low=top - RANGE, high=top)
    cells = [card("The tone itself", picture, page.player("tone", tone, "A rising tone"))]
    for number, one in enumerate(results):
        high = float(one.sweep_spectrum.max())
        shown = page.spectrum(
            f"tone-{number}", _half(one.sweep_spectrum), f"The rising tone by {one.name}", low=high - RANGE, high=high
        )
        cells.append(card(one.name, shown, page.player(f"tone-{number}", one.sweep, f"The tone by {one.name}")))
    note = "Lines that fall while the tone rises are aliases; lines above it are harmonics that the vocoder adds."
    return card("Aliasing: a rising tone", columns(*cells), note=note)


def _half(values: Array) -> Array:
    """Every two bins as one, the louder, so that the picture is half as large."""
    return np.maximum(values[0:-1:2], values[1::2]) if len(values) > 1 else values
