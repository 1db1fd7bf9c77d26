"""Remembers which files were made by which work, so that a repeated command keeps them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from amphion_core.files import is_file, not_written


class MadeBefore:
    """A list, in a hidden file of JSON lines, of results with the work that made them.

    ``work`` states in values of JSON what determines a result: the source, the weights, the seed. A result is a mapping
    with the key ``file``, the path of the first of its files as text.
    """

    def __init__(self, path: Path) -> None:
        """Read the list at ``path``, which need not exist; lines that cannot be read are ignored."""
        self.path = path
        self._found: dict[str, dict[str, Any]] = {}
        if is_file(path):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    record = json.loads(line)
                    self._found[record["result"]["file"]] = record

    def result(self, files: Sequence[Path], work: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of the same work, if all its ``files`` are there and the first has the size that it had."""
        record = self._found.get(str(files[0]))
        if record is None or record.get("work") != _digest(work) or not all(map(is_file, files)):
            return None
        return dict(record["result"]) if record.get("size") == files[0].stat().st_size else None

    def add(self, files: Sequence[Path], work: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Remember a result. Raises AmphionError where the list cannot be written."""
        record = {"work": _digest(work), "size": files[0].stat().st_size, "result": result}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise not_written(error, self.path) from error


def _digest(work: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
