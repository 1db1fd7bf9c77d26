"""WaveRNN's loop over the samples, compiled (numba), for CPUs. The results equal those of the layers to rounding.

What the gates of the GRUs and the layer after them take from the mel, from the auxiliary channels and from the sample
before is linear in these. So the weights between are multiplied once, the mel and the auxiliary channels cost products
for each frame only, and the sample before one multiplication for each channel. For each sample, the products with the
states of the GRUs and with the last layers remain.
Letters: R rows (waves), C channels of a GRU, H channels of the layers after the GRUs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amphion_vocoders.models.compiled import compile_loop
from amphion_vocoders.models.compiled_products import GROUP, TAPS, multiply, padded, panels, sigmoid, tangent
from amphion_vocoders.models.wave_outputs import MU_LAW, MuLaw, draw, number

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Weights:
    """The network as matrices. W = 6 C + H: the gates of both GRUs, each in three parts, and the first layer after."""

    distribution: Any
    channels: int
    context: int
    filter: Array  # (hop, 2 * context + 1): weights of the frames around in each sample of a frame
    sample: Array  # (W): what the sample before is multiplied with
    mel: Array  # panels of (F, W)
    auxiliary: Array  # panels of (A, W + H)
    constant: Array  # (W + H)
    reset_bias: Array  # (2, C): those that the reset gates of the GRUs multiply
    after_first: Array  # panels of (C, 6 C): to the first GRU at the next sample, to the second GRU
    after_second: Array  # panels of (C, 3 C): to the second GRU at the next sample
    head: Array  # panels of (C, H)
    middle: Array  # panels of (H, H)
    last: Array  # panels of (H, outputs)
    last_bias: Array  # (outputs)

    @classmethod
    def of(cls, net: Any) -> "Weights":
        """The weights of ``net``, a WaveRNN, multiplied with each other in double precision."""
        c, h, bands = net.config.channels, net.config.head_channels, net.config.mel.n_mels
        quarter = net.config.auxiliary_channels // 4
        state = {name: tensor.detach().double().cpu() for name, tensor in net.state_dict().items()}
        first, second = state["rnn1.weight_ih_l0"], state["rnn2.weight_ih_l0"]
        head, middle = state["fc1.weight"], state["fc2.weight"]
        to_gates = torch.cat([first, second[:, :c], head[:, :c]])  # (W, C)
        entry = to_gates @ state["I.weight"]  # (W, 1 + F + A / 4)
        auxiliary = torch.zeros(4 * quarter, 6 * c + 2 * h, dtype=torch.float64)
        auxiliary[:quarter, : 6 * c + h] = entry[:, 1 + bands :].T
        auxiliary[quarter : 2 * quarter, 3 * c : 6 * c] = second[:, c:].T
        auxiliary[2 * quarter : 3 * quarter, 6 * c : 6 * c + h] = head[:, c:].T
        auxiliary[3 * quarter :, 6 * c + h :] = middle[:, h:].T
        inner = [torch.cat([state[f"{gru}.bias_hh_l0"][: 2 * c], torch.zeros(c)]) for gru in ("rnn1", "rnn2")]
        biases = torch.cat([
            state["rnn1.bias_ih_l0"] + inner[0], state["rnn2.bias_ih_l0"] + inner[1], state["fc1.bias"],
            state["fc2.bias"],
        ])  # fmt: skip
        biases[: 6 * c + h] += to_gates @ state["I.bias"]
        return cls(
            distribution=net.distribution,
            channels=c,
            context=net.config.context,
            filter=_array(_filter(net)),
            sample=_array(entry[:, 0]),
            mel=panels(entry[:, 1 : 1 + bands].T),
            auxiliary=panels(auxiliary),
            constant=_array(biases),
            reset_bias=_array(torch.stack([state[f"{gru}.bias_hh_l0"][2 * c :] for gru in ("rnn1", "rnn2")])),
            after_first=panels(torch.cat([state["rnn1.weight_hh_l0"], second[:, :c]]).T),
            after_second=panels(state["rnn2.weight_hh_l0"].T),
            head=panels(head[:, :c].T),
            middle=panels(middle[:, :h].T),
            last=panels(state["fc3.weight"].T),
            last_bias=_array(state["fc3.bias"]),
        )


def _filter(net: Any) -> Tensor:
    """(hop, 2 * context + 1): the upsampled mel is this product with the frames around, the same for all bands."""
    around, hop = 2 * net.config.context + 1, net.config.mel.hop_length
    with torch.no_grad():
        up_layers = net.upsample.up_layers
        impulses = torch.eye(around, device=net.device)[None, None]  # (1, 1, frames with a 1, frames)
        return up_layers(impulses)[0, 0, :, net.config.context * hop : (net.config.context + 1) * hop].T


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.float().cpu().numpy())


class Generator:
    """The state of R waves, which it continues frame by frame."""

    def __init__(self, weights: Weights, rows: int) -> None:
        c = weights.channels
        size = padded(rows, GROUP)
        self._weights, self._rows = weights, rows
        self._value = np.zeros(size, np.float32)
        self._states = np.zeros((2, size, c), np.float32)
        self._first = np.zeros((size, padded(6 * c, 64)), np.float32)
        self._second = np.zeros((size, padded(3 * c, 64)), np.float32)

    def frame(self, mel: Tensor, auxiliary: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Frames around (R, F, 2 * context + 1), channels (R, A), noise (hop, R, draws) -> the samples of one frame.

        They are values (R, hop), which are samples or levels of a mu-law's classes, and predictions (R, C, hop).
        """
        w, size = self._weights, len(self._value)
        around = mel.shape[2]
        frames = np.zeros((around, size, padded(mel.shape[1], TAPS)), np.float32)
        frames[:, : self._rows, : mel.shape[1]] = mel.permute(2, 0, 1).numpy()
        of_mel = np.empty((around, size, w.mel.shape[0] * 64), np.float32)
        for each in range(around):
            multiply(frames[each], w.mel, of_mel[each])
        channels = np.zeros((size, auxiliary.shape[1]), np.float32)
        channels[: self._rows] = auxiliary.numpy()
        constant = np.empty((size, w.auxiliary.shape[0] * 64), np.float32)
        multiply(channels, w.auxiliary, constant)
        constant[:, : len(w.constant)] += w.constant
        full = np.full((len(w.filter), size, noise.shape[2]), 0.5, np.float32)
        full[:, : self._rows] = noise.numpy()
        values = np.empty((len(w.filter), size), np.float32)
        predicted = np.empty((len(w.filter), size, len(w.last_bias)), np.float32)
        law = w.distribution.classes if isinstance(w.distribution, MuLaw) else 0
        smallest = getattr(w.distribution, "smallest_log_scale", 0.0)
        _loop(
            w.filter, of_mel, constant, full, w.sample, w.reset_bias, w.after_first, w.after_second, w.head, w.middle,
            w.last, w.last_bias, self._states, self._first, self._second, number(w.distribution), law, smallest,
            self._value, values, predicted,
        )  # fmt: skip
        return (
            torch.from_numpy(values[:, : self._rows]).T,
            torch.from_numpy(predicted[:, : self._rows]).permute(1, 2, 0),
        )


