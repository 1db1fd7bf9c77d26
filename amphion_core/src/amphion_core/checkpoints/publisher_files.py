"""Files that publishers put beside their checkpoints: configurations in JSON or YAML, tables, statistics."""

import io
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from amphion_core import files
from amphion_core.errors import WeightsError

CONFIG_SUFFIXES = (".json", ".yaml", ".yml")
MOST_VALUES = 100_000


class _Reader(yaml.SafeLoader):
    """YAML 1.1, which PyYAML reads and publishers write for; with ``1e-5`` as a number and tuples as lists.

    Our own files are YAML 1.2, see ``amphion_core.yaml``. No object is ever built from a tag.
    """


_EXPONENT = re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$")  # YAML 1.1 wants a dot and a sign: 1.0e-5
_Reader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def _sequence(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return list(loader.construct_sequence(node, deep=True))


_Reader.add_constructor("tag:yaml.org,2002:python/tuple", _sequence)


def find_config(checkpoint: Path) -> dict[str, Any] | None:
    """The publisher's configuration beside a checkpoint, or None if there is none.

    The first that exists: ``FILE.json``, ``FILE`` with the ending replaced by ``.json``, ``config.json``; then the same
    with ``.yaml`` and ``.yml``. For a folder, it is the ``config`` inside, or Amphion's ``args.json``, which is two
    folders above a folder of weights. Raises WeightsError if it cannot be read.
    """
    if checkpoint.is_dir():
        folder = checkpoint.absolute()
        own = [folder / f"config{suffix}" for suffix in CONFIG_SUFFIXES]
        found = [path for path in (*own, *(up / "args.json" for up in (folder, *folder.parents[:2]))) if path.is_file()]
        return read_config(found[0]) if found else None
    for suffix in CONFIG_SUFFIXES:
        names = (f"{checkpoint.name}{suffix}", checkpoint.with_suffix(suffix).name, f"config{suffix}")
        for path in map(checkpoint.with_name, names):
            if path.is_file() and path != checkpoint:
                return read_config(path)
    return None


def read_config(path: Path) -> dict[str, Any]:
    """A publisher's configuration file. Raises WeightsError: another kind of file, unreadable, or not a mapping."""
    if path.suffix.lower() not in CONFIG_SUFFIXES:
        raise WeightsError(
            f"{path} is not a configuration file by its name", hint=f"known endings: {', '.join(CONFIG_SUFFIXES)}"
        )
    found = read_file(path)
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds a {type(found).__name__}, not named values", hint="give the model's own file")
    return found


def read_file(path: Path) -> Any:
    """What a publisher's file holds: values for JSON and YAML, text for ``.txt``, otherwise tensors by their names.

    A ``.npy`` file is one tensor. Raises WeightsError for a file that is missing, damaged or holds code.
    """
    suffix = path.suffix.lower()
    if suffix not in (*CONFIG_SUFFIXES, ".txt", ".npy", ".npz"):
        from amphion_core.weights import read_checkpoint

        return read_checkpoint(path)
    content = files.read_file(path, WeightsError, wanted="the publisher's file")
    try:
        if suffix in (".npy", ".npz"):
            return _arrays(content)
        text = content.decode("utf-8-sig")
        if suffix == ".json":
            return json.loads(text, object_pairs_hook=_unique)
        return text if suffix == ".txt" else yaml.load(text, Loader=_Reader)
    except RecursionError as error:
        raise WeightsError(f"{path} is nested too deeply", hint="give the publisher's own file") from error
    except (ValueError, yaml.YAMLError) as error:
        kind = {".json": "JSON", ".yaml": "YAML", ".yml": "YAML"}.get(suffix, "text" if suffix == ".txt" else "arrays")
        text = " ".join(str(error).split())[:300]
        raise WeightsError(f"{path} is not readable {kind}: {text}", hint="download or copy it again") from error


def flatten(config: Mapping[str, Any] | None, *, keep: Collection[str] = ()) -> dict[str, Any]:
    """Every value of a nested configuration under its own key, in lower case; the section's name is dropped.

    Sections named in ``keep`` stay whole. Where two sections have the same key, the later one counts. Raises
    WeightsError for more than 100,000 values.

    >>> flatten({"data": {"Sampling_Rate": 22050}, "model": {"channels": 512}})
    {'sampling_rate': 22050, 'channels': 512}
    """
    found: dict[str, Any] = {}
    visited, waiting = 0, [iter((config or {}).items())]
    while waiting:
        for key, value in waiting[-1]:
            visited += 1
            if visited > MOST_VALUES:  # a few lines of YAML can refer to each other billions of times
                raise WeightsError("the publisher's config has too many values", hint="give the publisher's own file")
            if isinstance(value, Mapping) and key not in keep:
                waiting.append(iter(value.items()))
                break
            found[str(key).lower()] = value
        else:
            waiting.pop()
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The values of a JSON object. Raises ValueError for a key that is given twice with different values."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and found[key] != value:
            raise ValueError(f"the key {key[:80]!r} is given twice, with different values")
        found[key] = value
    return found


def _arrays(content: bytes) -> Any:
    """The arrays of a ``.npy`` or ``.npz`` file as tensors. Raises ValueError."""
    import numpy as np
    import torch

    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return torch.from_numpy(found)
        return {name: torch.from_numpy(found[name]) for name in found.files}
    except Exception as error:  # for damaged files numpy raises almost anything; torch has no arrays of text
        raise ValueError(str(error)) from error
