"""Film strips: one slider that moves pictures, sounds and the marks in curves together, by mouse or arrow keys."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from amphion_core.visualize.page import Page


@dataclass(frozen=True, slots=True)
class Frame:
    """One position of the slider: its label, its place in the curves, and one picture and sound for each column.

    An empty address of a sound keeps the sound of the frame before.
    """

    label: str
    x: float
    images: list[str] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)


def strip(page: Page, name: str, frames: Sequence[Frame], columns: Sequence[str], *, charts: str = "") -> str:
    """A film strip that begins at the last frame. ``columns`` are the labels of its pictures and sounds."""
    page.data.setdefault("strips", {})[name] = [
        {"label": one.label, "x": one.x, "images": one.images, "sounds": one.sounds} for one in frames
    ]
    last = frames[-1]
    cells = []
    for number, label in enumerate(columns):
        cell = f"<h4>{escape(label)}</h4>" if len(columns) > 1 else ""
        if number < len(last.images):
            alt = escape(f"{label}, {last.label}")
            cell += f'<img class="frame" data-label="{escape(label)}" src="{last.images[number]}" alt="{alt}">'
        if number < len(last.sounds):
            cell += (
                f'<audio class="frame" controls preload="metadata" src="{last.sounds[number]}" '
                f'aria-label="{escape(label)}"></audio>'
            )
        cells.append(f"<div>{cell}</div>")
    slider = (
        f'<div class="controls"><label for="{name}">Step</label><input type="range" id="{name}" min="0" '
        f'max="{len(frames) - 1}" value="{len(frames) - 1}" aria-valuetext="{escape(last.label)}">'
        f'<output for="{name}">{escape(last.label)}</output>'
        '<button type="button" class="action film">Play the steps</button></div>'
    )
    body = f'<div class="columns">{"".join(cells)}</div>{charts}'
    return f'<article class="card strip" data-strip="{name}">{slider}{body}</article>'
