"""Blind listening tests: write one page that can be sent to listeners. `opinions` reads their answers.

MOS: how natural does a clip sound, 1 to 5 (ITU-T P.800). SMOS: how similar is the voice to a reference, 1 to 5. AB:
which of two clips sounds better, or neither. All clips get the same loudness (ITU-R BS.1770). The page identifies its
trials by random numbers only; a separate key file says which system belongs to which trial.
"""

import base64
import io
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_core.files import atomic_write

Kind = Literal["mos", "smos", "ab"]
Clip = tuple[str, str]  # system, id

REFERENCE = "reference"  # the name of the recordings as a hidden system
LOUDNESS, PEAK = -23.0, 0.98  # LUFS of all clips; quieter if a clip's peak would exceed PEAK
SHORTEST = 0.4  # seconds; shorter clips have no loudness
QUESTIONS = {
    "mos": "How natural does it sound?",
    "smos": "How sure are you that both are the same speaker?",
    "ab": "Which one sounds better?",
}
ANSWERS: dict[str, list[tuple[str, str]]] = {
    "mos": [("1", "bad"), ("2", "poor"), ("3", "fair"), ("4", "good"), ("5", "excellent")],
    "smos": [("1", "surely not"), ("2", "rather not"), ("3", "undecided"), ("4", "rather"), ("5", "surely")],
    "ab": [("a", "the first"), ("n", "no preference"), ("b", "the second")],
}
LABELS = {"mos": ["Listen"], "smos": ["Reference voice", "Listen"], "ab": ["First", "Second"]}


def make_page(
    out: Path, systems: Mapping[str, Mapping[str, Path]], *, kind: Kind, references: Mapping[str, Path] | None = None,
    samples: int = 10, seed: int = 0, max_bytes: int = 100 << 20,
) -> tuple[Path, Path, list[str]]:  # fmt: skip
    """Write the page ``out`` and its key next to it. Returns both paths, and a line for each clip that is not used.

    ``systems`` maps each system to its files by id. ``samples`` ids that all systems have are chosen by ``seed``. The
    ``references`` are a hidden system in MOS, the reference voices in SMOS, and not used in AB.

    Raises DataError for too few systems, no common clip, missing references, a silent clip, or a page above
    ``max_bytes``; AudioError for a file that cannot be read.
    """
    named = dict(systems)
    if kind == "mos" and references:
        named[REFERENCE] = references
    _check(systems, named, kind, references)
    needed = [*named.values(), *([references] if kind == "smos" and references else [])]
    common = sorted(set.intersection(*(set(files) for files in needed)))
    if not common:
        raise DataError(
            "no clip is in all folders", hint="the files of one clip need the same name in all folders, without suffix"
        )
    unused = [f"{id}: not in all folders" for id in sorted(set.union(*map(set, needed)) - set(common))]
    draw = random.Random(seed)
    ids = sorted(draw.sample(common, min(samples, len(common))))
    paths = {(name, id): files[id] for name, files in named.items() for id in ids}
    if kind == "smos" and references:
        paths |= {(REFERENCE, id): references[id] for id in ids}
    clips = _encode(paths)
    sounds = {clip: f"{draw.getrandbits(48):012x}" for clip in paths}
    trials, key = _trials(list(named), ids, sounds, kind, draw, seed)
    page = f"{draw.getrandbits(64):016x}"
    text = _template().render(
        data={
            "page": page, "kind": kind, "trials": trials, "question": QUESTIONS[kind], "answers": ANSWERS[kind],
            "labels": LABELS[kind], "sounds": {sounds[clip]: data for clip, data in clips.items()},
        }
    )  # fmt: skip
    if len(text) > max_bytes:
        size = f"{len(text) / 2**20:.0f} MiB"
        raise DataError(f"the page would have {size}", hint="use fewer --samples, or a higher --max-mb")
    key_path = key_of(out)
    with atomic_write(key_path) as temporary:
        whole = {"page": page, "kind": kind, "systems": list(named), "items": ids, "trials": key}
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out, key_path, unused


def key_of(page: Path) -> Path:
    """The key of a page: the file beside it that says which system belongs to which trial."""
    return page.with_suffix(".key.json")


def _check(
    systems: Mapping[str, Any], named: Mapping[str, Any], kind: Kind, references: Mapping[str, Path] | None
) -> None:
    if REFERENCE in systems and references:
        raise DataError(f"a system must not have the name {REFERENCE!r} when --ref is given", hint="rename its folder")
    if kind == "ab" and len(named) < 2:
        raise DataError("a comparison needs two systems", hint="give two folders, or --kind mos")
    if kind == "smos" and not references:
        raise DataError("a test of similarity needs reference voices", hint="give --ref FOLDER")


def _trials(
    systems: Sequence[str], ids: Sequence[str], sounds: Mapping[Clip, str], kind: Kind, draw: random.Random, seed: int
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The trials of the page in random order, and the key: trial -> its item and its systems in order."""
    trials: list[dict[str, Any]] = []
    key: dict[str, dict[str, Any]] = {}
    for index, id in enumerate(ids):
        groups = itertools.combinations(systems, 2) if kind == "ab" else ((name,) for name in systems)
        for number, group in enumerate(groups):
            order = [*group]
            if (index + number + seed) % 2:  # both orders of a pair occur equally often
                order.reverse()
            trial = f"{draw.getrandbits(48):012x}"
            before = [sounds[REFERENCE, id]] if kind == "smos" else []
            trials.append({"id": trial, "sounds": before + [sounds[name, id] for name in order]})
            key[trial] = {"item": id, "systems": order}
    draw.shuffle(trials)
    return trials, key


def _encode(paths: Mapping[Clip, Path]) -> dict[Clip, str]:
    """Each file as FLAC in base64, all with the same loudness. Raises DataError for silent and too short clips."""
    import soundfile

    audios = {clip: Audio.load(path).mono() for clip, path in paths.items()}
    for clip, audio in audios.items():
        if audio.duration < SHORTEST or not audio.peak:
            raise DataError(
                f"{paths[clip]} is silent, or shorter than {SHORTEST} seconds", hint="remove it from every folder"
            )
    loudness = {clip: audio.loudness() for clip, audio in audios.items()}
    loudest = min(20 * np.log10(PEAK / audio.peak) + loudness[clip] for clip, audio in audios.items())
    target = min(LOUDNESS, loudest)
    encoded = {}
    for clip, audio in audios.items():
        file = io.BytesIO()
        samples = audio.samples * 10 ** ((target - loudness[clip]) / 20)
        soundfile.write(file, samples, audio.sample_rate, format="FLAC", subtype="PCM_16")
        encoded[clip] = base64.b64encode(file.getvalue()).decode()
    return encoded


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, select_autoescape

    loader = PackageLoader("amphion_eval.pages", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(["html"])).get_template("listening.html")
