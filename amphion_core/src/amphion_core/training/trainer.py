"""ModelTrainer: what a training run does with a model, stated as updates; the engine carries them out.

A trainer has networks, a step that yields updates, and a validation step. One mechanism serves a single loss, GANs,
alternating stages and distillation; ``docs/training.md`` shows each.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from amphion_core.component import Component
from amphion_core.config import BaseConfig
from amphion_core.data.batch import Batch, Collate, collate_audio
from amphion_core.families import ModelArchitecture
from amphion_core.parts import FeaturePart


@dataclass(frozen=True, slots=True)
class Update:
    """One optimiser step of one network: ``loss`` is differentiated with respect to ``group``'s parameters only.

    ``loss`` and every one of ``logs`` is a contribution: a sum over this micro-batch's valid items, divided by a count
    of the whole step (``batch.totals``). The engine adds contributions up; it never averages.
    """

    group: str
    loss: Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Validation:
    """What one validation batch shows: ``scores`` hold one number an item, which are averaged over all items.

    A score that is not finite is one that the metric does not define for the item; it is left out. ``audio`` (T,) and
    ``pictures`` (F, N) go to TensorBoard and the run's samples, under their names.
    """

    scores: Mapping[str, Sequence[float]]
    audio: Mapping[str, Tensor] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)


class ModelTrainer(Component):
    """How a model is trained. Modules that are not in ``networks`` are frozen and in eval mode.

    ``ema`` are the averaged networks by name, where the recipe asks for averages; a step may call them.
    """

    ema: dict[str, nn.Module]
    higher_is_better: ClassVar[frozenset[str]] = frozenset()  # validation scores of which more is better

    def __init__(self, config: BaseConfig, *, model: ModelArchitecture) -> None:
        super().__init__(config)
        self.model = model
        self.ema = {}

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Rate of the audio the trainer wants, Hz."""

    @property
    def hop_length(self) -> int:
        """Samples between the frames of cached features, which crops are aligned to."""
        return 1

    def features(self) -> dict[str, FeaturePart]:
        """The features read from the cache, by the name they get in the batch. None unless overridden."""
        return {}

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """What is trained and saved, each with an optimiser of its own, in the order in which they are stored."""

    def collator(self) -> Collate:
        """What makes examples into a batch, in a loader process: pads audio and features, unless overridden.

        It must pickle, so it is a function of a module or an object that holds what it needs, such as the model's
        text frontend or its speakers' names, and never the trainer or a network.
        """
        return collate_audio

    @abstractmethod
    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield updates, in an order that depends on ``step`` only; after each yield the network has been updated.

        No ``no_grad`` or autocast block may be open at a yield.
        """

    @abstractmethod
    def validation_step(self, batch: Batch) -> Validation:
        """What the networks make of a batch; without gradients, in eval mode."""

    def frozen(self) -> dict[str, nn.Module]:
        """Modules held by the trainer that belong to no network: judges, teachers, feature extractors."""
        trained = {id(module) for network in self.networks().values() for module in network.modules()}
        held = {name: value for name, value in vars(self).items() if isinstance(value, nn.Module)}
        return {name: module for name, module in held.items() if id(module) not in trained}
