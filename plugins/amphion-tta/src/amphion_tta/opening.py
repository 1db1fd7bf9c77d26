"""Finds the text encoder that a user or a model names, and checks that it is one."""

import amphion_core as amphion
from amphion_core import loading, registry
from amphion_core.api import Precision, TextEncoder
from amphion_core.devices import resolve_device
from amphion_core.errors import UnknownComponent, WeightsError
from amphion_core.vocoding import needs_no_weights

GET = (
    "download config.json, model.safetensors and tokenizer.json of a published model into a folder, for example "
    "hf download REPOSITORY --local-dir FOLDER, then: amphion convert {name} FOLDER -o ENCODER"
)


def open_text_encoder(name: str, *, precision: Precision = "float32", device: str = "cpu") -> TextEncoder:
    """The text encoder called ``name``, ready to encode: a card, a weights folder, or an encoder without weights.

    Raises UnknownComponent, WeightsError, also for a model of another family, MissingPackage and DeviceError.
    """
    architecture = name.partition("@")[0]
    if architecture in registry.names("models") and not issubclass(amphion.get("models", architecture), TextEncoder):
        raise _other_family(name)
    if needs_no_weights(name, TextEncoder):
        net = loading.build(name).to(resolve_device(device)).for_inference(precision)
    else:
        try:
            net = amphion.load(name, precision=precision, device=device)
        except UnknownComponent as error:
            if "weights" not in error.message:
                raise
            raise UnknownComponent(error.message, hint=f"{GET.format(name=architecture)}; {error.hint}") from error
    if not isinstance(net, TextEncoder):
        raise _other_family(name)
    return net


def _other_family(name: str) -> WeightsError:
    return WeightsError(f"{name} does not encode captions", hint="amphion list models 'text_encoder/*'")
