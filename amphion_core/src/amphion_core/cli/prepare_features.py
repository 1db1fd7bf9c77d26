"""The part of ``amphion prepare`` that computes features in advance."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import registry
from amphion_core.errors import AmphionError, RecipeError

if TYPE_CHECKING:
    from amphion_core.parts import FeaturePart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which features are computed, and where."""
    group = parser.add_argument_group("features")
    group.add_argument(
        "--features",
        nargs="+",
        action="extend",
        default=[],
        metavar="FEATURE",
        help="compute these features in advance: a name of amphion list features, or '{name: ..., field: ...}'; "
        "NAME.FIELD=VALUE sets a field",
    )
    group.add_argument("--audio", metavar="PRESET", help="mel convention of all features, as audio: in the recipe")
    group.add_argument("--cache", metavar="FOLDER", help="folder of the features; default: features/ beside manifests")
    group.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is one")


def split_words(words: Sequence[str], *, reader: bool = True) -> tuple[list[str], list[str]]:
    """The words of ``--features``, and those that belong to the reader, which may stand behind them: ``dev=0.1``.

    Without a reader, every word with a dot before ``=`` belongs to a feature.
    """
    known = {*registry.names("features"), *(word for word in words if "=" not in word)}

    def is_feature(word: str) -> bool:
        name, dot, _ = word.partition("=")[0].partition(".")
        return word.startswith("{") or name in known or bool(dot and not reader)

    return [word for word in words if is_feature(word)], [word for word in words if not is_feature(word)]


def parts_of(words: Sequence[str], audio: str | None) -> list["FeaturePart"]:
    """The feature parts that the words of ``--features`` describe.

    Raises RecipeError or RegistryError for a name or a field that does not exist.
    """
    from pydantic import Field

    from amphion_core import yaml
    from amphion_core.config import BaseConfig, validate
    from amphion_core.mel import MelConfig
    from amphion_core.parts import FeaturePart
    from amphion_core.recipe import apply_override

    try:
        context = {"audio": MelConfig.preset(audio)} if audio else None
    except ValueError as error:
        raise RecipeError(f"--audio: {error}", hint="docs: concepts/audio-and-mel lists the presets") from error
    overrides = [word for word in words if "=" in word and not word.startswith("{")]
    values = [
        _mapping(yaml.parse(word), word) if word.startswith("{") else {"name": word}
        for word in words
        if word not in overrides
    ]
    for word in overrides:
        name, _, override = word.partition(".")
        chosen = next((value for value in values if value["name"] == name), None)
        if chosen is None:  # stating a field of a feature also chooses the feature
            values.append(chosen := {"name": name})
        apply_override(chosen, override)

    class Features(BaseConfig):
        """So that every problem is reported with its path and the nearest name."""

        features: tuple[FeaturePart, ...] = Field(default=(), description="the features")

    return list(validate(Features, {"features": values}, where="amphion prepare", context=context).features)


def _mapping(value: Any, word: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise RecipeError(f"--features {word}: this has no name", hint="write '{name: f0_dio, fmin: 60}'")
    return value


def compute(
    folder: Path, parts: Sequence["FeaturePart"], *, cache: str | None, device: str, processes: int | None, ray: bool
) -> dict[str, Any]:
    """Compute the features of all splits of a prepared folder, with progress; returns what was computed.

    Raises AmphionError for a folder that is not prepared, and DataError for an utterance that cannot be computed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from amphion_core.data.extraction import complete_features
    from amphion_core.data.feature_cache import FeatureCache
    from amphion_core.data.manifest import Manifest, splits_of

    manifests = [Manifest(folder, split) for split in splits_of(folder) or ["train"]]
    for manifest in manifests:
        manifest.require_audio()
    caches = [FeatureCache(manifest, part, cache) for part in parts for manifest in manifests]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    before = 0
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("features", total=None)
        for index, step in enumerate(complete_features(caches, device=device, processes=processes, ray=ray)):
            before = step.done if index == 0 else before
            bars.update(bar, completed=step.done, total=step.total, description=step.name or "features")
    if any(cache.missing() for cache in caches):
        raise AmphionError("some features are missing after they were computed", hint="run the same command again")
    return {
        "folder": str(caches[0].folder), "names": [part.name for part in parts], "computed": step.total - before,
        "utterances": sum(len(manifest) for manifest in manifests),
    }  # fmt: skip
