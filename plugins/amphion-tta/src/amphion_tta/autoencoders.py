"""The autoencoder of mels that a feature or a trainer works with: a place with its weights, opened once."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from amphion_core.api import ModelPart
from amphion_core.loading import open_source

if TYPE_CHECKING:
    from amphion_tta.models.autoencoder_kl import AutoencoderKL


class AutoencoderPart(ModelPart):
    """An autoencoder of mels inside a config."""

    family = "autoencoder"
    config: Any  # that of the autoencoder


AutoencoderSource = str | AutoencoderPart
"""The type of a config field that names an autoencoder.

A text is a card, a weights folder or a run. ``{name: autoencoder/kl, field: ...}`` is an untrained one, for tests: its
weights are random and always the same.
"""


@lru_cache(maxsize=4)
def open_autoencoder(source: AutoencoderSource, device: str = "cpu") -> "AutoencoderKL":
    """The autoencoder of a config, ready to encode and decode; opened once in each process for each device.

    Raises WeightsError: it is not an autoencoder, or there are no weights at this place.
    """
    from amphion_tta.models.autoencoder_kl import AutoencoderKL

    hint = "name a weights folder or a run of autoencoder/kl; amphion train audioldm_small_vae makes one"
    return open_source(source, AutoencoderKL, "autoencoder of mels", hint, device)
