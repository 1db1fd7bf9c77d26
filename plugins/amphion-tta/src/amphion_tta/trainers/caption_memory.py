"""Encodes each caption of a training once, and always alone, so that its states do not depend on a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from amphion_core.api import TextCondition, TextEncoder

MOST = 20_000  # captions that are remembered


class CaptionMemory:
    """Captions -> their condition, as ``encoder`` encodes each of them alone."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, tuple[Tensor, Tensor | None]] = {}

    def __call__(self, captions: Sequence[str], device: torch.device) -> TextCondition:
        """B captions -> states (B, L, C), mask (B, L), and pooled (B, G) where the encoder has it, on ``device``."""
        if self._encoder.device != device:
            self._encoder.to(device)
        rows = [self._encoded(caption) for caption in captions]
        states = [row for row, _ in rows]
        lengths = torch.tensor([len(row) for row in states], device=device)
        padded = pad_sequence(states, batch_first=True).to(device)
        pooled = [vector for _, vector in rows if vector is not None]
        mask = torch.arange(padded.shape[1], device=device) < lengths[:, None]
        return TextCondition(padded, mask, torch.stack(pooled).to(device) if pooled else None)

    def _encoded(self, caption: str) -> tuple[Tensor, Tensor | None]:
        if caption not in self._known:
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._encoder.encode([caption])
            pooled = None if found.pooled is None else found.pooled[0].float()
            self._known[caption] = (found.states[0][found.mask[0]].float(), pooled)
        return self._known[caption]
