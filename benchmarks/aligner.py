"""The learned aligner against exact durations: sentences of the default voice, whose durations the voice itself states.

The aligner is trained on most of the sentences; the rest are aligned. Prints the errors of durations and of borders in
frames of 11.6 ms. Run: python benchmarks/aligner.py [SENTENCES_FILE], one sentence a line; some hundred give the
documented figures.
"""

import random
import sys
from pathlib import Path

import numpy as np
import torch
from intelligibility import SENTENCES

import amphion_core as amphion
from amphion_core.data.batch import pad
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig
from amphion_tts.models.aligner import Aligner, binarization_loss, forward_sum_loss, hard_durations

MEL = MelConfig.preset("hifigan_22k_80")
STEPS, REPORTED, ITEMS = 200, (25, 50, 100, 200), 16
Item = tuple[np.ndarray, np.ndarray, np.ndarray]  # ids (L), durations (L), mel (F, N)


def main() -> None:
    torch.manual_seed(0)
    random.seed(0)
    torch.set_num_threads(1)
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if len(sys.argv) > 1 else SENTENCES
    items = spoken([line for line in lines if line.strip()])
    held_out = items[:: max(2, min(8, len(items) // 12))]
    training = [item for item in items if all(item is not other for other in held_out)]
    aligner = Aligner(256, MEL.n_mels)
    stepper = torch.optim.Adam(aligner.parameters(), 1e-3, (0.9, 0.98))
    print(f"{len(training)} sentences to learn from, {len(held_out)} to align")
    for step in range(1, STEPS + 1):
        ids, lengths, mel, frames, _ = batch(random.sample(training, min(ITEMS, len(training))))
        log_p = aligner(ids, lengths, mel, frames)
        loss = forward_sum_loss(log_p, lengths, frames).sum()
        if step > STEPS // 2:
            loss = loss + binarization_loss(log_p, hard_durations(log_p, lengths, frames)[0]).sum()
        stepper.zero_grad()
        (loss / frames.sum()).backward()
        stepper.step()
        if step in REPORTED:
            print(f"step {step:3}: {errors(aligner, held_out)}")


def spoken(texts: list[str]) -> list[Item]:
    """Each text as the voice says it. A blank symbol and its frames are added to the symbol before it."""
    task = amphion.task("tts")
    blank = task.frontend.ids(task.frontend.tokens("a"))[1]
    found = []
    for number, text in enumerate(texts):
        row = task.frontend.ids(task.frontend.tokens(text))
        made = task.net.synthesize(torch.tensor([row]), torch.tensor([len(row)]), seed=number)
        ids: list[int] = []
        durations: list[int] = []
        for index, count in zip(row, made.durations[0].tolist(), strict=True):
            if index == blank and ids:
                durations[-1] += count
            else:
                ids.append(index)
                durations.append(count)
        mel = mel_spectrogram(made.wave[:, : int(made.lengths[0])], MEL)[0]
        found.append((np.array(ids), np.array(durations), mel.numpy()))
    return found


def batch(items: list[Item]) -> tuple[torch.Tensor, ...]:
    """ids (B, L), their lengths, mels (B, F, N), their lengths, and exact durations (B, L)."""
    ids, lengths = pad([item[0] for item in items])
    mel, frames = pad([item[2] for item in items])
    return ids, lengths, mel, frames, pad([item[1] for item in items])[0]


@torch.no_grad()
def errors(aligner: Aligner, items: list[Item]) -> str:
    """Errors of the durations and of the borders between tokens, in frames."""
    durations, borders = [], []
    for item in items:
        ids, lengths, mel, frames, exact = batch([item])
        found = hard_durations(aligner(ids, lengths, mel, frames), lengths, frames)[1]
        durations += (found - exact).abs()[0].tolist()
        borders += (found.cumsum(1) - exact.cumsum(1)).abs()[0, :-1].tolist()
    within = np.mean(np.array(borders) <= 2)
    return (
        f"durations median {np.median(durations):.0f}, mean {np.mean(durations):.2f}; "
        f"borders median {np.median(borders):.0f}, mean {np.mean(borders):.2f}, {within:.0%} within 2 frames"
    )


if __name__ == "__main__":
    main()
