"""Draws ``docs/pictures/singing.png``: the melody of a song and of its conversions, and their mels.

Run from the root: python docs/make_singing.py SONG SINGER MODEL [MODEL ...]
SINGER is a name that the models know. It needs matplotlib.
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
from amphion_core.api import Audio, FeaturePart
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig

PICTURE = Path(__file__).parent / "pictures" / "singing.png"
RATE = 22050
MEL = MelConfig(sample_rate=RATE, n_fft=1024, hop_length=256, n_mels=128, fmax=None)  # up to half the sample rate


def main(song: str, singer: str, *models: str) -> None:
    """Converts the song by each model, and draws."""
    source = Audio.load(song).mono()
    tracker = FeaturePart.named("f0_swift").build()
    figure, axes = plt.subplots(2, 1 + len(models), figsize=(3.4 * (1 + len(models)), 4.4), squeeze=False, sharey="row")
    for column, place in enumerate(("", *models)):
        sound, title = source, "song"
        if place:
            task = amphion.task("svc", model=place)
            plan = task.plan(task.request(audio=source, singer=singer))
            sound = Audio.concatenate(list(task.convert(plan)))
            title = f"{Path(place).name}, key {plan.key_shift:+g}"
        wave = sound.normalize().resample(RATE).samples
        mel = mel_spectrogram(torch.from_numpy(wave.copy())[None], MEL)[0]
        axes[0, column].imshow(mel, origin="lower", aspect="auto", vmin=-9, vmax=1, cmap="magma")
        axes[0, column].set_title(title, fontsize=9)
        axes[0, column].set_axis_off()
        own = sound.resample(tracker.sample_rate).samples
        f0 = tracker.extract(torch.from_numpy(np.ascontiguousarray(own))[None])[0, 0].numpy()
        if not place:
            melody, times = f0, np.arange(len(f0)) * tracker.frame_shift
        shifted = melody * 2 ** (plan.key_shift / 12) if place else melody
        axis = axes[1, column]
        axis.plot(times, np.where(shifted > 0, shifted, np.nan), color="0.75", linewidth=4, label="song, in the key")
        axis.plot(times[: len(f0)], np.where(f0 > 0, f0, np.nan)[: len(times)], linewidth=1.2, label="F0, Hz")
        axis.tick_params(labelsize=7, which="both")
        axis.legend(fontsize=7)
    figure.tight_layout(pad=0.4)
    figure.savefig(PICTURE, dpi=80)
    Image.open(PICTURE).convert("RGB").quantize(96).save(PICTURE, optimize=True)
    print(f"picture: {PICTURE}")


if __name__ == "__main__":
    main(*sys.argv[1:])
