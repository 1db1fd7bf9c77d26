"""Training of SpeechTokenizer: a codec whose first codebook also learns what a self-supervised network hears.

Zhang et al.: "SpeechTokenizer", arXiv:2308.16692, section 3.2. To the losses of the trainer `codec` comes the
distillation: a linear layer on the vectors of the first codebook predicts the teacher's features, channel by channel.
The teacher is any registered feature of frames, such as ``hubert`` of amphion-svc.
Deviations: the paper's teacher is the mean over HuBERT's layers; a feature of one layer is used here. The balance of
the mel loss is that of the trainer `codec`, which compares seven window lengths.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Batch, FeaturePart, MelConfig, ModelArchitecture
from amphion_core.errors import RecipeError
from amphion_vocoders.trainers.codec import CodecTrainer, Copies

if TYPE_CHECKING:
    from amphion_vocoders.models.speechtokenizer import SpeechTokenizer


class SpeechTokenizerTrainer(CodecTrainer):
    """Each step updates the discriminators, and then the codec with the updated discriminators."""

    class Config(CodecTrainer.Config):
        """The losses and their weights."""

        teacher: FeaturePart | None = Field(
            default=None, description="feature of frames that the first codebook predicts, such as hubert; needed"
        )
        distillation_weight: float = Field(default=120.0, ge=0, le=1e6, description="weight of the distillation")

    config: Config
    example_model = "codec/speechtokenizer"

    @classmethod
    def example_config(cls) -> Config:
        """A mel of six bands as the teacher, and no discriminators."""
        mel = MelConfig(sample_rate=16000, n_fft=64, win_length=64, hop_length=32, n_mels=6)
        return cls.Config(wave_weight=500, teacher=FeaturePart.named("mel", mel=mel))

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and for a teacher that does not fit it."""
        from amphion_vocoders.models.speechtokenizer import SpeechTokenizer

        if not isinstance(model, SpeechTokenizer):
            raise RecipeError(
                f"the trainer speechtokenizer cannot train {type(model).__name__}",
                hint="write model: codec/speechtokenizer",
            )
        super().__init__(config, model=model)
        if config.teacher is None:
            raise RecipeError("trainer.teacher: state the feature that is distilled", hint="trainer.teacher=hubert")
        self._teacher, teacher = config.teacher, config.teacher.build()
        if teacher.frame_shift is None:
            raise RecipeError(
                f"trainer.teacher: {config.teacher.name} has one vector a recording, and one a frame is needed",
                hint="trainer.teacher=hubert",
            )
        if teacher.dim != model.config.semantic_dim:
            raise RecipeError(
                f"model.semantic_dim: {model.config.semantic_dim}, and the teacher has {teacher.dim} channels",
                hint=f"model.semantic_dim={teacher.dim}",
            )

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weights of the losses that `copies` returns, by their names."""
        return {**super().loss_weights, "distillation": self.config.distillation_weight}

    def features(self) -> dict[str, FeaturePart]:
        """The teacher's frames."""
        return {"teacher": self._teacher}

    def copies(self, network: nn.Module, batch: Batch) -> Copies:
        """``wave`` (B, T) and ``teacher`` (B, C, M) -> recordings of whole frames, what ``network`` decodes, losses.

        While the codebooks are bypassed there is no distillation.
        """
        codec, wave = cast("SpeechTokenizer", network), batch["wave"]
        real = wave[:, None, : wave.shape[1] // self.hop_length * self.hop_length]
        found = codec.quantizer(codec.encoder(real))
        losses = {"commitment": found.commitment.mean((0, 2))}
        if found.parts:
            losses["distillation"] = distillation(codec.transform(found.parts[0].mT).mT, batch["teacher"])
        return Copies(real, codec.decoder(found.latents), losses)


def distillation(predicted: Tensor, teacher: Tensor) -> Tensor:
    """(B, C, N), (B, C, M) -> -log sigmoid of the cosine over time, averaged over channels, (B). Eq. 1 of the paper.

    The teacher's frames are brought to N by linear interpolation where their rate is another.
    """
    target = teacher.float()
    if target.shape[2] != predicted.shape[2]:
        target = F.interpolate(target, predicted.shape[2], mode="linear")
    return -F.logsigmoid(torch.cosine_similarity(predicted.float(), target, dim=2)).mean(1)
