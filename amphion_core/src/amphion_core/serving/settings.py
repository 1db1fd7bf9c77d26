"""What the command line decides about a server."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from amphion_core.errors import DataError
from amphion_core.loaded_tasks import MEMORY
from amphion_core.own_computer import is_loopback
from amphion_core.precision import Precision


@dataclass(frozen=True, slots=True)
class Settings:
    """Address, limits and models of a server.

    ``tasks`` are the names of the tasks that are offered. ``places`` are the models that were stated for a task, the
    first of which is its default. ``key`` is what clients must send; None: nothing.
    """

    tasks: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = field(default=None, repr=False)
    max_text: int = 4096  # characters of one field
    max_upload: float = 25.0  # MB of a body
    max_audio: float = 600.0  # seconds of a recording
    timeout: float = 300.0  # seconds of one request
    queue: int = 64  # requests that are in work or wait
    workers: int = 0  # sentences that are computed at once; 0: one for each core
    memory: float = MEMORY  # gigabytes of networks that stay loaded
    precision: Precision = "float32"
    device: str = "cpu"
    preload: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only programs of this computer can reach the address."""
        return is_loopback(self.host)

    @property
    def max_bytes(self) -> int:
        """Bytes of a body."""
        return round(self.max_upload * 1e6)


def checked(settings: Settings, variable: str) -> Settings:
    """``settings`` if they are safe. Raises DataError for an open address without a key.

    ``variable`` is the environment variable that should have the key.
    """
    if not settings.is_local and settings.key is None:
        raise DataError(
            f"{settings.host} can be reached from other computers, and there is no key",
            hint=f"export {variable}=KEY, which clients then send; or leave --host out: only this computer is served",
        )
    return settings


def read_key(variable: str) -> str | None:
    """The key in an environment variable; None where it is not set. Raises DataError for a key that nobody can send."""
    key = os.environ.get(variable)
    if key is None:
        return None
    if len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key:
        raise DataError(
            f"the key in {variable} must be 8 or more printable ASCII characters without spaces",
            hint=f"export {variable}=$(openssl rand -hex 16)",
        )
    return key
