"""The loader: micro-batches of this process, in the order of the plan, from any number of worker processes.

Nothing here has a state of its own. A micro-batch is a pure function of (seed, step, micro-batch), so training goes on
from any step, with other workers than before, as if it had never stopped.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from amphion_core.data.batch import Batch, Collate, Example
from amphion_core.data.batch_plan import plan_epoch
from amphion_core.data.config import DataConfig
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader
from amphion_core.errors import AmphionError, DataError
from amphion_core.parts import FeaturePart


@dataclass(frozen=True, slots=True)
class Position:
    """Where training stands: the next step, and the step of the epoch's plan that it takes."""

    step: int = 1
    epoch: int = 0
    place: int = 0


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One micro-batch of the plan: which items, and where it stands."""

    position: Position
    number: int
    items: tuple[int, ...]


class Corpus:
    """The items of one split of all sources, and how one of them becomes an Example.

    ``rate`` in Hz is the model's; ``features`` are those read from the cache, with ``hop`` samples between frames.
    Raises DataError: audio of another rate, audio that moved, nothing left to learn from.
    """

    def __init__(
        self, config: DataConfig, split: str, *, rate: int, seed: int, hop: int = 1,
        features: dict[str, FeaturePart] | None = None, training: bool = True,
    ) -> None:  # fmt: skip
        self.config, self.rate, self.seed, self.hop, self.training = config, rate, seed, hop, training
        if not config.root:
            raise DataError("data.root is not set", hint="amphion train RECIPE data.root=FOLDER (from amphion prepare)")
        self.manifests = [Manifest(source.root, split) for source in config.root]
        self.crop = config.crop if training else None
        if self.crop and features and self.crop % hop:
            raise DataError(f"data.crop {self.crop} is no multiple of the {hop} samples between frames")
        if config.augment and features:
            raise DataError("data.augment changes audio, but features come from a cache", hint="set data.augment=[]")
        self.rows = [self._kept(manifest) for manifest in self.manifests]
        self.left_out = sum(map(len, self.manifests)) - len(self)
        if not len(self):
            what = f"{self.left_out} items of {split!r} are all left out by data.crop, data.shortest or data.longest"
            raise DataError(what, hint="choose a smaller data.crop")
        self.caches = {
            name: [FeatureCache(manifest, part, config.cache) for manifest in self.manifests]
            for name, part in (features or {}).items()
        }
        self._starts = np.cumsum([0, *map(len, self.rows)])
        self._augment = [part.build() for part in config.augment] if training else []
        self._reader = Reader()

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    @property
    def identity(self) -> str:
        """The digest of what decides which items there are, and their order."""
        c = self.config
        stated = [[manifest.digest, source.weight] for manifest, source in zip(self.manifests, c.root, strict=True)]
        text = json.dumps([stated, c.crop, c.budget, c.jitter, c.shortest, c.longest, c.resample, self.rate])
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def durations(self) -> list[np.ndarray[Any, Any]]:
        """Seconds of the items that are kept, an array a source."""
        return [manifest.durations[rows] for manifest, rows in zip(self.manifests, self.rows, strict=True)]

    def example(self, item: int, seed: tuple[int, ...]) -> Example:
        """Item number ``item``, cropped and augmented as ``seed`` says. Raises DataError when it cannot be read."""
        source = int(np.searchsorted(self._starts, item, side="right")) - 1
        place = int(self.rows[source][item - self._starts[source]])
        utterance = self.manifests[source][place].utterance
        random = np.random.default_rng(seed)
        if self.crop is None:
            wave = self._reader.read(utterance, self.rate)
            frames = {name: caches[source].read(place) for name, caches in self.caches.items()}
        elif self.caches:
            count = self.crop // self.hop
            first = int(random.integers(int(utterance.duration * self.rate) // self.hop - count + 1))
            wave = self._reader.read(utterance, self.rate, first * self.hop, self.crop)
            frames = {name: caches[source].read(place, first, count) for name, caches in self.caches.items()}
        else:
            wave, frames = self._cropped(utterance, random), {}
        if self.crop is None:
            wave = self._augmented(wave, random)
        return Example(utterance, wave, frames, seed)

    def _cropped(self, utterance: Any, random: np.random.Generator) -> Any:
        """A span of exactly ``crop`` samples; twice as much is read where an augmentation changes the length."""
        assert self.crop
        whole = int(utterance.duration * self.rate)
        length = self.crop if all(one.keeps_length for one in self._augment) else min(2 * self.crop, whole)
        start = int(random.integers(whole - length + 1))
        wave = self._augmented(self._reader.read(utterance, self.rate, start, length), random)[: self.crop]
        return np.pad(wave, (0, self.crop - len(wave))) if len(wave) < self.crop else wave

    def _augmented(self, wave: Any, random: np.random.Generator) -> Any:
        for augmentation in self._augment:
            wave = augmentation.apply(wave, self.rate, random)
        return wave

    def _kept(self, manifest: Manifest) -> np.ndarray[Any, Any]:
        """The rows that are long and short enough. Raises DataError for audio of another rate."""
        manifest.require_audio()
        rates = manifest.index["rate"]
        if not self.config.resample and (other := rates[rates != self.rate]).size:
            raise DataError(
                f"{other.size} of {rates.size} items of {manifest.path} have another rate than the model's {self.rate}"
                f" Hz, such as {int(other[0])} Hz",
                hint="add data.resample=true, or choose a model of that rate",
            )
        seconds = manifest.durations
        least = max(self.config.shortest, (self.crop or 1) / self.rate) if self.training else 0.0
        keep = seconds * self.rate >= least * self.rate + (1 if self.crop else 0)
        if self.training and self.config.longest is not None:
            keep &= seconds <= self.config.longest
        return np.flatnonzero(keep)


class _Batches:
    """What the workers run: a micro-batch of the plan as a Batch, or the error that it met."""

    def __init__(self, corpus: Corpus, collate: Collate, seed: int) -> None:
        self.corpus, self.collate, self.seed = corpus, collate, seed

    def __getitem__(self, micro: MicroBatch) -> tuple[MicroBatch, Batch | AmphionError]:
        try:
            seeds = ((self.seed, micro.position.step, micro.number, place) for place in range(len(micro.items)))
            examples = [self.corpus.example(item, seed) for item, seed in zip(micro.items, seeds, strict=False)]
            return micro, self.collate(examples)
        except AmphionError as error:
            return micro, error


def _leave_with(parent: int, worker: int) -> None:
    """End a worker whose parent was killed while it started: torch's own watch would take it for well kept."""
    if os.getppid() != parent:
        os._exit(1)


