"""Vocodes long audio chunk by chunk, with context on both sides, so that memory does not grow with the length."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from amphion_core.api import Vocoder
from amphion_vocoders.blocks import Block

CHUNK = 512  # frames vocoded at once: more need more memory, and with 1024 HiFi-GAN V3 takes a tenth less time
CONTEXT = 80  # frames on either side of a chunk; more than feed-forward vocoders see, which is at most 68 (APNet)
FADE = 16  # frames over which two chunks are mixed; needed for vocoders that choose a phase themselves


def vocode_in_chunks(
    net: Vocoder, blocks: Iterable[Block], *, seed: int, controls: dict[str, Any], start: int = 0
) -> Iterator[Tensor]:
    """Blocks of frames -> the waves of the chunks (T,), from the chunk of number ``start`` on.

    Without ``start``, the chunks together equal the whole vocoded at once, to rounding, for feed-forward vocoders. Each
    begins at a multiple of `CHUNK` frames. Errors as ``net.vocode_part``.
    """
    hop, chunk = net.config.mel.hop_length, CHUNK
    incoming = iter(blocks)
    mel: Tensor | None = None  # frames from `first` on
    f0: list[Tensor] = []  # all frames from the beginning on, because phases are summed from there
    first = have = number = 0
    ended = False
    overlap: Tensor | None = None  # the first frames of the next chunk, as this one made them
    while True:
        begin, stop = number * chunk, (number + 1) * chunk
        while not ended and have < stop + CONTEXT:
            if (block := next(incoming, None)) is None:
                ended = True
                break
            mel = block.mel if mel is None else torch.cat([mel, block.mel], 2)
            f0 += [] if block.f0 is None else [block.f0]
            have += block.mel.shape[2]
        if mel is None or begin >= have:
            return
        stop = min(stop, have)
        left, right = max(0, begin - CONTEXT), min(have, stop + CONTEXT)
        mel, first = mel[..., left - first :], left
        if number >= start - 1:  # the chunk before the first is needed for its end
            pitch = torch.cat(f0, 1) if f0 else None
            made = net.vocode_part(mel[..., : right - left], pitch, start=left, seed=seed, **controls)[0]
            piece = made[(begin - left) * hop : (stop - left) * hop]
            if overlap is not None:
                rising = torch.linspace(0, 1, len(overlap), device=overlap.device)
                piece = torch.cat([torch.lerp(overlap, piece[: len(overlap)], rising), piece[len(overlap) :]])
            overlap = made[(stop - left) * hop : (min(stop + FADE, have) - left) * hop]
            if number >= start:
                yield piece.float()
        number += 1
