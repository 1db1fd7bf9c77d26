"""Batches and durations for FastSpeech 2: the frames of each mel, and durations that sum to them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amphion_core.api import Batch, Example, FrontendPart, MelConfig, Utterance
from amphion_core.errors import DataError
from amphion_tts.trainers.text_batch import TextCollator
from amphion_tts.trainers.textgrids import TextGrids


def fitted(durations: Tensor, lengths: Tensor, frames: Tensor, items: Sequence[str]) -> Tensor:
    """Durations (B, L) whose sums differ from ``frames`` (B) by one frame at most: the last token takes the difference.

    Raises DataError that names an item whose sum differs by more.
    """
    missing = frames - durations.sum(1)
    last = (lengths - 1)[:, None]
    if bool((wrong := (missing.abs() > 1) | (durations.gather(1, last)[:, 0] + missing < 0)).any()):
        item = int(wrong.nonzero()[0, 0])
        raise DataError(
            f"the durations of item {items[item]} sum to {int(durations[item].sum())} frames, and its mel has"
            f" {int(frames[item])}",
            hint="give durations of the same sample rate and hop as the model's mel",
        )
    return durations.scatter_add(1, last, missing[:, None].to(durations.dtype))


class DurationCollator(TextCollator):
    """What `TextCollator` gives, with the ``frames`` (B) of each mel, and the ``durations`` (B, L) of grids."""

    def __init__(
        self, frontend: FrontendPart, speakers: Sequence[str], mel: MelConfig, grids: TextGrids | None = None
    ) -> None:
        super().__init__(frontend, speakers)
        self.mel, self.grids = mel, grids

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch of ``examples``. Raises DataError that names the item at fault."""
        batch = super().__call__(examples)
        frames = [self.mel.frames(len(example.wave)) for example in examples]
        for example, count, tokens in zip(examples, frames, batch["id_lengths"].tolist(), strict=True):
            self._check(example, count, tokens)
        batch.tensors["frames"] = torch.tensor(frames)
        batch.counts["frames"] = sum(frames)
        if self.grids is not None:
            self._put_grids(batch, examples, frames)
        return batch

    def unusable(self, utterance: Utterance) -> str | None:
        """Why an item with a text cannot be used; None: it can. Raises DataError that names the item."""
        tokens = len(self.ids(utterance.text, item=utterance.id))
        frames = self.mel.frames(int(utterance.duration * self.mel.sample_rate))
        if self.grids is not None:
            if not self.grids.has(utterance):
                return "no TextGrid"
            self.grids.row(utterance, self.frontend, self.mel, frames)
        elif frames <= tokens:
            return "a text too long for the recording (fewer frames than tokens)"
        return None

    def _check(self, example: Example, frames: int, tokens: int) -> None:
        utterance = example.utterance
        if len(example.wave) < utterance.duration * self.mel.sample_rate / 2:
            raise DataError(
                f"item {utterance.id} is cropped, and a text needs its whole recording", hint="set data.crop=null"
            )
        if self.grids is None and frames < tokens:
            raise DataError(
                f"item {utterance.id} has {frames} frames and {tokens} tokens; every token needs at least one frame",
                hint="check that its text says what is in the recording",
            )

    def _put_grids(self, batch: Batch, examples: Sequence[Example], frames: Sequence[int]) -> None:
        assert self.grids is not None
        rows = [
            self.grids.row(example.utterance, self.frontend, self.mel, count)
            for example, count in zip(examples, frames, strict=True)
        ]
        lengths = [len(ids) for ids, _ in rows]
        for name, index in (("ids", 0), ("durations", 1)):
            table = torch.zeros(len(rows), max(lengths), dtype=torch.long)
            for line, row in zip(table, rows, strict=True):
                line[: len(row[index])] = torch.tensor(row[index])
            batch.tensors[name] = table
        batch.tensors["id_lengths"] = torch.tensor(lengths)
        batch.counts["tokens"] = sum(lengths)
