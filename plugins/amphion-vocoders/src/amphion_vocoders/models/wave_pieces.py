"""The pieces of a recording that an autoregressive vocoder generates side by side, and their cross-fade.

One sample costs a pass through all weights, whatever the number of waves. So a recording is cut into pieces that are
generated at the same time, as public implementations of WaveRNN do. Each piece begins some frames early, to find its
way into the signal, and is then mixed with the end of the piece before.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


class Pieces:
    """Where ``frames`` frames are cut into pieces of about ``piece`` frames; 0: they stay one piece.

    A piece generates ``warm_up`` frames that are not heard, and then ``fade`` frames that are mixed with the piece
    before.
    """

    def __init__(self, frames: int, piece: int, *, warm_up: int, fade: int) -> None:
        count = max(1, round(frames / piece)) if piece else 1
        self._frames, self._warm_up, self._fade = frames, warm_up, fade
        self._step = max(-(-frames // count), warm_up + fade)
        self._starts = [max(0, first - warm_up - fade) for first in range(0, frames, self._step)]
        self.count = len(self._starts)
        self.length = max(self._stop(index) - start for index, start in enumerate(self._starts))  # frames of each

    def cut(self, x: Tensor, per_frame: int = 1, *, around: int = 0) -> Tensor:
        """(B, C, (N + 2 * around) * per_frame) -> (P * B, C, (length + 2 * around) * per_frame), for P pieces.

        ``around`` frames are there before and after the recording, and before and after each piece. Beyond the end the
        last value is repeated.
        """
        padded = F.pad(x, (0, self.length * per_frame), "replicate")
        size = (self.length + 2 * around) * per_frame
        return torch.cat([padded[..., start * per_frame : start * per_frame + size] for start in self._starts])

    def join(self, made: Tensor, hop: int) -> Tensor:
        """Waves of the pieces (P * B, length * hop) -> the recordings (B, N * hop) in [-1, 1]."""
        rows = made.view(self.count, -1, self.length * hop)
        wave = made.new_zeros(rows.shape[1], self._frames * hop)
        angle = torch.linspace(0, math.pi / 2, self._fade * hop, device=made.device)
        for index, start in enumerate(self._starts):
            first, stop = index * self._step * hop, self._stop(index) * hop
            heard = rows[index, :, : stop - start * hop].clone()
            if index:
                heard = heard[:, first - (self._fade + start) * hop :]
                heard[:, : len(angle)] *= angle.sin()  # the pieces' errors are independent: their powers add up
                wave[:, first - len(angle) : first] *= angle.cos()
            wave[:, stop - heard.shape[1] : stop] += heard
        return wave.clamp(-1, 1)

    def _stop(self, index: int) -> int:
        return min(self._frames, (index + 1) * self._step)
