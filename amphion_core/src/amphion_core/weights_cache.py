"""Converted weights on this disk, so that a publisher's file is verified and converted once, not at every start.

The folder is ``~/.cache/amphion`` (below ``XDG_CACHE_HOME`` where that is set), or what ``AMPHION_CACHE`` names; the
value ``off`` turns the cache off. It may be deleted at any time. Two kinds of files are in it:

* ``digests/``: the SHA-256 of a file, with its size, its times and its number on the disk. While these are the same,
  the file is not read again.
* ``weights/``: converted tensors as safetensors, and a JSON file with the configuration. Its name is a digest of what
  the tensors are made from: the digests of the source, its layout and configuration, the code that converts, and torch.

A file that cannot be read, is damaged, or does not have the noted size and times is made again. A folder that cannot
be written, or a full disk, costs only time.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.errors import AmphionError
from amphion_core.files import atomic_write, write_safetensors

if TYPE_CHECKING:
    from amphion_core.stored_weights import Weights

VARIABLE = "AMPHION_CACHE"
MOST_BYTES = 2 << 30  # converted weights that were not used for longest are deleted beyond this sum
MOST_DIGESTS = 1000
SETTLED = 2.0  # seconds; a file that changed more recently may change again without another time


def folder() -> Path | None:
    """Where the cache is, whether or not it exists; None where it is turned off."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return None if given.strip() in ("", "off", "0") else Path(given).expanduser().absolute()
    with suppress(RuntimeError):  # no home
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "amphion"
    return None


def described() -> str:
    """The cache in a few words: where it is and how large."""
    place = folder()
    if place is None:
        return f"off ({VARIABLE})"
    size = 0
    with suppress(OSError):  # another process may delete a file
        size = sum(path.stat().st_size for path in place.glob("*/*"))
    return f"{place}, {size / 1e6:.0f} MB"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read again only when the file has changed."""
    place = folder()
    if place is None:
        return _sha256(path)
    before = _identity(path)
    note = place / "digests" / f"{_short(str(path.absolute()))}.json"
    known = _read_json(note)
    if known.get("file") == before and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    found = _sha256(path)
    if _identity(path) == before and time.time() - max(before["changed"], before["modified"]) / 1e9 > SETTLED:
        _write_json(note, {"path": str(path.absolute()), "file": before, "sha256": found})
        _delete_oldest(note.parent, MOST_DIGESTS, MOST_BYTES)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def converted(
    made_from: Mapping[str, Any], files: Mapping[str, Path], architecture: type, convert: Callable[[], "Weights"]
) -> "Weights":
    """What ``convert`` returns, from the cache if it is there.

    The weights are made from the values ``made_from``, from the contents of ``files``, and by the code of the package
    of ``architecture`` and of this one. Folders of weights are not cached. Raises what ``convert`` raises.
    """
    place = folder()
    if place is None or any(path.is_dir() for path in files.values()):
        return convert()
    digests = {name: sha256(path) for name, path in files.items()}
    key = {**made_from, "files": digests, "code": _code(architecture), "torch": version("torch")}
    tensors = place / "weights" / f"{_short(json.dumps(key, default=str))}.safetensors"
    found = _read(tensors)
    if found is None:
        found = convert()
        _write(tensors, found)
    return found


def _read(tensors: Path) -> "Weights | None":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from amphion_core.stored_weights import Weights

    about = tensors.with_suffix(".json")
    known = _read_json(about)
    try:
        if known["file"] != _identity(tensors):
            return None
        found = Weights(str(known["name"]), dict(known["config"]), load_file(tensors))
        os.utime(about)  # the time of its last use
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    return found


def _write(tensors: Path, weights: "Weights") -> None:
    if 2 * sum(tensor.nbytes for tensor in weights.state.values()) > MOST_BYTES:
        return
    with suppress(OSError, AmphionError):
        tensors.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(tensors) as temporary:
            write_safetensors(temporary, weights.state)
        about = {"name": weights.name, "config": weights.config, "file": _identity(tensors)}
        _write_json(tensors.with_suffix(".json"), about)
        _delete_oldest(tensors.parent, MOST_DIGESTS, MOST_BYTES)


def _identity(path: Path) -> dict[str, int]:
    """What changes when a file is written or replaced; only the system can set the time of the last change."""
    found = path.stat()
    return {
        "bytes": found.st_size, "modified": found.st_mtime_ns, "changed": found.st_ctime_ns, "number": found.st_ino,
    }  # fmt: skip


def _code(architecture: type) -> list[Any]:
    """Names, sizes and times of the files that convert: all of the architecture's package, and those of this one."""
    here = Path(__file__).parent
    files = {*here.glob("*.py"), *(here / "checkpoints").glob("*.py")}
    package = sys.modules[architecture.__module__.partition(".")[0]]
    for folder in getattr(package, "__path__", ()):
        files |= {*Path(folder).rglob("*.py")}
    if alone := getattr(package, "__file__", None):
        files.add(Path(alone))
    return [_stated(path) for path in sorted(files)]


def _stated(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def _delete_oldest(place: Path, most: int, most_bytes: int) -> None:
    """Keep the entries of ``place`` that were used last: at most so many, and of so many bytes together."""
    total = 0
    with suppress(OSError):  # another process may delete the same entries
        entries = sorted(place.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for number, about in enumerate(entries):
            tensors = about.with_suffix(".safetensors")
            total += about.stat().st_size + (tensors.stat().st_size if tensors.exists() else 0)
            if number >= most or total > most_bytes:
                about.unlink()
                tensors.unlink(missing_ok=True)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _read_json(path: Path) -> dict[str, Any]:
    """The values that ``_write_json`` wrote; none if the file is missing or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        found = json.loads(path.read_bytes())
        if found["digest"] == _short(json.dumps(found["values"])):
            return dict(found["values"])
    return {}


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with suppress(OSError, AmphionError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            found = {"values": values, "digest": _short(json.dumps(values))}
            temporary.write_text(json.dumps(found), encoding="utf-8")
