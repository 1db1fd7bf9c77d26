"""Training of autoregressive vocoders by the likelihood of recordings, each sample predicted from the real ones before.

Van den Oord et al.: "WaveNet: A Generative Model for Raw Audio", arXiv:1609.03499, eq. 1. Deviations: none.
The loss is that of the model's distribution: classes, a mixture of logistics, or a normal distribution.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import Batch, ModelArchitecture, Update, Validation
from amphion_core.data.batch import Collate, Example, collate_audio
from amphion_core.errors import DataError, RecipeError
from amphion_core.speakers import speaker_index
from amphion_vocoders.trainers.mel_losses import mel_distance
from amphion_vocoders.trainers.vocoder_trainer import VocoderTrainer


@runtime_checkable
class Autoregressive(Protocol):
    """A vocoder that knows how likely a recording is."""

    def negative_log_likelihood(self, mel: Tensor, wave: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Mel (B, F, N), its audio (B, T), T = N * hop, speakers (B) -> nats for each sample of each item (B)."""
        ...


class AutoregressiveVocoderTrainer(VocoderTrainer):
    """Each step makes the recordings of the batch more likely, sample by sample."""

    class Config(VocoderTrainer.Config):
        """What a validation measures."""

        copies: bool = Field(
            default=True, description="whether a validation generates copies, which takes long for long recordings"
        )

    config: Config
    example_model = "vocoder/wavenet"
    errors = ("nll", "mel")

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        if not isinstance(model, Autoregressive):
            raise RecipeError(
                f"the trainer autoregressive_vocoder cannot train {type(model).__name__}: it trains vocoders that "
                "predict each sample from those before, such as vocoder/wavenet",
                hint="amphion list trainers",
            )
        if config.metrics and not config.copies:
            raise RecipeError(
                "trainer.metrics: they score copies, and trainer.copies is false", hint="leave out trainer.copies"
            )
        super().__init__(config, model=model)
        speakers = getattr(model.config, "speakers", ())
        self._collate = SpeakerCollator(speakers) if len(speakers) > 1 else collate_audio

    def networks(self) -> dict[str, nn.Module]:
        """The model as "vocoder"."""
        return {"vocoder": self.model}

    def collator(self) -> Collate:
        """Recordings, with the indices of their speakers where the model has several."""
        return self._collate

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T) -> one update."""
        loss = self._loss(self.model, batch).sum() / batch.totals["items"]
        yield Update("vocoder", loss, {"nll": loss.detach()})

    def validation_step(self, batch: Batch) -> Validation:
        """The likelihood of each recording, and copy synthesis with the seed 0."""
        network: Any = self.ema.get("vocoder", self.model)
        scores = {"nll": self._loss(network, batch).tolist()}
        if not self.config.copies:
            return Validation(scores)
        mel, wave = self.aligned(batch["wave"])
        speakers = batch.tensors.get("speaker")
        if speakers is None:
            made = network.vocode(mel, seed=0)
        else:
            names = self.model.config.speakers
            made = torch.cat([
                network.vocode(mel[n : n + 1], seed=0, controls=network.controls({"speaker": names[index]}))
                for n, index in enumerate(speakers.tolist())
            ])  # fmt: skip
        scores["mel"] = mel_distance(made, wave, (self.mel,)).tolist()
        return self.validation(made, wave, batch, scores, mel=self.mel)

    def _loss(self, network: Any, batch: Batch) -> Tensor:
        """(B): nats for each sample."""
        return network.negative_log_likelihood(*self.aligned(batch["wave"]), batch.tensors.get("speaker"))


class SpeakerCollator:
    """Recordings padded as by `collate_audio`, with ``speaker`` (B), the indices of their speakers.

    Raises DataError that names the item whose speaker the model does not have.
    """

    def __init__(self, speakers: Sequence[str]) -> None:
        self.speakers = tuple(speakers)

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch."""
        batch = collate_audio(examples)
        batch.tensors["speaker"] = torch.tensor([self._index(example) for example in examples])
        return batch

    def _index(self, example: Example) -> int:
        try:
            return speaker_index(example.utterance.speaker, self.speakers)
        except DataError as error:
            raise DataError(f"item {example.utterance.id}: {error.message}", hint=error.hint) from error
