"""Chapter (f): the levels of a codec, switched on and off, with a picture and a sound for each choice."""

from itertools import product
from typing import Any

import numpy as np
import torch

from amphion_core.audio import Audio
from amphion_core.errors import DataError
from amphion_core.families import Codec, Codes
from amphion_core.visualize.explanations import CODEC
from amphion_core.visualize.page import Page, card, codes_card, columns
from amphion_core.visualize.pictures import Array, Line, chart, spectrum_png
from amphion_core.visualize.vocoders import RANGE, spectrum

SWITCHES = 4  # at most; the levels of a codec with more share switches
SECONDS = 4.0  # of the recording: there is a sound for each choice of switches


def groups_of(levels: int) -> list[range]:
    """The levels 0..K-1 in at most four groups, of which each is about twice as large as the one before.

    >>> [list(group) for group in groups_of(8)]
    [[0], [1], [2, 3], [4, 5, 6, 7]]
    >>> [list(group) for group in groups_of(3)]
    [[0], [1], [2]]
    """
    if levels <= SWITCHES:
        return [range(level, level + 1) for level in range(levels)]
    found = [range(1)]
    for step in range(1, SWITCHES):
        end = max(found[-1].stop + 1, round(levels ** (step / (SWITCHES - 1))))
        found.append(range(found[-1].stop, end))
    return found


def add_codec(page: Page, net: Codec, recording: Audio) -> None:
    """The chapter about a codec and a recording. Raises DataError for a codec whose codes are no levels of one sum."""
    source = recording.resample(net.sample_rate)
    source = Audio(source.samples[: round(SECONDS * net.sample_rate)], net.sample_rate)
    wave = torch.from_numpy(np.pad(source.samples, (0, -len(source.samples) % net.hop_length)))[None, None].to(
        net.device
    )
    with torch.no_grad():
        codes = net.encode(wave)
        if codes.extra:  # such as the timbre of FACodec, which scales the normalised sum
            raise DataError(
                f"the codebooks of {type(net).__name__} are not levels of one sum that could be switched off alone",
                hint="name a residual codec, such as codec/encodec or codec/dac: amphion list --pretrained 'codec/*'",
            )
        sums = _sums(net, codes)
    groups = groups_of(net.n_codebooks)
    shares = [sums[group.stop] - sums[group.start] for group in groups]
    original = spectrum(source)
    top = float(original.max())
    states: dict[str, dict[str, str]] = {}
    distances: dict[str, float] = {}
    for chosen in product((False, True), repeat=len(groups)):
        if not any(chosen):
            continue
        key = "".join("1" if on else "0" for on in chosen)
        with torch.no_grad():
            latents = sums[0] + sum(share for share, on in zip(shares, chosen, strict=True) if on)
            made = net.decode_latents(latents)[0, 0].float().cpu().numpy()[: len(source.samples)]
        audio = Audio(np.nan_to_num(made), net.sample_rate)
        found = spectrum(audio)
        size = min(found.shape[1], original.shape[1])
        distances[key] = float(np.abs(found[:, :size] - original[:, :size]).mean())
        on = [name(group) for group, is_on in zip(groups, chosen, strict=True) if is_on]
        states[key] = {
            "label": f"{' and '.join(on)}: {distances[key]:.1f} dB from the recording",
            "image": page.picture_file(f"levels-{key}", spectrum_png(found[::2], top - RANGE, top)),
            "sound": page.sound_file(f"levels-{key}", audio),
        }
    page.data["switches"] = {"levels": states}
    page.data["distances"] = distances
    size = f"{net.n_codebooks} levels of {net.codebook_size} entries, {net.frame_rate:g} times a second"
    page.facts.append(("codes", f"{size}, {net.bitrate() / 1000:.1f} kbit/s"))
    page.chapter(
        CODEC,
        [
            _lab(page, groups, states, source, original, top),
            _numbers(net, groups, distances),
            codes_card(page, codes.indices[:, 0].float().cpu().numpy()),
        ],
    )


def name(group: range) -> str:
    """How the page calls a group of levels, counted from 1."""
    return f"level {group.start + 1}" if len(group) == 1 else f"levels {group.start + 1} to {group.stop}"


def _sums(net: Codec, codes: Codes) -> list[Any]:
    """What the decoder reads with the first 0, 1, ... K levels, each (1, C, N).

    The latents of a residual codec are the sum of its levels, so their differences are the levels.
    """
    found = [net.latents(Codes(codes.indices[: level + 1], codes.extra)) for level in range(len(codes.indices))]
    return [torch.zeros_like(found[0]), *found]


def _lab(
    page: Page, groups: list[range], states: dict[str, dict[str, str]], source: Audio, original: Array, top: float
) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" checked aria-label="{name(group)}"> {name(group)}</label>' for group in groups
    )
    full = states["1" * len(groups)]
    recording = columns(
        "<h4>Recording</h4>"
        + page.spectrum("recording", original[::2], "Spectrogram of the recording", low=top - RANGE, high=top)
        + page.player("recording", source, "The recording"),
        f'<h4>Decoded</h4><img class="frame" src="{full["image"]}" alt="Spectrogram, {full["label"]}">'
        f'<figure class="sound"><figcaption>The chosen levels</figcaption><audio class="frame" controls '
        f'preload="metadata" src="{full["sound"]}" aria-label="The chosen levels"></audio></figure>',
    )
    return (
        '<article class="card switches" data-switches="levels"><h3>Switch levels on and off</h3>'
        f"<fieldset><legend>Levels that are decoded</legend>{boxes}</fieldset>"
        f'<p><output aria-live="polite">{full["label"]}</output></p>{recording}</article>'
    )


def _numbers(net: Codec, groups: list[range], distances: dict[str, float]) -> str:
    """How the distance falls when levels are added in their order."""
    keys = ["1" * count + "0" * (len(groups) - count) for count in range(1, len(groups) + 1)]
    kilobits = [net.bitrate(group.stop) / 1000 for group in groups]
    curve = chart(
        "Distance of the spectra from the recording",
        [Line("first levels", kilobits, [distances[key] for key in keys])],
        x_label="kbit/s", y_label="dB",
    )  # fmt: skip
    return card("What the bits buy", curve)
