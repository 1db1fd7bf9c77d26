"""Families of networks: the base classes that models subclass, so that tasks and the command line can rely on them.

Letters: B batch, C channels, T samples, F mel bands, N frames, L tokens, K codebooks.
"""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from amphion_core.component import Component
from amphion_core.config import BaseConfig
from amphion_core.errors import WeightsError
from amphion_core.modules.folding import fold_weight_norms

Precision = Literal["float32", "bf16"]
"""What inference computes in: bf16 is used where the device gains from it."""


class ModelArchitecture(Component, nn.Module):
    """A network with a name: built from its config, loadable from its publisher's checkpoints."""

    layouts: ClassVar[tuple[str, ...]] = ()  # the publishers' layouts that import_state_dict reads
    precision: Precision = "float32"

    def __init__(self, config: BaseConfig) -> None:
        nn.Module.__init__(self)
        self.config = config

    @classmethod
    @abstractmethod
    def example_config(cls) -> Any:
        """A tiny valid config, under 1 M parameters: the conformance kit, tests and docs run on it."""

    @abstractmethod
    def example_inputs(self) -> dict[str, Any]:
        """Keyword arguments for ``forward`` that fit ``example_config``."""

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A publisher's checkpoint and config as ours: (Config, state dict).

        Raises WeightsError for a layout or a checkpoint that does not belong to this network.
        """
        known = ", ".join(cls.layouts) or "none"
        raise WeightsError(f"{cls.__name__} does not read the layout {layout!r}; it reads: {known}")

    def for_inference(self, precision: Precision = "float32") -> Self:
        """This network ready to generate: eval mode, no gradients, weight norms folded into plain weights.

        ``precision="bf16"`` computes in bfloat16 where the device gains from it; elsewhere it warns and stays float32.
        """
        from amphion_core.precision import resolve_precision

        self.eval().requires_grad_(False)
        fold_weight_norms(self)
        self.precision = resolve_precision(precision, self.device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the network computes; the CPU if it has no parameters."""
        return next((tensor.device for tensor in self.parameters()), torch.device("cpu"))

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which inference computes: bfloat16 autocast after ``for_inference("bf16")``, else nothing."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What acoustic and end-to-end models return: ``mel`` (B, F, N) or ``wave`` (B, T), and what led to it.

    ``lengths`` (B) are valid frames of the mel, or valid samples of the wave. ``durations`` (B, L) are in frames.
    """

    lengths: Tensor
    mel: Tensor | None = None
    wave: Tensor | None = None
    durations: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Codes:
    """What a codec writes: ``indices`` (K, B, N), and further streams where the codec has them."""

    indices: Tensor
    extra: dict[str, Tensor] | None = None


class Vocoder(ModelArchitecture):
    """Mel to wave. ``forward(mel (B, F, N), f0 (B, N) = None) -> (B, 1, T)`` where the model is feed-forward."""

    @abstractmethod
    def vocode(self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1], T = N * hop_length; ``f0`` (B, N) in Hz, 0 = unvoiced. No gradients."""


class Discriminator(ModelArchitecture):
    """Real or generated, judged by several sub-discriminators."""

    @abstractmethod
    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores and feature maps, one entry a sub-discriminator."""


class Codec(ModelArchitecture):
    """Wave to codes and back. ``forward(wave (B, 1, T)) -> (wave (B, 1, T), losses)``."""

    @abstractmethod
    def encode(self, wave: Tensor) -> Codes:
        """(B, 1, T) -> Codes with indices (K, B, N). No gradients."""

    @abstractmethod
    def decode(self, codes: Codes) -> Tensor:
        """Codes -> (B, 1, T). No gradients."""


class TextToSpeech(ModelArchitecture):
    """Tokens to mel or wave; ``forward(batch)`` is the training pass. Its config has ``frontend`` and ``mel``."""

    output: ClassVar[Literal["mel", "wave"]] = "mel"  # "mel": a vocoder of the same mel convention must follow

    @abstractmethod
    def synthesize(
        self,
        ids: Tensor,
        lengths: Tensor,
        speaker: Tensor | None = None,
        *,
        seed: int | None = None,
        noise_scale: float | None = None,
        duration_noise_scale: float | None = None,
        length_scale: float | None = None,
    ) -> Synthesis:
        """ids (B, L), lengths (B), speaker (B) -> Synthesis. No gradients.

        A scale that is None is the config's; one that the model does not have is ignored.
        """


class VoiceConverter(ModelArchitecture):
    """One voice's audio in another voice; ``forward(batch)`` is the training pass."""

    @abstractmethod
    def convert(self, *conditions: Any, **controls: Any) -> Synthesis:
        """The source's content features, F0 and the target voice -> Synthesis. No gradients."""


class TextToAudio(ModelArchitecture):
    """A caption's sound; ``forward(batch)`` is the training pass."""

    @abstractmethod
    def sample(self, *conditions: Any, **controls: Any) -> Synthesis:
        """Text embeddings -> Synthesis. No gradients."""


FAMILIES: dict[str, Any] = {
    "vocoder": Vocoder,
    "discriminator": Discriminator,
    "codec": Codec,
    "tts": TextToSpeech,
    "svc": VoiceConverter,
    "tta": TextToAudio,
}
"""The families that the core checks; a model of any other is checked as a ModelArchitecture only."""
