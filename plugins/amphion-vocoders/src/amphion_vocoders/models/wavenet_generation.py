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

from amphion_core.draws import random_generator
from amphion_core.modules.workers import run_pieces
from amphion_vocoders.models.compiled import COMPILED, compile_loop
from amphion_vocoders.models.wave_outputs import MU_LAW, UNIFORM_EDGE, MuLaw, draw, number
from amphion_vocoders.models.wave_pieces import Pieces

WARM_UP = 2  # frames that a piece generates before those that are heard
FADE = 2  # frames over which two pieces are mixed
ROWS = 16  # most waves that one thread generates side by side
BLOCK = 64  # samples for which the mel's part of all gates is computed at once
Array = np.ndarray[Any, np.dtype[np.float32]]

if COMPILED:
    from amphion_vocoders.models.compiled_products import GROUP, WIDTH, exponential, multiply, padded, panels

    @compile_loop
    def _gated(gate: Any, mels: Any, layer: int, half: int, found: Any) -> None:
        """tanh(a) * sigmoid(b) of the sums of ``gate`` (R, 2 * half) and ``mels`` (R, L, 2 * half)."""
        one, two = np.float32(1), np.float32(2)
        for row in range(len(gate)):
            g, m, f = gate[row], mels[row, layer], found[row]
            for j in range(half):
                a = exponential(-two * (g[j] + m[j]))
                b = exponential(-(g[half + j] + m[half + j]))
                f[j] = (one - a) / ((one + a) * (one + b))

else:  # the same in NumPy, many times slower
    GROUP = WIDTH = 1

    def multiply(rows: Any, weights: Any, result: Any) -> None:
        """The product of two matrices."""
        np.dot(rows, weights, out=result)

    def padded(count: int, multiple: int) -> int:
        """``count``: products of NumPy take rows and columns of any number."""
        return count

    def panels(matrix: Any) -> Array:
        """The matrix (K, N) as it is."""
        return np.ascontiguousarray(matrix, np.float32)

    def _gated(gate: Any, mels: Any, layer: int, half: int, found: Any) -> None:
        """tanh(a) * sigmoid(b) of the sums of ``gate`` (R, 2 * half) and ``mels`` (R, L, 2 * half)."""
        both = np.clip(gate + mels[:, layer], -40, 40)
        a, b = np.exp(-2 * both[:, :half]), np.exp(-both[:, half:])
        found[:] = (1 - a) / ((1 + a) * (1 + b))


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
    seeds = random_generator(seed)
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
    """The network as matrices: rows times matrix gives rows. L layers, C channels, G gate channels, K taps.

    The matrices that the loop multiplies are in the order of `panels`.
    """

    distribution: Any
    dilations: tuple[int, ...]
    first: Array  # (1 or classes, C)
    first_bias: Array  # (C)
    kernel: int  # K
    taps: Array  # panels of (K * C, G) for each layer, the earliest tap first
    mel: Tensor  # (F, L * G)
    speaker: Tensor | None  # (S, L * G)
    gate_bias: Tensor  # (L * G)
    mix: Array  # panels of (G / 2, C + skip channels) for each layer
    mix_bias: Array  # (L, C + skip channels)
    head: Array  # panels of (skip channels, skip channels)
    head_bias: Array
    last: Array  # panels of (skip channels, outputs)
    last_bias: Array  # (outputs)

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

        def ordered(matrices: list[Tensor]) -> Array:
            return np.stack([panels(array(one)) for one in matrices])

        taps = [layer.conv.weight.detach().permute(2, 1, 0).flatten(0, 1) for layer in layers]
        biases = [torch.cat([layer.conv1x1_out.bias, layer.conv1x1_skip.bias]) for layer in layers]
        first, head, last = net.first_conv, net.last_conv_layers[1], net.last_conv_layers[3]
        return cls(
            distribution=net.distribution,
            dilations=net.config.dilations,
            first=array(matrix(first)),
            first_bias=array(first.bias),
            kernel=net.config.kernel,
            taps=ordered(taps),
            mel=torch.cat([matrix(layer.conv1x1c) for layer in layers], 1),
            speaker=torch.cat([matrix(layer.conv1x1g) for layer in layers], 1) if speakers else None,
            gate_bias=torch.cat([layer.conv.bias.detach() for layer in layers]).float().cpu(),
            mix=ordered([joined(layer) for layer in layers]),
            mix_bias=array(torch.stack(biases)),
            head=ordered([matrix(head)])[0],
            head_bias=array(head.bias),
            last=ordered([matrix(last)])[0],
            last_bias=array(last.bias),
        )


