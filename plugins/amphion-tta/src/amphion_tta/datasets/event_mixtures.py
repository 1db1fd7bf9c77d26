"""Simulated mixtures of single sounds with known times, made from any folder of sounds with class names.

Xie et al., "PicoAudio", arXiv:2407.02869, section 2: single sounds are found in recordings and placed at random times,
so that the times in the caption are exact. Mixture number k of a split draws everything from (seed, split, k): it is
the same whichever other mixtures are made.
Deviations: the sounds are found by energy, not by a model that finds a text in audio.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from amphion_core.api import Audio, BaseConfig, Dataset, DatasetPart, Utterance
from amphion_core.errors import DataError
from amphion_core.files import atomic_write, make_folder, path_hint
from amphion_tta.one_shots import OneShot, by_class, find_one_shots
from amphion_tta.sound_events import EnergyDetector, Samples
from amphion_tta.timed_events import TimedEvent, sentence, write

SPLITS = ("train", "dev", "test")
ABOUT = "mixtures.json"  # in the folder of the mixtures: the config they were made with
_PEAK = 0.9  # a louder mixture is scaled to this peak
_TRIES = 50  # starts that are tried before an occurrence is left out


class EventMixtures(Dataset):
    """Places the sounds of a folder at random times, writes the mixtures, and gives each its exact caption."""

    class Config(BaseConfig):
        """The folder of single sounds, and what a mixture is made of."""

        root: str = Field(default=".", description="folder of the recordings of single sounds")
        into: str = Field(default="", description="folder that the mixtures are written to; it must be given")
        reader: DatasetPart = Field(
            default="folder", validate_default=True, description="reader of the recordings: folder, esc50, ..."
        )
        classes: tuple[str, ...] = Field(default=(), description="classes to use; empty: all")
        mixtures: int = Field(default=2000, gt=0, le=1_000_000, description="mixtures of the split train")
        dev_mixtures: int = Field(default=40, ge=0, le=100_000, description="mixtures of the split dev")
        test_mixtures: int = Field(default=100, ge=0, le=100_000, description="mixtures of the split test")
        seconds: float = Field(default=10.0, gt=0.5, le=60, description="length of a mixture, seconds")
        sample_rate: int = Field(default=16_000, ge=4000, le=96_000, description="sample rate of the mixtures, Hz")
        kinds: tuple[int, int] = Field(default=(1, 2), description="fewest and most classes in a mixture")
        occurrences: tuple[int, int] = Field(default=(1, 3), description="fewest and most occurrences of a class")
        shortest_sound: float = Field(default=0.1, gt=0, le=10, description="shorter sounds are not used, seconds")
        longest_sound: float = Field(default=2.0, gt=0, le=30, description="longer sounds are cut, seconds")
        levels: tuple[float, float] = Field(
            default=(-28.0, -20.0), description="range of the levels of the sounds, dB of full scale"
        )
        background: float | None = Field(
            default=None,
            ge=-100,
            le=-20,
            description="level of a noise under the mixture, dB of full scale; null: none",
        )
        overlap: bool = Field(default=False, description="whether sounds of different classes may sound together")
        gap: float = Field(default=0.3, ge=0, le=5, description="silence between two sounds at least, seconds")
        detector: EnergyDetector = Field(
            default=EnergyDetector(below_peak=30.0, gap=0.15), description="how single sounds are found"
        )
        seed: int = Field(default=0, ge=0, description="other seeds give other mixtures")

        @model_validator(mode="after")
        def _ranges(self) -> Self:
            for name in ("kinds", "occurrences"):
                low, high = getattr(self, name)
                if not 1 <= low <= high:
                    raise ValueError(f"{name}: {low} to {high} is no range of numbers from 1 up")
            low, high = self.levels
            if not -80 <= low <= high <= 0:
                raise ValueError(f"levels: {low:g} to {high:g} dB is no range within -80 to 0")
            if not self.shortest_sound <= self.longest_sound <= self.seconds:
                raise ValueError("shortest_sound, longest_sound and seconds are not in ascending order")
            return self

    config: Config

    def utterances(self) -> Iterator[Utterance]:
        """Writes each mixture that is not there yet, and gives it; caption and ``extra["events"]`` state the times.

        A class needs a sound in a split to occur in it. Where the recordings state no splits, all share the sounds.
        Raises DataError for a folder without sounds, and for ``into`` with mixtures of another configuration.
        """
        folder = self._folder()
        pools = self.pools()
        counts = (self.config.mixtures, self.config.dev_mixtures, self.config.test_mixtures)
        for split, count in zip(SPLITS, counts, strict=True):
            if count and not pools[split]:
                self.problems.append((split, "no sound belongs to this split, so it gets no mixtures"))
                continue
            for number in range(count):
                name = f"{split}-{number:06d}"
                samples, events = self.mixture(split, number, pools[split])
                if not (path := folder / f"{name}.flac").is_file():
                    Audio(samples, self.config.sample_rate).save(path)
                extra = {"events": write(events), "recording": name}
                yield Utterance(
                    name, str(path), self.config.seconds, caption=sentence(events), split=split, extra=extra
                )

    def pools(self) -> dict[str, dict[str, list[OneShot]]]:
        """The sounds of each split by class. Raises DataError for a folder without sounds or without a named class."""
        c = self.config
        self.problems.clear()
        found = find_one_shots(
            c.reader, c.root, rate=c.sample_rate, detector=c.detector, shortest=c.shortest_sound,
            longest=c.longest_sound, problems=self.problems,
        )  # fmt: skip
        shots = list(found)
        known = by_class(shots)
        if not known:
            why = f"; most often: {self.problems[0][1]}" if self.problems else ""
            raise DataError(
                f"{c.root} has no single sounds with a class{why}",
                hint="put the sounds of each class into a folder with its name, or add a table with a column category",
            )
        if unknown := [name for name in c.classes if name not in known]:
            raise DataError(f"{c.root} has no class {unknown[0]!r}", hint=f"its classes are {', '.join(known)}")
        shots = [shot for shot in shots if not c.classes or shot.event in c.classes]
        stated = any(shot.split in SPLITS for shot in shots)
        return {
            split: by_class(shot for shot in shots if not stated or (shot.split or "train") == split)
            for split in SPLITS
        }

    def mixture(self, split: str, number: int, pool: dict[str, list[OneShot]]) -> tuple[Samples, list[TimedEvent]]:
        """Mixture ``number`` of a split (T,), and its events; drawn from (seed, split, number) only."""
        c = self.config
        random = np.random.default_rng((c.seed, SPLITS.index(split), number))
        kinds = min(int(random.integers(c.kinds[0], c.kinds[1] + 1)), len(pool))
        names = sorted(str(name) for name in random.choice(list(pool), kinds, replace=False))
        planned: list[OneShot] = []
        for name in names:
            shot = pool[name][int(random.integers(len(pool[name])))]
            planned += [shot] * int(random.integers(c.occurrences[0], c.occurrences[1] + 1))
        gains = {shot.event: 10 ** (random.uniform(*c.levels) / 20) for shot in planned}
        starts = self._placed(
            [len(shot.samples) / c.sample_rate for shot in planned], [s.event for s in planned], random
        )
        samples = np.zeros(round(c.seconds * c.sample_rate), np.float64)
        spans: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for shot, start in zip(planned, starts, strict=True):
            if start is not None:
                first = round(start * c.sample_rate)
                samples[first : first + len(shot.samples)] += gains[shot.event] * shot.samples
                spans[shot.event].append((round(start, 3), round(start + len(shot.samples) / c.sample_rate, 3)))
        if c.background is not None:
            samples += 10 ** (c.background / 20) * random.standard_normal(len(samples))
        samples *= min(1.0, _PEAK / max(float(np.abs(samples).max()), 1e-9))
        return samples.astype(np.float32), [
            TimedEvent(name, tuple(sorted(found))) for name, found in spans.items() if found
        ]

    def _placed(
        self, lengths: Sequence[float], names: Sequence[str], random: np.random.Generator
    ) -> list[float | None]:
        """A start in seconds for each sound, None where there is no room for it. The longest is placed first."""
        c = self.config
        placed: list[float | None] = [None] * len(lengths)
        for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
            others = [
                (start, start + lengths[other])
                for other, start in enumerate(placed)
                if start is not None and (not c.overlap or names[other] == names[index])
            ]
            for _ in range(_TRIES):
                start = round(float(random.uniform(0, c.seconds - lengths[index])), 3)
                end = start + lengths[index]
                if end <= c.seconds and all(end + c.gap <= first or start >= last + c.gap for first, last in others):
                    placed[index] = start
                    break
        return placed

    def _folder(self) -> Path:
        """The folder of the mixtures. Raises DataError where it is not given or holds others."""
        c = self.config
        if not c.into:
            raise DataError(
                "the folder that the mixtures are written to is not given",
                hint=f"amphion prepare event_mixtures {c.root} OUT into=FOLDER",
            )
        if not Path(c.root).is_dir():
            raise DataError(f"there is no folder {c.root}", hint=path_hint(Path(c.root)))
        folder = Path(c.into)
        about = json.dumps(c.model_dump(mode="json", exclude={"into", "mixtures", "dev_mixtures", "test_mixtures"}))
        marker = folder / ABOUT
        if marker.is_file() and marker.read_text(encoding="utf-8") != about:
            raise DataError(f"{folder} holds mixtures of another configuration", hint="choose another folder for into")
        if not marker.is_file() and folder.is_dir() and any(folder.iterdir()):
            raise DataError(f"{folder} holds other files", hint="choose a new folder for into")
        with atomic_write(make_folder(folder) / ABOUT) as temporary:
            temporary.write_text(about, encoding="utf-8")
        return folder
