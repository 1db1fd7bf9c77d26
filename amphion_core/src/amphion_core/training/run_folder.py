"""The run folder: what was asked for, on what it ran, and the curve; one process at a time."""

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


class RunFolder:
    """``config.yaml``, ``environment.json``, ``metrics.jsonl``, checkpoints, samples, weights, TensorBoard's events."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"

    @contextmanager
    def locked(self, *, resume: bool) -> Iterator[None]:
        """The folder for this process alone; made if need be.

        Raises AmphionError: in use by another process, or it holds a run and ``resume`` is not said.
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
                raise AmphionError(
                    f"{self.path} holds a run already", hint=f"add --resume to go on with it, or --out {self.path}-2"
                )
            yield

    def state(self, config: str, environment: Mapping[str, Any]) -> None:
        """Write what the run is and on what it runs."""
        with atomic_write(self.path / "config.yaml") as temporary:
            temporary.write_text(config, encoding="utf-8")
        with atomic_write(self.path / "environment.json") as temporary:
            temporary.write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")

    def cut_back(self, step: int) -> None:
        """Drop the lines of the curve after ``step``, and one that a kill left half written."""
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
                hint=f"make room (df -h {self.path}), then run the same command with --resume",
            ) from error

    def curve(self) -> list[dict[str, Any]]:
        """The lines of the curve. Raises DataError when there is none."""
        if not self.metrics.is_file():
            raise DataError(f"{self.path} has no metrics.jsonl")
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]


def environment(device: torch.device, world: int) -> dict[str, Any]:
    """What a run's numbers depend on besides its config: versions, threads, device, processes."""
    names = {"torch", "numpy", "accelerate", "soundfile", "safetensors"}
    found = {d.metadata["Name"]: d.version for d in distributions()}
    versions = {name: v for name, v in sorted(found.items()) if name in names or name.startswith("amphion-")}
    return {
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(), "processes": world, "versions": versions,
    }  # fmt: skip
