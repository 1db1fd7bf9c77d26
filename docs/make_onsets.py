"""Draws ``docs/pictures/onsets.png``: the mel of a simulated mixture, and under it the onset matrix of its caption.

Run from the root, with a folder of single sounds such as ESC-10: python docs/make_onsets.py FOLDER
It needs matplotlib.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from PIL import Image

from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig
from amphion_tta.datasets.event_mixtures import EventMixtures
from amphion_tta.onsets import onset_matrix
from amphion_tta.timed_events import sentence

PICTURE = Path(__file__).parent / "pictures" / "onsets.png"
NUMBER = 2  # of the mixture
RATE = 25  # columns of the matrix in a second


def main(folder: str) -> None:
    """Mixes the sounds of ``folder``, and draws."""
    mixer = EventMixtures(EventMixtures.Config(root=folder, kinds=(3, 3), occurrences=(1, 2), longest_sound=1.2))
    samples, events = mixer.mixture("train", NUMBER, mixer.pools()["train"])
    seconds, names = mixer.config.seconds, [event.name for event in events]
    mel = mel_spectrogram(torch.from_numpy(samples)[None], MelConfig.preset("audioldm_16k_64"))[0]
    matrix = onset_matrix(events, names, rows=len(names), columns=round(seconds * RATE), rate=RATE)
    figure, axes = plt.subplots(2, figsize=(8, 3.6), sharex=True, height_ratios=(3, 1))
    axes[0].imshow(mel, origin="lower", aspect="auto", extent=(0, seconds, 0, len(mel)), cmap="magma", vmin=-10)
    axes[0].set_ylabel("mel band")
    axes[0].set_title(sentence(events), fontsize=8)
    places = (0, seconds, len(names) - 0.5, -0.5)
    axes[1].imshow(matrix, aspect="auto", extent=places, cmap="Greys", vmax=1.3, interpolation="nearest")
    axes[1].set_yticks(range(len(names)), names, fontsize=8)
    axes[1].set_xlabel("seconds")
    figure.tight_layout(pad=0.5)
    figure.savefig(PICTURE, dpi=90)
    Image.open(PICTURE).convert("RGB").quantize(96).save(PICTURE, optimize=True)
    print(f"picture: {PICTURE}   {sentence(events)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
