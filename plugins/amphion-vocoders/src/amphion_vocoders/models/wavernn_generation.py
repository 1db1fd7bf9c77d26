"""Generation with WaveRNN, one sample after another, in pieces that are generated side by side.

The pieces overlap by two frames, as published: one to find the way into the signal, and one for the cross-fade.
With numba the loop over the samples is compiled, and runs on the processor also for a network on a GPU. Without it, the
layers are called for every sample, which takes many times as long.
``net`` is always a `WaveRNN`. This module does not import its class, because that module imports this one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.draws import random_generator
from amphion_core.modules.workers import run_pieces, threads_for_pieces
from amphion_vocoders.models.compiled import COMPILED
from amphion_vocoders.models.wave_outputs import UNIFORM_EDGE, MuLaw, draw, number
from amphion_vocoders.models.wave_pieces import Pieces

WARM_UP = 1  # frames that a piece generates before those that are heard
FADE = 1  # frames over which two pieces are mixed
ROWS = 64  # most waves that one thread generates side by side
FEWEST = 8  # so many waves on a thread take hardly longer than fewer
Frame = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]  # see `_Layers.frame`
Made = tuple[Tensor, Tensor | None]


def generate_in_pieces(net: Any, mel: Tensor, *, piece: int, seed: int | None) -> Tensor:
    """(B, F, N) -> wave (B, T) in [-1, 1], in pieces of about ``piece`` frames; 0: in one.

    Item b draws its samples with ``seed`` + b; None: with another seed each time.
    """
    items, frames, context = len(mel), mel.shape[2], net.config.context
    if not items or not frames:
        return mel.new_zeros(items, frames * net.config.mel.hop_length)
    pieces = Pieces(frames, piece, warm_up=WARM_UP, fade=FADE)
    rows = pieces.cut(F.pad(mel, (context, context)), around=context)
    seeds = torch.stack([_seeds(None if seed is None else seed + item, pieces.count) for item in range(items)], 1)
    return pieces.join(generate(net, rows, seeds=seeds.flatten().tolist())[0], net.config.mel.hop_length)


def generate(
    net: Any, mel: Tensor, *, seeds: Sequence[int] = (), uniform: Tensor | None = None, predictions: bool = False
) -> Made:
    """Mels with their context (R, F, N + 2 * context) -> waves (R, T), each after silence.

    Each row is drawn with its seed, or with its random numbers ``uniform`` (R, T, draws), from 0 to 1. With
    ``predictions`` also what the samples were drawn from (R, C, T); it takes many times the memory of the waves.
    """
    begin = _beginner(net)
    shares = max(1, -(-len(mel) // ROWS), min(threads_for_pieces(), len(mel) // FEWEST))
    jobs = []
    for part in np.array_split(np.arange(len(mel)), shares):
        numbers = _Numbers(net, [seeds[row] for row in part] if uniform is None else uniform[part])
        jobs.append(partial(_generate_rows, net, begin(len(part)), mel[part], numbers, predictions))
    with torch.no_grad():
        parts = run_pieces(jobs)
    values = torch.cat([part[0] for part in parts]).to(mel.device)
    found = [part[1] for part in parts if part[1] is not None]
    return values, torch.cat(found).to(mel.device) if found else None


def _seeds(seed: int | None, count: int) -> Tensor:
    """A seed for each of ``count`` pieces."""
    return torch.randint(2**31 - 1, (count,), generator=random_generator(seed))


class _Numbers:
    """The random numbers of R rows: given (R, T, draws), or drawn with a seed for each row."""

    def __init__(self, net: Any, source: Sequence[int] | Tensor) -> None:
        self._distribution, self._hop = net.distribution, net.config.mel.hop_length
        self._given = source if isinstance(source, Tensor) else None
        self._generators = [] if isinstance(source, Tensor) else [torch.Generator().manual_seed(s) for s in source]

    def frame(self, index: int) -> Tensor:
        """Those of one frame, as `draw` takes them: (hop, R, draws). Frames are asked for one after another."""
        if self._given is not None:
            uniform = self._given[:, index * self._hop : (index + 1) * self._hop].float().cpu()
        else:
            size = (self._hop, self._distribution.draws)
            uniform = torch.stack([torch.rand(*size, generator=generator) for generator in self._generators])
        return self._distribution.noise(uniform.clamp(UNIFORM_EDGE, 1 - UNIFORM_EDGE)).transpose(0, 1)


def _beginner(net: Any) -> Callable[[int], Frame]:
    """A function that begins so many waves: what it returns continues them by a frame."""
    if not COMPILED:
        return lambda rows: _Layers(net, rows).frame
    from amphion_vocoders.models.wavernn_compiled import Generator, Weights

    weights = Weights.of(net)
    return lambda rows: Generator(weights, rows).frame


def _generate_rows(net: Any, make: Frame, mel: Tensor, numbers: _Numbers, keep: bool) -> Made:
    """Mels with their context (R, F, N + 2 * context) -> waves (R, T), predictions (R, C, T) or None."""
    auxiliary, around = net.upsample.resnet(mel).float().cpu(), 2 * net.config.context + 1
    mel = mel.float().cpu()
    made, predicted = [], []
    for frame in range(auxiliary.shape[2]):
        found = make(mel[..., frame : frame + around], auxiliary[..., frame], numbers.frame(frame))
        made.append(found[0])
        if keep:
            predicted.append(found[1])
    values = torch.cat(made, 1)
    if isinstance(net.distribution, MuLaw):
        values = net.distribution.decode(net.distribution.at_level(values))
    return values, torch.cat(predicted, 2) if keep else None


class _Layers:
    """The state of R waves, and the layers of the network, which are called for every sample."""

    def __init__(self, net: Any, rows: int) -> None:
        self._net = net
        self._value = torch.zeros(rows)
        self._states = [torch.zeros(rows, net.config.channels) for _ in range(2)]

    def frame(self, mel: Tensor, auxiliary: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Frames around (R, F, 2 * context + 1), channels (R, A), noise (hop, R, draws) -> the samples of one frame.

        They are values (R, hop), which are samples or levels of a mu-law's classes, and predictions (R, C, hop).
        """
        net, edge = self._net, self._net.config.context * self._net.config.mel.hop_length
        at_rate = net.upsample.up_layers(mel.to(net.device)[:, None])[:, 0, :, edge:-edge]  # (R, F, hop)
        auxiliary = auxiliary.to(net.device)
        values, predictions = [], []
        for t in range(at_rate.shape[2]):
            predicted = self._sample(at_rate[..., t], auxiliary).float().cpu()
            drawn = np.empty(len(predicted), np.float32)
            smallest = getattr(net.distribution, "smallest_log_scale", 0.0)
            draw(number(net.distribution), predicted.contiguous().numpy(), noise[t].numpy(), smallest, drawn)
            value = torch.from_numpy(drawn)
            self._value = net.distribution.level(value) if isinstance(net.distribution, MuLaw) else value
            values.append(self._value)
            predictions.append(predicted)
        return torch.stack(values, 1), torch.stack(predictions, 2)

    def _sample(self, mel: Tensor, auxiliary: Tensor) -> Tensor:
        """Mel (R, F) and auxiliary channels (R, A) of the next sample -> what is predicted of it (R, C)."""
        net = self._net
        first, second, third, fourth = auxiliary.chunk(4, 1)
        x = net.I(torch.cat([self._value.to(net.device)[:, None], mel, first], 1))
        self._states[0] = _step(net.rnn1, x, self._states[0])
        x = x + self._states[0]
        self._states[1] = _step(net.rnn2, torch.cat([x, second], 1), self._states[1])
        x = x + self._states[1]
        x = F.relu(net.fc1(torch.cat([x, third], 1)))
        return net.fc3(F.relu(net.fc2(torch.cat([x, fourth], 1))))


def _step(gru: Any, x: Tensor, state: Tensor) -> Tensor:
    """A GRU, inputs (R, C), state (R, C) -> the next state (R, C)."""
    return torch.gru_cell(x, state.to(x.device), gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0)
