"""The decoder of VitsSVC as a field of its config, and the result of its training pass.

Letters: B batch, C channels, N frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from amphion_core.api import MelConfig, VocoderPart
from amphion_core.parts import Part

DECODERS = ("vocoder/nsf_hifigan", "vocoder/hifigan", "vocoder/bigvgan", "vocoder/melgan", "vocoder/apnet")


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
