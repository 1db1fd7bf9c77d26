"""Tones as a task: notes become a melody, played after a recording if there is one. It needs no network."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Precision, TaskFramework
from amphion_core.errors import DataError
from amphion_core.requests import AudioInput

RATE = 16000
STEPS = {"c": -9, "d": -7, "e": -5, "f": -4, "g": -2, "a": 0, "b": 2}


class SketchTones(TaskFramework):
    """Plays notes, with every kind of field that a request may have."""

    class Request(BaseConfig):
        """A melody."""

        notes: str = Field(description="letters from a to g")
        seconds: float = Field(default=0.2, ge=0.1, le=2, description="length of a note, seconds")
        shape: Literal["sine", "square"] = Field(default="sine", description="form of the wave")
        loud: bool = Field(default=False, description="play it at full scale")
        repeats: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
            default=(), description="how often each note is played"
        )
        before: AudioInput | None = Field(default=None, description="recording that is played first")

    class Config(BaseConfig):
        """The tuning."""

        pitch: float = Field(default=440.0, ge=400, le=480, description="frequency of a, Hz")

    config: Config

    @classmethod
    def example_request(cls) -> Request:
        """Three notes."""
        return cls.Request(notes="ceg")

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        super().__init__(config)

    def generate(self, request: "SketchTones.Request") -> Audio:
        """The melody at 16 kHz. Raises DataError for other letters."""
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: "SketchTones.Request") -> Iterator[Audio]:
        """Note by note."""
        if wrong := [letter for letter in request.notes if letter not in STEPS]:
            raise DataError(f"{wrong[0]!r} is no note", hint=f"use the letters {' '.join(sorted(STEPS))}")
        if request.before is not None:
            yield request.before.mono().resample(RATE)
        times = np.arange(round(request.seconds * RATE)) / RATE
        for index, letter in enumerate(request.notes):
            wave = np.sin(2 * np.pi * self.config.pitch * 2 ** (STEPS[letter] / 12) * times)
            wave = np.sign(wave) if request.shape == "square" else wave
            count = request.repeats[index] if index < len(request.repeats) else 1
            yield Audio(np.tile(wave * (1 if request.loud else 0.3), count).astype(np.float32), RATE)
