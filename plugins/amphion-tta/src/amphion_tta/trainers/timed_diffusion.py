"""Training of latent diffusion with captions that state times: PicoAudio learns which sound begins when.

Xie et al., "PicoAudio", arXiv:2407.02869. The losses are those of the trainer latent_diffusion. Its ``min_snr`` weights
follow the formula for velocities; ``min_snr_formula=epsilon`` gives the weights of the published code.
Recordings are not cut, since their captions state times. Shorter ones get silence up to the longest sound of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from amphion_core.api import Batch, Collate, Example, ModelArchitecture, TextCondition, Utterance
from amphion_core.data.batch import Array, collate_audio
from amphion_core.errors import DataError, RecipeError
from amphion_tta.onsets import read_caption
from amphion_tta.trainers.caption_memory import MOST
from amphion_tta.trainers.latent_diffusion import LATENTS, LatentDiffusionTrainer

if TYPE_CHECKING:
    from amphion_tta.models.picoaudio import PicoAudio

ROUNDED = 0.02  # seconds by which the audio of an item may differ from what is stated


class TimedDiffusionTrainer(LatentDiffusionTrainer):
    """Each step adds noise to the latents of recordings; the network finds it, given the times of the events."""

    network: "PicoAudio"
    trains = "tta"
    example_model = "tta/picoaudio"
    example_crop = None
    example_captions = ("hello at 0.1-0.4", "how are you at 0-0.2, 0.3-0.5", "good day at 0.2-0.6", "fine at 0-0.1")

    def __init__(self, config: LatentDiffusionTrainer.Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and what opening the text encoder and the autoencoder raises."""
        from amphion_tta.models.picoaudio import PicoAudio

        if not isinstance(model, PicoAudio):
            raise RecipeError(
                f"the trainer timed_diffusion cannot train {type(model).__name__}: it trains tta/picoaudio",
                hint="use trainer: {name: latent_diffusion} for models without times",
            )
        if config.condition == "audio":
            raise RecipeError(
                "trainer.condition: the times are in the captions, so audio cannot be the condition",
                hint="trainer.condition=caption",
            )
        super().__init__(config, model=model)
        self._known: dict[str, TextCondition] = {}

    @property
    def window(self) -> int:
        """Samples of the longest sound of the model."""
        return int(self.network.config.columns * self.hop_length)

    def collator(self) -> Collate:
        """Fills up each recording with silence; cached latents must be as long as the longest sound of the model."""
        return TimedCollate(self.window, self.sample_rate, self.network.config.columns)

    def unusable(self, utterance: Utterance) -> str | None:
        """Why a recording cannot be used: its caption states no times, names another event, or it is too long."""
        seconds, caption = self.window / self.sample_rate, utterance.caption.strip()
        if not any(char.isdigit() for char in caption):
            return "its caption states no times" if caption else "no caption"
        if utterance.duration > seconds + ROUNDED:
            return f"it is longer than {seconds:g} s, the longest sound of the model"
        try:
            read_caption(caption, self.network.config.events, duration=seconds)
        except DataError as error:
            return f"its caption cannot be used: {error.message}"
        return None

    def condition(self, batch: Batch, dropped: Tensor | None = None) -> TextCondition:
        """The events of each caption and their times. Items that are True in ``dropped`` (B) get the empty caption."""
        device = batch["wave"].device
        if self.encoder.device != device:
            self.encoder.to(device)
        drops = [False] * len(batch) if dropped is None else dropped.tolist()
        captions = ["" if drop else text for drop, text in zip(drops, batch.texts["caption"], strict=True)]
        rows = [self._read(caption) for caption in captions]
        pooled = [row.pooled for row in rows if row.pooled is not None]
        return TextCondition(
            torch.cat([row.states for row in rows]).to(device),
            torch.cat([row.mask for row in rows]).to(device),
            torch.cat(pooled).to(device) if pooled else None,
        )

    def _read(self, caption: str) -> TextCondition:
        if caption not in self._known:
            if len(self._known) >= MOST:
                self._known.clear()
            seconds = self.window / self.sample_rate
            self._known[caption] = self.network.read_captions([caption], duration=seconds, encoder=self.encoder)
        return self._known[caption]


@dataclass(frozen=True, slots=True)
class TimedCollate:
    """Examples -> a batch whose waves all have ``window`` samples, filled up with silence.

    Raises DataError for a recording that was cut or stretched, since its caption would no longer be true, and for
    cached latents that are not ``columns`` long.
    """

    window: int
    rate: int
    columns: int

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """As `collate_audio`."""
        return collate_audio([replace(example, wave=self._whole(example)) for example in examples])

    def _whole(self, example: Example) -> Array:
        wave, id = example.wave, example.utterance.id
        if abs(len(wave) / self.rate - example.utterance.duration) > ROUNDED:
            raise DataError(
                f"{id}: the recording was cut or stretched, so the times in its caption are no longer true",
                hint="leave out data.crop, and augmentations that change the length",
            )
        latents = example.features.get(LATENTS)
        if latents is not None and latents.shape[-1] != self.columns:
            raise DataError(
                f"{id}: its {latents.shape[-1]} cached latents do not fill the {self.columns} columns of the model",
                hint="set trainer.cache=false, or model.columns to the latents of the recordings",
            )
        return np.pad(wave[: self.window], (0, max(0, self.window - len(wave))))
