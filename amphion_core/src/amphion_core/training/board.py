"""Write curves, audio and pictures for TensorBoard, and the samples as files."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from amphion_core.audio import Audio
from amphion_core.colours import Image, colour_map


class Board:
    """Writes events into ``folder``. TensorBoard hides what an interrupted run wrote after ``step``."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add one point to every curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def samples(self, step: int, audio: dict[str, Tensor], pictures: dict[str, Tensor], rate: int) -> None:
        """Add audio (T,) at ``rate`` Hz, also as ``samples/step-N/NAME.wav``, and pictures (F, N)."""
        folder = self.folder / "samples" / f"step-{step}"
        for name, wave in audio.items():
            folder.mkdir(parents=True, exist_ok=True)
            samples = wave.detach().float().cpu().clamp(-1, 1)
            Audio(samples.numpy(), rate).save(folder / f"{name.replace('/', '_')}.wav")
            self._writer.add_audio(name, samples[None], step, rate)
        for name, picture in pictures.items():
            self._writer.add_image(name, colours(picture), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Write the remaining events to the disk."""
        self._writer.close()


def colours(picture: Tensor) -> Image:
    """(F, N) as an image (F, N, 3), low bands at the bottom, the smallest value darkest."""
    values = picture.detach().float().cpu().numpy()[::-1]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return colour_map((values - low) / (high - low or 1.0))
