"""What vocoders share that make audio of a mel in one pass."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from amphion_core.api import OnnxGraph, Vocoder, vocoder_graph
from amphion_vocoders.models.mel_input import check_mel
from amphion_vocoders.models.packed_module import PackedModule


class FeedForwardVocoder(Vocoder):
    """A vocoder whose forward pass, mel (B, F, N) -> wave (B, 1, T), is all of the work."""

    alike_in_batches = True

    def example_inputs(self) -> dict[str, Any]:
        """One mel of four frames."""
        return {"mel": torch.zeros(1, self.config.mel.n_mels, 4)}

    @torch.no_grad()
    def vocode(self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]; deterministic, so ``f0`` and ``seed`` are not used.

        Raises AudioError for another shape and for values that are not finite.
        """
        return self.one_pass(mel)

    @torch.no_grad()
    def one_pass(self, mel: Tensor, **others: Any) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]: `forward` at the precision for inference; ``others`` are its other inputs.

        Raises AudioError for a mel of another shape and for values that are not finite.
        """
        check_mel(mel, self.config.mel.n_mels)
        if not mel.shape[2]:
            return mel.new_zeros(len(mel), 0)
        packed = any(isinstance(part, PackedModule) and part.packed is not None for part in self.children())
        with nullcontext() if packed else self.autocast():  # packed weights have their own precision
            wave: Tensor = self(mel, **others)
        return wave[:, 0].float().clamp_(-1, 1)

    def onnx_graph(self) -> OnnxGraph:
        """The mel (B, F, N) -> the wave (B, T)."""
        return vocoder_graph(self)
