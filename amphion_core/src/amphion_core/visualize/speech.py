"""Chapter (a): text to speech step by step, from the text to the wave, each stage with a sound where it has one."""

from html import escape
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from amphion_core.audio import Audio
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig
from amphion_core.recording import Recorder
from amphion_core.visualize import sounds
from amphion_core.visualize.explanations import CODE_SPEECH, OTHER_SPEECH, SPEECH
from amphion_core.visualize.page import Page, card, codes_card, columns, player
from amphion_core.visualize.pictures import Array, Line, chart, spectrum_png, wave_svg

NARROWEST = 1.1  # rem of a symbol in the timeline
LATENTS = {
    "prior": ("Latents from the text", "What the text says about each frame, and noise; one row for each channel."),
    "latents": ("Latents after the flow", "The same after the flow, which adds what the text alone does not say. "
                "The decoder makes the wave of them."),
}  # fmt: skip
SPACE = "␣"  # shows a symbol that is a space


def add_speech(page: Page, made: Any, *, condition: str = "") -> None:
    """The chapter about one spoken text, from the stages that a model for text to speech reports."""
    recorder: Recorder = made.recorder
    symbols = [shown(symbol) for symbol in recorder.last("symbols").values]  # type: ignore[union-attr]
    text = recorder.last("text")
    parts = [
        card("The text", f"<blockquote>{escape(str(text.values if text else made.label))}</blockquote>"),
        card("Symbols for sounds", _list(symbols), note=f"{len(symbols)} symbols; {SPACE} is a space."),
    ]
    durations = recorder.last("durations")
    config: MelConfig | None = durations.details.get("mel") if durations else None
    mel = recorder.last("mel")
    if durations is not None and config is not None:
        counts = durations.array[0].astype(int)
        parts.append(_durations(page, symbols, counts, config))
        parts += _melody(page, recorder, counts, config)
    if mel is not None:
        parts.append(_mel(page, mel.array[0], mel.details["mel"]))
        config = mel.details["mel"]
    for name, (title, note) in LATENTS.items():
        if (stage := recorder.last(name)) is not None:
            values = stage.array[0]
            most = 3 * float(values.std())
            picture = page.spectrum(name, values, f"{title}: channels over time", low=-most, high=most)
            parts.append(card(title, picture, note=note))
    codes = recorder.last("codes")
    if codes is not None:
        parts.append(codes_card(page, codes.array[0]))
    parts.append(_timeline(page, made.audio, symbols, durations.array[0] if durations else None, config))
    page.data.setdefault("speech", []).append(
        {"symbols": symbols, "durations": durations.array[0] if durations else None, "label": made.label}
    )
    about = SPEECH if durations else CODE_SPEECH if codes else OTHER_SPEECH
    page.chapter(about, [f'<div class="numbered">{"".join(parts)}</div>'], condition=condition)


def shown(symbol: str) -> str:
    """A symbol as a page writes it."""
    return SPACE if symbol.isspace() else symbol


def _list(symbols: list[str]) -> str:
    return f'<ol class="tokens">{"".join(f"<li>{escape(symbol)}</li>" for symbol in symbols)}</ol>'


def _durations(page: Page, symbols: list[str], counts: Array, mel: MelConfig) -> str:
    """How long each symbol lasts: a staircase, clicks at the beginnings, and the matrix of the alignment."""
    seconds = counts * mel.hop_length / mel.sample_rate
    ends = np.cumsum(seconds)
    stairs = chart(
        "Durations: which symbol is said when",
        [Line("number of the symbol", np.concatenate([[0.0], ends]), np.arange(len(counts) + 1), step=True)],
        x_label="seconds", y_label="symbol",
    )  # fmt: skip
    click = page.player(
        "durations", sounds.clicks(ends - seconds, float(ends[-1]), mel.sample_rate), "A click where each symbol begins"
    )
    longest = int(np.argmax(counts))
    note = (
        f"{int(counts.sum())} frames of {1000 * mel.hop_length / mel.sample_rate:.1f} ms. The longest symbol is "
        f"{symbols[longest]}, number {longest + 1}, with {seconds[longest]:.2f} s."
    )
    return card("Durations and alignment", stairs, click, note=note)