def steps_from(corpus: Corpus, position: Position, *, micro_batches: int) -> Iterator[tuple[Position, list[Any]]]:
    """Every step from ``position`` on without end: where it stands, and the items of each of its micro-batches."""
    step, epoch, place = position.step, position.epoch, position.place
    config, durations = corpus.config, corpus.durations()
    weights = [source.weight for source in config.root]
    while True:
        plan = plan_epoch(
            durations, budget=config.budget, micro_batches=micro_batches, seed=corpus.seed, epoch=epoch,
            weights=None if weights[0] is None else [weight or 0.0 for weight in weights],
            crop=corpus.crop / corpus.rate if corpus.crop else None, jitter=config.jitter,
        )  # fmt: skip
        for at in range(place, len(plan)):
            yield Position(step, epoch, at), plan.steps[at]
            step += 1
        epoch, place = epoch + 1, 0


def training_batches(
    corpus: Corpus, collate: Collate, position: Position, *, micro_batches: int, workers: int,
    rank: int = 0, world: int = 1,
) -> Iterator[tuple[MicroBatch, Batch]]:  # fmt: skip
    """This process's micro-batches from ``position`` on, without end, in order. Raises what reading an item raises."""

    def plan() -> Iterator[MicroBatch]:
        for at, step in steps_from(corpus, position, micro_batches=micro_batches):
            for number in range(rank, micro_batches, world):
                yield MicroBatch(at, number, tuple(int(item) for item in step[number]))

    yield from _read(_Batches(corpus, collate, corpus.seed), plan(), workers)


def validation_batches(
    corpus: Corpus, collate: Collate, *, limit: int | None, rank: int = 0, world: int = 1
) -> Iterator[tuple[MicroBatch, Batch]]:
    """This process's share of the validation items, one a batch, the same at every validation."""
    count = min(len(corpus), limit or len(corpus))
    items = [round(place) for place in np.linspace(0, len(corpus) - 1, count)]
    mine = (MicroBatch(Position(0), number, (items[number],)) for number in range(rank, count, world))
    yield from _read(_Batches(corpus, collate, corpus.seed), mine, 0)


def _read(batches: _Batches, plan: Iterable[MicroBatch], workers: int) -> Iterator[tuple[MicroBatch, Batch]]:
    from torch.utils.data import DataLoader

    found: Iterable[Any]
    if workers:
        found = DataLoader(
            batches, sampler=plan, batch_size=None, num_workers=workers, multiprocessing_context="spawn",  # type: ignore[arg-type]
            prefetch_factor=4, worker_init_fn=partial(_leave_with, os.getpid()),
        )  # fmt: skip
    else:
        found = (batches[micro] for micro in plan)
    for micro, batch in found:
        if isinstance(batch, AmphionError):
            raise batch
        yield micro, batch
