"""Chapter (b): diffusion and consistency models, one mel and one sound for each step, and curves of metrics."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.audio import Audio
from amphion_core.errors import AmphionError
from amphion_core.mel import MelConfig
from amphion_core.parts import MetricPart
from amphion_core.recording import STEP, Recorder
from amphion_core.visualize import sounds
from amphion_core.visualize.explanations import SAMPLING
from amphion_core.visualize.page import Page, card, columns
from amphion_core.visualize.pictures import Array, Line, chart, spectrum_png
from amphion_core.visualize.strips import Frame, strip

MOST = 12  # steps on a page
METRICS = {  # title of the curve, by the metric's name
    "speaker_similarity": "Similarity of the voice embedding with that of the last step",
    "fpc": "Correlation of F0 with that of the last step",
    "f0_rmse": "F0 RMSE against the last step",
    "mcd": "Mel-cepstral distortion (MCD) against the last step",
}


def add_sampling(page: Page, task: Any, made: Sequence[Any]) -> None:
    """The chapter about the steps of one condition, or of two side by side."""
    sampled = [joined_steps(one.recorder) for one in made]
    count = min(MOST, *(len(mels) for mels, _, _ in sampled))
    films = [_Film(task, one, *found, count) for one, found in zip(made, sampled, strict=True)]
    low = min(float(film.mels[-1].min()) for film in films)
    high = max(float(film.mels[-1].max()) for film in films)
    frames = []
    for index in range(count):
        number = films[0].numbers[index]
        places = dict.fromkeys(f"{film.numbers[index]} of {film.numbers[-1]}" for film in films)
        frame = Frame(f"step {', '.join(places)}", number)
        for column, film in enumerate(films):
            name = f"step-{number}" + ("" if column == 0 else "-second")
            frame.images.append(page.picture_file(name, spectrum_png(film.mels[index], low, high)))
            if (sound := film.heard[index]) is not None:
                frame.sounds.append(page.sound_file(name, sound))
        frames.append(frame)
    curves, notes = _curves(films)
    page.data["steps"] = {
        "condition": [film.label for film in films],
        "number": [film.numbers for film in films],
        "noise": [film.times for film in films],
        "metrics": {name: [line.y for line in lines] for name, lines in curves.items()},
    }
    charts = [
        chart(METRICS[name], lines, x_label="step", y_label=unit, marker=True)
        for name, (lines, unit) in {name: (lines, _unit(name)) for name, lines in curves.items()}.items()
    ]
    labels = [film.label for film in films]
    method = str(made[0].recorder.last(STEP).details.get("method", ""))
    parts = [strip(page, "steps", frames, labels, charts=columns(*charts))]
    if notes:
        parts.append(card("Not measured", "".join(f'<p class="note">{escape(note)}</p>' for note in notes)))
    page.chapter(SAMPLING.get(method, SAMPLING[""]), parts)


class _Film:
    """``count`` steps of one condition, spread evenly from the first to the last: their mels (F, N) and sounds."""

    def __init__(
        self, task: Any, made: Any, mels: list[Array], times: list[float], config: MelConfig | None, count: int
    ) -> None:
        self.label: str = made.label
        chosen = np.linspace(0, len(mels) - 1, count).round().astype(int).tolist() if count > 1 else [len(mels) - 1]
        self.numbers = [index + 1 for index in chosen]
        self.times = [times[index] for index in chosen]
        self.mels = [mels[index] for index in chosen]
        pitch = [stage.array[0] for stage in made.recorder.all("f0")]
        self.heard = [_sound(task, mel, config, np.concatenate(pitch) if pitch else None) for mel in self.mels]


def joined_steps(recorder: Recorder) -> tuple[list[Array], list[float], MelConfig | None]:
    """The mels (F, N) after each step, the noise levels or training steps, and the convention of the mels.

    A long recording is converted in pieces, each with its own run of the sampler: their mels are joined in time.
    """
    runs: dict[int, list[Any]] = {}
    for stage in recorder.all(STEP):
        runs.setdefault(stage.details.get("run", 0), []).append(stage)
    count = min(len(stages) for stages in runs.values())
    mels = [np.concatenate([_matrix(stages[step].array) for stages in runs.values()], 1) for step in range(count)]
    first = next(iter(runs.values()))
    return mels, [float(stage.details.get("time", 0.0)) for stage in first[:count]], first[0].details.get("mel")


def _matrix(values: Array) -> Array:
    """The first item of a batch as (F, N); further axes, as those of latents, are joined with the first."""
    found = values[0]
    return found.reshape(-1, found.shape[-1])


def _sound(task: Any, values: Array, mel: MelConfig | None, f0: Array | None) -> Audio | None:
    if mel is None:
        return None
    vocoder = getattr(task, "vocoder", None)
    if vocoder is None:
        return sounds.sound_of_mel(values, mel)
    return sounds.vocoded(vocoder, values, f0 if vocoder.needs_f0 else None)


def _unit(name: str) -> str:
    return str(registry.get("metrics", name).unit)


def _curves(films: Sequence[_Film]) -> tuple[dict[str, list[Line]], list[str]]:
    """Each metric of every step against the last step, and a sentence for each metric that could not be computed."""
    found, notes = {}, []
    for name in METRICS:
        try:
            metric = MetricPart.named(name).build()
            lines = [Line(film.label, film.numbers, _measured(metric, film.heard)) for film in films]
        except AmphionError as error:
            notes.append(f"{name}: {error.message}" + (f"; {error.hint}" if error.hint else ""))
            continue
        if any(np.isfinite(line.y).any() for line in lines):
            found[name] = lines
        else:
            notes.append(f"{name}: it is not defined for these sounds")
    return found, notes


def _measured(metric: Any, heard: Sequence[Audio | None]) -> list[float]:
    """NaN where the metric is not defined, such as F0 in noise."""
    last, values = heard[-1], []
    for audio in heard:
        try:
            if audio is None or last is None:
                raise AmphionError("no sound")
            rate = metric.sample_rate or audio.sample_rate
            values.append(float(metric.measure(audio.resample(rate), last.resample(rate)).value))
        except AmphionError:
            values.append(float("nan"))
    return values
