"""Batches of recordings with their texts, for the trainers of speech."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from amphion_core.api import Batch, Example, TextFrontend
from amphion_core.data.batch import collate_audio, pad
from amphion_core.speakers import speaker_index


@dataclass(frozen=True)
class SpeechCollate:
    """Audio and features, with the ids of the text and the index of the speaker. It pickles."""

    frontend: TextFrontend
    speakers: tuple[str, ...]

    def __call__(self, examples: Sequence[Example]) -> Batch:
        batch = collate_audio(examples)
        batch.tensors["ids"], batch.tensors["id_lengths"] = self._ids(examples)
        names = [example.utterance.speaker for example in examples]
        indices = [speaker_index(name, self.speakers) if self.speakers else 0 for name in names]
        batch.tensors["speaker"] = torch.tensor(indices)
        batch.counts["tokens"] = int(batch["id_lengths"].sum())
        if prompts := [example.partner for example in examples if example.partner is not None]:
            batch.tensors["prompt"], batch.tensors["prompt_lengths"] = pad([prompt.wave for prompt in prompts])
            batch.tensors["prompt_ids"], batch.tensors["prompt_id_lengths"] = self._ids(prompts)
        return batch

    def _ids(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        texts = [self.frontend.ids(self.frontend.tokens(example.utterance.text)) for example in examples]
        return pad([np.asarray(ids, np.int64) for ids in texts])
