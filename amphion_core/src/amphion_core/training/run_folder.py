"""The run folder: the recipe, the environment and the curve of a run. One process at a time may use it."""

import fcntl
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from amphion_core.errors import AmphionError, DataError
from amphion_core.files import atomic_write

DEV = "dev/"  # before the names of validation scores in the curve

LEFT_BY_A_START = {".lock", "config.yaml", "environment.json", "checkpoints", "tensorboard"}
"""What a run may have written before its first step. A folder with a config and anything else is refused."""


class RunFolder:
    """``config.yaml``, ``environment.json``, ``metrics.jsonl``, checkpoints, samples, weights, TensorBoard's events."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"

    @contextmanager
    def locked(self, *, resume: bool) -> Iterator[None]:
        """Lock the folder for this process; it is created if it does not exist.

        A run that ended before its first step leaves nothing to continue, so its folder can be used again.
        Raises AmphionError: another process uses it, or it holds a run and ``resume`` is False.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise AmphionError(
                f"{self.path} cannot be written: {error.strerror}", hint="choose another --out"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AmphionError(
                    f"{self.path} is in use by another run", hint="wait, or choose another --out"
                ) from error
            if not resume and (self.path / "config.yaml").exists():
                if not self._never_began():
                    raise AmphionError(
                        f"{self.path} already holds a run or weights",
                        hint=f"add --resume to continue a run, or --out {self.path}-2",
                    )
                (self.path / "config.yaml").unlink()
            yield

    def _never_began(self) -> bool:
        """Whether the folder holds nothing but what a run leaves that ended before its first step."""
        found = {path.name for path in self.path.iterdir()}
        return "environment.json" in found and found <= LEFT_BY_A_START and not any(self.checkpoints.glob("step-*"))

    def describe(self, config: str, environment: Mapping[str, Any]) -> None:
        """Write the resolved recipe and the environment."""
        with atomic_write(self.path / "config.yaml") as temporary:
            temporary.write_text(config, encoding="utf-8")
        with atomic_write(self.path / "environment.json") as temporary:
            temporary.write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")

    def cut_back(self, step: int) -> None:
        """Remove the lines of the curve after ``step``, and a last line that a killed process left incomplete."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue
        with atomic_write(self.metrics) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Append lines to the curve. Raises AmphionError when the disk is full."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise AmphionError(
                f"{self.metrics} cannot be written: {error.strerror}",
                hint=f"free some space (df -h {self.path}), then run the same command with --resume",
            ) from error

    def scores(self, step: int) -> dict[str, float] | None:
        """The scores of the validation after ``step``; None if the curve has none."""
        lines = self.curve() if self.metrics.is_file() else []
        found = [line for line in lines if line["step"] == step and any(name.startswith(DEV) for name in line)]
        return {name.removeprefix(DEV): value for name, value in found[-1].items() if name != "step"} if found else None

    def curve(self) -> list[dict[str, Any]]:
        """The lines of the curve. Raises DataError when there is none."""
        if not self.metrics.is_file():
            raise DataError(f"{self.path} has no metrics.jsonl")
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]


def environment(device: torch.device, world: int) -> dict[str, Any]:
    """What the numbers of a run depend on besides its config: versions, threads, device, processes."""
    names = {"torch", "numpy", "accelerate", "soundfile", "safetensors"}
    found = {d.metadata["Name"]: d.version for d in distributions()}
    versions = {name: v for name, v in sorted(found.items()) if name in names or name.startswith("amphion-")}
    return {
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(), "processes": world, "versions": versions,
    }  # fmt: skip
