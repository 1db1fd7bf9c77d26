"""Folders that hold a checkpoint: of accelerate, of transformers and diffusers, and checkpoints in several files."""

import json
import re
from pathlib import Path

from amphion_core.checkpoints.file_kinds import AGAIN
from amphion_core.errors import WeightsError
from amphion_core.files import path_hint

NAMES = (  # in this order; the first is the first network that accelerate was given
    "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin",
)  # fmt: skip
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx")
SHOWN = 5
_NO_WEIGHTS = re.compile(r"(optimizer|optim|scheduler|scaler|random_states|rng_state|sampler|training_args|dl_state)")


def checkpoint_file(path: Path) -> Path:
    """The file of weights that ``path`` names: itself, or in a folder the one with a usual name or the only one.

    Raises WeightsError: there is nothing, no checkpoint or more than one, or a device. Raises OSError.
    """
    if path.is_dir():
        return _file_in(path)
    if path.is_file():
        return path
    if path.exists():
        raise WeightsError(f"{path} is a device or a pipe, not a file", hint="copy the checkpoint into a file first")
    raise WeightsError(
        f"there is no checkpoint {path}",
        hint=path_hint(path, "check the path; amphion list --pretrained shows published weights"),
    )


def shards(index: Path) -> dict[Path, list[str]]:
    """The files beside ``index`` that hold a checkpoint together, each with its tensors. Raises WeightsError."""
    try:
        table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        items = [(str(name), Path(str(file))) for name, file in table.items()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{index} is not a readable index of a checkpoint", hint=AGAIN) from error
    found: dict[Path, list[str]] = {}
    for name, file in items:
        if len(file.parts) != 1 or file.name == index.name:
            raise WeightsError(f"{index} lists {str(file)[:80]!r}, which is no file beside it", hint=AGAIN)
        found.setdefault(index.with_name(file.name), []).append(name)
    if absent := [file.name for file in found if not file.is_file()]:
        raise WeightsError(
            f"{index} lists {len(found)} files, of which {', '.join(absent[:SHOWN])} is missing",
            hint="download all of them into the same folder",
        )
    return found


def _file_in(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    files = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and path.is_file() and not _NO_WEIGHTS.match(path.name)
    )
    if len(files) == 1:
        return folder / files[0]
    if files:
        shown = ", ".join(files[:SHOWN]) + (", ..." if len(files) > SHOWN else "")
        raise WeightsError(f"{folder} holds {len(files)} checkpoint files", hint=f"name one of them: {shown}")
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    with_files = [path for path in inside if any(file.suffix in SUFFIXES for file in path.iterdir())]
    raise WeightsError(
        f"{folder} is a folder without a checkpoint file",
        hint=f"name the one in it: {with_files[-1]}" if with_files else "name the publisher's file of weights",
    )
