"""The report as one HTML page: tables, distributions, and the worst utterances with sound. It works offline."""

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.api import Audio, MelConfig
from amphion_core.colours import colour_map
from amphion_core.errors import AmphionError
from amphion_core.files import atomic_write
from amphion_eval.analysis.pitch import FMAX, FMIN, track
from amphion_eval.analysis.signals import Array, Samples
from amphion_eval.evaluation.report import Report
from amphion_eval.pages.tables import arrow, digits, winners

LONGEST = 20.0  # seconds of a clip inside the page
MAX_SOUND = 48 << 20  # bytes of sound inside the page
RATE, BANDS = 22050, 80
RANGE = 80.0  # dB between the darkest and the lightest colour of a picture
POINTS, ROWS = 500, 1000  # points of a system in a chart, files in the table: more make a browser too slow
WIDTH, HEIGHT, LINE = 640, 26, 30  # pixels of a chart: length of the axis, height of the points, of a line


def write_page(path: Path, report: Report, *, worst: int = 3) -> Path:
    """Write one HTML file, with the ``worst`` utterances of each metric and system.

    Limits: 20 seconds per sound, 48 MiB of sound in all, 1000 files in the table, and 500 points per system in a chart,
    spread evenly over the ranks. The page states every limit that it reached. Raises AmphionError if the file cannot be
    written.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    pages = Environment(loader=PackageLoader("amphion_eval.pages", "templates"), autoescape=select_autoescape(["html"]))
    clips = _Clips()
    sections = [_section(report, label, worst, clips) for label in report.metrics]
    text = pages.get_template("report.html").render(
        report=report, rows=report.rows[:ROWS], sections=sections, clips=clips, systems=list(report.summary),
        digits=digits, arrow=arrow, best={label: winners(report, label) for label in report.metrics},
        problems=report.problems,
    )  # fmt: skip
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


class _Clips:
    """Sounds and pictures of files. Each is stored in the page once, even if several sections show it."""

    def __init__(self) -> None:
        self.sounds: dict[str, str] = {}
        self.pictures: dict[str, dict[str, Any]] = {}
        self.free = MAX_SOUND
        self.full = False

    @property
    def images(self) -> dict[str, str]:
        """Pictures as PNG, by the names of their clips."""
        return {clip["name"]: clip["png"] for clip in self.pictures.values()}

    def add(self, path: str | None) -> str | None:
        """Add the sound and the picture of a file. Returns its path, or None for a file that cannot be read."""
        if path is None:
            return None
        if path not in self.pictures:
            try:
                audio = Audio.load(path).mono()
            except AmphionError:
                return None
            audio = Audio(audio.samples[: int(LONGEST * audio.sample_rate)], audio.sample_rate)
            self.pictures[path] = {"name": f"c{len(self.pictures)}", **picture(audio)}
            data = _flac(audio)
            if len(data) <= self.free:
                self.free -= len(data)
                self.sounds[self.pictures[path]["name"]] = base64.b64encode(data).decode()
            else:
                self.full = True
        return path


def _section(report: Report, label: str, worst: int, clips: _Clips) -> dict[str, Any]:
    about = report.metrics[label]
    scores = {
        system: {row["id"]: row["scores"][label] for row in report.rows if _has(row, system, label)}
        for system in report.summary
    }
    examples = []
    for system, found in scores.items():
        order = sorted((id for id in found if np.isfinite(found[id])), key=found.__getitem__)
        if about["higher_is_better"] is None or not order:
            continue
        if not about["higher_is_better"]:
            order.reverse()
        rows = {row["id"]: row for row in report.rows if row["system"] == system}
        for id in order[:worst]:
            row = rows[id]
            pair = {"generated": clips.add(row.get("generated")), "reference": clips.add(row.get("reference"))}
            examples.append({"system": system, "row": row, "value": found[id], **pair})
    return {"label": label, "about": about, "chart": list(_chart(scores)), "axis": _axis(scores), "examples": examples}


def _has(row: Mapping[str, Any], system: str, label: str) -> bool:
    return bool(row["system"] == system and label in row.get("scores", {}))


def _span(scores: Mapping[str, Mapping[str, float]]) -> tuple[float, float] | None:
    values = [value for found in scores.values() for value in found.values() if np.isfinite(value)]
    if not values:
        return None
    low, high = min(values), max(values)
    gap = (high - low) * 0.03 or abs(high) * 0.03 or 1.0
    return low - gap, high + gap


def _chart(scores: Mapping[str, Mapping[str, float]]) -> Iterator[dict[str, Any]]:
    """For each system: its points, quartiles and median on the common axis, in pixels."""
    span = _span(scores)
    for line, (system, found) in enumerate(scores.items()):
        finite = {id: value for id, value in found.items() if np.isfinite(value)}
        if span is None or not finite:
            continue
        low, high = span
        shown = sorted(finite, key=finite.__getitem__)
        if len(shown) > POINTS:  # evenly over the ranks and with both ends, so the distribution looks the same
            shown = [shown[rank] for rank in np.linspace(0, len(shown) - 1, POINTS).astype(int)]
        jitter = np.random.default_rng(0).uniform(-0.32, 0.32, len(shown))
        middle = line * LINE + LINE / 2
        points = [
            {
                "x": round((finite[id] - low) / (high - low) * WIDTH, 1),
                "y": round(middle + shift * HEIGHT, 1),
                "id": id,
                "v": finite[id],
            }
            for id, shift in zip(shown, jitter)
        ]
        quartiles = (np.percentile([*finite.values()], [25, 50, 75]) - low) / (high - low) * WIDTH
        yield {"system": system, "points": points, "box": [round(float(x), 1) for x in quartiles], "y": middle}


def _axis(scores: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Round numbers on the common axis, with their positions in pixels."""
    span = _span(scores)
    if span is None:
        return []
    low, high = span
    step = 10 ** np.floor(np.log10((high - low) / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [{"x": round(float((tick - low) / (high - low) * WIDTH), 1), "text": f"{tick:g}"} for tick in ticks]


def picture(audio: Audio) -> dict[str, Any]:
    """One audio for the page: mel spectrogram as PNG in base64, F0 as an SVG path, length in seconds."""
    import torch
    from PIL import Image

    from amphion_core.features.mel import mel_spectrogram

    mel = MelConfig.preset("hifigan_22k_80")
    samples = audio.resample(RATE).samples
    samples = np.pad(samples, (0, max(0, mel.shortest - len(samples))))
    bands = mel_spectrogram(torch.from_numpy(samples)[None], mel)[0].numpy() * (20 / np.log(10))  # (F, N), dB
    shown = np.clip((bands - bands.max()) / RANGE + 1, 0, 1)[::-1]
    file = io.BytesIO()
    Image.fromarray(colour_map(shown)).save(file, format="PNG", optimize=True)
    return {
        "png": base64.b64encode(file.getvalue()).decode(),
        "seconds": audio.duration,
        "f0": _path(audio) if audio.duration > 0.1 else "",
        "hertz": [
            {"y": round(100 - float(_band(np.array([f]))[0]), 1), "text": f"{f / 1000:g}"}
            for f in (500, 1000, 2000, 4000)
        ],
    }


def _path(audio: Audio) -> str:
    """F0 as an SVG path in a box of 100 by 100, a stroke per voiced stretch; a log axis from 50 to 1100 Hz."""
    f0: Samples = track(audio, "dio")
    height = 100 - 100 * np.log(np.clip(f0, FMIN, FMAX) / FMIN) / np.log(FMAX / FMIN)
    strokes, before = [], False
    for frame, (voiced, y) in enumerate(zip(f0 > 0, height)):
        if voiced:
            strokes.append(f"{'L' if before else 'M'}{100 * frame / max(1, len(f0) - 1):.2f} {y:.1f}")
        before = bool(voiced)
    return "".join(strokes)


def _band(hertz: Array) -> Array:
    """Hz -> height in percent on the picture's mel axis (Slaney's scale, 0 to 8 kHz)."""
    mels = np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))
    return 100 * mels / (15 + 27 * np.log(8) / np.log(6.4))


def _flac(audio: Audio) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(audio.samples, -1, 1), audio.sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()
