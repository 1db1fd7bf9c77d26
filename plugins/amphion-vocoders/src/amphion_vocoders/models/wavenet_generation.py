"""Generation with WaveNet, one sample after another, with the past of each layer in a ring of memory.

Each layer needs its input of now and of a few earlier samples only, so a sample costs one pass through the weights:
Le Paine et al., "Fast Wavenet Generation Algorithm", arXiv:1611.09482. A recording is cut into pieces that are
generated side by side, see `wave_pieces`.
The loop over the samples is compiled (numba), and runs on the processor also for a network on a GPU.
``net`` is always a `WaveNet`. This module does not import its class, because that module imports this one.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amphion_core.modules.workers import run_pieces
from amphion_vocoders.models.compiled import compile_loop
from amphion_vocoders.models.wave_outputs import MU_LAW, UNIFORM_EDGE, MuLaw, draw, number
from amphion_vocoders.models.wave_pieces import Pieces

WARM_UP = 2  # frames that a piece generates before those that are heard
FADE = 2  # frames over which two pieces are mixed
ROWS = 16  # most waves that one thread generates side by side
BLOCK = 64  # samples for which the mel's part of all gates is computed at once
Array = np.ndarray[Any, np.dtype[np.float32]]


def generate_in_pieces(net: Any, mel: Tensor, speaker: Tensor | None, *, piece: int, seed: int | None) -> Tensor:
    """(B, F, N), indices of speakers (B) -> wave (B, T) in [-1, 1], in pieces of about ``piece`` frames; 0: in one.

    The same seed gives the same wave on any number of threads.
    """
    items, frames, hop = len(mel), mel.shape[2], net.config.mel.hop_length
    if not items or not frames:
        return mel.new_zeros(items, frames * hop)
    pieces = Pieces(frames, piece, warm_up=WARM_UP, fade=FADE)
    embedded = net._embedded(speaker, items)
    voices = None if embedded is None else embedded[..., 0].repeat(pieces.count, 1)
    made, _ = generate(net, pieces.cut(net.condition(mel), hop), voices, seed=seed)
    return pieces.join(made, hop)


def generate(
    net: Any, condition: Tensor, voices: Tensor | None, *, seed: int | None, predictions: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Mels at the rate of the audio (R, F, T), embedded speakers (R, S) -> waves (R, T), each after silence.

    With ``predictions`` also what the samples were drawn from (R, C, T); it takes many times the memory of the waves.
    """
    weights = _Weights.of(net)
    seeds = torch.Generator()
    if seed is None:
        seeds.seed()
    else:
        seeds.manual_seed(seed)
    jobs = []
    size = -(-len(condition) // -(-len(condition) // ROWS))  # equal shares
    for first in range(0, len(condition), size):
        part = slice(first, first + size)
        chosen = int(torch.randint(2**31 - 1, (1,), generator=seeds))
        spoken = None if voices is None else voices[part].float().cpu()
        jobs.append(partial(_generate_rows, weights, condition[part].float().cpu(), spoken, chosen, predictions))
    with torch.no_grad():
        parts = run_pieces(jobs)
    values = torch.cat([part[0] for part in parts])
    if isinstance(net.distribution, MuLaw):
        values = net.distribution.decode(values)
    found = [part[1] for part in parts if part[1] is not None]
    return values.to(condition.device), torch.cat(found).to(condition.device) if found else None


@dataclass(frozen=True, slots=True)
class _Weights:
    """The network as matrices: rows times matrix gives rows. L layers, C channels, G gate channels, K taps."""

    distribution: Any
    dilations: tuple[int, ...]
    first: Array  # (1 or classes, C)
    first_bias: Array  # (C)
    taps: Array  # (L, K * C, G), the earliest tap first
    mel: Tensor  # (F, L * G)
    speaker: Tensor | None  # (S, L * G)
    gate_bias: Tensor  # (L * G)
    mix: Array  # (L, G / 2, C + skip channels)
    mix_bias: Array  # (L, C + skip channels)
    head: Array  # (skip channels, skip channels)
    head_bias: Array
    last: Array  # (skip channels, outputs)
    last_bias: Array

    @classmethod
    def of(cls, net: Any) -> "_Weights":
        """The weights of ``net``, with weight norms computed."""
        layers = list(net.conv_layers)
        speakers = net.config.n_speakers > 1

        def matrix(conv: Any) -> Tensor:
            return conv.weight.detach()[..., 0].T.float().cpu()

        def joined(layer: Any) -> Tensor:
            return torch.cat([matrix(layer.conv1x1_out), matrix(layer.conv1x1_skip)], 1)

        def array(tensor: Tensor) -> Array:
            return np.ascontiguousarray(tensor.detach().float().cpu().numpy())

        taps = [layer.conv.weight.detach().permute(2, 1, 0).flatten(0, 1) for layer in layers]
        biases = [torch.cat([layer.conv1x1_out.bias, layer.conv1x1_skip.bias]) for layer in layers]
        first, head, last = net.first_conv, net.last_conv_layers[1], net.last_conv_layers[3]
        return cls(
            distribution=net.distribution,
            dilations=net.config.dilations,
            first=array(matrix(first)),
            first_bias=array(first.bias),
            taps=array(torch.stack(taps)),
            mel=torch.cat([matrix(layer.conv1x1c) for layer in layers], 1),
            speaker=torch.cat([matrix(layer.conv1x1g) for layer in layers], 1) if speakers else None,
            gate_bias=torch.cat([layer.conv.bias.detach() for layer in layers]).float().cpu(),
            mix=array(torch.stack([joined(layer) for layer in layers])),
            mix_bias=array(torch.stack(biases)),
            head=array(matrix(head)),
            head_bias=array(head.bias),
            last=array(matrix(last)),
            last_bias=array(last.bias),
        )


def _generate_rows(
    w: _Weights, condition: Tensor, voices: Tensor | None, seed: int, keep: bool
) -> tuple[Tensor, Tensor | None]:
    """Mels (R, F, T), speakers (R, S) -> values (R, T), which are classes for a mu-law, and predictions (R, C, T).

    Without ``keep`` the predictions are None.
    """
    rows, _, samples = condition.shape
    generator = torch.Generator().manual_seed(seed)
    layers, channels, outputs = len(w.dilations), w.first.shape[1], w.last.shape[1]
    spans = np.array([dilation * (w.taps.shape[1] // channels - 1) for dilation in w.dilations])
    rings = np.zeros((int(spans.sum()), rows, channels), np.float32)
    values = np.empty((samples, rows), np.float32)
    kept: list[Array] = []
    value = np.zeros(rows, np.float32)
    if isinstance(w.distribution, MuLaw):
        value += float(w.distribution.encode(torch.zeros(1)))
    smallest = getattr(w.distribution, "smallest_log_scale", 0.0)
    constant = w.gate_bias if voices is None or w.speaker is None else w.gate_bias + voices @ w.speaker
    for start in range(0, samples, BLOCK):
        part = slice(start, min(start + BLOCK, samples))
        gates = condition[..., part].permute(2, 0, 1) @ w.mel + constant  # (t, R, L * G)
        predicted = np.empty((len(gates), rows, outputs), np.float32)
        uniform = torch.rand(len(gates), rows, w.distribution.draws, generator=generator)
        noise = w.distribution.noise(uniform.clamp(UNIFORM_EDGE, 1 - UNIFORM_EDGE))
        _loop(
            start, gates.view(len(gates), rows, layers, -1).numpy(), noise.numpy(), spans, rings, w.first, w.first_bias,
            w.taps, w.mix, w.mix_bias, w.head, w.head_bias, w.last, w.last_bias, number(w.distribution), smallest,
            value, values[part], predicted,
        )  # fmt: skip
        if keep:
            kept.append(predicted)
    return torch.from_numpy(values).T, torch.from_numpy(np.concatenate(kept)).permute(1, 2, 0) if keep else None


@compile_loop
def _loop(
    start: int, gates: Any, noise: Any, spans: Any, rings: Any, first: Any, first_bias: Any, taps: Any, mix: Any,
    mix_bias: Any, head: Any, head_bias: Any, last: Any, last_bias: Any, kind: int, smallest: float, value: Any,
    values: Any, predicted: Any,
) -> None:  # fmt: skip
    """Generate the samples from ``start`` on; ``value`` (R) is the sample before them, and then the last of them."""
    rows, channels, layers, half = len(value), first.shape[1], len(taps), mix.shape[1]
    past = taps.shape[1] // channels - 1  # taps before the present one
    root, share = np.float32(math.sqrt(0.5)), np.float32(math.sqrt(1 / layers))
    one, two, wide = np.float32(1), np.float32(2), np.float32(20)
    x = np.empty((rows, channels), np.float32)
    window = np.empty((rows, taps.shape[1]), np.float32)
    gate = np.empty((rows, 2 * half), np.float32)
    found = np.empty((rows, half), np.float32)
    both = np.empty((rows, mix.shape[2]), np.float32)
    total = np.empty((rows, mix.shape[2] - channels), np.float32)
    hidden = np.empty_like(total)
    for t in range(len(gates)):
        for row in range(rows):
            if kind == MU_LAW:
                x[row] = first[int(value[row])] + first_bias
            else:
                x[row] = value[row] * first[0] + first_bias
        total[:] = 0
        offset = 0
        for layer in range(layers):
            span = spans[layer]
            now = (start + t) % span
            for tap in range(past):
                earlier = offset + (now + tap * (span // past)) % span
                window[:, tap * channels : (tap + 1) * channels] = rings[earlier]
            window[:, past * channels :] = x
            rings[offset + now] = x
            offset += span
            np.dot(window, taps[layer], gate)
            gate += gates[t, :, layer]
            # tanh(a) * sigmoid(b) with two exponentials
            a = np.exp(-two * np.minimum(np.maximum(gate[:, :half], -wide), wide))
            b = np.exp(-np.minimum(np.maximum(gate[:, half:], -wide), wide))
            found[:] = (one - a) / ((one + a) * (one + b))
            np.dot(found, mix[layer], both)
            both += mix_bias[layer]
            x[:] = (x + both[:, :channels]) * root
            total += both[:, channels:]
        np.dot(np.maximum(total * share, np.float32(0)), head, hidden)
        np.dot(np.maximum(hidden + head_bias, np.float32(0)), last, predicted[t])
        predicted[t] += last_bias
        draw(kind, predicted[t], noise[t], smallest, value)
        values[t] = value
