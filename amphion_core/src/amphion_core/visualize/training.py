"""Chapter (g): the curves of a run, and its samples at each validation."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amphion_core.audio import Audio
from amphion_core.errors import DataError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig
from amphion_core.training.run_folder import DEV, RunFolder
from amphion_core.visualize.explanations import TRAINING
from amphion_core.visualize.page import Page, card, columns, short_name
from amphion_core.visualize.pictures import Line, chart, spectrum_png
from amphion_core.visualize.strips import Frame, strip

MOST_CURVES, MOST_STEPS, MOST_SOUNDS = 12, 20, 3
SECONDS = 6.0  # of each sample
MEL = MelConfig.preset("hifigan_22k_80")  # of the pictures, whatever the model's own is
SMOOTH = 0.9  # share of the curve before in its moving average


def add_training(page: Page, run: Path) -> None:
    """The chapter about the run folder ``run``. Raises DataError where it holds no curve."""
    points = RunFolder(run).curve()
    if not points:
        raise DataError(
            f"{run} has no curve yet: its metrics.jsonl is empty", hint="wait until the first steps are logged"
        )
    last = max(point["step"] for point in points)
    page.facts += [("run", short_name(str(run))), ("steps", f"{last:,}")]
    curves = curves_of(points)
    page.data["curves"] = {name: {"step": steps, "value": values} for name, (steps, values) in curves.items()}
    frames, labels = _samples(page, run)
    charts = charts_of(curves, marker=bool(frames))
    note = f"The lines whose names begin with {DEV} are the validation, on data that the model never trains with."
    if frames:
        parts = [f'<p class="note">{note}</p>', strip(page, "checkpoints", frames, labels, charts=columns(*charts))]
    else:
        parts = [card("Curves", columns(*charts), note=f"{note} The run has no samples.")]
    page.chapter(TRAINING, parts)


Curves = dict[str, tuple[list[int], list[float]]]


def curves_of(points: list[dict[str, Any]]) -> Curves:
    """The steps and values of each name in the lines of a run's curve."""
    found: Curves = {}
    for point in points:
        for name, value in point.items():
            if name != "step":
                steps, values = found.setdefault(name, ([], []))
                steps.append(point["step"])
                values.append(float(value))
    return found


def charts_of(curves: Curves, *, marker: bool) -> list[str]:
    """One chart for each quantity; that of the validation is in the chart of the same quantity in training."""
    groups: dict[str, list[str]] = {}
    for name in curves:
        groups.setdefault(name.rpartition("/")[2], []).append(name)
    order = sorted(groups, key=lambda key: (key != "loss", key in ("lr", "gradient_norm"), not _validated(groups[key])))
    found = []
    for key in order[:MOST_CURVES]:
        names = sorted(groups[key], key=lambda name: name.startswith(DEV))
        lines = []
        for name in names:
            steps, values = curves[name]
            shown = name if name.startswith(DEV) or len(values) < 50 else f"{name}, smoothed"
            lines.append(Line(shown, steps, values if shown == name else _smoothed(values)))
        found.append(chart(key.replace("_", " "), lines, x_label="step", y_label="", marker=marker))
    return found


def _validated(names: list[str]) -> bool:
    return any(name.startswith(DEV) for name in names)


def _smoothed(values: list[float]) -> list[float]:
    found, before = [], values[0]
    for value in values:
        before = SMOOTH * before + (1 - SMOOTH) * value
        found.append(before)
    return found


def _samples(page: Page, run: Path) -> tuple[list[Frame], list[str]]:
    """A frame for each validation with samples, and the names of the samples; both empty where there are none."""
    folders = {
        int(match[1]): path
        for path in (run / "samples").glob("step-*")
        if (match := re.fullmatch(r"step-(\d+)", path.name)) and any(path.glob("*.wav"))
    }
    steps = sorted(folders)
    if len(steps) > MOST_STEPS:
        steps = [steps[index] for index in sorted({round(x) for x in np.linspace(0, len(steps) - 1, MOST_STEPS)})]
    if not steps:
        return [], []
    names = sorted({path.stem for path in folders[steps[-1]].glob("*.wav")})[:MOST_SOUNDS]
    frames = []
    for step in steps:
        frame = Frame(f"step {step:,}", step)
        for name in names:
            path = folders[step] / f"{name}.wav"
            audio = _beginning(path) if path.is_file() else Audio(np.zeros(2048, np.float32), MEL.sample_rate)
            frame.images.append(page.picture_file(f"{name}-{step}", _picture(audio)))
            frame.sounds.append(page.sound_file(f"{name}-{step}", audio))
        frames.append(frame)
    return frames, [name.replace("_", " ") for name in names]


def _beginning(path: Path) -> Audio:
    audio = Audio.load(path).mono()
    return Audio(audio.samples[: round(SECONDS * audio.sample_rate)], audio.sample_rate)


def _picture(audio: Audio) -> bytes:
    samples = audio.resample(MEL.sample_rate).samples
    samples = np.pad(samples, (0, max(0, MEL.n_fft - len(samples))))
    return spectrum_png(mel_spectrogram(torch.from_numpy(samples.copy())[None], MEL)[0].numpy(), -11.0, 2.0)
