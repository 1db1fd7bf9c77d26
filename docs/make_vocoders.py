"""Draws ``docs/pictures/vocoders.png``: mels of a recording and of its copies by trained vocoders, side by side.

Run from the root, with the runs that benchmarks/vocoder_learning.py made: python docs/make_vocoders.py PREPARED RUNS
It needs matplotlib.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig

PICTURE = Path(__file__).parent / "pictures" / "vocoders.png"
RATE, COLUMNS = 22050, 4
MEL = MelConfig(sample_rate=RATE, n_fft=1024, hop_length=256, n_mels=128, fmax=None)  # up to half the sample rate


def main(prepared: str, runs: str) -> None:
    """Copies the first item of the split test by each run, and draws."""
    record = next(iter(Manifest(prepared, "test")))
    recording = Audio(Reader().read(record.utterance, record.rate), record.rate)
    sounds = {"recording": recording, "Griffin-Lim": amphion.task("vocoder", model="vocoder/griffin_lim")}
    sounds |= {
        run.name: amphion.task("vocoder", model=str(run)) for run in sorted(Path(runs).iterdir()) if run.is_dir()
    }
    rows = -(-len(sounds) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(3 * COLUMNS, 1.9 * rows), sharex=True, sharey=True)
    for axis, (name, sound) in zip(np.ravel(axes), sounds.items(), strict=False):
        audio = sound if isinstance(sound, Audio) else sound.generate(recording)
        mel = mel_spectrogram(torch.from_numpy(audio.resample(RATE).samples.copy())[None], MEL)[0]
        axis.imshow(mel, origin="lower", aspect="auto", vmin=-9, vmax=1, cmap="magma")
        axis.set_title(name, fontsize=9)
    for axis in np.ravel(axes):
        axis.set_axis_off()
    figure.tight_layout(pad=0.4)
    figure.savefig(PICTURE, dpi=80)
    Image.open(PICTURE).convert("RGB").quantize(96).save(PICTURE, optimize=True)
    print(f"picture: {PICTURE}   {record.utterance.id}: {record.utterance.text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
