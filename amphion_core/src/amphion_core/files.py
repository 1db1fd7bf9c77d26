"""Reads regular files only, and writes files completely or not at all: a full disk or Ctrl-C leaves the old file."""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from amphion_core.errors import AmphionError, nearest, shortened

try:
    import fcntl
except ImportError:  # Windows, where two programs that write the same file are not noticed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from torch import Tensor

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MOST_NAMES = 2000  # of a folder in which a similar name is looked for
_FULL_TEXT = re.compile(  # of libraries written in Rust, and of numpy.save
    rf"\(os error ({'|'.join(str(number) for number in sorted(_FULL))})\)|^\d+ requested and \d+ written$"
)


_IRREGULAR = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe (FIFO)"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def irregular(mode: int) -> str:
    """What is at a path with this ``st_mode``, such as ``a folder``; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else next((what for check, what in _IRREGULAR if check(mode)), "no regular file")


def is_file(path: str | Path) -> bool:
    """Whether a regular file is at ``path``; False also for names that are too long or not permitted."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - faster than Path, and there are many
    except (OSError, ValueError):
        return False


def path_hint(path: str | Path, otherwise: str = "check the path") -> str:
    """The hint for a path that does not exist: the path with a similar name that does, else ``otherwise``.

    Only the first part of the path that is missing is compared with the names beside it. In a folder of many files this
    takes a tenth of a second, so it is for the paths of a command, not for each of many recordings.
    """
    path = Path(path)
    with suppress(OSError, ValueError, RuntimeError):
        missing = next((each for each in (*reversed(path.parents), path) if not each.exists()), None)
        if missing is None:
            return otherwise
        with os.scandir(missing.parent) as entries:
            close = nearest(missing.name, (entry.name for entry in islice(entries, _MOST_NAMES)))
        if close and (found := missing.with_name(close) / path.relative_to(missing)).exists():
            return f"did you mean {shortened(found)}?"
    return otherwise


