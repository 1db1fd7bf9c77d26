"""Examples and batches: what the loader reads, and what a trainer's step receives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from amphion_core.component import Utterance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One item as read: ``wave`` (T,) float32 at the run's rate, its cached ``features`` (dim, N), its own ``seed``."""

    utterance: Utterance
    wave: Array
    features: dict[str, Array] = field(default_factory=dict)
    seed: tuple[int, ...] = (0,)


@dataclass(slots=True)
class Batch:
    """One micro-batch: ``ids`` of its items, tensors by name (``batch["wave"]``), and what it counts.

    ``counts`` are this micro-batch's items, samples, frames, ...; ``totals`` the same of the whole step, over all its
    micro-batches and processes: what losses and logs are divided by. The engine fills them in.
    """

    ids: tuple[str, ...]
    tensors: dict[str, Tensor]
    counts: dict[str, int]
    totals: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Self:
        """The same with its tensors on ``device``."""
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.tensors.items()}
        return type(self)(self.ids, moved, self.counts, self.totals)


Collate = Callable[[Sequence[Example]], Batch]
"""Makes a batch of examples, in a loader process; it must pickle."""


def pad(rows: Sequence[Array], fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """Arrays (..., T_b) as one tensor (B, ..., T) filled up with ``fill``, and their lengths (B).

    >>> pad([np.ones(2, np.float32), np.ones(1, np.float32)])[0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    lengths = [row.shape[-1] for row in rows]
    if len(set(lengths)) == 1:
        return torch.from_numpy(np.stack(rows)), torch.tensor(lengths)
    whole = np.full((len(rows), *rows[0].shape[:-1], max(lengths)), fill, rows[0].dtype)
    for place, row in enumerate(rows):
        whole[place, ..., : row.shape[-1]] = row
    return torch.from_numpy(whole), torch.tensor(lengths)


def collate_audio(examples: Sequence[Example]) -> Batch:
    """``wave`` (B, T) and ``lengths`` (B) in samples, and every cached feature as (B, dim, N).

    Counts items, samples, and the frames of each feature under its name.
    """
    wave, lengths = pad([example.wave for example in examples])
    tensors: dict[str, Tensor] = {"wave": wave, "lengths": lengths}
    counts = {"items": len(examples), "samples": int(lengths.sum())}
    for name in examples[0].features:
        tensors[name], frames = pad([example.features[name] for example in examples])
        counts[name] = int(frames.sum())
    return Batch(tuple(example.utterance.id for example in examples), tensors, counts)


def add_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several micro-batches' counts, by name."""
    return {name: sum(one[name] for one in counts) for name in counts[0]}
