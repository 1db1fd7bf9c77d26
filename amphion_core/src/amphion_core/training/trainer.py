"""ModelTrainer: how a model is trained. It yields updates; the engine carries them out.

A trainer has networks, a step that yields updates, and a validation step. This is enough for a single loss, GANs,
alternating stages and distillation; ``docs/training.md`` shows each of them.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from amphion_core.component import Component, Utterance
from amphion_core.config import BaseConfig
from amphion_core.data.batch import Batch, Collate, Partners, collate_audio
from amphion_core.families import ModelArchitecture
from amphion_core.parts import FeaturePart
from amphion_core.training.partition import Partition, partition

if TYPE_CHECKING:
    from amphion_core.data.loader import Corpus


@dataclass(frozen=True, slots=True)
class Update:
    """One optimiser step of the network called ``group``. ``loss`` gives gradients to its parameters only.

    ``loss`` and each of ``logs`` is a contribution: a sum over the valid items of this micro-batch, divided by a count
    of the whole step (``batch.totals``). The engine adds contributions; it never averages.
    """

    group: str
    loss: Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of one validation batch. ``scores`` hold one number for each item; the engine averages over all items.

    A score that is not finite means that the metric is not defined for the item; the average leaves it out.
    ``audio`` (T,) and ``pictures`` (F, N) go to TensorBoard and to the run's samples, under their names.
    """

    scores: Mapping[str, Sequence[float]]
    audio: Mapping[str, Tensor] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)


class ModelTrainer(Component):
    """How a model is trained. ``networks`` are trained; all other modules that the trainer holds are frozen.

    ``ema`` are the moving averages of networks, by name, where the recipe asks for them; a step may call them.
    ``higher_is_better`` states for each validation score whether more is better; None: neither more nor less is.
    Only scores that are listed there can decide which checkpoint is best (``engine.monitor``).

    ``trains`` is the family of models that it trains, such as ``vocoder``; None: any family. A recipe with a model of
    another family is refused when it is read.

    The conformance kit trains ``example_model``, the registry name of a model, built from its ``example_config``.
    ``example_crop`` is for trainers whose items must all have the same length, which a recipe gives them as
    ``data.crop``: the samples of each item in the kit.
    ``example_captions`` are the captions of its four recordings, where any text does not do.
    """

    trains: ClassVar[str | None] = None
    example_model: ClassVar[str] = ""
    example_crop: ClassVar[int | None] = None
    example_captions: ClassVar[tuple[str, ...]] = ()
    ema: dict[str, nn.Module]
    higher_is_better: Mapping[str, bool | None] = MappingProxyType({})

    def __init__(self, config: BaseConfig, *, model: ModelArchitecture) -> None:
        super().__init__(config)
        self.model = model
        self.ema = {}

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Sample rate of the audio that the trainer takes, Hz."""

    @property
    def hop_length(self) -> int:
        """Samples between the frames of cached features. Crops begin at a multiple of it."""
        return 1

    def features(self) -> dict[str, FeaturePart]:
        """The features that are read from the cache, by their name in the batch. None unless overridden."""
        return {}

    @property
    def validation_partners(self) -> Partners | None:
        """Whether each validation item comes with another one, as `Example.partner`, for the collator.

        "own voice": of its speaker, as the prompt of a model that imitates a recording. "other voice": of another
        speaker, as the target of a model that converts. A corpus may have no such item, so the partner may be None.
        """
        return None

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """What is trained and saved, by name: the model, parts of it, or other modules such as discriminators.

        Each network gets its own optimiser. Checkpoints store them in this order.
        """

    def collator(self) -> Collate:
        """The function that makes a batch from examples, in a loader process. It pads audio and features by default.

        It must pickle, so it is a function of a module or an object that holds what it needs, such as the model's
        text frontend or its speakers' names, and never the trainer or a network.
        """
        return collate_audio

    def unusable(self, utterance: Utterance) -> str | None:
        """Why the trainer cannot use an item, such as "no text"; None: it can.

        Every item of both splits is asked for once before the first step. Those with a reason are left out, and the
        reasons are shown with their items. Raises DataError for an item that the user must correct first.
        """
        return None

    @abstractmethod
    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield updates. When the generator continues after a yield, that network has been updated.

        The order of the updates may depend on ``step`` only. No ``no_grad`` or autocast block may be open at a yield.
        """

    @abstractmethod
    def validation_step(self, batch: Batch) -> Validation:
        """Scores, audio and pictures of a batch. The engine calls it without gradients, with networks in eval mode."""

    def measure(self, corpus: "Corpus") -> None:
        """Fill buffers of the networks with what is measured on the training corpus, such as the scale of latents.

        Called once for a new run, with the initial weights, before the averages are made; the result must depend on
        the corpus and the weights only. A run that is resumed has the buffers in its checkpoint.
        """

    def corpus_remarks(self, seconds: float, *, fine_tuning: bool) -> Sequence[str]:
        """What is wrong with a training corpus of this duration, in words, and what to do. Shown before the first step.

        With ``fine_tuning`` the networks begin with the weights that ``engine.init_from`` names.
        """
        return ()

    def remarks(self, scores: Mapping[str, float]) -> Sequence[str]:
        """What is wrong with a validation of these average scores, in words, and what to check. Shown as warnings."""
        return ()

    def partition(self) -> Partition:
        """All modules that the trainer holds, by whether they are trained.

        They are also found in lists, tuples and dicts. Raises AmphionError that names a parameter which belongs to no
        network and to no module that is frozen as a whole.
        """
        return partition(self.networks(), {name: value for name, value in vars(self).items() if name != "ema"})

    def frozen(self) -> dict[str, nn.Module]:
        """The largest modules that contain nothing trained, by their path: teachers, parts of the model, ..."""
        return self.partition().frozen
