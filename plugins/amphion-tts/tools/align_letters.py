"""Align the letters of dictionary words with their sounds: each letter has none, one or two sounds.

The probabilities of letters and sounds are found by expectation maximisation over all alignments of all words, without
stress. Then each word gets its most probable alignment, with the stress put back. Words of equal numbers of letters and
sounds are processed together. Method: Jiampojamarn, Kondrak, Sherif: "Applying Many-to-Many Alignments and Hidden
Markov Models to Letter-to-Phoneme Conversion", NAACL 2007, section 3.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LETTERS = "'abcdefghijklmnopqrstuvwxyz"


class Aligner:
    """Probabilities of no sound (27), of one sound (27, P) and of two sounds (27, P, P) for each letter."""

    def __init__(self, words: list[tuple[str, list[str]]]) -> None:
        """``words`` are pairs of a word of LETTERS and its sounds, with stress."""
        self.words = words
        plain = [[sound.rstrip("012") for sound in sounds] for _, sounds in words]
        self.sounds = sorted({sound for sounds in plain for sound in sounds})
        number = {sound: index for index, sound in enumerate(self.sounds)}
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, (word, sounds) in enumerate(words):
            if word and len(sounds) <= 2 * len(word):
                groups[len(word), len(sounds)].append(index)
        self._groups = [
            (
                np.array(members),
                np.array([[LETTERS.index(letter) for letter in words[index][0]] for index in members]),
                np.array([[number[sound] for sound in plain[index]] for index in members]),
            )
            for members in groups.values()
        ]
        n, p = len(LETTERS), len(self.sounds)
        self._tables = [np.full((n,), 0.2), np.full((n, p), 1 / p), np.full((n, p, p), 0.1 / p**2)]

    def train(self, rounds: int) -> None:
        """Expectation maximisation."""
        for _ in range(rounds):
            counts = [np.full_like(table, 1e-6) for table in self._tables]
            for _, letters, sounds in self._groups:
                self._count(letters, sounds, counts)
            total = sum(table.reshape(len(LETTERS), -1).sum(1) for table in counts)
            self._tables = [(table.T / total).T for table in counts]

    def _scores(self, letters: Ints, sounds: Ints) -> list[Floats]:
        """[(W, n, m + 1), (W, n, m), (W, n, m - 1)]: that letter i has no sound, sound j, sounds j and j + 1."""
        none, one, two = self._tables
        first = letters[:, :, None]
        return [
            np.broadcast_to(none[first], (*letters.shape, sounds.shape[1] + 1)),
            one[first, sounds[:, None]],
            two[first, sounds[:, None, :-1], sounds[:, None, 1:]],
        ]

    def _count(self, letters: Ints, sounds: Ints, counts: list[Floats]) -> None:
        """Add the expected uses of each entry of the tables to ``counts``."""
        (w, n), m = letters.shape, sounds.shape[1]
        scores = self._scores(letters, sounds)
        ahead, behind = np.zeros((n + 1, w, m + 1)), np.zeros((n + 1, w, m + 1))
        ahead[0, :, 0] = behind[n, :, m] = 1
        for i in range(n):
            for size, score in enumerate(scores):
                ahead[i + 1, :, size:] += ahead[i, :, : m + 1 - size] * score[:, i]
        for i in reversed(range(n)):
            for size, score in enumerate(scores):
                behind[i, :, : m + 1 - size] += behind[i + 1, :, size:] * score[:, i]
        total = ahead[n, :, m, None]
        for i in range(n):
            for size, score in enumerate(scores):
                part = ahead[i, :, : m + 1 - size] * score[:, i] * behind[i + 1, :, size:] / total
                where: tuple[Ints, ...] = (np.broadcast_to(letters[:, i, None], part.shape),)
                where += tuple(sounds[:, k : m + 1 - size + k] for k in range(size))
                np.add.at(counts[size], where, part)

    def alignments(self) -> list[tuple[str, list[str]]]:
        """(word, for each letter its sounds joined by spaces), for all words that can be aligned."""
        found: list[tuple[str, list[str]]] = []
        for members, letters, sounds in self._groups:
            (w, n), m = letters.shape, sounds.shape[1]
            scores = self._scores(letters, sounds)
            best = np.full((w, m + 1), -np.inf)
            best[:, 0] = 0
            choices = np.zeros((n, w, m + 1), int)
            for i in range(n):
                options = np.full((3, w, m + 1), -np.inf)
                for size, score in enumerate(scores):
                    options[size, :, size:] = best[:, : m + 1 - size] + np.log(score[:, i])
                choices[i], best = options.argmax(0), options.max(0)
            for row, member in enumerate(members):
                word, own = self.words[member]
                end, parts = m, []
                for i in reversed(range(n)):
                    size = int(choices[i, row, end])
                    parts.append(" ".join(own[end - size : end]))
                    end -= size
                found.append((word, parts[::-1]))
        return found