def _generate_rows(
    w: _Weights, condition: Tensor, voices: Tensor | None, seed: int, keep: bool
) -> tuple[Tensor, Tensor | None]:
    """Mels (R, F, T), speakers (R, S) -> values (R, T), which are classes for a mu-law, and predictions (R, C, T).

    Without ``keep`` the predictions are None.
    """
    count, _, samples = condition.shape
    rows = padded(count, GROUP)  # the rows that fill up the last group are computed, and left out of the result
    condition = torch.nn.functional.pad(condition, (0, 0, 0, 0, 0, rows - count))
    generator = torch.Generator().manual_seed(seed)
    layers, channels, outputs = len(w.dilations), w.first.shape[1], len(w.last_bias)
    spans = np.array([dilation * (w.kernel - 1) for dilation in w.dilations])
    rings = np.zeros((int(spans.sum()), rows, channels), np.float32)
    values = np.empty((samples, rows), np.float32)
    kept: list[Array] = []
    value = np.zeros(rows, np.float32)
    if isinstance(w.distribution, MuLaw):
        value += float(w.distribution.encode(torch.zeros(1)))
    smallest = getattr(w.distribution, "smallest_log_scale", 0.0)
    constant = w.gate_bias
    if voices is not None and w.speaker is not None:
        constant = constant + torch.nn.functional.pad(voices, (0, 0, 0, rows - count)) @ w.speaker
    for start in range(0, samples, BLOCK):
        part = slice(start, min(start + BLOCK, samples))
        gates = condition[..., part].permute(2, 0, 1) @ w.mel + constant  # (t, R, L * G)
        predicted = np.empty((len(gates), rows, outputs), np.float32)
        uniform = torch.rand(len(gates), count, w.distribution.draws, generator=generator)
        noise = w.distribution.noise(uniform.clamp(UNIFORM_EDGE, 1 - UNIFORM_EDGE))
        noise = torch.nn.functional.pad(noise, (0, 0, 0, rows - count))
        _loop(
            start, gates.view(len(gates), rows, layers, -1).numpy(), noise.numpy(), spans, rings, w.kernel, w.first,
            w.first_bias, w.taps, w.mix, w.mix_bias, w.head, w.head_bias, w.last, w.last_bias, number(w.distribution),
            smallest, value, values[part], predicted, WIDTH,
        )  # fmt: skip
        if keep:
            kept.append(predicted[:, :count])
    found = torch.from_numpy(values).T[:count]
    return found, torch.from_numpy(np.concatenate(kept)).permute(1, 2, 0) if keep else None


@compile_loop
def _loop(
    start: int, gates: Any, noise: Any, spans: Any, rings: Any, kernel: int, first: Any, first_bias: Any, taps: Any,
    mix: Any, mix_bias: Any, head: Any, head_bias: Any, last: Any, last_bias: Any, kind: int, smallest: float,
    value: Any, values: Any, predicted: Any, width: int,
) -> None:  # fmt: skip
    """Generate the samples from ``start`` on; ``value`` (R) is the sample before them, and then the last of them.

    Rows that are multiplied are filled up with zeros to a multiple of ``width`` columns.
    """
    rows, channels, layers, half = len(value), first.shape[1], len(taps), gates.shape[3] // 2
    skips, outputs, past = mix_bias.shape[1] - channels, predicted.shape[2], kernel - 1
    root, share, zero = np.float32(math.sqrt(0.5)), np.float32(math.sqrt(1 / layers)), np.float32(0)
    x = np.empty((rows, channels), np.float32)
    window = np.zeros((rows, -(-kernel * channels // width) * width), np.float32)
    gate = np.empty((rows, -(-2 * half // width) * width), np.float32)
    found = np.zeros((rows, -(-half // width) * width), np.float32)
    both = np.empty((rows, -(-(channels + skips) // width) * width), np.float32)
    total = np.zeros((rows, skips), np.float32)
    hidden = np.zeros((rows, -(-skips // width) * width), np.float32)
    inner = np.zeros_like(hidden)
    result = np.empty((rows, -(-outputs // width) * width), np.float32)
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
            window[:, past * channels : kernel * channels] = x
            rings[offset + now] = x
            offset += span
            multiply(window, taps[layer], gate)
            _gated(gate, gates[t], layer, half, found)
            multiply(found, mix[layer], both)
            x[:] = (x + both[:, :channels] + mix_bias[layer, :channels]) * root
            total += both[:, channels : channels + skips] + mix_bias[layer, channels:]
        hidden[:, :skips] = np.maximum(total * share, zero)
        multiply(hidden, head, inner)
        hidden[:, :skips] = np.maximum(inner[:, :skips] + head_bias, zero)
        multiply(hidden, last, result)
        predicted[t] = result[:, :outputs] + last_bias
        draw(kind, predicted[t], noise[t], smallest, value)
        values[t] = value
