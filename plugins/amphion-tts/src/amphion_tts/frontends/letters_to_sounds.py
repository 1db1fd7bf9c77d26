"""The sounds of English words that no dictionary has, by a small network that was trained on the dictionary.

Convolutions read the letters of the word. Then the sounds of one letter after another are chosen: none, one or two
for each letter, given the letters around it and the sounds of the letters before it. A beam search keeps the most
probable words. The network is computed with numpy, because the start of a command should not wait for torch.

Trained by ``plugins/amphion-tts/tools/train_letters_to_sounds.py`` on the CMU Pronouncing Dictionary (BSD licence),
without one word of 64. `docs/concepts/text-frontends.md` gives the errors on those words.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LETTERS = "'abcdefghijklmnopqrstuvwxyz"
EDGE = len(LETTERS)
_WEIGHTS = Path(__file__).with_name("letters_to_sounds.safetensors")
_BEAM = 6
_LONGEST = 60  # letters that are read at once


class LettersToSounds:
    """The network with its weights."""

    def __init__(self, path: Path = _WEIGHTS) -> None:
        from safetensors import safe_open

        with safe_open(path, framework="np") as file:
            settings = json.loads(file.metadata()["config"])
            weights = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        self._weights = weights
        self.outputs: list[tuple[str, ...]] = [tuple(sounds.split()) for sounds in settings["sounds"]]
        self._stressed = np.array([any(sound.endswith("1") for sound in sounds) for sounds in self.outputs])
        self._layers: int = settings["layers"]
        self._history: int = settings["history"]
        channels, size = settings["channels"], settings["history_channels"]
        self._width: int = settings["width"]
        kernels = [weights[f"convolutions.{layer}.weight"] for layer in range(self._layers)]
        self._kernels = [np.ascontiguousarray(kernel.reshape(len(kernel), -1).T) for kernel in kernels]
        self._second, self._third = (np.ascontiguousarray(weights[f"{name}.weight"].T) for name in ("second", "third"))
        first = np.ascontiguousarray(weights["first.weight"].T)
        self._of_letters = first[:channels]
        parts = first[channels:].reshape(self._history + 1, size, -1)
        self._of_past = np.einsum("sc,kco->kso", weights["sounds.weight"], parts[:-1])  # a table for each place
        self._of_stress = weights["stressed.weight"] @ parts[-1]

    def __call__(self, word: str) -> list[str]:
        """The sounds of a word of LETTERS, with stress; empty if all letters are silent."""
        found: list[str] = []
        for start in range(0, len(word), _LONGEST):
            found += self._best(self._encoded(word[start : start + _LONGEST]))
        return found

    def _encoded(self, word: str) -> Floats:
        """(L, channels): each letter in the context of the word."""
        weights = self._weights
        numbers = [EDGE, *(LETTERS.index(letter) for letter in word), EDGE]
        hidden = weights["letters.weight"][numbers]
        for layer in range(self._layers):
            kernel = self._kernels[layer]
            padded = np.pad(self._normed(hidden, layer), ((self._width // 2, self._width // 2), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, self._width, 0)
            change = _product(windows.reshape(len(hidden), -1), kernel) + weights[f"convolutions.{layer}.bias"]
            hidden = hidden + np.maximum(change, 0)
        return self._normed(hidden, self._layers)[1:-1]

    def _normed(self, hidden: Floats, layer: int) -> Floats:
        centred = hidden - hidden.mean(1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        return scaled * self._weights[f"norms.{layer}.weight"] + self._weights[f"norms.{layer}.bias"]

    def _best(self, letters: Floats) -> list[str]:
        """The most probable sounds of encoded letters (L, channels)."""
        weights = self._weights
        known = _product(letters, self._of_letters) + weights["first.bias"]
        paths = np.full((1, self._history), len(self.outputs))  # this number stands for "before the word"
        stressed, scores = np.zeros(1, int), np.zeros(1, np.float32)
        for place in known:
            past = paths[:, -self._history :]
            hidden = place + self._of_stress[stressed] + self._of_past[np.arange(self._history), past].sum(1)
            hidden = np.maximum(_product(np.maximum(hidden, 0), self._second) + weights["second.bias"], 0)
            logits = _product(hidden, self._third) + weights["third.bias"]
            top = logits.max(1, keepdims=True)
            total = scores[:, None] + logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
            best = np.argsort(-total, axis=None, kind="stable")[:_BEAM]
            rows, sounds = np.divmod(best, len(self.outputs))
            scores = total[rows, sounds]
            paths = np.concatenate([paths[rows], sounds[:, None]], 1)
            stressed = stressed[rows] | self._stressed[sounds]
        return [sound for number in paths[0, self._history :] for sound in self.outputs[number]]


def _product(left: Floats, right: Floats) -> Floats:
    """``left @ right``, in blocks so small that the linear algebra library starts no threads, which take longer."""
    size = max(1, 200_000 // left.size)
    return np.concatenate([left @ right[:, start : start + size] for start in range(0, right.shape[1], size)], 1)


@cache
def letters_to_sounds() -> LettersToSounds:
    """The network, loaded once per process."""
    return LettersToSounds()
