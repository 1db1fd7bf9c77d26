"""What a vocoder reads of a recording or of a mel file: its mel and F0, block by block, in constant memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from amphion_core.audio import Samples
from amphion_core.errors import AudioError
from amphion_core.features.f0 import F0Extractor
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig
from amphion_vocoders.mel_files import MelFile

BLOCK = 1024  # frames that are computed or read at a time
F0_CONTEXT = 1.0  # seconds on either side of a block from which a tracker finds F0


class Block(NamedTuple):
    """Consecutive frames: mel (1, F, n), and F0 (1, n) in Hz for vocoders that need it."""

    mel: Tensor
    f0: Tensor | None


def blocks_of_audio(
    samples: Iterable[Samples], mel: MelConfig, tracker: F0Extractor | None, device: str
) -> Iterator[Block]:
    """Pieces of one channel (T,) at the rate of ``mel`` -> the frames of their whole, in blocks.

    The mel equals that of the whole audio. F0 is tracked in spans that depend on the audio only, so that it is the same
    however the audio comes. Raises AudioError for audio shorter than ``mel.shortest``.
    """
    hop = mel.hop_length
    around = -(-mel.n_fft // hop)  # frames whose windows reach beyond a span, where the audio is mirrored
    if tracker is not None:
        around = max(around, round(F0_CONTEXT * mel.sample_rate / hop))
    held, first, done = torch.zeros(0), 0, 0  # samples from that of frame `first` on; frames that are computed

    def block(stop: int) -> Block:
        """Frames ``done`` to ``stop`` - 1 of the held samples."""
        wave = held[None].to(device)
        span = slice(done - first, stop - first)
        f0 = None if tracker is None else tracker.extract(wave)[:, 0, span]
        return Block(mel_spectrogram(wave, mel)[..., span], f0)

    for piece in samples:
        held = torch.cat([held, torch.from_numpy(piece)])
        while len(held) >= (done + BLOCK + around - first) * hop:
            rest, held = held, held[: (done + BLOCK + around - first) * hop]
            yield block(done + BLOCK)
            done += BLOCK
            begin = max(first, done - around)
            held, first = rest[(begin - first) * hop :], begin
    total = first * hop + len(held)
    if total < mel.shortest:
        raise AudioError(
            f"{total / mel.sample_rate:.3f} seconds are too short for frames of {mel.n_fft} samples",
            hint=f"give at least {mel.shortest / mel.sample_rate:.3f} seconds",
        )
    yield block(mel.frames(total))


def blocks_of_mel(file: MelFile, device: str, *, with_f0: bool) -> Iterator[Block]:
    """The frames of a mel file, and F0 if wanted, in blocks. Raises AudioError."""
    f0 = file.f0().to(device) if with_f0 else None
    for start in range(0, file.frames, BLOCK):
        stop = min(start + BLOCK, file.frames)
        yield Block(file.read(start, stop).to(device), None if f0 is None else f0[:, start:stop])
