"""The run folder: the recipe, the environment and the curve of a run. One process at a time may use it."""

import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from amphion_core import registry
from amphion_core.errors import AmphionError, DataError
from amphion_core.files import atomic_write, locked
from amphion_core.training import checkpoint

DEV = "dev/"  # before the names of validation scores in the curve

LEFT_BY_A_START = re.compile(
    r"\.lock|config\.yaml|environment\.json|checkpoints|tensorboard|\.config-[0-9a-f]{8}\.yaml|\.environment-[0-9a-f]{8}\.json"
)
"""What a run may have written before its first step, also one that was killed. ``config.yaml`` is written last."""


class RunFolder:
    """``config.yaml``, ``environment.json``, ``metrics.jsonl``, checkpoints, samples, weights, TensorBoard's events."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is a checkpoint, good or damaged."""
        return bool(checkpoint.steps(self.checkpoints))

    @contextmanager
    def locked(self, *, resume: bool) -> Iterator[None]:
        """Lock the folder for this process; it is created if it does not exist.

        A run that ended before its first step leaves nothing to continue, so its folder can be used again. When the
        block raises before the first step, everything that it wrote is removed, and the folder too if it is new.
        Raises AmphionError: another process uses it, it holds a run and ``resume`` is False, or it cannot be written.
        """
        new = [path for path in (self.path, *self.path.parents) if not os.path.lexists(path)]
        with self._lock() as fresh:
            found = {path.name for path in self.path.iterdir()}
            if not resume and self._holds_a_run(found):
                if not self._never_began(found):
                    if fresh:
                        (self.path / ".lock").unlink()
                    raise AmphionError(
                        f"{self.path} already holds a run or weights",
                        hint=f"continue a run: amphion train {self.path} --resume; or choose another --out",
                    )
                found = self._remove_start(keep={".lock"})
            try:
                yield
            except BaseException:
                if not resume and not self._has_steps():
                    self._remove_start(keep=found - {".lock"} if fresh else found)
                    for path in new:
                        with suppress(OSError):  # it is not empty
                            path.rmdir()
                raise

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Hold the lock; yields whether the lock's file is new. A process that has ended, or was killed, holds none."""
        file = self.path / ".lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            fresh = not file.exists()
            descriptor = locked(file)
        except BlockingIOError as error:
            raise AmphionError(f"{self.path} is in use by another run", hint="wait, or choose another --out") from error
        except FileExistsError as error:
            raise AmphionError(f"{self.path} is a file, not a folder", hint="choose another --out") from error
        except OSError as error:
            raise AmphionError(
                f"{self.path} cannot be written: {error.strerror}", hint="choose another --out"
            ) from error
        try:
            yield fresh
        finally:
            os.close(descriptor)

    def _holds_a_run(self, found: set[str]) -> bool:
        return bool(found & {"config.yaml", "weights"}) or self._has_steps()

    def _has_steps(self) -> bool:
        """Whether a step of the run is on the disk."""
        return self.metrics.exists() or self.has_checkpoints

    def _never_began(self, found: set[str]) -> bool:
        """Whether the folder holds nothing but what a run leaves that ended before its first step."""
        return "environment.json" in found and all(map(LEFT_BY_A_START.fullmatch, found)) and not self._has_steps()

    def _remove_start(self, keep: set[str]) -> set[str]:
        """Remove what a run wrote before its first step, except ``keep``. Returns the names that are still there."""
        for path in [*self.path.iterdir()]:
            if path.name not in keep and LEFT_BY_A_START.fullmatch(path.name):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        return {path.name for path in self.path.iterdir()}

    def describe(self, config: str, environment: Mapping[str, Any]) -> None:
        """Write the environment and the resolved recipe."""
        with atomic_write(self.path / "environment.json") as temporary:
            temporary.write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")
        with atomic_write(self.path / "config.yaml") as temporary:
            temporary.write_text(config, encoding="utf-8")

    def cut_back(self, step: int) -> None:
        """Remove the lines of the curve after ``step``, damaged ones, and one that a killed process left incomplete."""
        if not self.metrics.exists():
            return
        lines = self.metrics.read_text(encoding="utf-8", errors="replace").split("\n")
        points = ((line, _point(line)) for line in lines if line)
        kept = [f"{line}\n" for line, point in points if point is not None and point["step"] <= step]
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
        """The lines of the curve. Raises DataError when there is none, or one is damaged."""
        if not self.metrics.is_file():
            raise DataError(f"{self.path} has no metrics.jsonl", hint="name the folder of a run")
        lines = self.metrics.read_text(encoding="utf-8", errors="replace").split("\n")
        found = [_point(line) for line in lines if line]
        if None in found:
            raise DataError(
                f"line {found.index(None) + 1} of {self.metrics} is damaged", hint="remove that line from the file"
            )
        return [point for point in found if point is not None]

    def points(self) -> list[dict[str, Any]]:
        """The lines of a curve that may be written at this moment: those that are not whole are left out."""
        try:
            lines = self.metrics.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return []
        return [point for line in lines if (point := _point(line)) is not None]


def _point(line: str) -> dict[str, Any] | None:
    """A line of the curve: the step and numbers by name. None for a damaged line."""
    try:
        point = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(point, dict) or type(point.get("step")) is not int:
        return None
    return point if all(type(value) in (int, float) for value in point.values()) else None


def environment(device: torch.device, world: int) -> dict[str, Any]:
    """What the numbers of a run depend on besides its config: versions, threads, device, processes."""
    return {
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(), "processes": world, "versions": dict(_versions()),
    }  # fmt: skip


@cache
def _versions() -> dict[str, str]:
    """The versions of what computes. Only the metadata of these packages is read; there may be hundreds of others."""
    found = {ref.dist: ref.version for ref in registry.refs("api") if ref.dist.startswith("amphion-")}
    for name in ("accelerate", "numpy", "safetensors", "soundfile", "torch"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return dict(sorted(found.items()))
