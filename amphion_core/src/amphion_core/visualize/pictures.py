"""Pictures of a page: matrices as PNG files, curves as SVG. Nothing but numpy is needed."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from amphion_core.colours import colour_map

Array = np.ndarray[Any, np.dtype[Any]]

WIDTH, HEIGHT = 480, 170  # units of a chart; the page stretches it to the width of its window
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 20, 30  # margins of a chart for its axes
STROKES = ("line-a", "line-b", "line-c", "line-d", "line-e", "line-f")  # classes of lines, see page.css
MOST_POINTS = 600  # of a curve; more would only make the page large


def spectrum_png(values: Array, low: float | None = None, high: float | None = None) -> bytes:
    """A matrix (F, N) with low frequencies at the bottom, as PNG. ``low`` and ``high`` get the end colours."""
    shown = np.asarray(values, np.float64)[::-1]
    least = float(np.nanmin(shown)) if low is None else low
    most = float(np.nanmax(shown)) if high is None else high
    share = (shown - least) / max(most - least, 1e-12)
    return _png(np.rint(np.clip(np.nan_to_num(share), 0, 1) * 255).astype(np.uint8), _palette())


def difference_png(values: Array, most: float) -> bytes:
    """A matrix (F, N) of differences, low frequencies at the bottom: -``most`` is blue, 0 white, ``most`` red."""
    share = np.clip(np.nan_to_num(np.asarray(values, np.float64)[::-1]) / most, -1, 1)
    ramp = np.arange(256)
    away = np.abs(ramp - 127.5) / 127.5
    red = np.where(ramp < 128, 255 - 215 * away, 255 - 55 * away)
    green = 255 - 200 * away
    blue = np.where(ramp < 128, 255 - 75 * away, 255 - 215 * away)
    return _png(np.rint(share * 127.5 + 127.5).astype(np.uint8), np.stack([red, green, blue], 1).astype(np.uint8))


def _palette() -> Array:
    return colour_map(np.linspace(0, 1, 256))


def _png(indices: Array, palette: Array) -> bytes:
    """An image (H, W) of indices into a palette (256, 3): PNG specification, colour type 3."""
    height, width = indices.shape
    rows = np.pad(indices, ((0, 0), (1, 0)))  # each row begins with its filter, 0: none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


@dataclass(frozen=True, slots=True)
class Line:
    """A curve of a chart. NaN in ``y`` interrupts it. ``step``: each value lasts until the next ``x``."""

    name: str
    x: Sequence[float] | Array
    y: Sequence[float] | Array
    step: bool = False


def chart(
    title: str, lines: Sequence[Line], *, x_label: str, y_label: str,
    shaded: Mapping[str, Sequence[tuple[float, float]]] | None = None, marker: bool = False,
) -> str:  # fmt: skip
    """Curves over one axis as SVG with a legend. A screen reader hears the title and the range of each curve.

    ``shaded`` are spans of x by their meaning. With ``marker``, the page's script can show a place in the chart.
    """
    xs = np.concatenate([np.asarray(line.x, float) for line in lines] or [np.zeros(1)])
    ys = np.concatenate([np.asarray(line.y, float) for line in lines] or [np.zeros(1)])
    ys = ys[np.isfinite(ys)]
    x0, x1 = (float(xs.min()), float(xs.max())) if xs.size else (0.0, 1.0)
    y0, y1 = (float(ys.min()), float(ys.max())) if ys.size else (0.0, 1.0)
    y0, y1 = (y0 - 0.5, y1 + 0.5) if y1 - y0 < 1e-9 else (y0 - 0.05 * (y1 - y0), y1 + 0.05 * (y1 - y0))
    x1 = x0 + 1 if x1 <= x0 else x1
    scale = _Scale(x0, x1, y0, y1)
    parts = [
        f'<rect class="shade-{number % 3}" x="{scale.x(a):.1f}" y="{TOP}" height="{HEIGHT - TOP - BOTTOM}" '
        f'width="{max(1.0, scale.x(b) - scale.x(a)):.1f}"><title>{escape(name)}</title></rect>'
        for number, (name, spans) in enumerate((shaded or {}).items())
        for a, b in spans
    ]
    parts += _axes(scale, x_label, y_label)
    for number, line in enumerate(lines):
        parts.append(f'<path class="line {STROKES[number % len(STROKES)]}" d="{_path(line, scale)}"/>')
    if marker:
        parts.append(f'<line class="marker" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    data = f' data-x0="{x0:.6g}" data-x1="{x1:.6g}" data-left="{LEFT}" data-right="{WIDTH - RIGHT}"' if marker else ""
    ranges = "; ".join(_in_words(line) for line in lines)
    svg = (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title}. {ranges}")}"{data}>{"".join(parts)}</svg>'
    )
    keys = [(STROKES[n % len(STROKES)], line.name) for n, line in enumerate(lines)]
    keys += [(f"shade-{n % 3}", name) for n, name in enumerate(shaded or {})]
    legend = "".join(f'<li><i class="{kind}"></i>{escape(name)}</li>' for kind, name in keys)
    return (
        f'<figure class="curves"><figcaption>{escape(title)}</figcaption>{svg}<ul class="legend">{legend}</ul></figure>'
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)


def _axes(scale: _Scale, x_label: str, y_label: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>']
    for value in _ticks(scale.y0, scale.y1, 4):
        parts.append(
            f'<text class="tick" x="{LEFT - 4}" y="{scale.y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in _ticks(scale.x0, scale.x1, 6):
        x = scale.x(value)
        anchor = "end" if x > WIDTH - 2 * RIGHT else "middle"  # the last number stays inside of the picture
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 13}" text-anchor="{anchor}">{value:g}</text>')
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text class="tick" x="{LEFT}" y="{TOP - 8}">{escape(y_label)}</text>')
    return parts


def _ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round numbers from low to high."""
    raw = (high - low) / most
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(factor for factor in (1, 2, 5, 10) if factor * power >= raw) * power)
    first = np.ceil(low / step) * step
    return [float(np.round(value, 10)) + 0.0 for value in np.arange(first, high + step * 1e-6, step)]


def _path(line: Line, scale: _Scale) -> str:
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    if len(x) > MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
        x, y = x[chosen], y[chosen]
    found, before = [], False
    for number, (a, b) in enumerate(zip(x, y, strict=True)):
        if not np.isfinite(b):
            before = False
            continue
        found.append(f"{'L' if before else 'M'}{scale.x(a):.1f} {scale.y(b):.1f}")
        if line.step and number + 1 < len(x):
            found.append(f"H{scale.x(x[number + 1]):.1f}")
        elif not before and (number + 1 == len(x) or not np.isfinite(y[number + 1])):
            found.append("h1")  # a single value is a dot
        before = True
    return "".join(found)


def _in_words(line: Line) -> str:
    y = np.asarray(line.y, float)
    y = y[np.isfinite(y)]
    return f"{line.name}: {y.min():.3g} to {y.max():.3g}" if y.size else f"{line.name}: no value"


def wave_svg(samples: Array, label: str) -> str:
    """The outline of a wave (T,) as SVG."""
    blocks = np.array_split(np.asarray(samples, float), min(MOST_POINTS, max(1, len(samples))))
    top = "".join(f"{'L' if n else 'M'}{n} {50 - 49 * block.max():.1f}" for n, block in enumerate(blocks))
    back = "".join(f"L{n} {50 - 49 * block.min():.1f}" for n, block in reversed(list(enumerate(blocks))))
    return (
        f'<svg class="wave" viewBox="0 0 {max(1, len(blocks) - 1)} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}"><path d="{top}{back}Z"/></svg>'
    )
