"""Finds the converter that a user names, or the default one, and checks that it is one."""

import amphion_core as amphion
from amphion_core import cards, loading, registry
from amphion_core.api import Precision, VoiceConverter
from amphion_core.devices import resolve_device
from amphion_core.errors import RegistryError, UnknownComponent, WeightsError
from amphion_core.vocoding import needs_no_weights


def open_converter(
    name: str | None, *, precision: Precision = "float32", device: str = "cpu"
) -> tuple[str, VoiceConverter]:
    """The converter called ``name``, ready to generate, with its name.

    ``name`` is a card, a weights folder, a run, or a converter that needs no weights. None takes the first default card
    of the family on this disk, else the first installed converter that needs no weights. Raises UnknownComponent,
    WeightsError, also for a model of another family, RecipeError and DeviceError.
    """
    chosen = _default() if name is None else name
    architecture = chosen.partition("@")[0]
    if architecture in registry.names("models") and not issubclass(amphion.get("models", architecture), VoiceConverter):
        raise _other_family(chosen)
    if needs_no_weights(chosen, VoiceConverter):
        net = loading.build(chosen).to(resolve_device(device)).for_inference(precision)
    else:
        net = amphion.load(chosen, precision=precision, device=device)
    if not isinstance(net, VoiceConverter):
        raise _other_family(chosen)
    return chosen, net


def _default() -> str:
    try:
        return cards.default("svc").name
    except UnknownComponent:
        for ref in registry.refs("models"):
            try:
                if ref.name.startswith("svc/") and needs_no_weights(ref.name, VoiceConverter):
                    return ref.name
            except RegistryError:  # a broken plugin must not hide the converters of others
                continue
        raise


def _other_family(name: str) -> WeightsError:
    return WeightsError(f"{name} does not convert voices", hint="amphion list models 'svc/*'")
