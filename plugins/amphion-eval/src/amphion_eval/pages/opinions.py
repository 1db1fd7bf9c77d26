"""The answers of listeners: mean opinions and preferences of systems, with intervals.

Mean opinions have 95 % intervals from 2000 bootstrap samples, which draw listeners and clips, both with replacement.
Preferences have the exact binomial interval and test.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array
from amphion_eval.pages.listening import ANSWERS, REFERENCE

DRAWS = 2000

Answers = Mapping[str, Mapping[str, str]]  # listener -> trial -> answer


@dataclass(slots=True)
class Outcome:
    """The result of a listening test.

    ``rows``: one per system (MOS, SMOS) or pair of systems (AB). ``differences``: of the best system and each other.
    ``problems``: a line for each answer that is not counted.
    """

    kind: str
    listeners: list[str]
    rows: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    problems: list[str]


def read_answers(key: Path, answers: Sequence[Path]) -> Outcome:
    """Read the answers of all listeners. A wrong answer or file is not counted; it is listed in ``problems``.

    Raises DataError if ``key`` is not the key of a listening test, or if no answer can be counted.
    """
    try:
        known = json.loads(key.read_text(encoding="utf-8"))
        kind, systems, trials = known["kind"], known["systems"], known["trials"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{key} is not the key of a listening test: {error}",
            hint="amphion eval listen writes it next to the page, as PAGE.key.json",
        ) from error
    problems: list[str] = []
    given: dict[str, dict[str, str]] = {}
    for path in answers:
        try:
            _add(json.loads(path.read_text(encoding="utf-8")), known, path, given, problems)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{path}: not the answers of a listener ({type(error).__name__})")
    if not any(given.values()):
        raise DataError("no answer can be counted", hint=problems[0] if problems else "give --answers FILE ...")
    listeners = sorted(given)
    if kind == "ab":
        return Outcome(kind, listeners, _preferences(given, trials, systems), [], problems)
    ratings = _ratings(given, trials, systems, known["items"], listeners)
    rows, differences = _opinions(ratings, systems)
    return Outcome(kind, listeners, rows, differences, problems)


def _add(
    found: Any, known: Mapping[str, Any], path: Path, given: dict[str, dict[str, str]], problems: list[str]
) -> None:
    """Add the valid answers of one file to ``given``, and a line for each other one to ``problems``."""
    if found["page"] != known["page"]:
        problems.append(f"{path}: these answers belong to another page")
        return
    listener = str(found["listener"])
    if listener in given:
        problems.append(f"{path}: the listener {listener!r} is already counted")
        return
    allowed = {value for value, _ in ANSWERS[known["kind"]]}
    kept: dict[str, str] = {}
    for trial, value in found["answers"].items():
        if trial not in known["trials"]:
            problems.append(f"{path}: the page has no trial {trial!r}")
        elif str(value) not in allowed:
            problems.append(f"{path}: the answer {value!r} is not one of {', '.join(sorted(allowed))}")
        else:
            kept[trial] = str(value)
    if len(kept) < len(known["trials"]):
        problems.append(f"{path}: {len(kept)} of {len(known['trials'])} trials are answered; these are counted")
    given[listener] = kept


def _ratings(
    given: Answers, trials: Mapping[str, Any], systems: Sequence[str], items: Sequence[str], listeners: Sequence[str]
) -> Array:
    """All ratings, (systems, listeners, items), NaN where there is none."""
    ratings = np.full((len(systems), len(listeners), len(items)), np.nan)
    for row, listener in enumerate(listeners):
        for trial, value in given[listener].items():
            about = trials[trial]
            ratings[systems.index(about["systems"][0]), row, items.index(about["item"])] = float(value)
    return ratings


def _opinions(ratings: Array, systems: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Mean opinion of each system, and differences between the best system and each other."""
    draws = _drawn_means(ratings)  # (draws, systems)
    means = np.nanmean(ratings, (1, 2))
    rows = [
        {
            "system": system, "listeners": int((~np.isnan(ratings[index])).any(1).sum()),
            "ratings": int((~np.isnan(ratings[index])).sum()), "mean": float(means[index]),
            "interval_95": _middle(draws[:, index]),
        }
        for index, system in enumerate(systems)
    ]  # fmt: skip
    best = int(np.nanargmax([-np.inf if name == REFERENCE else mean for name, mean in zip(systems, means)]))
    differences = [
        {
            "a": systems[best], "b": system, "difference": float(means[best] - means[index]),
            "interval_95": _middle(draws[:, best] - draws[:, index]),
        }
        for index, system in enumerate(systems)
        if index != best
    ]  # fmt: skip
    return rows, differences


def _drawn_means(ratings: Array) -> Array:
    """Mean opinions (draws, systems) of the bootstrap samples."""
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


def _preferences(given: Answers, trials: Mapping[str, Any], systems: Sequence[str]) -> list[dict[str, Any]]:
    """Votes for each pair of systems; the first one's share of the votes with a preference, its interval and test."""
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
