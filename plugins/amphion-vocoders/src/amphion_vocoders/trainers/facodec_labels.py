"""What FACodec's predictors are taught by: symbols of the texts, speakers of the manifest, and F0.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2. Deviations: there, the phone of each frame is known. Here
only the text is, as the frontend's symbols, so that the predictors of phones learn by connectionist temporal
classification (Graves et al., ICML 2006), which finds the frames itself. Its last class is the blank.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import Batch, Example, FrontendPart, TextFrontend
from amphion_core.data.batch import collate_audio
from amphion_core.errors import AmphionError, DataError
from amphion_core.speakers import speaker_index

MIDDLE = 200.0  # Hz; F0 is predicted in octaves from here


class LabelCollator:
    """Whole recordings with ``ids`` (B, L), ``id_lengths`` (B) and ``speaker`` (B), each where the model needs it.

    It pickles. Raises DataError that names the item whose text or speaker does not fit the model.
    """

    def __init__(self, frontend: FrontendPart | None, speakers: Sequence[str]) -> None:
        self.frontend_part, self.speakers = frontend, tuple(speakers)
        self._frontend: TextFrontend | None = None  # built in the process that uses it, because not all of them pickle

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch of ``examples``."""
        batch = collate_audio(examples)
        if self.frontend_part is not None:
            texts = [self.ids(example.utterance.text, item=example.utterance.id) for example in examples]
            rows = [torch.tensor(ids, dtype=torch.long) for ids in texts]
            batch.tensors["ids"] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            batch.tensors["id_lengths"] = torch.tensor([len(row) for row in rows])
        if self.speakers:
            batch.tensors["speaker"] = torch.tensor([self._speaker(example) for example in examples])
        return batch

    def ids(self, text: str, *, item: str) -> list[int]:
        """The ids of the text of ``item``; none for a recording without a text."""
        assert self.frontend_part is not None
        if not text.strip():
            return []
        if self._frontend is None:
            self._frontend = self.frontend_part.build()
        try:
            return self._frontend.ids(self._frontend.tokens(text))
        except AmphionError as error:
            raise DataError(f"item {item}: {error.message}", hint=error.hint) from error

    def _speaker(self, example: Example) -> int:
        try:
            return speaker_index(example.utterance.speaker, self.speakers)
        except DataError as error:
            raise DataError(f"item {example.utterance.id}: {error.message}", hint=error.hint) from error


def head_losses(found: Mapping[str, list[Tensor]], labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The losses of one item's predictors, by name; averages over frames, voiced frames or tokens.

    ``found`` is what `FACodec.predict` returns for one item. ``labels`` are ``f0`` (N) in Hz, ``ids`` (L) and
    ``speaker``, a number without axes. A predictor of F0 has two losses, ``NAME`` and ``NAME_uv``.
    """
    losses: dict[str, Tensor] = {}
    for name, made in found.items():
        if name.endswith("f0"):
            losses |= _f0_losses(name, made[0][0, :, 0].float(), made[1][0, :, 0].float(), labels["f0"])
        elif name.endswith("phone"):
            ids = labels["ids"]  # without a text there is no loss
            losses[name] = ctc_loss(made[0][0], ids) / len(ids) if len(ids) else made[0].sum() * 0
        else:
            losses[name] = F.cross_entropy(made[0].float(), labels["speaker"].reshape(1))
    return losses


def ctc_loss(scores: Tensor, ids: Tensor) -> Tensor:
    """Scores (N, P), whose last class is the blank, and the ids (L) of the text -> the negative log-likelihood.

    0 for a text that is too long for the frames. It is computed on the CPU, because on a GPU the gradients of torch's
    function differ from call to call.
    """
    rows = scores.float().log_softmax(-1)[:, None].cpu()
    sizes = (torch.tensor([len(scores)]), torch.tensor([len(ids)]))
    loss = F.ctc_loss(rows, ids[None].cpu(), *sizes, blank=scores.shape[1] - 1, reduction="sum", zero_infinity=True)
    return loss.to(scores.device)


def _f0_losses(name: str, octaves: Tensor, unvoiced: Tensor, f0: Tensor) -> dict[str, Tensor]:
    """Smooth absolute differences, averaged: octaves from `MIDDLE` where voiced, and 1 for unvoiced frames, 0 else."""
    count = min(len(f0), len(octaves))
    octaves, unvoiced, f0 = octaves[:count], unvoiced[:count], f0[:count]
    voiced = f0 > 0
    target = torch.log2(f0.clamp_min(1) / MIDDLE)
    distance = F.smooth_l1_loss(octaves, target, reduction="none")
    return {
        name: distance[voiced].sum() / voiced.sum().clamp_min(1),
        f"{name}_uv": F.smooth_l1_loss(unvoiced, (~voiced).float()),
    }
