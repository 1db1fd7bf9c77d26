"""Features on disk, in safetensors files of a few hundred utterances whose name is the hash of all that made them.

The name of a shard is the hash of the extractor's name, version and config, and of the digests and spans of its
utterances' audio, so a stale feature cannot be read: it has another name. Shards appear whole, so an interrupted
extraction goes on where it stopped; no index is kept. safetensors, because the toolkit stores weights in it already: it
gives random access to a slice of one array through a mapped file, and a million utterances are two thousand files.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader
from amphion_core.data.spread import spread
from amphion_core.files import atomic_write
from amphion_core.parts import FeaturePart

SHARD = 512  # utterances in one file


class FeatureCache:
    """One feature of every utterance of a manifest. ``complete`` computes what is missing; ``read`` gives frames."""

    def __init__(self, manifest: Manifest, part: FeaturePart, folder: str | Path | None = None) -> None:
        self.manifest, self.part = manifest, part
        self.folder = Path(folder) if folder else manifest.folder / "features"
        ref = registry.find("features", part.name)
        self._identity = [ref.name, ref.version, part.config.model_dump(mode="json")]
        self._names: list[Path] | None = None

    @property
    def shards(self) -> list[Path]:
        """The file of every shard, in order; they need not exist."""
        if self._names is None:
            self._names = [self._name(first) for first in range(0, len(self.manifest), SHARD)]
        return self._names

    def missing(self) -> list[int]:
        """The numbers of the shards that are not on disk."""
        return [number for number, path in enumerate(self.shards) if not path.is_file()]

    def complete(self, processes: int = 1) -> Iterator[int]:
        """Compute the missing shards in parallel; yields the number of utterances done, shard by shard.

        Raises DataError for an utterance that cannot be read.
        """
        todo = self.missing()
        self.folder.mkdir(parents=True, exist_ok=True)
        yield from spread(_compute, [(self, number) for number in todo], processes)

    def read(self, place: int, first: int = 0, count: int | None = None) -> np.ndarray[Any, Any]:
        """Frames of one utterance, (dim, N) from frame ``first``."""
        frames = _opened(str(self.shards[place // SHARD])).get_slice(str(place))
        cut: np.ndarray[Any, Any] = frames[:, first : None if count is None else first + count]
        return cut

    def _name(self, first: int) -> Path:
        places = range(first, min(first + SHARD, len(self.manifest)))
        records = (self.manifest[place] for place in places)
        spans = [[r.digest, r.utterance.start, r.utterance.duration, r.rate] for r in records]
        text = json.dumps([self._identity, spans], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        return self.folder / f"{self.part.name.replace('/', '-')}-{digest}.safetensors"


def _compute(task: tuple[FeatureCache, int]) -> int:
    """Extract the features of one shard and write its file; returns how many utterances it has."""
    import torch
    from safetensors.numpy import save_file

    cache, number = task
    extractor, reader = cache.part.build(), Reader()
    found = {}
    for place in range(number * SHARD, min((number + 1) * SHARD, len(cache.manifest))):
        wave = reader.read(cache.manifest[place].utterance, extractor.sample_rate)
        with torch.no_grad():
            frames = extractor.extract(torch.from_numpy(wave)[None])[0]
        found[str(place)] = np.ascontiguousarray(frames.numpy())
    with atomic_write(cache.shards[number]) as temporary:
        save_file(found, temporary)
    return len(found)


@lru_cache(maxsize=256)
def _opened(path: str) -> Any:
    from safetensors import safe_open

    return safe_open(path, "np")
