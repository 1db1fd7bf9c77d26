"""Tasks with their networks in memory, loaded at their first use; the least recently used ones are unloaded."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.errors import AmphionError
from amphion_core.loading import task
from amphion_core.system_errors import is_memory_error

if TYPE_CHECKING:
    from amphion_core.component import TaskFramework
    from amphion_core.precision import Precision

GIGABYTE = 10**9
DEPTH = 4  # attributes of attributes in which the networks of a task are searched


class LoadedTasks:
    """Keeps the tasks that were used last, as long as their networks together have at most ``most_bytes``.

    The task that is asked for is always loaded, also if it alone is larger. May be used by several threads.
    """

    def __init__(self, most_bytes: int = 4 * GIGABYTE) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.RLock()
        self._tasks: OrderedDict[str, tuple[TaskFramework, int]] = OrderedDict()  # the most recently used is the last

    def get(
        self, name: str, *, precision: "Precision" = "float32", device: str = "cpu", **fields: Any
    ) -> "TaskFramework":
        """``amphion_core.task`` with these arguments, or the same task of an earlier call. Raises its errors.

        A folder of weights that has changed is loaded again. When there is no memory left for a task, the others are
        unloaded, and it is tried once more.
        """
        key = json.dumps([name, precision, device, fields, _changes(fields.values())], sort_keys=True, default=str)
        with self._lock:
            if key in self._tasks:
                self._tasks.move_to_end(key)
                return self._tasks[key][0]
            try:
                found: TaskFramework = task(name, precision=precision, device=device, **fields)
            except AmphionError as error:
                if not (self._tasks and is_memory_error(error.__cause__)):
                    raise
                self.unload()
                found = task(name, precision=precision, device=device, **fields)
            self._tasks[key] = found, size_of(found)
            while self.bytes > self.most_bytes and len(self._tasks) > 1:
                self._tasks.popitem(last=False)
            return found

    @property
    def bytes(self) -> int:
        """Bytes of all networks in memory."""
        return sum(size for _, size in self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def unload(self) -> None:
        """Forget all tasks. Their memory is free as soon as nobody else holds them."""
        with self._lock:
            self._tasks.clear()


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
