"""The loader: micro-batches of this process, in the order of the plan, from any number of worker processes.

Nothing here keeps a state. A micro-batch is a pure function of (seed, step, micro-batch). So training can continue from
any step, also with another number of workers, and receives the same batches as if it had never stopped.
"""

import hashlib
import json
import math
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from amphion_core.component import Utterance
from amphion_core.data.batch import Batch, Collate, Example, Partners
from amphion_core.data.batch_plan import plan_epoch
from amphion_core.data.config import DataConfig
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader
from amphion_core.data.spread import UNGUARDED, signals_blocked, unguarded_main
from amphion_core.data.usable import Unusable, hint_for, left_out_lines, usable_rows
from amphion_core.end_with_parent import end_with_parent
from amphion_core.errors import AmphionError, DataError, counted
from amphion_core.parts import FeaturePart

GRACE = 30.0  # seconds that a loader works on after SIGTERM, so that the main process can end its step
PROMPT = 3.0  # seconds; prompts of zero-shot synthesis have this length in VALL-E, arXiv:2301.02111, section 5
RESERVED = frozenset({"wave", "lengths", "items", "samples"})  # names of a batch's own tensors and counts


class LoaderDied(DataError):
    """A loader process was killed, by a signal or because the memory was full."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where training is: the next step, the epoch, and the index of the step within the epoch's plan."""

    step: int = 1
    epoch: int = 0
    epoch_step: int = 0


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One micro-batch of the plan: its step, its number within the step, and its items."""

    position: Position
    number: int
    items: tuple[int, ...]


class Corpus:
    """The items of one split of all sources, and how one of them becomes an Example.

    ``rate`` in Hz is the model's. ``features`` are read from the cache, each at its own frame rate; where there are
    any, crops begin at a multiple of ``hop`` samples. ``reasons`` are the items that ``unusable`` leaves out.
    With ``partners`` each item comes with another item, of the same speaker or of another speaker, if there is one.
    Raises DataError: audio of another rate, audio that moved, no item that can be used.
    """

    def __init__(
        self, config: DataConfig, split: str, *, rate: int, seed: int, hop: int = 1,
        features: Mapping[str, FeaturePart] | None = None, training: bool = True, unusable: Unusable | None = None,
        partners: Partners | None = None,
    ) -> None:  # fmt: skip
        self.config, self.rate, self.seed, self.hop, self.training = config, rate, seed, hop, training
        if not config.root:
            raise DataError("data.root is not set", hint="amphion train RECIPE data.root=FOLDER (from amphion prepare)")
        self.manifests = [Manifest(source.root, split) for source in config.root]
        self.crop = config.crop if training else None
        self.rows = [self._kept(manifest) for manifest in self.manifests]
        self.left_out = sum(map(len, self.manifests)) - len(self)
        if not len(self):
            items = counted(self.left_out, "item")
            what = f"{split!r} has {items}, all left out by data.crop, data.shortest or data.longest"
            raise DataError(what, hint="choose a smaller data.crop")
        self.reasons: dict[str, list[str]] = {}
        if unusable is not None:
            pairs = zip(self.manifests, self.rows, strict=True)
            self.rows = [usable_rows(manifest, rows, unusable, self.reasons) for manifest, rows in pairs]
            if not len(self):
                hint = hint_for(self.reasons, self.manifests[0])
                raise DataError("; ".join(left_out_lines(split, self.reasons)), hint=hint)
        _check_features(features or {}, config, training=training)
        self.caches = {
            name: [FeatureCache(manifest, part, config.cache) for manifest in self.manifests]
            for name, part in (features or {}).items()
        }
        self._starts = np.cumsum([0, *map(len, self.rows)])
        self._augment = [part.build() for part in config.augment] if training else []
        found = {"own voice": self._of_own_voice, "other voice": self._of_other_voice, None: dict[int, int]}
        self._partners = found[partners]()
        self._reader = Reader()

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    @property
    def identity(self) -> str:
        """The digest of everything that decides which items there are, and their order."""
        c = self.config
        stated = [[manifest.digest, source.weight] for manifest, source in zip(self.manifests, c.root, strict=True)]
        values = [stated, c.crop, c.budget, c.jitter, c.shortest, c.longest, c.resample, self.rate]
        text = json.dumps([*values, self.reasons] if self.reasons else values)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def durations(self) -> list[np.ndarray[Any, Any]]:
        """Seconds of the items that are kept, one array for each source."""
        return [manifest.durations[rows] for manifest, rows in zip(self.manifests, self.rows, strict=True)]

    @property
    def seconds(self) -> float:
        """The duration of all items together."""
        return float(sum(each.sum(dtype=np.float64) for each in self.durations()))

    def example(self, item: int, seed: tuple[int, ...]) -> Example:
        """Item number ``item``, cropped and augmented as ``seed`` says. Raises DataError when it cannot be read."""
        source, index, utterance = self._utterance(item)
        random = np.random.default_rng(seed)
        start = None
        if self.crop is None:
            wave = self._augmented(self._reader.read(utterance, self.rate), random)
        else:
            start, wave = self._cropped(utterance, random)
        features: dict[str, np.ndarray[Any, Any]] = {}
        offsets: dict[str, float] = {}
        for name, caches in self.caches.items():
            features[name], offset = self._feature(caches[source], index, start)
            if offset is not None:
                offsets[name] = offset
        return Example(utterance, wave, features, seed, offsets, self._partner(item, seed))

    def _utterance(self, item: int) -> tuple[int, int, Utterance]:
        """The source of an item, its number in the manifest of the source, and its record."""
        source = int(np.searchsorted(self._starts, item, side="right")) - 1
        index = int(self.rows[source][item - self._starts[source]])
        return source, index, self.manifests[source][index].utterance

    def _partner(self, item: int, seed: tuple[int, ...]) -> Example | None:
        """The whole recording of the item's partner, without features."""
        if item not in self._partners:
            return None
        _, _, utterance = self._utterance(self._partners[item])
        return Example(utterance, self._reader.read(utterance, self.rate), seed=seed)

    def _of_own_voice(self) -> dict[int, int]:
        """For each item, the number of the other item of its speaker that is nearest to `PROMPT` in duration.

        Both are of one source, because sources may use the same names. Items that name no speaker have one voice.
        """
        durations, found = np.concatenate(self.durations()), dict[int, int]()
        for items in self._voices().values():
            nearest = sorted(items, key=lambda item: (abs(durations[item] - PROMPT), item))[:2]
            if len(nearest) == 2:
                found |= {item: nearest[item == nearest[0]] for item in items}
        return found

    def _of_other_voice(self) -> dict[int, int]:
        """For each item, an item of the next speaker, so that all speakers are there equally often."""
        voices = list(self._voices().values())
        if len(voices) < 2:
            return {}
        following = zip(voices, voices[1:] + voices[:1], strict=True)
        return {item: others[place % len(others)] for items, others in following for place, item in enumerate(items)}

    def _voices(self) -> dict[tuple[int, str], list[int]]:
        """The items of each speaker of each source."""
        voices: dict[tuple[int, str], list[int]] = {}
        for item in range(len(self)):
            source, _, utterance = self._utterance(item)
            voices.setdefault((source, utterance.speaker), []).append(item)
        return voices

    def _feature(self, cache: FeatureCache, index: int, start: int | None) -> tuple[Any, float | None]:
        """A feature of an item, and the seconds from the start of the wave to the centre of its first frame.

        For a crop from sample ``start`` these are the frames that cover the crop. Their number depends on the length of
        the crop only. A feature with one vector per utterance has no offset.
        """
        info = cache.info
        if info.frame_shift is None:
            return cache.read(index), None
        if start is None or self.crop is None:
            return cache.read(index), info.first_centre
        shift = info.shift_samples(self.rate)
        first = start // shift
        frames = cache.read_frames(index, first, covering_frames(self.crop, shift, self.hop))
        return frames, float(first * shift - start) / self.rate + info.first_centre

    def _cropped(self, utterance: Utterance, random: np.random.Generator) -> tuple[int, Any]:
        """The first sample of a random crop, and its samples (crop,).

        Twice as much is read where an augmentation changes the length.
        """
        assert self.crop
        whole = int(utterance.duration * self.rate)
        length = self.crop if all(one.keeps_length for one in self._augment) else min(2 * self.crop, whole)
        grid = self.hop if self.caches else 1
        start = grid * int(random.integers((whole - length) // grid + 1))
        wave = self._augmented(self._reader.read(utterance, self.rate, start, length), random)[: self.crop]
        return start, np.pad(wave, (0, self.crop - len(wave))) if len(wave) < self.crop else wave

    def _augmented(self, wave: Any, random: np.random.Generator) -> Any:
        for augmentation in self._augment:
            wave = augmentation.apply(wave, self.rate, random)
        return wave

    def _kept(self, manifest: Manifest) -> np.ndarray[Any, Any]:
        """The rows whose duration is within the limits. Raises DataError for audio of another rate."""
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
        fits = keep & (seconds <= self.config.budget)
        if self.training and self.crop is None and fits.any():  # else the batch plan says what the budget should be
            keep = fits
        return np.flatnonzero(keep)


def covering_frames(crop: int, shift: Fraction, hop: int) -> int:
    """The number of frames, ``shift`` samples apart, that cover ``crop`` samples from any multiple of ``hop``.

    Frame n covers the samples from n * shift to (n + 1) * shift. Where ``crop`` and ``hop`` are multiples of the shift,
    crop / shift frames are enough; else that number rounded up, or one more.

    >>> covering_frames(8192, Fraction(256), 256), covering_frames(8192, Fraction(320), 256)
    (32, 27)
    """
    grid = Fraction(math.gcd(hop * shift.denominator, shift.numerator), shift.denominator)
    return math.ceil((shift - grid + crop) / shift)  # a crop begins shift - grid samples into a frame at most


def _check_features(features: Mapping[str, FeaturePart], config: DataConfig, *, training: bool) -> None:
    """Raises DataError for names that the batch uses itself, and for features of audio that is changed later."""
    for name in features:
        if name in RESERVED or any(name == f"{other}{end}" for other in features for end in ("_lengths", "_offset")):
            raise DataError(f"a feature cannot be called {name!r}: the batch uses this name", hint="rename it")
    if training and config.augment and features:
        raise DataError(
            f"data.augment changes the audio, but the cached features ({', '.join(features)}) are those of the audio"
            " as it is on disk",
            hint="set data.augment=[], or compute the features in the trainer from batch['wave']",
        )


class _Batches:
    """What the workers run: a micro-batch of the plan becomes a Batch, or the error that was raised."""

    def __init__(self, corpus: Corpus, collate: Collate, seed: int) -> None:
        self.corpus, self.collate, self.seed = corpus, collate, seed

    def __getitem__(self, micro: MicroBatch) -> tuple[MicroBatch, Batch | AmphionError]:
        try:
            stem = self.seed, micro.position.step, micro.number
            examples = [self.corpus.example(item, (*stem, index)) for index, item in enumerate(micro.items)]
        except AmphionError as error:
            return micro, error
        try:
            return micro, self.collate(examples)
        except AmphionError as error:
            return micro, self._with_item(error, examples)

    def _with_item(self, error: AmphionError, examples: list[Example]) -> AmphionError:
        """The error of a batch, with the first item that causes it; unchanged where no single item does."""
        for example in examples:
            try:
                self.collate([example])
            except AmphionError as alone:
                item = f"item {example.utterance.id}: "
                return DataError(item + alone.message.removeprefix(item), hint=alone.hint)
        return error


def steps_from(corpus: Corpus, position: Position, *, micro_batches: int) -> Iterator[tuple[Position, list[Any]]]:
    """Every step from ``position`` on, without end: its position, and the items of each of its micro-batches."""
    step, epoch, first = position.step, position.epoch, position.epoch_step
    config, durations = corpus.config, corpus.durations()
    weights = [source.weight for source in config.root]
    while True:
        plan = plan_epoch(
            durations, budget=config.budget, micro_batches=micro_batches, seed=corpus.seed, epoch=epoch,
            weights=None if weights[0] is None else [weight or 0.0 for weight in weights],
            crop=corpus.crop / corpus.rate if corpus.crop else None, jitter=config.jitter,
        )  # fmt: skip
        for index in range(first, len(plan)):
            yield Position(step, epoch, index), plan.steps[index]
            step += 1
        epoch, first = epoch + 1, 0


def training_batches(
    corpus: Corpus, collate: Collate, position: Position, *, micro_batches: int, workers: int,
    rank: int = 0, world: int = 1, pin: bool = False,
) -> Iterator[tuple[MicroBatch, Batch]]:  # fmt: skip
    """This process's micro-batches from ``position`` on, without end, in order. Raises what reading an item raises.

    With ``pin`` the tensors lie in page-locked memory, which a GPU reads without waiting; it needs a GPU.
    """

    def plan() -> Iterator[MicroBatch]:
        for where, step in steps_from(corpus, position, micro_batches=micro_batches):
            for number in range(rank, micro_batches, world):
                yield MicroBatch(where, number, tuple(int(item) for item in step[number]))

    yield from _read(_Batches(corpus, collate, corpus.seed), plan(), workers, pin=pin)


def validation_batches(
    corpus: Corpus, collate: Collate, *, limit: int | None, rank: int = 0, world: int = 1
) -> Iterator[tuple[MicroBatch, Batch]]:
    """This process's share of the validation items, in batches of one item, the same at every validation."""
    count = min(len(corpus), limit or len(corpus))
    items = [round(index) for index in np.linspace(0, len(corpus) - 1, count)]
    mine = (MicroBatch(Position(0), number, (items[number],)) for number in range(rank, count, world))
    yield from _read(_Batches(corpus, collate, corpus.seed), mine, 0)


def _read(
    batches: _Batches, plan: Iterable[MicroBatch], workers: int, *, pin: bool = False
) -> Iterator[tuple[MicroBatch, Batch]]:
    found = _from_workers(batches, plan, workers, pin=pin) if workers else (batches[micro] for micro in plan)
    for micro, batch in found:
        if isinstance(batch, AmphionError):
            raise batch
        yield micro, batch.pin_memory() if pin and not workers else batch


def _from_workers(
    batches: _Batches, plan: Iterable[MicroBatch], workers: int, *, pin: bool
) -> Iterator[tuple[MicroBatch, Batch | AmphionError]]:
    """Batches that worker processes read. Raises LoaderDied, AmphionError for a main script without a main guard."""
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        batches, sampler=plan, batch_size=None, num_workers=workers, multiprocessing_context="spawn",  # type: ignore[arg-type]
        prefetch_factor=4, pin_memory=pin, worker_init_fn=_begin,
    )  # fmt: skip
    with signals_blocked(signal.SIGINT, signal.SIGTERM):
        running: Any = iter(loader)
    with clear_loader_errors():
        try:
            yield from running
        except RuntimeError:
            if UNGUARDED in {worker.exitcode for worker in running._workers}:
                raise unguarded_main() from None
            raise
        except (ConnectionError, EOFError) as error:
            if "in DataLoader worker process" in str(error):  # an item raised it
                raise
            raise _loader_died() from error  # the process was killed while it sent a batch


@contextmanager
def clear_loader_errors() -> Iterator[None]:
    """Inside, torch's error of a loader process that was killed becomes LoaderDied. It may come at any moment."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _loader_died() from error


def _loader_died() -> LoaderDied:
    return LoaderDied(
        "a loader process was killed, perhaps because the memory was full",
        hint="run the same command with --resume; data.workers=0 needs the least memory",
    )


def _begin(worker: int) -> None:
    """Prepare a loader process: it ends with its parent, and only GRACE seconds after SIGTERM.

    A service manager sends SIGTERM to all processes of a run. The main process then ends its step, saves a checkpoint
    and ends the loaders, and needs their batches until then.
    """
    end_with_parent(worker)

    def end_later(*_: object) -> None:
        timer = threading.Timer(GRACE, os._exit, (1,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, end_later)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
