"""The published checkpoint of PicoAudio under our names.

What is known of it: the UNet has diffusers' names behind ``unet.``, and one more matrix holds a vector for each event.
The autoencoder is AudioLDM's, and is given as another file.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.config import BaseConfig
from amphion_core.errors import WeightsError
from amphion_tta.models import audioldm_layouts, compvis_names

HEADS = (4, 8, 16, 16)  # of the published levels; tensors do not show them
OWN = ("autoencoder", "events")  # keys of the config that are not those of the UNet
HINT = "amphion convert tta/picoaudio FILE --layout zeyuxie29 --file autoencoder=AUTOENCODER_FILE -o FOLDER"


def read_zeyuxie29(
    schema: type[BaseConfig], state: Mapping[str, Any], config: Mapping[str, Any] | None
) -> tuple[Any, dict[str, Tensor]]:
    """The authors' checkpoint as (Config, state dict). Raises WeightsError.

    ``config`` is that of the UNet as diffusers writes it, with the tensors of AudioLDM's autoencoder under
    ``autoencoder``, and the names of the events in the order of their rows under ``events``.
    """
    given = dict(config or {})
    coder = given.get("autoencoder")
    if not isinstance(coder, Mapping):
        raise WeightsError("the autoencoder, that of AudioLDM, is in another file, and that is missing", hint=HINT)
    state = strip_prefix(unwrap(state, "model", "state_dict"), "module.")
    whole = {name: tensor for name, tensor in state.items() if name.startswith("unet.")}
    values = flat_values({name: value for name, value in given.items() if name not in OWN})
    unet = strip_prefix(whole, "unet.")
    fields = audioldm_layouts.unet_fields(unet, _heads(given, unet), values)
    vectors = _event_vectors({name: value for name, value in state.items() if name not in whole}, fields)
    fields |= {"events": list(given.get("events") or ()), "several": "first"}
    if vectors is None:
        fields |= {"reads": "text", "text_encoder": "text_encoder/clap"}
    else:
        fields["vectors"] = len(vectors)
    layout = "diffusers" if "encoder.down_blocks.0.resnets.0.conv1.weight" in coder else "haoheliu"
    found, tensors = audioldm_layouts.joined(
        schema, fields, unet, audioldm_layouts.read_autoencoder(coder, layout, None)
    )
    return found, tensors if vectors is None else {**tensors, "unet.vectors.weight": vectors}


def _heads(given: Mapping[str, Any], unet: Mapping[str, Any]) -> Any:
    """The heads that the config states, else those of the published levels. Raises WeightsError."""
    stated = given.get("num_attention_heads") or given.get("attention_head_dim")
    levels = compvis_names.count(unet, r"down_blocks\.([0-9]+)\.")
    if stated is None and levels not in (0, len(HEADS)):
        raise WeightsError(
            f"the UNet has {levels} levels, and nothing states the heads of their attention",
            hint="give the publisher's config of the UNet: amphion convert --config FILE",
        )
    return HEADS if stated is None else stated


def _event_vectors(others: Mapping[str, Any], fields: Mapping[str, Any]) -> Tensor | None:
    """The matrix of the events' vectors among the tensors outside of the UNet; None without any tensor.

    Raises WeightsError for other tensors, and for several matrices.
    """
    if not others:
        return None
    size = fields.get("condition_dim")
    fitting = [
        name for name, value in others.items()
        if isinstance(value, Tensor) and value.dim() == 2 and value.shape[1] == size and value.is_floating_point()
    ]  # fmt: skip
    if len(fitting) != 1 or len(others) != 1:
        names = ", ".join([name for name in others if name not in fitting][:3] or fitting[:3])
        raise WeightsError(
            f"beside the UNet, one matrix of event vectors with {size} values each is expected, and there are {names}",
            hint="give the file of the UNet and the event vectors alone",
        )
    return others[fitting[0]]
