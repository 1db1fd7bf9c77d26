"""Reads the tensors of a CTranslate2 model, such as a packaged Whisper, without the package ctranslate2.

The file ``model.bin`` (binary versions 4 to 6) is a list of named arrays: a name, the sizes, the type, the bytes. Text
is UTF-8 with a zero at its end, and numbers are little-endian. Whole numbers of 8 or 16 bits are quantised weights, and
the array ``NAME_scale`` holds the factor of each row, or of all.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from amphion_core.errors import WeightsError

VERSIONS = range(4, 7)
_TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)  # by number in the file
_HINT = "download or install the model again"


def read_ctranslate2(parts: Sequence[Path], prefix: str) -> dict[str, Tensor]:
    """The tensors of a model whose names begin with ``prefix``, without it; weights in float32.

    ``parts`` are the pieces of ``model.bin`` in their order, usually one file. Raises WeightsError.
    """
    try:
        with _Joined(parts) as file:
            raw = {name.removeprefix(prefix): value for name, value in _arrays(file, prefix)}
    except (OSError, struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise WeightsError(f"{parts[0]} is not a readable model of CTranslate2: {error}", hint=_HINT) from error
    return {name: _weights(value, raw.get(f"{name}_scale")) for name, value in raw.items() if name[-6:] != "_scale"}


def _arrays(file: "_Joined", prefix: str) -> Iterator[tuple[str, Tensor]]:
    (version,) = file.unpack("<I")
    if version not in VERSIONS:
        raise ValueError(f"its first number is {version}, and versions {VERSIONS[0]} to {VERSIONS[-1]} are known")
    file.text()  # the name of the architecture
    _revision, count = file.unpack("<II")
    for _ in range(count):
        name = file.text()
        (rank,) = file.unpack("<B")
        shape = file.unpack(f"<{rank}I")
        kind, size = file.unpack("<BI")
        if not name.startswith(prefix):
            file.skip(size)
            continue
        values = torch.frombuffer(bytearray(file.read(size)), dtype=_TYPES[kind])
        yield name, values.reshape(shape)


def _weights(value: Tensor, scale: Tensor | None) -> Tensor:
    """Float32 weights; a quantised row is its whole numbers divided by its scale."""
    if scale is None:
        return value.float() if value.is_floating_point() else value
    return value.float() / scale.float().reshape(-1, *[1] * (value.ndim - 1) if scale.ndim else ())


class _Joined:
    """Files read one after the other, as if they were one."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._files = [part.open("rb") for part in parts]
        self._current = 0

    def __enter__(self) -> "_Joined":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self._files[self._current].read(size - len(found))
            found += piece
            if not piece:
                self._next()
        return bytes(found)

    def skip(self, size: int) -> None:
        while size:
            file = self._files[self._current]
            here = file.tell()
            end = file.seek(0, io.SEEK_END)
            step = min(size, end - here)
            file.seek(here + step)
            size -= step
            if size:
                self._next()

    def _next(self) -> None:
        self._current += 1
        if self._current == len(self._files):
            raise ValueError("it ends too early")

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.read(struct.calcsize(form)))

    def text(self) -> str:
        (size,) = self.unpack("<H")
        return self.read(size)[:-1].decode("utf-8")
