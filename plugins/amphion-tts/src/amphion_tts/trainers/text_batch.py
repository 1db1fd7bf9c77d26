"""Batches of recordings with their texts as ids, for every trainer of text to speech."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from amphion_core.api import Batch, Example, FrontendPart, TextFrontend, TextToSpeech
from amphion_core.data.batch import collate_audio, pad
from amphion_core.errors import AmphionError, DataError, MissingPackage, RecipeError
from amphion_core.speakers import speaker_index


def required_frontend(model: TextToSpeech) -> FrontendPart:
    """The frontend of a model that is trained. Raises RecipeError where it has none."""
    found: FrontendPart | None = model.config.frontend
    if found is None:
        raise RecipeError(
            "model.frontend: training needs a frontend that turns texts into ids",
            hint="amphion list frontends, then model.frontend=cmudict or another",
        )
    return found


class TextCollator:
    """Recordings padded as by `collate_audio`, with the ids of their texts and the indices of their speakers.

    ``ids`` (B, L) are padded with 0, ``id_lengths`` (B) are their lengths, and ``speaker`` (B) is there when the model
    has several speakers. Counts ``tokens``. A text becomes ids once in each loader process.
    If every example has a prompt, ``prompt`` (B, T), ``prompt_lengths`` (B), ``prompt_ids`` (B, L) and
    ``prompt_id_lengths`` (B) are there too.
    Raises DataError that names the item whose text or speaker does not fit the model.
    """

    def __init__(self, frontend: FrontendPart, speakers: Sequence[str] = ()) -> None:
        self.frontend_part, self.speakers = frontend, tuple(speakers)
        self._frontend: TextFrontend | None = None  # built in the process that uses it, because not all of them pickle
        self._ids: dict[str, list[int]] = {}

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch of ``examples``. Raises DataError."""
        batch = collate_audio(examples)
        batch.tensors["ids"], batch.tensors["id_lengths"] = self._padded_ids(examples)
        if len(self.speakers) > 1:
            batch.tensors["speaker"] = torch.tensor([self._speaker(example) for example in examples])
        batch.counts["tokens"] = int(batch["id_lengths"].sum())
        prompts = [example.partner for example in examples if example.partner is not None]
        if len(prompts) == len(examples):
            wave, lengths = pad([prompt.wave for prompt in prompts])
            ids, id_lengths = self._padded_ids(prompts)
            batch.tensors |= {
                "prompt": wave, "prompt_lengths": lengths, "prompt_ids": ids, "prompt_id_lengths": id_lengths
            }  # fmt: skip
        return batch

    def _padded_ids(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """The ids of the texts (B, L), and their lengths (B)."""
        rows = [self.ids(example.utterance.text, item=example.utterance.id) for example in examples]
        return pad([np.array(row, np.int64) for row in rows])

    @property
    def frontend(self) -> TextFrontend:
        """The frontend, built once in each process."""
        if self._frontend is None:
            self._frontend = self.frontend_part.build()
        return self._frontend

    def ids(self, text: str, *, item: str) -> list[int]:
        """The ids of the text of ``item``. Raises DataError with the item's id."""
        if text not in self._ids:
            try:
                self._ids[text] = self.frontend.ids(self.frontend.tokens(text))
            except MissingPackage:
                raise
            except AmphionError as error:
                raise DataError(
                    f"item {item}: {error.message}, in the text {text[:60]!r}",
                    hint="correct the text, or leave the item out, and run amphion prepare again",
                ) from error
        return self._ids[text]

    def _speaker(self, example: Example) -> int:
        try:
            return speaker_index(example.utterance.speaker, self.speakers)
        except DataError as error:
            raise DataError(f"item {example.utterance.id}: {error.message}", hint=error.hint) from error

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_frontend": None, "_ids": {}}
