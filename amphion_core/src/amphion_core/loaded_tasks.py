"""Tasks with their networks in memory, loaded at their first use; the least recently used ones are unloaded."""

import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from amphion_core.errors import AmphionError
from amphion_core.system_errors import is_memory_error

if TYPE_CHECKING:
    from amphion_core.component import TaskFramework

GIGABYTE = 10**9
MEMORY = 4.0  # gigabytes, unless a user sets --memory
DEPTH = 4  # attributes of attributes in which the networks of a task are searched


@dataclass(frozen=True, slots=True)
class _Kept:
    """A task in memory, the bytes of its networks, and when the folders that it was loaded from had changed."""

    task: "TaskFramework"
    bytes: int
    changes: list[int]


class LoadedTasks:
    """Keeps the tasks that were used last, as long as their networks together have at most ``most_bytes``.

    The task that is asked for is always loaded, also if it alone is larger. A task that is in use is not unloaded; as
    soon as its use ends, the limit holds again. May be used by several threads, which can load different tasks at once.
    """

    def __init__(self, most_bytes: int = round(MEMORY * GIGABYTE)) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._loading: WeakValueDictionary[str, Any] = WeakValueDictionary()  # a lock for each task that is loaded now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the most recently used is the last
        self._users: Counter[int] = Counter()  # by the id of a task, which its users keep alive

    def get(self, name: str, **fields: Any) -> "TaskFramework":
        """``amphion_core.task`` with these arguments, or the same task of an earlier call. Raises its errors.

        A folder of weights that has changed is loaded again. When there is no memory left for a task, those that nobody
        uses are unloaded, and it is tried once more.
        """
        return self._found(name, fields, users=0)

    @contextmanager
    def use(self, name: str, **fields: Any) -> "Iterator[TaskFramework]":
        """The task of ``get``, which is not unloaded before the block ends."""
        found = self._found(name, fields, users=1)
        try:
            yield found
        finally:
            self.release(found)

    def claim(self, name: str, **fields: Any) -> "TaskFramework | None":
        """The task of ``get`` if it is in memory, else None. Loads nothing. It is in use until `release`."""
        key, changes = self._key(name, fields)
        with self._lock:
            return self._kept_one(key, changes, users=1)

    def release(self, found: "TaskFramework") -> None:
        """End one use of a task, which `claim` began."""
        with self._lock:
            self._users[id(found)] -= 1
            self._users += Counter()  # without zeros
            self._shrink()

    @property
    def bytes(self) -> int:
        """Bytes of all networks in memory."""
        return sum(kept.bytes for kept in [*self._kept.values()])

    def __len__(self) -> int:
        return len(self._kept)

    def unload(self) -> None:
        """Forget all tasks that nobody uses."""
        with self._lock:
            for key in self._idle():
                del self._kept[key]

    def _found(self, name: str, fields: Mapping[str, Any], *, users: int) -> "TaskFramework":
        key, changes = self._key(name, fields)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            with self._lock:
                if found := self._kept_one(key, changes, users):
                    return found
            try:
                made = self._load(name, fields)
            except AmphionError as error:
                if not (self._kept and is_memory_error(error.__cause__)):
                    raise
                self.unload()
                made = self._load(name, fields)
            size = size_of(made)
            with self._lock:
                self._kept[key] = _Kept(made, size, changes)
                self._kept.move_to_end(key)
                self._users[id(made)] += users
                self._shrink()
            return made

    def _load(self, name: str, fields: Mapping[str, Any]) -> "TaskFramework":
        from amphion_core.loading import task  # here, since commands import this module for the limit alone

        made: TaskFramework = task(name, **fields)
        return made

    def _kept_one(self, key: str, changes: list[int], users: int) -> "TaskFramework | None":
        kept = self._kept.get(key)
        if kept is None or kept.changes != changes:
            return None
        self._kept.move_to_end(key)
        self._users[id(kept.task)] += users
        return kept.task

    def _key(self, name: str, fields: Mapping[str, Any]) -> tuple[str, list[int]]:
        return json.dumps([name, fields], sort_keys=True, default=str), _changes(fields.values())

    def _idle(self) -> list[str]:
        return [key for key, kept in self._kept.items() if not self._users[id(kept.task)]]

    def _shrink(self) -> None:
        """Forget the tasks that were not used for longest, until the limit holds. The last one always stays."""
        newest = next(reversed(self._kept), None)
        for key in self._idle():
            if key != newest and self.bytes > self.most_bytes:
                del self._kept[key]


def size_of(found: Any) -> int:
    """Bytes of the parameters and buffers of all networks that an object holds, each counted once."""
    from torch import nn

    seen: set[int] = set()
    tensors: dict[int, int] = {}

    def search(value: Any, depth: int) -> None:
        if id(value) in seen or depth > DEPTH:
            return
        seen.add(id(value))
        if isinstance(value, nn.Module):
            for tensor in (*value.parameters(), *value.buffers()):
                tensors[id(tensor)] = tensor.numel() * tensor.element_size()
        for each in _parts(value):
            search(each, depth + 1)

    search(found, 0)
    return sum(tensors.values())


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, list | tuple):
        return value
    return getattr(value, "__dict__", {}).values() if not isinstance(value, type) else ()


def _changes(places: Iterable[Any]) -> list[int]:
    """When the folders among ``places`` last changed, in nanoseconds; a run changes with each checkpoint."""
    found = []
    for place in places:
        if not isinstance(place, str | Path):
            continue
        for folder in (Path(place), Path(place, "weights"), Path(place, "checkpoints")):
            with suppress(OSError, ValueError):
                found.append(folder.stat().st_mtime_ns)
    return found
