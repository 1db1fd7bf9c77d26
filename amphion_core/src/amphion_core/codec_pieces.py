"""Long signals through a codec in bounded memory: a causal codec streams, others overlap their pieces.

A codec that is not causal states its ``context``: how many frames on either side a frame depends on. A piece is encoded
or decoded together with them, and only its own frames are kept, so that the result is that of the whole signal.

Arguments called ``codec`` are a `Codec` and ``codes`` are its `Codes`; this module does not import them, because theirs
imports it.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.errors import AudioError

PIECE = 10.0  # seconds that are processed at a time
LEAST_CONTEXTS = 4  # a piece is at least so many times as long as the context, so that little is computed twice


def piece_frames(codec: Any) -> int:
    """How many frames of codes are processed at a time."""
    return max(math.ceil(PIECE * codec.frame_rate), LEAST_CONTEXTS * codec.context)


def encode_pieces(codec: Any, pieces: Iterable[Tensor], n_codebooks: int | None = None) -> Tensor:
    """The indices (K, B, N); see `Codec.encode_pieces`."""
    with torch.no_grad():
        blocks = _streamed(codec, pieces) if codec.causal else _overlapped(codec, pieces, n_codebooks)
        found = [indices[:n_codebooks] for indices in blocks]
    if not found:
        raise AudioError("there are no samples to encode", hint="give a recording that is not empty")
    return torch.cat(found, 2)


def decode_pieces(codec: Any, codes: Any) -> Iterator[Tensor]:
    """See `Codec.decode_pieces`."""
    indices, size = codes.indices, piece_frames(codec)
    total, hop = indices.shape[2], codec.hop_length
    if total <= size:
        yield codec.decode(codes)
        return
    stream = codec.stream() if codec.causal else None
    for start in range(0, total, size):
        stop = min(start + size, total)
        if stream is not None:
            yield stream.decode(replace(codes, indices=indices[..., start:stop]))
            continue
        left, right = max(0, start - codec.context), min(total, stop + codec.context)
        wave = codec.decode(replace(codes, indices=indices[..., left:right]))
        yield wave[..., (start - left) * hop : (stop - left) * hop]


def _streamed(codec: Any, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """The indices (K, B, N) of each block, by a causal codec."""
    stream = None
    for block, last in _blocks(pieces, piece_frames(codec) * codec.hop_length):
        wave = _whole_frames(block, codec.hop_length)
        if stream is None and last:
            yield codec.encode(wave).indices
            return
        stream = stream or codec.stream()
        yield stream.encode(wave).indices


def _overlapped(codec: Any, pieces: Iterable[Tensor], n_codebooks: int | None) -> Iterator[Tensor]:
    """The indices (K, B, N) of each block, which is encoded with the context before and after it."""
    hop, context = codec.hop_length, codec.context
    held: Tensor | None = None  # samples from `context` frames before the next block on, or from the beginning
    before = 0  # how many of its frames come before the next block
    for block, last in _blocks(pieces, piece_frames(codec) * hop):
        held = block if held is None else torch.cat([held, block], 2)
        ready = held.shape[2] // hop - before - context  # frames whose context is there
        if last or ready > 0:
            wave = _whole_frames(held, hop)
            stop = wave.shape[2] // hop if last else before + ready
            yield codec.encode(wave, n_codebooks).indices[..., before:stop]
            drop = max(0, stop - context)
            held, before = held[..., drop * hop :], stop - drop


def _blocks(pieces: Iterable[Tensor], size: int) -> Iterator[tuple[Tensor, bool]]:
    """Pieces (B, 1, T) joined and cut to ``size`` samples, each with whether it is the last, which may be longer.

    The last one has more than half of ``size``, unless it is the only one.
    """
    held: Tensor | None = None
    for piece in pieces:
        held = piece if held is None else torch.cat([held, piece], 2)
        while held.shape[2] > size + size // 2:
            yield held[..., :size], False
            held = held[..., size:]
    if held is not None and held.shape[2]:
        yield held, True


def _whole_frames(wave: Tensor, hop: int) -> Tensor:
    """(B, 1, T) filled with zeros to a multiple of the hop."""
    return F.pad(wave, (0, -wave.shape[2] % hop))
