"""The autoencoder of mels that a feature or a trainer works with: a place with its weights, opened once."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from amphion_core.api import ModelPart
from amphion_core.config import validate
from amphion_core.errors import WeightsError
from amphion_core.loading import open_source

if TYPE_CHECKING:
    from amphion_core.stored_weights import Weights
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


def require_same_settings(found: "Weights", wanted: AutoencoderPart, source: str) -> None:
    """Raise WeightsError unless the weights ``found`` at ``source`` belong to the autoencoder that a model states.

    Settings such as the mel convention do not show in the shapes of the weights, so other weights could be loaded, and
    every latent would be wrong. ``latent_scale`` may differ.
    """
    if found.name != wanted.name:
        raise WeightsError(
            f"{source} is {found.name}, and the model needs {wanted.name}", hint=f"amphion info {source}"
        )
    theirs = validate(type(wanted.config), found.config, where=source)
    pairs = {name: (getattr(theirs, name), getattr(wanted.config, name)) for name in type(theirs).model_fields}
    mel = {f"mel.{name}": values for name, values in theirs.mel.differences(wanted.config.mel).items()}
    others = {name: (a, b) for name, (a, b) in pairs.items() if name not in ("mel", "latent_scale") and a != b}
    if different := {**mel, **others}:
        listed = "; ".join(f"{name}: {there} there and {here} here" for name, (there, here) in different.items())
        raise WeightsError(
            f"the autoencoder {source} has other settings than model.autoencoder ({listed})",
            hint="state the settings of these weights as audio and model.autoencoder, or name other weights",
        )
