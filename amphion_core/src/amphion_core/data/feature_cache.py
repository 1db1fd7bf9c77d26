"""Features on disk: where each one is stored, and how its frames are read. `extraction` computes them.

The features of some hundred utterances share one safetensors file, called a shard. The name of a shard is a hash of the
extractor's name, version, config and weights, and of the digests and spans of the utterances' audio. So a stale feature
cannot be read, because it has another name. A shard appears on disk only when it is complete, so an interrupted
extraction continues where it stopped, and no index is needed.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.component import FeatureExtractor
from amphion_core.data.manifest import Manifest
from amphion_core.errors import DataError
from amphion_core.parts import FeaturePart

LARGEST_SHARD, SMALLEST_SHARD = 512, 16  # utterances in one file
SHARDS = 16  # a small corpus is divided into this many files, so that many processes can share the work
SHARD_BYTES = 1 << 28  # a shard is held in memory while it is computed

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """What must be known of an extractor to name and read its cached features, without building it again."""

    variant: str
    sample_rate: int  # Hz
    frame_shift: float | None  # seconds; None: one vector per utterance
    dim: int
    first_centre: float  # seconds from the start of the wave to the centre of frame 0
    movable: bool  # it can be moved to a GPU

    def shift_samples(self, rate: int) -> Fraction:
        """Samples at ``rate`` Hz from one frame to the next, exactly; 441 / 4 for 5 ms at 22.05 kHz."""
        assert self.frame_shift
        return Fraction(self.frame_shift).limit_denominator(1_000_000) * rate


@lru_cache(maxsize=8)
def extractor_for(part: FeaturePart) -> FeatureExtractor:
    """The extractor of a part, built once in each process. `release_extractors` frees it."""
    extractor: FeatureExtractor = part.build()
    return extractor


def release_extractors() -> None:
    """Free the extractors of this process, and the GPU memory of their networks."""
    import torch

    extractor_for.cache_clear()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


@lru_cache(maxsize=64)
def describe(part: FeaturePart) -> FeatureInfo:
    """What is known of the part's extractor, which is built for it once in each process."""
    found = extractor_for(part)
    movable = type(found).to is not FeatureExtractor.to
    return FeatureInfo(found.variant, found.sample_rate, found.frame_shift, found.dim, found.first_centre, movable)


class FeatureCache:
    """One feature of every utterance of a manifest, stored in ``folder`` (by default beside the manifest).

    Creating it builds the extractor once in this process. Loader workers receive the cache without the extractor.
    """

    def __init__(self, manifest: Manifest, part: FeaturePart, folder: str | Path | None = None) -> None:
        self.manifest, self.part, self.info = manifest, part, describe(part)
        self.folder = Path(folder) if folder else manifest.folder / "features"
        self.shard_size = self._shard_size()
        self._shards: list[Path] | None = None

    @property
    def shards(self) -> list[Path]:
        """The file of every shard, in order; they need not exist."""
        if self._shards is None:
            starts = range(0, len(self.manifest), self.shard_size)
            self._shards = [self._shard(first) for first in starts]
        return self._shards

    def missing(self) -> list[int]:
        """The indices of the shards that are not on disk."""
        return [index for index, path in enumerate(self.shards) if not path.is_file()]

    def span(self, shard: int) -> range:
        """The indices of the utterances in a shard."""
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, len(self.manifest)))

    def read(self, index: int) -> Array:
        """The whole feature of one utterance: (dim, N), or (dim,) where it is one vector per utterance."""
        with _damage(self._file(index)):
            found: Array = _opened(self._file(index)).get_tensor(str(index))
        return found

    def read_frames(self, index: int, first: int, count: int) -> Array:
        """Exactly ``count`` frames of one utterance from frame ``first``: (dim, count).

        Extractors round the number of frames differently. Where the last frames of the span do not exist, the last
        frame is repeated, so that a crop at the end of a recording has as many frames as any other.
        """
        with _damage(self._file(index)):
            stored = _opened(self._file(index)).get_slice(str(index))
            total = stored.get_shape()[1]
            frames: Array = stored[:, min(first, total - 1) : min(first + count, total)]
        missing = count - frames.shape[1]
        return np.pad(frames, ((0, 0), (0, missing)), mode="edge") if missing else frames

    def _file(self, index: int) -> str:
        return str(self.shards[index // self.shard_size])

    def _shard_size(self) -> int:
        """Utterances in a shard: few in a small corpus, and not more than fit into memory."""
        count, info = len(self.manifest), self.info
        seconds = float(self.manifest.durations.mean()) if count else 0.0
        frames = seconds / info.frame_shift if info.frame_shift else 1.0
        fitting = int(SHARD_BYTES / (4 * info.dim * max(1.0, frames)))
        return max(SMALLEST_SHARD, min(LARGEST_SHARD, -(-count // SHARDS), fitting))

    def _shard(self, first: int) -> Path:
        records = (self.manifest[index] for index in range(first, min(first + self.shard_size, len(self.manifest))))
        spans = [
            [r.digest, r.utterance.start, r.utterance.duration, r.rate, *([gain] if (gain := r.utterance.gain) else [])]
            for r in records
        ]
        ref = registry.find("features", self.part.name)
        identity = [ref.name, ref.version, self.info.variant, self.part.config.model_dump(mode="json")]
        digest = hashlib.sha256(json.dumps([identity, spans], sort_keys=True).encode()).hexdigest()[:24]
        return self.folder / f"{self.part.name.replace('/', '-')}-{digest}.safetensors"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shards": self.shards}  # so that workers need not read the whole manifest


@lru_cache(maxsize=256)
def _opened(path: str) -> Any:
    from safetensors import safe_open

    return safe_open(path, "np")


@contextmanager
def _damage(path: str) -> Iterator[None]:
    """Raises DataError where the block cannot read the shard at ``path``."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, IndexError) as error:
        raise DataError(
            f"the cached feature {path} is damaged: {error}",
            hint=f"rm {path}, then run the same command again: it is computed again",
        ) from error
