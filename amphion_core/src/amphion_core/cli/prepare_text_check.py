"""The part of ``amphion prepare`` that compares transcripts with what is spoken."""

import argparse
import sys
from pathlib import Path
from typing import Any

from amphion_core.errors import RecipeError, shortened

SHOWN = 10  # utterances that are printed
PERCENT = 30.0  # error rates above it are doubtful unless another limit is given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the check."""
    group = parser.add_argument_group("check of the texts")
    group.add_argument(
        "--check-text",
        nargs="?",
        const="cer",
        metavar="METRIC",
        help="compare each text with what is spoken, by a metric such as cer (default), wer or alignment_score, or "
        "'{name: cer, language: de}'; the worst are listed, and doubtful.txt gets their ids",
    )
    group.add_argument(
        "--doubtful",
        type=float,
        metavar="VALUE",
        help="values worse than this are doubtful; default: 30 for rates in %%",
    )


def run(folder: Path, word: str, limit: float | None) -> dict[str, Any]:
    """Check all texts of a prepared folder, with progress; returns what is doubtful.

    Raises RecipeError for a metric that cannot be built, or that needs --doubtful; DataError.
    """
    from pydantic import Field
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from amphion_core import yaml
    from amphion_core.config import BaseConfig, validate
    from amphion_core.data.text_check import DOUBTFUL, TextCheck
    from amphion_core.parts import MetricPart

    class Choice(BaseConfig):
        """So that every problem is reported with its path and the nearest name."""

        check_text: MetricPart = Field(description="the metric")

    part = validate(Choice, {"check_text": yaml.parse(word)}, where="amphion prepare").check_text
    check = TextCheck(folder, part)
    if limit is None and check.metric.unit != "%":
        raise RecipeError(f"{part.name} is in {check.metric.unit or 'no unit'}", hint="state a limit: --doubtful VALUE")
    columns = TextColumn("checking texts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("checking", total=None)
        for done, total in check.run():
            progress.update(bar, completed=done, total=total)
    found = check.doubtful(PERCENT if limit is None else limit)
    return {
        "metric": part.name, "variant": check.metric.variant, "unit": check.metric.unit, "checked": len(check.records),
        "doubtful": [{"id": one.id, "value": one.value, "text": one.text, "heard": one.heard} for one in found],
        "file": str(folder / DOUBTFUL), "results": str(check.results),
    }  # fmt: skip


def lines(report: dict[str, Any]) -> list[str]:
    """What is printed of a check: the worst utterances, and where the ids are."""
    unit = f" {report['unit']}" if report["unit"] else ""
    found = []
    for one in report["doubtful"][:SHOWN]:
        value = "no value" if one["value"] is None else f"{one['value']:.1f}{unit}"
        found.append(f"doubtful: {one['id']}, {report['metric']} {value}")
        found.append(f"  text:  {shortened(one['text'], 100)}")
        found += [f"  heard: {shortened(one['heard'], 100)}"] if one["heard"] else []
    total = len(report["doubtful"])
    if total > SHOWN:
        found.append(f"and {total - SHOWN} more")
    advice = f"   (listen to them; leave_out={report['file']} leaves them out)" if total else ""
    found.append(f"texts: {report['checked']} checked, {total} doubtful: {report['file']}{advice}")
    return found
