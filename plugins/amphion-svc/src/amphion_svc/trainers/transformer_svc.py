"""Training of TransformerSVC: the absolute distance of mels, and their structural similarity.

The losses are those of the published training; the similarity is averaged over valid frames only.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field
from torch import nn

from amphion_core.api import Batch, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_svc.losses import absolute_distance, structural_distance
from amphion_svc.trainers.converter_trainer import ConverterTrainer

if TYPE_CHECKING:
    from amphion_svc.models.transformer import TransformerSVC


class TransformerSVCTrainer(ConverterTrainer):
    """Each step updates the whole network."""

    class Config(ConverterTrainer.Config):
        """The weight of the similarity."""

        similarity_weight: float = Field(
            default=1.0, ge=0, le=1e6, description="weight of the structural similarity; that of the distance is 1"
        )

    config: Config
    network: "TransformerSVC"
    example_model = "svc/transformer"

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and for metrics that cannot be computed."""
        from amphion_svc.models.transformer import TransformerSVC

        if not isinstance(model, TransformerSVC):
            raise RecipeError(
                f"the trainer transformer_svc cannot train {type(model).__name__}",
                hint="set model=svc/transformer",
            )
        super().__init__(config, model=model)

    def networks(self) -> dict[str, nn.Module]:
        """The whole model."""
        return {"model": self.network}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``f0``, the content features and ``speaker`` or ``voice`` -> the update of the network."""
        learned = self.learned(batch)
        made, wanted = self.network(**learned.inputs), self.network.scaled(learned.mel)
        values = batch.totals["frames"] * self.mel.n_mels
        losses = {
            "distance": absolute_distance(made, wanted, learned.mask).sum() / values,
            "similarity": structural_distance(made, wanted, learned.mask).sum() / values,
        }
        yield Update("model", losses["distance"] + self.config.similarity_weight * losses["similarity"], losses)

    def validation_step(self, batch: Batch) -> Validation:
        """The absolute error of each mel in the units of the mel, and what the metrics say of other voices."""
        network: TransformerSVC = self.ema.get("model", self.network)  # type: ignore[assignment]
        learned = self.learned(batch)
        made = network.unscaled(network(**learned.inputs))
        errors = absolute_distance(made, learned.mel, learned.mask) / (learned.lengths * self.mel.n_mels)
        return self.validated(network, batch, {"mel": errors.tolist()}, made)
