"""The answers of listeners: mean opinions and preferences of systems, with intervals.

Mean opinions have 95 % intervals from 2000 bootstrap samples, which draw listeners and clips, both with replacement.
Preferences have the exact binomial interval and test.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from amphion_core.config import problems as config_problems
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array
from amphion_eval.pages.listening import ANSWERS, REFERENCE, Kind

DRAWS = 2000

Answers = Mapping[str, Mapping[str, str]]  # listener -> trial -> answer


class Trial(BaseModel):
    """One trial of a page: its clip and its systems, in the order of the page."""

    item: str
    systems: list[str]


class Key(BaseModel):
    """What the key of a page says."""

    page: str
    kind: Kind
    systems: list[str]
    items: list[str]
    trials: dict[str, Trial]

    @model_validator(mode="after")
    def _trials_are_of_the_page(self) -> Self:
        for name, trial in self.trials.items():
            if trial.item not in self.items or not trial.systems or not {*trial.systems} <= {*self.systems}:
                raise ValueError(f"trial {name}: its clip or its systems are not those of the page")
        return self


class Sent(BaseModel):
    """What a listener sent back: for each trial an answer."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    page: str
    listener: str
    answers: dict[str, str]


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
        known = Key.model_validate_json(key.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{key} is not the key of a listening test: {_reason(error)}",
            hint="amphion eval listen writes it next to the page, as PAGE.key.json",
        ) from error
    problems: list[str] = []
    given: dict[str, dict[str, str]] = {}
    for path in answers:
        try:
            _add(Sent.model_validate_json(path.read_bytes()), known, path, given, problems)
        except (OSError, ValidationError) as error:
            problems.append(f"{path}: not the answers of a listener: {_reason(error)}")
    if not given:
        raise DataError("no answer can be counted", hint=problems[0] if problems else "give --answers FILE ...")
    listeners = sorted(given)
    if known.kind == "ab":
        return Outcome(known.kind, listeners, _preferences(given, known), [], problems)
    rows, differences = _opinions(_ratings(given, known, listeners), known.systems)
    return Outcome(known.kind, listeners, rows, differences, problems)


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is no JSON" if error.errors()[0]["type"] == "json_invalid" else config_problems(error)[0]


def _add(found: Sent, known: Key, path: Path, given: dict[str, dict[str, str]], problems: list[str]) -> None:
    """Add the valid answers of one file to ``given``, and a line for each other one to ``problems``."""
    if found.page != known.page:
        problems.append(f"{path}: these answers belong to another page")
        return
    if found.listener in given:
        problems.append(f"{path}: the listener {found.listener!r} is already counted")
        return
    allowed = {value for value, _ in ANSWERS[known.kind]}
    kept: dict[str, str] = {}
    for trial, value in found.answers.items():
        if trial not in known.trials:
            problems.append(f"{path}: the page has no trial {trial!r}")
        elif value not in allowed:
            problems.append(f"{path}: the answer {value!r} is not one of {', '.join(sorted(allowed))}")
        else:
            kept[trial] = value
    if len(kept) < len(known.trials):
        problems.append(f"{path}: {len(kept)} of {len(known.trials)} trials are answered; these are counted")
    if kept:
        given[found.listener] = kept


def _ratings(given: Answers, known: Key, listeners: Sequence[str]) -> Array:
    """All ratings, (systems, listeners, items), NaN where there is none."""
    ratings = np.full((len(known.systems), len(listeners), len(known.items)), np.nan)
    for row, listener in enumerate(listeners):
        for trial, value in given[listener].items():
            about = known.trials[trial]
            ratings[known.systems.index(about.systems[0]), row, known.items.index(about.item)] = float(value)
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


def _preferences(given: Answers, known: Key) -> list[dict[str, Any]]:
    """Votes for each pair of systems; the first one's share of the votes with a preference, its interval and test."""
    from scipy.stats import binomtest

    rows = []
    for a, b in itertools.combinations(known.systems, 2):
        votes = {a: 0, b: 0, "n": 0}
        people = set()
        for listener, answers in given.items():
            for trial, value in answers.items():
                order = known.trials[trial].systems
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