def read_file(path: str | Path, error: type[AmphionError], *, wanted: str, largest: int | None = None) -> bytes:
    """The content of a regular file; ``wanted`` is what should be there, such as ``a YAML file``.

    Nothing else is opened: reading a pipe or a device would wait for ever. Raises ``error`` for a path that is missing,
    not permitted or no regular file, and for a file of more than ``largest`` bytes.
    """
    path, name = Path(path), shortened(path)
    try:
        found = path.stat()
        if what := irregular(found.st_mode):
            raise error(f"{name} cannot be read: it is {what}, not a file", hint=f"name {wanted}")
        if largest is not None and found.st_size > largest:
            size = f"{found.st_size / 1e6:.0f} MB"
            raise error(f"{name} cannot be read: {size} is too large for {wanted}", hint=f"name {wanted}")
        return path.read_bytes()
    except error:  # RecipeError is a ValueError too
        raise
    except FileNotFoundError as missing:
        raise error(f"there is no file {name}", hint=path_hint(path)) from missing
    except (OSError, ValueError) as refused:  # ValueError: a NUL character in the path
        reason = getattr(refused, "strerror", None) or refused
        raise error(f"{name} cannot be read: {reason}", hint="check the path and its permissions") from refused


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary file beside ``path``; when the block ends without an error, it replaces ``path``.

    The temporary name keeps the suffix. The data are on the disk before the file is renamed. When the block raises, the
    temporary file is removed and ``path`` does not change. A symbolic link is followed.

    Raises AmphionError when the folder is missing or not writable, when ``path`` is a folder or a device, and when the
    disk is full.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_write(target) as temporary:
    ...     _ = temporary.write_text("done")
    >>> target.read_text()
    'done'
    """
    path = _checked(path)
    name = f".{path.stem[:25]}-{secrets.token_hex(4)}{path.suffix[-20:]}"  # never longer than 255 bytes
    temporary = path.with_name(name)
    try:
        temporary.open("xb").close()  # tempfile is not used, because only the owner can read its files
        mode = temporary.stat().st_mode
    except OSError as error:
        raise not_written(error, path) from error
    try:
        yield temporary
        temporary.chmod(mode)  # safetensors replaces the file by one that only its owner can read
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as error:
        if is_full(error):
            raise not_written(OSError(errno.ENOSPC, ""), path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)  # after success it has been renamed already
    with suppress(OSError):  # the new name must survive a power cut too; some file systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def sole_writer(path: str | Path) -> Iterator[None]:
    """Hold the lock of the file ``path`` while the block runs, so that no other program writes it in the meantime.

    For files that take long to make; ``atomic_write`` alone lets the last of two programs win. The lock is a file
    ``.NAME.lock`` beside ``path``, which is removed afterwards. A process that has ended, or was killed, holds no lock.

    Raises AmphionError when another program holds it, and the errors of ``atomic_write``.
    """
    target = _checked(path)
    if fcntl is None:
        yield
        return
    name = target.name if len(target.name.encode()) < 240 else hashlib.sha256(target.name.encode()).hexdigest()
    lock = target.with_name(f".{name}.lock")
    try:
        descriptor = locked(lock)
    except BlockingIOError as error:
        raise AmphionError(
            f"another program is writing {path}", hint="wait until it has ended, or name another file"
        ) from error
    except OSError as error:
        raise not_written(error, Path(path)) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before the lock is free: later, the file may be that of another program
        os.close(descriptor)


def locked(path: Path) -> int:
    """A descriptor of the file ``path``, which is made if absent and locked until the descriptor is closed.

    Raises BlockingIOError when another program has locked it, and OSError.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)  # it may be a pipe
        try:
            if fcntl:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the program that held the lock has removed its file meanwhile


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the opened file is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_safetensors(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """Write ``tensors`` to the new file ``path``, with the access rights that the umask gives to any new file.

    safetensors itself creates files that only their owner can read. Raises OSError, also where the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    try:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        if is_full(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    path.chmod(mode)


def check_writable(path: str | Path) -> None:
    """Check that a file can be written at ``path``; for use before long work whose result is written there.

    Raises the AmphionError that `atomic_write` would raise.
    """
    folder = _checked(path).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise not_written(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), Path(path))


def check_not_overwritten(sources: Iterable[str | Path], targets: Iterable[str | Path], *, hint: str) -> None:
    """Check that none of the ``targets``, which a command writes, is one of the ``sources``, which it reads.

    Links are followed. The files need not exist. Raises AmphionError with the ``hint``.
    """
    found = {os.path.realpath(path): path for path in sources}  # unlike resolve, it takes links in a circle
    for target in targets:
        if (source := found.get(os.path.realpath(target))) is not None:
            raise AmphionError(f"{shortened(target)} would overwrite {shortened(source)}, which is read", hint=hint)


def check_folder(path: str | Path) -> None:
    """Check that files can be written into the folder ``path``, which need not exist yet; for use before long work.

    Raises AmphionError for a path that is a file, is below one, or may not be written.
    """
    try:
        nearest = Path(path).expanduser().resolve()
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            raise AmphionError(f"{path} cannot be a folder: {nearest} is a file", hint="choose another folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise not_written(error, Path(path)) from error
    except (RuntimeError, ValueError) as error:
        raise AmphionError(f"{path!s:.300} cannot be written: {error}", hint="choose another name") from error


def make_folder(path: str | Path) -> Path:
    """The folder ``path``, which is made with those above it where it does not exist. Raises AmphionError."""
    check_folder(path)
    try:
        (folder := Path(path).expanduser()).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(error, Path(path)) from error
    return folder


def ignores_case(folder: str | Path) -> bool:
    """Whether the file system of ``folder``, which need not exist, takes names that differ in case for the same."""
    for path in (full := Path(folder).absolute(), *full.parents):
        with suppress(OSError, ValueError):
            if path.name != path.name.swapcase() and path.exists():
                other = path.with_name(path.name.swapcase())
                return other.exists() and other.samefile(path)
    return False


def _checked(path: str | Path) -> Path:
    """``path`` with links followed. Raises AmphionError when no file can be written there."""
    try:
        return _target(path, Path(path).expanduser().resolve())
    except OSError as error:
        raise not_written(error, Path(path)) from error
    except (RuntimeError, ValueError) as error:  # links in a circle, an unknown user after ~, a NUL character
        raise AmphionError(f"{path!s:.300} cannot be written: {error}", hint="choose another name") from error


def _target(given: str | Path, path: Path) -> Path:
    """The file at ``path``, which ``given`` names. Raises AmphionError when it cannot be written, and OSError."""
    if path.is_dir():
        raise AmphionError(f"{given} is a folder, not a file", hint=f"name a file in it, such as {path / 'out.wav'}")
    if not path.parent.is_dir():
        if path.parent.exists() or any(parent.is_file() for parent in path.parents):
            raise AmphionError(f"{given} cannot be written: a part of its path is a file", hint="choose another folder")
        raise AmphionError(
            f"{given} cannot be written: there is no folder {path.parent}", hint=f"mkdir -p {path.parent}"
        )
    if path.exists() and not path.is_file():  # replacing /dev/null would break the machine
        raise AmphionError(f"{given} is a device or a pipe, not a file", hint="name a file")
    return path


def is_full(error: BaseException) -> bool:
    """Whether a file could not grow: the disk or a quota is full. Some libraries report it as text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return _FULL_TEXT.search(str(error)) is not None


def not_written(error: OSError, path: Path) -> AmphionError:
    """The AmphionError that says why ``path`` cannot be written."""
    if error.errno in _FULL:
        return AmphionError(f"{path} cannot be written: the disk is full", hint=f"make room: df -h {path.parent}")
    hint = "choose another folder" if isinstance(error, PermissionError) else "choose another name"
    return AmphionError(f"{path!s:.300} cannot be written: {error.strerror or error}", hint=hint)