@compile_loop
def _gru(given: Any, before: Any, later: Any, reset_bias: Any, state: Any) -> None:
    """Move the state (C) of one row; the three parts of ``given``, ``before`` and ``later`` are reset, update, new."""
    c = len(state)
    for j in range(c):
        reset = sigmoid(given[j] + before[j] + later[j])
        update = sigmoid(given[c + j] + before[c + j] + later[c + j])
        new = tangent(given[2 * c + j] + before[2 * c + j] + reset * (later[2 * c + j] + reset_bias[j]))
        state[j] = new + update * (state[j] - new)


@compile_loop
def _loop(
    filter: Any, of_mel: Any, constant: Any, noise: Any, sample: Any, reset_bias: Any, after_first: Any,
    after_second: Any, head: Any, middle: Any, last: Any, last_bias: Any, states: Any, first: Any, second: Any,
    kind: int, classes: int, smallest: float, value: Any, values: Any, predicted: Any,
) -> None:  # fmt: skip
    """Generate the samples of one frame; ``value`` (R) is the sample before them, and then the last of them."""
    rows, c = states.shape[1], states.shape[2]
    width = len(sample)
    hidden = width - 6 * c
    given = np.empty((rows, width), np.float32)
    nothing = np.zeros(3 * c, np.float32)
    total = np.empty((rows, c), np.float32)
    one, two = np.empty((rows, head.shape[0] * 64), np.float32), np.empty((rows, middle.shape[0] * 64), np.float32)
    outputs = np.empty((rows, last.shape[0] * 64), np.float32)
    zero = np.float32(0)
    for t in range(len(values)):
        for row in range(rows):
            g, k, before = given[row], constant[row], value[row]
            for j in range(width):
                g[j] = k[j] + before * sample[j]
            for tap in range(filter.shape[1]):
                weight, of_frame = filter[t, tap], of_mel[tap, row]
                for j in range(width):
                    g[j] += weight * of_frame[j]
            _gru(g[: 3 * c], nothing, first[row, : 3 * c], reset_bias[0], states[0, row])
        multiply(states[0], after_first, first)
        for row in range(rows):
            g, of_first = given[row, 3 * c : 6 * c], first[row, 3 * c : 6 * c]
            _gru(g, of_first, second[row, : 3 * c], reset_bias[1], states[1, row])
        multiply(states[1], after_second, second)
        for row in range(rows):
            for j in range(c):
                total[row, j] = states[0, row, j] + states[1, row, j]
        multiply(total, head, one)
        for row in range(rows):
            for j in range(hidden):
                one[row, j] = max(one[row, j] + given[row, 6 * c + j], zero)
        multiply(one, middle, two)
        for row in range(rows):
            for j in range(hidden):
                two[row, j] = max(two[row, j] + constant[row, width + j], zero)
        multiply(two, last, outputs)
        for row in range(rows):
            for j in range(len(last_bias)):
                predicted[t, row, j] = outputs[row, j] + last_bias[j]
        draw(kind, predicted[t], noise[t], smallest, value)
        if kind == MU_LAW:
            for row in range(rows):
                value[row] = np.float32(2) * value[row] / np.float32(classes - 1) - np.float32(1)
        values[t] = value
