"""Checkpoints: folders ``step-N`` of safetensors and JSON, complete or absent, with a digest of every file.

::

    step-1000/
        networks.safetensors     every trained network, ``generator.conv_pre.bias``
        ema.safetensors          the averages, where there are any
        optimizers.safetensors   ``generator.12.exp_avg``: the state of a network's 13th trained parameter
        state.json               position, best score, identity of the run, versions
        SHA256SUMS               of all the above; ``sha256sum -c SHA256SUMS`` checks them by hand
    best.json                    the best score so far and its step, written after each validation

A folder is written under another name, flushed to the disk and renamed. Nothing is pickled. A checkpoint is written
before its step is validated, so that an error in the validation loses no training; its ``state.json`` therefore holds
the best score of the validations before.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from amphion_core.config import problems
from amphion_core.errors import AmphionError, WeightsError, counted
from amphion_core.files import atomic_write, write_safetensors

SUMS = "SHA256SUMS"
_ANOTHER = "name another checkpoint, checkpoints/step-N; a run that is resumed takes the newest good one by itself"
Tensors = Mapping[str, Tensor]
Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]  # larger whole numbers are not exact in every reader of JSON


class _Position(BaseModel):
    epoch: Count
    epoch_step: Count


_START = _Position(epoch=0, epoch_step=0)


class _Best(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    step: Count | None = None
    score: float | None = None
    waited: Count = 0
    since_drop: Count = 0
    drops: Count = 0
    validated: Count | None = None


class _Identity(BaseModel):
    model_config = ConfigDict(extra="allow")
    frozen: dict[str, str] = Field(default_factory=dict)


class _State(BaseModel):
    """The content of ``state.json``. Loading weights needs none of it; resuming needs the right ``identity``."""

    step: Count = 0
    position: _Position = _START
    best: _Best = Field(default_factory=_Best)
    networks: dict[str, str | None] = Field(default_factory=dict)
    identity: _Identity = Field(default_factory=_Identity)
    environment: dict[str, Any] = Field(default_factory=dict)


def write(folder: Path, step: int, tensors: Mapping[str, Tensors], state: Mapping[str, Any]) -> Path:
    """Write ``folder/step-N``: a safetensors file for each of ``tensors``, and ``state`` as JSON.

    Raises AmphionError when the disk is full or cannot be written; the older checkpoints stay as they are.
    """
    from safetensors import SafetensorError

    final, scratch = folder / f"step-{step}", folder / f".step-{step}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir()
        for name, content in tensors.items():
            write_safetensors(scratch / f"{name}.safetensors", content)
        (scratch / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        sums = "".join(f"{_digest(path)}  {path.name}\n" for path in sorted(scratch.iterdir()))
        (scratch / SUMS).write_text(sums, encoding="ascii")
        for path in [*scratch.iterdir(), scratch]:
            _flush(path)
        if final.exists():  # it is damaged, so the run resumed from an older one
            shutil.rmtree(final)
        scratch.rename(final)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error  # without the name of the file, which is gone
        earlier = "; the earlier ones are unchanged" if steps(folder) else ""
        raise AmphionError(
            f"the checkpoint of step {step} cannot be written: {reason}{earlier}",
            hint=f"free some space (df -h {folder}), then run the same command with --resume",
        ) from error
    return final


def read(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """A checkpoint's tensors by file and its state, every digest verified. Raises WeightsError when damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    verify(folder)
    state = _read_state(folder)
    try:
        tensors = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{folder} is damaged: {error}", hint=_ANOTHER) from error
    if "networks" not in tensors:
        raise WeightsError(f"{folder} is damaged: it has no networks.safetensors", hint=_ANOTHER)
    return tensors, state


def _read_state(folder: Path) -> dict[str, Any]:
    """The content of ``state.json``, with the right types. Raises WeightsError."""
    path = folder / "state.json"
    try:
        return _State.model_validate_json(path.read_bytes()).model_dump()
    except ValidationError as error:
        raise WeightsError(f"{path} is damaged: {'; '.join(problems(error))}", hint=_ANOTHER) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}", hint=_ANOTHER) from error


def verify(folder: Path) -> None:
    """Raises WeightsError unless every file is there and has the digest that was written."""
    if not (folder / SUMS).is_file():
        raise WeightsError(f"{folder} is no checkpoint: it has no {SUMS}", hint="name a folder checkpoints/step-N")
    try:
        lines = (folder / SUMS).read_bytes().decode("ascii", "replace").splitlines()
        stated = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        if "state.json" not in stated or any("/" in name for name in stated):
            raise WeightsError(f"{folder}/{SUMS} is damaged", hint=_ANOTHER)
        for name, digest in stated.items():
            if not (path := folder / name).is_file() or _digest(path) != digest:
                raise WeightsError(f"{path} is damaged or missing", hint=_ANOTHER)
    except OSError as error:
        raise WeightsError(f"{error.filename or folder} cannot be read: {error.strerror}", hint=_ANOTHER) from error


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in ``folder``, newest first. Folders with another name are no checkpoints."""
    found = (re.fullmatch(r"step-(0|[1-9][0-9]{0,15})", path.name) for path in folder.glob("step-*"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def newest(folder: Path, warn: Callable[[str], None]) -> Path | None:
    """The newest undamaged checkpoint; ``warn`` is called for every damaged one. None if there is no checkpoint.

    Raises WeightsError when there are checkpoints and all are damaged.
    """
    numbers = steps(folder)
    for step in numbers:
        path = folder / f"step-{step}"
        try:
            verify(path)
            if (stated := _read_state(path)["step"]) != step:
                raise WeightsError(f"{path}/state.json is of step {stated}")
            return path
        except WeightsError as error:
            warn(f"{error.message}: the checkpoint of step {step} is skipped")
    if numbers:
        raise WeightsError(
            f"{folder} has {counted(len(numbers), 'checkpoint')}, all damaged", hint="start a new run: --out FOLDER"
        )
    return None


def write_best(folder: Path, best: Mapping[str, Any]) -> None:
    """Write ``best.json``, the best score so far, if ``folder`` holds checkpoints. Raises AmphionError: disk full."""
    if folder.is_dir():
        with atomic_write(folder / "best.json") as temporary:
            temporary.write_text(json.dumps(best) + "\n", encoding="utf-8")


def best_step(checkpoint: Path) -> int | None:
    """The step with the best score in the run that ``checkpoint`` (``.../step-N``) belongs to; None without scores."""
    path = checkpoint.with_name("best.json")
    if path.is_file():
        with suppress(ValueError, OSError):  # a damaged file; the checkpoint states an earlier best
            return _Best.model_validate_json(path.read_bytes()).step
    stored: int | None = _read_state(checkpoint)["best"]["step"]
    return stored


def prune(folder: Path, *, keep: int, best: int | None) -> None:
    """Remove all but the newest ``keep`` checkpoints and the best, and what a killed run left half written."""
    for step in steps(folder)[keep:]:
        if step != best:
            shutil.rmtree(folder / f"step-{step}", ignore_errors=True)
    for partial in folder.glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
