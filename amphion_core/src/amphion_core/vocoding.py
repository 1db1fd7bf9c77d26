"""Opens a vocoder for a mel convention: a card, a folder with weights, or a vocoder that needs no weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from amphion_core import cards, loading, registry, yaml
from amphion_core.config import validate
from amphion_core.errors import AudioError, RegistryError, UnknownComponent
from amphion_core.families import TextEncoder, Vocoder, VoiceConverter
from amphion_core.parts import require_family
from amphion_core.system_errors import clear_errors

if TYPE_CHECKING:
    from amphion_core.mel import MelConfig
    from amphion_core.precision import Precision


class VocoderChoice(NamedTuple):
    """A vocoder that was chosen, and a sentence for the user where no trained one fits, else None."""

    name: str
    note: str | None = None


def choose_vocoder(mel: "MelConfig | None" = None) -> VocoderChoice:
    """The vocoder for mels of the convention ``mel`` where nobody names one; None accepts any convention.

    This is the one place that decides it, for all tasks and commands:

    1. the first card marked ``default`` whose files are on this disk and whose convention has all fields of ``mel``;
    2. else the first installed vocoder that needs no weights, such as Griffin-Lim, with a note that says so.

    Uses no network. Raises UnknownComponent that says what each known card needs where there is neither.
    """
    others = []
    for card in cards.cards("vocoder/"):
        if card.default and card.status == "ready":
            if mel is None or _mel_of(card.name) == mel:
                return VocoderChoice(card.name)
            others.append(card.name)
    fit = f"no trained vocoder for this mel convention is installed ({', '.join(others)}: another one)"
    for name in weightless_vocoders():
        reason = fit if others else "no trained vocoder is installed for general use"
        return VocoderChoice(name, f"{reason}, so {name} is used, which sounds worse; --vocoder names one")
    if others:
        raise UnknownComponent(fit, hint="name a vocoder trained on that mel: a weights folder or a card")
    return VocoderChoice(cards.default("vocoder").name)  # raises: it lists the cards and what each needs


@clear_errors
def open_vocoder(
    name: "str | Path | None" = None,
    mel: "MelConfig | None" = None,
    *,
    precision: "Precision" = "float32",
    device: str = "cpu",
) -> Vocoder:
    """A vocoder ready to generate from mels of the convention ``mel``; None accepts the vocoder's own convention.

    ``name`` is whatever ``amphion.load`` takes (a card, a weights folder, a run), or a vocoder that needs no weights,
    which is then built for ``mel``. None takes what `choose_vocoder` chooses.

    Raises AudioError that lists the fields in which the conventions differ, or when ``name`` is not a vocoder;
    UnknownComponent when nothing installed fits; RegistryError, RecipeError, WeightsError, DeviceError.
    """
    return open_named_vocoder(name, mel, precision=precision, device=device)[1]


def open_named_vocoder(
    name: "str | Path | None" = None,
    mel: "MelConfig | None" = None,
    *,
    precision: "Precision" = "float32",
    device: str = "cpu",
) -> tuple[str, Vocoder]:
    """``open_vocoder`` with the name of the vocoder that was opened, to show it. Raises the same errors."""
    chosen = str(name) if name is not None else choose_vocoder(mel).name
    _require_vocoder(chosen)
    if needs_no_weights(chosen):
        from amphion_core.devices import resolve_device

        fields = {} if mel is None else {"mel": mel}
        net: Any = loading.build(chosen, **fields).to(resolve_device(device)).for_inference(precision)
    else:
        net = loading.load(chosen, precision=precision, device=device)
    if not isinstance(net, Vocoder):
        raise AudioError(f"{chosen} is not a vocoder", hint="amphion list models 'vocoder/*'")
    if mel is not None:
        mel.require_same(net.config.mel, ours="input", theirs="vocoder")
    return chosen, net


def own_vocoder(place: str | Path) -> str | None:
    """The vocoder that a model whose output is a mel states for itself, or None. Whatever `open_vocoder` takes.

    ``place`` is what ``amphion.load`` takes. A card has a field ``vocoder``. A weights folder has a line ``vocoder`` in
    its ``config.yaml``, where ``./`` and ``../`` begin at the folder. A run and its checkpoints have that of the
    trainer. Raises RegistryError.
    """
    folder = Path(place).expanduser().absolute()
    if (folder / "state.json").is_file():  # RUN/checkpoints/step-N
        folder = folder.parents[1]
    about = folder / "config.yaml"
    if not about.is_file():
        return None if folder.is_dir() else loading.card_with_weights(str(place)).vocoder
    stated = yaml.read(about)
    trainer = stated.get("trainer") if isinstance(stated, dict) and "model" in stated else stated
    found = trainer.get("vocoder") if isinstance(trainer, dict) else None
    if not found:
        return None
    return str(folder / found) if str(found).startswith(("./", "../")) else str(found)


def _require_vocoder(name: str) -> None:
    """Raise AudioError if ``name`` is the registry name of an installed model of another family."""
    match = registry.NAME.fullmatch(name)
    if match is None or match["family"] in (None, "vocoder") or Path(name).exists():
        return
    try:
        require_family(registry.find("models", name).name, "vocoder")
    except ValueError as error:
        raise AudioError(str(error), hint="amphion list models 'vocoder/*'") from error


def needs_no_weights(name: str, family: type[Vocoder] | type[VoiceConverter] | type[TextEncoder] = Vocoder) -> bool:
    """Whether ``name`` is the registry name of a model of ``family`` that works without weights.

    False for unknown names.
    """
    if not registry.NAME.fullmatch(name) or (Path(name) / "config.yaml").is_file():
        return False
    try:
        found = registry.get("models", name.partition("@")[0])
    except UnknownComponent:
        return False
    return issubclass(found, family) and not found.needs_weights


def _mel_of(name: str) -> Any:
    stored = loading.open_weights(name, download=False)
    return getattr(validate(registry.get("models", stored.name).Config, stored.config, where=name), "mel", None)


def weightless_vocoders() -> Iterator[str]:
    """The names of the installed vocoders that need no weights, such as Griffin-Lim."""
    for ref in registry.refs("models"):
        if ref.name.startswith("vocoder/"):
            try:
                if needs_no_weights(ref.name):
                    yield ref.name
            except RegistryError:  # a broken plugin must not hide the vocoders of others
                continue
