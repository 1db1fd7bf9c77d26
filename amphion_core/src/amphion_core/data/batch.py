"""Examples and batches: what the loader reads, and what a trainer's step receives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from amphion_core.component import Utterance

Array = np.ndarray[Any, Any]
Partners = Literal["own voice", "other voice"]  # who speaks the other item that a validation item comes with


@dataclass(frozen=True, slots=True)
class Example:
    """One item as read from disk, before it becomes part of a batch.

    ``wave`` (T,) is float32 at the run's rate. ``features`` holds each cached feature by its name: (dim, N), or (dim,)
    for one vector per utterance. Every feature keeps its own frame rate; ``offsets`` holds, for each feature with
    frames, the seconds from the start of ``wave`` to the centre of the first frame. ``seed`` belongs to this item.

    ``partner`` is another item, of the same speaker or of another one, as the trainer's validation asks for.
    """

    utterance: Utterance
    wave: Array
    features: dict[str, Array] = field(default_factory=dict)
    seed: tuple[int, ...] = (0,)
    offsets: dict[str, float] = field(default_factory=dict)
    partner: "Example | None" = None


@dataclass(slots=True)
class Batch:
    """One micro-batch: ``ids`` of its items, tensors by name (``batch["wave"]``), and its counts.

    ``counts`` are the items, samples, frames, ... of this micro-batch. ``totals`` are the same counts of the whole
    step, over all its micro-batches and processes; losses and logs are divided by them. The engine fills them in.
    ``texts`` are strings by name, one for each item, such as the captions that a text encoder reads in the step.
    """

    ids: tuple[str, ...]
    tensors: dict[str, Tensor]
    counts: dict[str, int]
    totals: dict[str, int] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Self:
        """A copy of the batch with its tensors on ``device``. From pinned memory the copy does not block."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """A copy of the batch in page-locked memory, which a GPU copies from while the CPU goes on."""
        return self._mapped(torch.Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            self.ids,
            {name: change(tensor) for name, tensor in self.tensors.items()},
            self.counts,
            self.totals,
            self.texts,
        )


Collate = Callable[[Sequence[Example]], Batch]
"""Makes a batch of examples, in a loader process; it must pickle."""


def pad(rows: Sequence[Array], fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """Arrays (..., T_b) as one tensor (B, ..., T), filled up with ``fill`` at the end, and their lengths (B).

    >>> pad([np.ones(2, np.float32), np.ones(1, np.float32)])[0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    lengths = [row.shape[-1] for row in rows]
    if len(set(lengths)) == 1:
        return torch.from_numpy(np.stack(rows)), torch.tensor(lengths)
    padded = np.full((len(rows), *rows[0].shape[:-1], max(lengths)), fill, rows[0].dtype)
    for index, row in enumerate(rows):
        padded[index, ..., : row.shape[-1]] = row
    return torch.from_numpy(padded), torch.tensor(lengths)


def collate_audio(examples: Sequence[Example]) -> Batch:
    """``wave`` (B, T) and ``lengths`` (B) in samples, and all cached features as `collate_features` gives them.

    ``texts`` holds each item's ``text`` and ``caption``. Counts items, samples, and the frames of each feature under
    its name.
    """
    wave, lengths = pad([example.wave for example in examples])
    features, counts = collate_features(examples)
    counts = {"items": len(examples), "samples": int(lengths.sum()), **counts}
    utterances = [example.utterance for example in examples]
    texts = {"text": tuple(one.text for one in utterances), "caption": tuple(one.caption for one in utterances)}
    tensors = {"wave": wave, "lengths": lengths, **features}
    return Batch(tuple(one.id for one in utterances), tensors, counts, texts=texts)


def collate_features(examples: Sequence[Example]) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The cached features of the examples as tensors, and the number of frames of each; for use in any collator.

    A feature called NAME with one vector per utterance gives ``NAME`` (B, dim). A feature with frames always gives

    * ``NAME`` (B, dim, N), padded with 0 to the longest item,
    * ``NAME_lengths`` (B), the frames of each item,
    * ``NAME_offset`` (B): seconds from the start of the wave to the centre of the item's first frame.
    """
    tensors: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for name, first in examples[0].features.items():
        rows = [example.features[name] for example in examples]
        if first.ndim == 1:
            tensors[name] = torch.from_numpy(np.stack(rows))
            continue
        tensors[name], frames = pad(rows)
        tensors[f"{name}_lengths"] = frames
        offsets = [example.offsets.get(name, 0.0) for example in examples]
        tensors[f"{name}_offset"] = torch.tensor(offsets, dtype=torch.float32)
        counts[name] = int(frames.sum())
    return tensors, counts


def add_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several micro-batches' counts, by name."""
    return {name: sum(one[name] for one in counts) for name in counts[0]}
