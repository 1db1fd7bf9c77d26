"""Blind listening tests: one page to send to listeners, and their answers read back into a table.

MOS: how natural is it, 1 to 5 (ITU-T P.800). SMOS: how much is it the voice of the reference, 1 to 5. AB: which of two
sounds better, or neither. Clips are brought to one loudness (ITU-R BS.1770). The page knows trials by random numbers;
which system is behind one stands in the key, a file of its own.
"""

import base64
import io
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_core.files import atomic_write
from amphion_eval.analysis.signals import Array

Kind = Literal["mos", "smos", "ab"]
REFERENCE = "reference"  # the name of the recordings as a hidden system
LOUDNESS, PEAK = -23.0, 0.98  # LUFS that clips are brought to, or less where a peak would be above
SHORTEST = 0.4  # seconds that have a loudness
DRAWS = 2000
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


def make_page(
    out: Path, systems: Mapping[str, Mapping[str, Path]], *, kind: Kind, references: Mapping[str, Path] | None = None,
    samples: int = 10, seed: int = 0, room: int = 100 << 20,
) -> tuple[Path, Path, list[str]]:  # fmt: skip
    """Write the page ``out`` and its key beside it; returns both and a line for each clip that is not in the test.

    ``systems`` map ids to files. ``samples`` ids that all systems have are drawn by ``seed``. ``references`` are a
    hidden system of MOS, the voice to compare with in SMOS, and nothing in AB. Raises DataError: too few systems or
    common clips, no reference, a silent clip, more than ``room`` bytes; AudioError for files that cannot be read.
    """
    named = dict(systems)
    if kind == "mos" and references:
        named[REFERENCE] = references
    if REFERENCE in systems and references:
        raise DataError(f"a system cannot be called {REFERENCE!r} beside the recordings", hint="rename its folder")
    if kind == "ab" and len(named) < 2:
        raise DataError("a comparison needs two systems", hint="give two folders, or --kind mos")
    if kind == "smos" and not references:
        raise DataError("a test of similarity needs the reference voices", hint="give --ref FOLDER")
    needed = [*named.values(), *([references] if kind == "smos" and references else [])]
    common = sorted(set.intersection(*(set(files) for files in needed)))
    if not common:
        raise DataError(
            "no clip is in all folders", hint="clips are partners when their names without suffix are equal"
        )
    left = [f"{id}: not in all folders" for id in sorted(set.union(*map(set, needed)) - set(common))]
    draw = random.Random(seed)
    ids = sorted(draw.sample(common, min(samples, len(common))))
    paths = {(name, id): files[id] for name, files in named.items() for id in ids}
    if kind == "smos" and references:
        paths |= {(REFERENCE, id): references[id] for id in ids}
    clips = _clips(paths)
    names = {place: f"{draw.getrandbits(48):012x}" for place in paths}
    trials, key = [], {}
    for id in ids:
        groups = itertools.combinations(named, 2) if kind == "ab" else ((name,) for name in named)
        for number, group in enumerate(groups):
            order = [*group]
            if (ids.index(id) + number + seed) % 2:  # both orders equally often
                order.reverse()
            trial = f"{draw.getrandbits(48):012x}"
            sounds = [names[name, id] for name in order]
            trials.append({"id": trial, "sounds": ([names[REFERENCE, id]] if kind == "smos" else []) + sounds})
            key[trial] = {"item": id, "systems": order}
    draw.shuffle(trials)
    page = f"{draw.getrandbits(64):016x}"
    data = {
        "page": page, "kind": kind, "trials": trials, "question": QUESTIONS[kind], "answers": ANSWERS[kind],
        "labels": {"mos": ["Listen"], "smos": ["Reference voice", "Listen"], "ab": ["First", "Second"]}[kind],
        "sounds": {names[place]: data for place, data in clips.items()},
    }  # fmt: skip
    text = _template().render(data=data)
    if len(text) > room:
        size = f"{len(text) / 2**20:.0f} MiB"
        raise DataError(f"the page would have {size}", hint="take fewer --samples, or a higher --max-mb")
    key_path = out.with_suffix(".key.json")
    with atomic_write(key_path) as temporary:
        whole = {"page": page, "kind": kind, "systems": list(named), "items": ids, "trials": key}
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out, key_path, left


@dataclass(slots=True)
class Outcome:
    """What listeners said: rows of the table, paired differences, and what could not be counted, a line each."""

    kind: str
    listeners: list[str]
    rows: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    problems: list[str]


def read_answers(key: Path, answers: Sequence[Path]) -> Outcome:
    """The answers of all listeners. What is wrong in a file is a problem of the outcome, and not counted.

    Raises DataError when the key is none, or no answer can be counted.
    """
    try:
        known = json.loads(key.read_text(encoding="utf-8"))
        kind, systems, trials = known["kind"], known["systems"], known["trials"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{key} is no key of a listening test: {error}", hint="it is written beside the page"
        ) from error
    problems: list[str] = []
    given: dict[str, dict[str, str]] = {}
    for path in answers:
        try:
            _take(json.loads(path.read_text(encoding="utf-8")), known, path, given, problems)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{path}: not the answers of a listener ({type(error).__name__})")
    if not any(given.values()):
        raise DataError("no answer can be counted", hint=problems[0] if problems else "give --answers FILE ...")
    listeners = sorted(given)
    if kind == "ab":
        rows = _preferences(given, trials, systems)
        return Outcome(kind, listeners, rows, [], problems)
    ratings = _ratings(given, trials, systems, known["items"], listeners)
    rows, differences = _opinions(ratings, systems)
    return Outcome(kind, listeners, rows, differences, problems)


