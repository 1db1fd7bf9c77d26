"""The errors that Amphion raises on purpose. Each has a hint, which is the next command.

::

    AmphionError(message, hint=...)
    ├── RegistryError
    │   ├── UnknownComponent     (LookupError)   nothing installed has that name
    │   ├── NameConflict                         two distributions claim the name
    │   ├── PluginIncompatible                   made for another core version or interface
    │   ├── PluginImportError    (ImportError)   its module does not import
    │   └── InvalidComponent     (TypeError)     it imports, but is not what its name says
    ├── RecipeError              (ValueError)    configuration: all problems of a file at once
    ├── MissingPackage           (ImportError)   an optional package is not installed
    ├── DeviceError              (ValueError)    a device that this computer does not have
    ├── WeightsError                             checkpoints: missing, damaged, of another model
    ├── AudioError                               audio files, mel conventions
    └── DataError                                texts, manifests, items that cannot be used
"""

import difflib
from collections.abc import Iterable, Sequence


class AmphionError(Exception):
    """An error with a message and a hint.

    ``message`` says what is wrong and where. ``hint`` is the next command or action, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class RegistryError(AmphionError):
    """A component cannot be found or used."""


class UnknownComponent(RegistryError, LookupError):
    """No installed distribution provides the name."""

    __str__ = AmphionError.__str__  # otherwise the method of LookupError is used


class NameConflict(RegistryError):
    """Two distributions claim one name."""


class PluginIncompatible(RegistryError):
    """The distribution was made for another version of the core or of its interface."""


class PluginImportError(RegistryError, ImportError):
    """The component's module does not import."""

    __str__ = AmphionError.__str__


class InvalidComponent(RegistryError, TypeError):
    """The object with this name is not a component of that kind."""


class RecipeError(AmphionError, ValueError):
    """A configuration is not valid; the message lists every problem."""


class MissingPackage(AmphionError, ImportError):
    """An optional package is needed and not installed; the hint is the pip command."""

    __str__ = AmphionError.__str__


class DeviceError(AmphionError, ValueError):
    """A device such as a GPU was named that this computer does not have."""


class WeightsError(AmphionError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class AudioError(AmphionError):
    """An audio file or a mel convention cannot be used."""


class DataError(AmphionError):
    """A text, a manifest or an item cannot be used."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate spelled most like ``name``, or None when nothing is close."""
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return found[0] if found else None


def shortened(text: object, longest: int = 200) -> str:
    """``text`` for a message: the middle of a long one is left out, and so are characters that cannot be encoded."""
    shown = str(text).encode("utf-8", "replace").decode()
    return shown if len(shown) <= longest else f"{shown[: longest // 2]}...{shown[-longest // 2 :]}"


def shown(value: object, longest: int = 200) -> str:
    """A value as Python writes it, shortened for a message. Works for values of any size, depth and class."""
    try:
        text = repr(value)
    except Exception:  # nested without end, more digits than Python writes, or any fault of a foreign class
        text = f"a value of type {type(value).__name__} that cannot be shown"
    return shortened(text, longest)


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 problem``, ``2 problems``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(title: str, problems: Sequence[str]) -> str:
    """The message about several problems: their number, then a line for each."""
    return "\n  ".join([f"{title}: {counted(len(problems), 'problem')}", *problems])
