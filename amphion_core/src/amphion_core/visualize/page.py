"""The folder of a page: HTML with its pictures, sounds and data beside it, written whole or not at all."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.audio import Audio
from amphion_core.errors import AmphionError
from amphion_core.files import is_file, not_written
from amphion_core.visualize.pictures import Array, difference_png, spectrum_png

MARK = "window.amphionPage = "  # how data.js begins: by it a page of ours is recognised and may be replaced
LONGEST_NAME = 100  # letters of a file's name
FILES = {"index.html", "data.js", "page.css", "page.js", "pictures", "sounds"}  # all that a page consists of


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a chapter teaches: three sentences for a beginner, the equation as HTML and in words, and the paper."""

    title: str
    sentences: str
    equation: str
    in_words: str
    paper: str
    address: str


@dataclass
class Page:
    """A page that is being written into ``folder``. Chapters are added in the order in which they are read."""

    folder: Path
    title: str
    facts: list[tuple[str, str]]
    data: dict[str, Any] = field(default_factory=dict)
    _chapters: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def chapter(self, about: Explanation, parts: Sequence[str], *, condition: str = "") -> None:
        """Add a chapter: what it explains, and its parts as HTML; ``condition`` tells it from another of its kind."""
        title = f"{about.title}: {escape(condition)}" if condition else about.title
        number = len(self._chapters) + 1
        self._chapters.append(
            f'<section class="chapter" aria-labelledby="chapter-{number}"><h2 id="chapter-{number}">{title}</h2>'
            f'<div class="explanation"><p>{about.sentences}</p>'
            f'<p class="equation" role="math" aria-label="{escape(about.in_words)}">{about.equation}</p>'
            f'<p class="words" aria-hidden="true">{escape(about.in_words)}</p>'  # a screen reader has just said it
            f'<p class="paper">{escape(about.paper)} <a href="{about.address}">{about.address}</a></p></div>'
            f"{''.join(parts)}</section>"
        )

    @property
    def has_chapters(self) -> bool:
        """Whether anything was added."""
        return bool(self._chapters)

    def picture_file(self, name: str, content: bytes) -> str:
        """Store a PNG file; returns its address in the page."""
        return self._store("pictures", name, ".png", lambda path: path.write_bytes(content))

    def sound_file(self, name: str, audio: Audio) -> str:
        """Store a sound without loss; returns its address in the page."""
        peak = audio.peak if audio.samples.size else 1.0
        own = audio if peak <= 1 else Audio(audio.samples / np.float32(peak), audio.sample_rate)
        return self._store("sounds", name, ".flac", own.save)

    def _store(self, folder: str, name: str, suffix: str, write: Any) -> str:
        """``name`` may be any text, such as the name of a stage; the file's name is safe on any system."""
        (self.folder / folder).mkdir(exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:LONGEST_NAME] or "part"
        chosen, number = name, 1
        while f"{folder}/{chosen}".lower() in self._names:  # some systems take "A" and "a" for one name
            number += 1
            chosen = f"{name}-{number}"
        self._names.add(f"{folder}/{chosen}".lower())
        write(self.folder / folder / f"{chosen}{suffix}")
        return f"{folder}/{chosen}{suffix}"

    def spectrum(
        self, name: str, values: Array, label: str, *, low: float | None = None, high: float | None = None
    ) -> str:
        """A matrix (F, N) as an image with ``label``, which a screen reader says."""
        return image(self.picture_file(name, spectrum_png(values, low, high)), label)

    def difference(self, name: str, values: Array, label: str, *, most: float) -> str:
        """A matrix (F, N) of differences as an image with ``label``."""
        return image(self.picture_file(name, difference_png(values, most)), label)

    def player(self, name: str, audio: Audio, label: str) -> str:
        """A sound with its label above the player."""
        return player(self.sound_file(name, audio), label)

    def finish(self, credit: str = "") -> None:
        """Write the HTML, the data, and the script and the style that every page has; ``credit`` is the last fact."""
        stated = [*self.facts, ("credit", credit)] if credit else self.facts
        facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in stated)
        contents = "".join(self._chapters)
        html = (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
            f'<title>{escape(self.title)}</title><link rel="stylesheet" href="page.css"></head><body><header>'
            f'<h1>{escape(self.title)}</h1><dl class="facts">{facts}</dl></header><main>{contents}</main>'
            "<footer><p>Made by <code>amphion visualize</code>. The numbers are in <code>data.js</code>.</p></footer>"
            '<script src="data.js"></script><script src="page.js"></script></body></html>\n'
        )
        (self.folder / "index.html").write_text(html, encoding="utf-8")
        text = json.dumps(rounded(self.data), allow_nan=False, ensure_ascii=False)
        (self.folder / "data.js").write_text(f"{MARK}{text};\n", encoding="utf-8")
        for name in ("page.css", "page.js"):
            (self.folder / name).write_bytes(resources.files(__package__).joinpath(name).read_bytes())


