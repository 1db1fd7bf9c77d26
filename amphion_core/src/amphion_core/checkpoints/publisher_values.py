"""Values of a publisher's configuration, read with their types: a wrong one is one sentence with file and field."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from amphion_core.checkpoints.publisher_files import flatten
from amphion_core.errors import WeightsError, shown

LARGEST = 2**31 - 1  # whole numbers above it are mistakes: sizes, rates in Hz, ids
LARGEST_EXACT = 2**53  # whole numbers that a float holds exactly


class Values:
    """The values of one section of a publisher's file, by name. A value that is null counts as left out.

    Numbers that are written as text are read as numbers; true and false are not numbers. Each method raises
    WeightsError for a value of another kind, and for a value that is left out where ``default`` is None.
    """

    def __init__(self, values: Mapping[str, Any], *, file: str, hint: str, path: str = "") -> None:
        self._values, self._file, self._hint, self._path = values, file, hint, path

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (str(name) for name in self._values)

    def has(self, name: str) -> bool:
        """Whether the file has ``name``, also with the value null."""
        return name in self._values

    def get(self, name: str) -> Any:
        """The value as it is in the file; None if it is left out."""
        return self._values.get(name)

    def with_defaults(self, **defaults: Any) -> "Values":
        """These values, with ``defaults`` for those that are left out."""
        stated = {name: value for name, value in self._values.items() if value is not None}
        return Values({**self._values, **defaults, **stated}, file=self._file, hint=self._hint, path=self._path)

    def section(self, name: str) -> "Values":
        """The values under ``name``; an empty section if it is left out."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise self.wrong(name, "a section with named values")
        return Values(value or {}, file=self._file, hint=self._hint, path=f"{self._path}{name}.")

    def whole(self, name: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number from ``least`` to 2**31 - 1."""
        if name not in self and default is not None:
            return default
        return self._whole(name, self._stated(name), least)

    def only(self, name: str, wanted: str) -> int:
        """A whole number of at least 0, or a list that holds only one; else it is not ``wanted``."""
        value = self._stated(name)
        if isinstance(value, list | tuple):
            value = value[0] if len(value) == 1 else None
        found = _number(value)
        if found is None or found != int(found) or not 0 <= found <= LARGEST:
            raise self.wrong(name, wanted)
        return int(found)

    def number(self, name: str, default: float | None = None, *, least: float = 0, most: float = math.inf) -> float:
        """A finite number from ``least`` to ``most``."""
        if name not in self and default is not None:
            return default
        found = _number(self._stated(name))
        if found is None or not least <= found <= most:
            limits = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise self.wrong(name, f"a number {limits}")
        return found

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A text; an empty one counts as left out."""
        value = self._values.get(name)
        if (value is None or value == "") and default is not None:
            return default
        if value == "" or not isinstance(self._stated(name), str):
            raise self.wrong(name, "a text")
        return str(value)

    def wholes(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers above 0."""
        return tuple(self._whole(name, each, 1) for each in self._list(name, self._stated(name)))

    def rows(self, name: str) -> tuple[tuple[int, ...], ...]:
        """A list of lists of whole numbers above 0."""
        rows = [self._list(name, row) for row in self._list(name, self._stated(name))]
        return tuple(tuple(self._whole(name, each, 1) for each in row) for row in rows)

    def require(self, *names: str) -> None:
        """Raise WeightsError that lists which of ``names`` are left out."""
        if missing := [f"{self._path}{name}" for name in names if name not in self]:
            raise WeightsError(f"{self._file} does not state {', '.join(missing)}", hint=self._hint)

    def wrong(self, name: str, wanted: str) -> WeightsError:
        """The error for a value that is not ``wanted``."""
        return self.problem(name, f"is {shown(self._values.get(name))}, not {wanted}")

    def problem(self, name: str, text: str, *, hint: str | None = None) -> WeightsError:
        """An error about one value: the file, the value's name, and ``text``."""
        return WeightsError(f"{self._file}: {self._path}{name} {text}", hint=hint or self._hint)

    def _stated(self, name: str) -> Any:
        self.require(name)
        return self._values[name]

    def _whole(self, name: str, value: Any, least: int) -> int:
        found = _number(value)
        if found is None or found != int(found) or not least <= found <= LARGEST:
            whole = f"whole numbers from {least}" if isinstance(self._values.get(name), list | tuple) else ""
            raise self.wrong(name, whole or f"a whole number from {least} to {LARGEST}")
        return int(found)

    def _list(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple) or not value:
            raise self.wrong(name, "a list of numbers")
        return list(value)


def flat_values(config: Mapping[str, Any] | None, *, keep: Collection[str] = ()) -> Values:
    """The values of a publisher's config, whatever their sections are; see `publisher_files.flatten` for ``keep``."""
    hint = "give its own config: amphion convert --config FILE"
    return Values(flatten(config, keep=keep), file="the publisher's config", hint=hint)


def _number(value: Any) -> float | int | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(value, str) and value.isascii():
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_EXACT else None
    return value if math.isfinite(value) else None