def _melody(page: Page, recorder: Recorder, counts: Array, mel: MelConfig) -> list[str]:
    """The predicted pitch and energy over time, and a hum that follows them."""
    curves: dict[str, Array] = {}
    units: dict[str, str] = {}
    for name in ("pitch", "energy"):
        if (stage := recorder.last(name)) is not None:
            values = stage.array[0]
            curves[name] = np.repeat(values, counts) if stage.axes.endswith("L") else values
            units[name] = stage.details.get("unit") or "normalised"
    if not curves:
        return []
    shift = mel.hop_length / mel.sample_rate
    charts = [
        chart(f"Predicted {name}", [Line(name, np.arange(len(v)) * shift, v, step=True)], x_label="seconds",
              y_label=units[name])
        for name, v in curves.items()
    ]  # fmt: skip
    parts = [columns(*charts)]
    if "pitch" in curves and units["pitch"] == "Hz":
        tone = sounds.hum(curves["pitch"], curves.get("energy"), mel.hop_length, mel.sample_rate)
        parts.append(page.player("melody", tone, "A hum with this pitch and energy"))
    return [card("Pitch and energy", *parts, note="One value for each symbol or frame, before any mel is made.")]


def _mel(page: Page, values: Array, mel: MelConfig) -> str:
    audio = sounds.sound_of_mel(values, mel)
    parts = [page.spectrum("mel", values, f"Mel spectrogram, {mel.n_mels} bands from {mel.fmin:g} to {mel.top:g} Hz")]
    if audio is not None:
        parts.append(page.player("mel", audio, "The mel heard through Griffin-Lim, a vocoder without a network"))
    return card("Mel spectrogram", *parts, note="Low pitches are at the bottom, time runs to the right.")


def _timeline(page: Page, audio: Audio, symbols: list[str], counts: Array | None, mel: MelConfig | None) -> str:
    """The wave with a button for each symbol, which plays its part."""
    address = page.sound_file("wave", audio)
    rows = [wave_svg(audio.samples, f"The wave, {audio.duration:.2f} seconds")]
    if mel is not None:
        own = audio.resample(mel.sample_rate).samples
        if len(own) >= max(mel.n_fft, mel.shortest):
            picture = mel_spectrogram(torch.from_numpy(own.copy())[None], mel)[0].numpy()
            rows.append(
                f'<img src="{page.picture_file("wave", spectrum_png(picture))}" alt="Mel spectrogram of the wave">'
            )
    seconds, buttons = audio.duration, ""
    if counts is not None and mel is not None:
        frame = mel.hop_length / mel.sample_rate
        borders = [value * frame for value in accumulate(counts.tolist(), initial=0)]
        seconds = max(seconds, borders[-1])
        buttons = "".join(
            f'<button type="button" style="width:{100 * (end - start) / seconds:.3f}%" data-start="{start:.3f}" '
            f'data-end="{end:.3f}" aria-label="play {escape(symbol)}, {start:.2f} to {end:.2f} seconds">'
            f"{escape(symbol)}</button>"
            for symbol, start, end in zip(symbols, borders, borders[1:], strict=False)
            if end > start
        )
    number = sum(1 for count in counts if count > 0) if counts is not None else 0
    track = (
        f'<div class="scroller" tabindex="0" role="group" aria-label="timeline, scrolls sideways"><div class="track" '
        f'style="min-width:{NARROWEST * number:.0f}rem">{"".join(rows)}'
        f'<div class="times">{buttons}</div><span class="playhead"></span></div></div>'
    )
    sound = player(address, "The finished speech")
    note = "Choose a symbol to hear its part alone." if buttons else ""
    return f'<div class="timeline" data-seconds="{seconds:.4f}">{card("Wave", sound, track, note=note)}</div>'