def _take(
    found: Any, known: Mapping[str, Any], path: Path, given: dict[str, dict[str, str]], problems: list[str]
) -> None:
    if found["page"] != known["page"]:
        problems.append(f"{path}: answers of another page")
        return
    listener = str(found["listener"])
    if listener in given:
        problems.append(f"{path}: the listener {listener!r} is counted already")
        return
    allowed = {value for value, _ in ANSWERS[known["kind"]]}
    kept: dict[str, str] = {}
    for trial, value in found["answers"].items():
        if trial not in known["trials"]:
            problems.append(f"{path}: a trial {trial!r} that is not on the page")
        elif str(value) not in allowed:
            problems.append(f"{path}: an answer {value!r}, which is none of {', '.join(sorted(allowed))}")
        else:
            kept[trial] = str(value)
    if len(kept) < len(known["trials"]):
        problems.append(f"{path}: {len(kept)} of {len(known['trials'])} trials answered; those are counted")
    given[listener] = kept


def _ratings(
    given: Mapping[str, Mapping[str, str]], trials: Mapping[str, Any], systems: Sequence[str], items: Sequence[str],
    listeners: Sequence[str],
) -> Array:  # fmt: skip
    """(systems, listeners, items), NaN where there is no rating."""
    ratings = np.full((len(systems), len(listeners), len(items)), np.nan)
    for row, listener in enumerate(listeners):
        for trial, value in given[listener].items():
            about = trials[trial]
            ratings[systems.index(about["systems"][0]), row, items.index(about["item"])] = float(value)
    return ratings


def _opinions(ratings: Array, systems: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Means, and differences from the best; intervals from drawing listeners and items, both with replacement."""
    draws = _drawn_means(ratings)  # (draws, systems)
    means = np.nanmean(ratings, (1, 2))
    rows = [
        {
            "system": system, "listeners": int((~np.isnan(ratings[place])).any(1).sum()),
            "ratings": int((~np.isnan(ratings[place])).sum()), "mean": float(means[place]),
            "interval_95": _middle(draws[:, place]),
        }
        for place, system in enumerate(systems)
    ]  # fmt: skip
    best = int(np.nanargmax([-np.inf if name == REFERENCE else mean for name, mean in zip(systems, means)]))
    differences = [
        {
            "a": systems[best], "b": system, "difference": float(means[best] - means[place]),
            "interval_95": _middle(draws[:, best] - draws[:, place]),
        }
        for place, system in enumerate(systems)
        if place != best
    ]  # fmt: skip
    return rows, differences


def _drawn_means(ratings: Array) -> Array:
    draw = np.random.default_rng(0)
    known, filled = (~np.isnan(ratings)).astype(float), np.nan_to_num(ratings)
    _, listeners, items = ratings.shape
    means = []
    for _ in range(DRAWS):
        people = draw.multinomial(listeners, np.full(listeners, 1 / listeners)).astype(float)
        clips = draw.multinomial(items, np.full(items, 1 / items)).astype(float)
        count = np.einsum("sli,l,i->s", known, people, clips)
        total = np.einsum("sli,l,i->s", filled, people, clips)
        means.append(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
    return np.array(means)


def _middle(draws: Array) -> list[float]:
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return [float(low), float(high)]


def _preferences(
    given: Mapping[str, Mapping[str, str]], trials: Mapping[str, Any], systems: Sequence[str]
) -> list[dict[str, Any]]:
    """For each pair how often which was preferred; the exact binomial interval and test of the share that chose."""
    from scipy.stats import binomtest

    rows = []
    for a, b in itertools.combinations(systems, 2):
        votes = {a: 0, b: 0, "n": 0}
        people = set()
        for listener, answers in given.items():
            for trial, value in answers.items():
                order = trials[trial]["systems"]
                if {*order} == {a, b}:
                    people.add(listener)
                    votes["n" if value == "n" else order[value == "b"]] += 1
        chosen = votes[a] + votes[b]
        row: dict[str, Any] = {
            "a": a, "b": b, "listeners": len(people), "prefer_a": votes[a], "prefer_b": votes[b],
            "no_preference": votes["n"],
        }  # fmt: skip
        if chosen:
            test = binomtest(votes[a], chosen)
            span = test.proportion_ci()
            row |= {"share_a": votes[a] / chosen, "interval_95": [float(span.low), float(span.high)], "p": test.pvalue}
        rows.append(row)
    return rows


def _clips(paths: Mapping[tuple[str, str], Path]) -> dict[tuple[str, str], str]:
    """Each file as FLAC in base64, all at one loudness."""
    import soundfile

    audios = {place: Audio.load(path).mono() for place, path in paths.items()}
    for place, audio in audios.items():
        if audio.duration < SHORTEST or not audio.peak:
            raise DataError(f"{paths[place]} is silent, or shorter than {SHORTEST} seconds", hint="leave it out")
    loudness = {place: audio.loudness() for place, audio in audios.items()}
    room = min(20 * np.log10(PEAK / audio.peak) + loudness[place] for place, audio in audios.items())
    target = min(LOUDNESS, room)
    clips = {}
    for place, audio in audios.items():
        file = io.BytesIO()
        samples = audio.samples * 10 ** ((target - loudness[place]) / 20)
        soundfile.write(file, samples, audio.sample_rate, format="FLAC", subtype="PCM_16")
        clips[place] = base64.b64encode(file.getvalue()).decode()
    return clips


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, select_autoescape

    loader = PackageLoader("amphion_eval.pages", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(["html"])).get_template("listening.html")
