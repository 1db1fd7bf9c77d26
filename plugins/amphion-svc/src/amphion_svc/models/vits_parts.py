"""The prior of VitsSVC, its decoder as a field of a config, and the result of its training pass.

Letters: B batch, C channels, N frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from amphion_core import registry
from amphion_core.api import MelConfig, VocoderPart
from amphion_core.modules.relative_attention import Transformer
from amphion_core.parts import Part

KERNEL, WINDOW = 3, 4  # of the published prior: of the feed-forward layers, and of the attention, in frames
DECODERS = (
    "vocoder/nsf_hifigan", "vocoder/hifigan", "vocoder/bigvgan", "vocoder/melgan", "vocoder/apnet", "vocoder/vocos",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class VitsSVCOutput:
    """Result of the training pass. ``wave`` (B, 1, S * hop) begins at frame ``starts`` (B) of each item."""

    wave: Tensor
    starts: Tensor
    z: Tensor  # (B, C, N), as all below
    z_p: Tensor
    m_p: Tensor
    logs_p: Tensor
    logs_q: Tensor
    mask: Tensor  # (B, 1, N), 1 where valid


class PriorEncoder(nn.Module):
    """The condition of each frame -> mean and log deviation of the latent, by the transformer of VITS."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, out_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = Transformer(channels, width, n_heads, n_layers, KERNEL, WINDOW, dropout)
        self.proj = nn.Conv1d(channels, 2 * out_channels, 1)

    def forward(self, condition: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """condition (B, C, N), mask (B, 1, N) -> mean and log deviation, (B, latent, N) each."""
        mean, log_deviation = (self.proj(self.encoder(condition, mask)) * mask).chunk(2, 1)
        return mean, log_deviation


class DecoderPart(VocoderPart):
    """A vocoder that reads a latent instead of a mel. Its mel convention follows from that of the model."""

    def flat(self, context: Any = None) -> str | dict[str, Any]:
        """What is written to disk, without the mel."""
        found = super().flat(context)
        if isinstance(found, str):
            return found
        fields = {name: value for name, value in found.items() if name != "mel"}
        return fields if len(fields) > 1 else self.name

    @classmethod
    def reading(cls, value: Any, mel: MelConfig, channels: int) -> Any:
        """``value`` as it stands in a config, for a latent of ``channels`` in the frames of ``mel``.

        Raises ValueError for a decoder that states a mel.
        """
        own = mel.replace(n_mels=channels)
        if isinstance(value, Part):
            value = {"name": value.name, **value.config.replace(mel=own).model_dump(exclude={"mel"})}
        elif isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            return value
        if "mel" in value:
            raise ValueError("the mel of the decoder follows from mel and latent_channels of the model: leave it out")
        return {**value, "mel": own}

    @classmethod
    def _resolve(cls, name: str, fields: Mapping[str, Any], context: Any) -> Self:
        if registry.find(cls.kind, name.partition("@")[0]).name not in DECODERS:
            raise ValueError(f"{name} reads no latent; one of {', '.join(DECODERS)} does")
        return super()._resolve(name, fields, context)