def short_name(place: str) -> str:
    """The name of a card or a text as it is, and of a path its last part: where it lies is nobody else's business."""
    if not is_file(place) and not os.path.isdir(place):  # noqa: PTH112 - unlike Path, it takes a text of any length
        return place
    return Path(os.path.abspath(place)).name  # noqa: PTH100 - a name also for "." and "..", and links keep theirs


def image(address: str, label: str) -> str:
    """An image with the label that a screen reader says."""
    return f'<img src="{address}" alt="{escape(label)}">'


def player(address: str, label: str) -> str:
    """A player with its label above it."""
    return (
        f'<figure class="sound"><figcaption>{escape(label)}</figcaption>'
        f'<audio controls preload="metadata" src="{address}" aria-label="{escape(label)}"></audio></figure>'
    )


def card(title: str, *parts: str, note: str = "") -> str:
    """A part of a chapter with its own heading, and a sentence below it."""
    text = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<article class="card"><h3>{escape(title)}</h3>{text}{"".join(parts)}</article>'


def codes_card(page: Page, values: Array) -> str:
    """Codes (K, N) of a codec as a picture."""
    picture = page.spectrum("codes", values, f"The codes: {values.shape[0]} levels over {values.shape[1]} frames")
    return card(
        "The codes",
        picture.replace("<img ", '<img class="codes" '),
        note="One row for each level, the first at the bottom.",
    )


def columns(*parts: str, small: bool = False) -> str:
    """Parts side by side where the window is wide enough; ``small`` ones also in a narrow window."""
    kind = "columns small" if small else "columns"
    return f'<div class="{kind}">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def rounded(value: Any) -> Any:
    """Values for JSON: numbers with five digits, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [rounded(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``out`` when the block ends without an error.

    An earlier page at ``out`` is replaced. Raises AmphionError where ``out`` is anything else that is not empty, or
    cannot be written.
    """
    out = Path(out).expanduser()
    check_out(out)
    out = out.resolve()  # a link stays, and the folder behind it is replaced
    scratch = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir()
        try:
            yield scratch
            if out.exists():
                old = out.with_name(f"{scratch.name}-old")
                out.replace(old)
                scratch.replace(out)
                shutil.rmtree(old)
            else:
                scratch.replace(out)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        raise not_written(error, out) from error


def check_out(out: Path) -> None:
    """Raise AmphionError where no page can be written at ``out``."""
    from amphion_core.files import check_folder

    check_folder(out)
    if not out.name:
        raise AmphionError(f"{out} cannot be replaced by a page", hint="name a new folder: -o page")
    if out.is_dir() and any(out.iterdir()) and not _is_page(out):
        raise AmphionError(f"{out} holds other files than a page", hint="name a new folder: -o page")


def _is_page(folder: Path) -> bool:
    """Whether ``folder`` holds a page of ours and nothing else, so that nobody loses a file of their own."""
    try:
        with (folder / "data.js").open(encoding="utf-8", errors="replace") as file:
            return file.read(len(MARK)) == MARK and {path.name for path in folder.iterdir()} <= FILES
    except OSError:
        return False
