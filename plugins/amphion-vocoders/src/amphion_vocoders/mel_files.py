"""Reads mels from files: NumPy's .npy and safetensors, part by part, with the convention that the file states.

A file is opened for each part and its pages are mapped, not read as a whole, so that a mel may be longer than memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core import yaml
from amphion_core.audio_files import AudioFileError, check_file
from amphion_core.config import BaseConfig, validate
from amphion_core.errors import first_line, shortened
from amphion_core.files import is_file
from amphion_core.mel import Mel, MelConfig

FOLDERS_MEL = "mel.yaml"
"""A file that states the convention of the mels in its folder: a preset's name, or fields of `MelConfig`."""

NO_F0 = "this vocoder needs F0 beside the mel, and the file has none"
GIVE_F0 = (
    "amphion vocode RECORDING -o OUT.wav --vocoder VOCODER tracks F0 itself; for a mel, write a safetensors file with "
    "two tensors: mel, and f0 with one value in Hz for each frame, 0 where unvoiced"
)
_FLOATS = {"float16", "float32", "float64", "F16", "F32", "F64", "BF16"}  # names of NumPy, and of safetensors


class MelFile:
    """A mel on disk: an array (F, N) or (N, F), or (1, F, N) or (1, N, F), of floating-point numbers.

    ``n_mels`` is the number of bands F that the vocoder takes: the axis of this length holds the bands. A safetensors
    file has one tensor, or one called ``mel``; a tensor ``f0`` (N) in Hz may stand beside it.

    Raises AudioFileError for a file that is missing or cannot be read, for another shape, and where both axes or
    neither have F entries; RecipeError for a stated convention with wrong fields.
    """

    def __init__(self, path: str | Path, n_mels: int) -> None:
        self.path = Path(path)
        check_file(path)
        with self._opened("mel") as stored:
            kind = getattr(stored.dtype, "name", stored.dtype)  # NumPy's name says nothing about the order of bytes
            shape = tuple(stored.shape)
        if kind not in _FLOATS:
            raise AudioFileError(path, f"its values are {kind}", hint="write them as float32")
        if not (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)):
            raise AudioFileError(
                path, f"its array of shape {shape} is no mel", hint="give one mel a file, (F, N) or (N, F)"
            )
        self._whole = (0,) * (len(shape) - 2)
        is_bands = [size == n_mels for size in shape[-2:]]
        if all(is_bands):
            raise AudioFileError(
                path,
                f"its shape {shape} may be (bands, frames) or (frames, bands)",
                hint="repeat the last frame, so that the numbers of bands and frames differ",
            )
        if not any(is_bands):
            reason = f"its shape {shape} has no axis of the {n_mels} mel bands of the vocoder"
            raise AudioFileError(path, reason, hint="choose a vocoder for this mel: amphion list --pretrained")
        self._bands_last = is_bands[1]
        self.frames: int = shape[-2] if self._bands_last else shape[-1]
        if not self.frames:
            raise AudioFileError(path, "it holds no frames", hint="compute it again")

    def read(self, start: int, stop: int) -> Tensor:
        """Frames ``start`` to ``stop`` - 1, (1, F, n), float32. Raises AudioFileError for NaN and infinite values."""
        with self._opened("mel") as stored:
            rows, columns = slice(None), slice(start, stop)
            part = stored[(*self._whole, *((columns, rows) if self._bands_last else (rows, columns)))]
            part = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part, np.float32))
            if not part.isfinite().all():
                reason = "it has values that are not finite (NaN or infinite)"
                raise AudioFileError(self.path, reason, hint="compute it again")
            part = part.mT if self._bands_last else part
            return part[None].to(torch.float32, memory_format=torch.contiguous_format, copy=True)

    def f0(self) -> Tensor:
        """The F0 beside the mel, (1, N), in Hz. Raises AudioFileError where there is none, or another number of it."""
        if self.path.suffix.lower() == ".npy":
            raise AudioFileError(self.path, NO_F0, hint=GIVE_F0)
        with self._opened("f0") as stored:
            f0: Tensor = stored[:].to(torch.float32, copy=True).reshape(1, -1)
        if f0.shape[1] != self.frames:
            raise AudioFileError(
                self.path, f"its F0 has {f0.shape[1]} frames, its mel {self.frames}", hint="compute both from one audio"
            )
        return f0

    @contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        """The array called ``name``, with ``shape`` and ``dtype``; slices of it are read. Raises AudioFileError."""
        from safetensors import SafetensorError, safe_open

        try:
            if self.path.suffix.lower() == ".npy":
                yield _mapped(self.path)
            else:
                with safe_open(self.path, "pt") as file:
                    yield _Slices(file.get_slice(self._key(list(file.keys()), name)))
        except (SafetensorError, OSError) as error:
            raise AudioFileError(self.path, f"it is no mel: {error}", hint="write it again") from error

    def _key(self, names: list[str], wanted: str) -> str:
        others = [name for name in names if name != "f0"]
        if wanted in names:
            return wanted
        if wanted == "mel" and len(others) == 1:
            return others[0]
        if wanted == "f0":
            raise AudioFileError(self.path, NO_F0, hint=GIVE_F0)
        listed = shortened(", ".join(names) or "none")
        raise AudioFileError(
            self.path, f"it has no tensor called {wanted} ({listed})", hint=f"name the tensor {wanted}"
        )


def _mapped(path: Path) -> np.ndarray[Any, Any]:
    """The array of a .npy file, whose pages are read when they are used. Raises AudioFileError."""
    try:
        with path.open("rb") as file:
            if not file.read(6).startswith((b"\x93NUMPY", b"PK")):  # NumPy would advise to unpickle any other file
                raise AudioFileError(path, "it is no mel: it does not begin as a .npy file does", hint="write it again")
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except AudioFileError:
        raise
    except Exception as error:  # NumPy has many errors for a damaged header, such as those of Python's tokenizer
        raise AudioFileError(path, f"it is no mel: {first_line(error)}", hint="write it again") from error
    if not isinstance(found, np.ndarray):
        raise AudioFileError(path, "it is no mel: it holds several arrays", hint="write one mel a file")
    return found


class _Slices:
    """A slice of safetensors with the face of an array: ``shape``, ``dtype``, and indices that read."""

    def __init__(self, stored: Any) -> None:
        self._stored = stored
        self.shape, self.dtype = tuple(stored.get_shape()), stored.get_dtype()

    def __getitem__(self, index: Any) -> Tensor:
        found: Tensor = self._stored[index]
        return found


class _Stated(BaseConfig):
    mel: Mel = Field(description="a preset's name, or fields")


def stated_mel(path: str | Path) -> MelConfig | None:
    """The convention that a mel file states, or None.

    A safetensors file states it in its metadata as ``mel``; else `FOLDERS_MEL` in the folder of the file does. Both
    hold a preset's name, or fields in YAML or JSON. Raises RecipeError that lists what is wrong, AudioFileError.
    """
    path = Path(path)
    check_file(path)
    text, where = None, f"mel of {shortened(path)}"
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                text = (file.metadata() or {}).get("mel")
        except (SafetensorError, OSError) as error:
            raise AudioFileError(path, f"it is no mel: {error}", hint="write it again") from error
    value: Any = None
    if text is not None:
        value = yaml.parse(text, where=where)
    elif is_file(path.with_name(FOLDERS_MEL)):
        where = str(path.with_name(FOLDERS_MEL))
        value = yaml.read(path.with_name(FOLDERS_MEL))
    return None if value is None else validate(_Stated, {"mel": value}, where=where).mel
