"""Cards: named configurations of a model, usually with weights. Plain data, standard library only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from amphion_core import registry
from amphion_core.errors import AmphionError, UnknownComponent, nearest


@dataclass(frozen=True, slots=True)
class CardFile:
    """One further file of a card: its ``source``, written as the card's, and the SHA-256 of its contents.

    A relative path is a file beside the card's own source: ``config.json``, ``vocoder/generator.pt``.
    """

    source: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """One published variant of a model.

    ``source`` is one of:

    * ``package:PACKAGE/path``, a file inside an installed package, found without importing it
    * ``hf:REPO@REVISION/FILE``, a file of a model hub
    * a path of a file or weights folder on this disk
    * None, for a configuration without weights

    ``sha256`` is the digest of the source, see ``amphion_core.fetching.digest``. A checkpoint in a publisher's
    ``layout`` is converted in memory when loaded; ``config`` is then the publisher's, else it is ours.

    ``files`` are further files by what they are for. ``config`` is the publisher's configuration, as JSON or YAML;
    fields of the card's own ``config`` replace its values. Any other key is chosen by the layout, such as ``vocab`` or
    ``statistics``: the file's contents are handed to ``import_state_dict`` as ``config[key]``. Our own format needs no
    entry for its ``config.yaml``, which is always taken from beside ``model.safetensors``.

    ``vocoder`` is a card or a place of a vocoder, for a model whose output is a mel: tasks use it unless a user names
    another one.

    ``needs`` are the import names of the packages that the model needs, ``pip`` is the requirement that installs them.
    """

    name: str
    title: str
    config: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    layout: str | None = None
    sha256: str | None = None
    files: dict[str, CardFile] = field(default_factory=dict)
    licence: str = ""
    data_licence: str = ""
    default: bool = False
    vocoder: str | None = None
    needs: tuple[str, ...] = ()
    pip: str = ""

    def __post_init__(self) -> None:
        if "weights" in self.files:
            raise ValueError(f"{self.name}: files cannot hold 'weights', which is the card's source")

    @property
    def sources(self) -> dict[str, CardFile]:
        """Every file that loading the card takes, with complete sources: ``weights``, then those of ``files``."""
        if self.source is None:
            return {}
        further = dict(self.files)
        if self.layout is None and self.source.endswith(".safetensors"):
            further = {"config": CardFile("config.yaml")} | further
        complete = {key: CardFile(_beside(self.source, file.source), file.sha256) for key, file in further.items()}
        return {"weights": CardFile(self.source, self.sha256), **complete}

    @property
    def status(self) -> str:
        """``ready``, ``download``, ``needs PACKAGE``, ``missing PATH``, or ``no weights``; of all files together."""
        if self.source is None:
            return "no weights"
        for package in self.needs:
            if PathFinder.find_spec(package) is None:
                return f"needs {self.pip or package}"
        absent = [file.source for file in self.sources.values() if locate(file.source) is None]
        for source in absent:
            if source.startswith("package:"):
                return f"needs {self.pip or source.removeprefix('package:').partition('/')[0]}"
        for source in absent:
            if not source.startswith("hf:"):
                return f"missing {source}"
        return "download" if absent else "ready"

    def path(self) -> Path | None:
        """The weights file or folder if it is on this disk already, or None. Uses no network."""
        return None if self.source is None else locate(self.source)


def locate(source: str) -> Path | None:
    """The file or folder that ``source`` names if it is on this disk already, or None. Uses no network."""
    scheme, _, rest = source.partition(":")
    if scheme == "package":
        package, _, inside = rest.partition("/")
        spec = PathFinder.find_spec(package)
        roots = (spec.submodule_search_locations or ()) if spec else ()
        return next((path for root in roots if (path := Path(root, inside)).exists()), None)
    if scheme == "hf":
        return _cached_download(source)
    path = Path(source).expanduser()
    return path if path.exists() else None


def hub_address(source: str) -> tuple[str, str, str]:
    """``hf:REPO@REVISION/FILE`` as (repo, revision, file); REPO is ``owner/name``."""
    repo, _, rest = source.removeprefix("hf:").partition("@")
    revision, _, file = rest.partition("/")
    return repo, revision, file


def _beside(source: str, name: str) -> str:
    """``name`` as a complete source; a relative path stands for a file beside ``source``."""
    if name.startswith(("package:", "hf:", "/", "~")):
        return name
    return f"{source.rpartition('/')[0]}/{name}" if "/" in source else name


def _cached_download(source: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    repo, revision, file = hub_address(source)
    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


@cache
def _collect(refs: tuple[registry.ComponentRef, ...]) -> tuple[tuple[Card, ...], tuple[str, ...]]:
    found: list[Card] = []
    notes: list[str] = []
    for ref in refs:
        try:
            found += ref.load()
        except Exception as error:  # a broken plugin must not hide the cards of others; list and find show the note
            text = error.message if isinstance(error, AmphionError) else f"{type(error).__name__}: {error}"
            notes.append(f"the cards of {ref.dist} {ref.version} cannot be read: {text}")
    return tuple(found), tuple(notes)


def cards(pattern: str = "") -> Iterator[Card]:
    """Every card of all installed distributions whose name starts with ``pattern``. It imports no model."""
    return (card for card in _collect(tuple(registry.refs("pretrained")))[0] if card.name.startswith(pattern))


def notes() -> tuple[str, ...]:
    """One line for each distribution whose cards cannot be read."""
    return _collect(tuple(registry.refs("pretrained")))[1]


def find(name: str) -> Card:
    """The card ``family/ident@tag``, where an alias may stand for the model. Raises UnknownComponent with its tags."""
    bare, _, tag = name.partition("@")
    base = registry.find("models", bare).name
    tags = {card.name.partition("@")[2]: card for card in cards(f"{base}@")}
    if tag in tags:
        return tags[tag]
    close = nearest(tag, tags)
    known = f"did you mean {base}@{close}?" if close else f"its tags are {', '.join(sorted(tags)) or 'none'}"
    message = f"{base} has no card {tag!r}"
    raise UnknownComponent("; ".join([message, *notes()]), hint=known)


def default(family: str) -> Card:
    """The first card of a family marked ``default`` whose files are on this disk. Uses no network.

    Raises UnknownComponent that lists the family's cards, each with what it needs.
    """
    candidates = [card for card in cards(f"{family}/") if card.source is not None]
    for card in candidates:
        if card.default and card.status == "ready":
            return card
    if not candidates:
        provider = registry.PROVIDERS.get(family)
        installed = bool(registry.names("models", f"{family}/*"))
        hint = (
            f"name a weights folder, or train a model: amphion list models '{family}/*'"
            if installed or provider is None
            else f"pip install {provider}"
        )
        raise UnknownComponent(f"no card of the family {family!r} has weights", hint=hint)
    needs = "; ".join(f"{card.name}: {_next_step(card)}" for card in candidates)
    first = next((card for card in candidates if card.default), candidates[0])
    raise UnknownComponent(f"no {family} model is ready to use ({needs})", hint=_next_step(first))


def _next_step(card: Card) -> str:
    """What makes the card usable, in a few words or as a command."""
    status = card.status
    if status.startswith("needs "):
        return f'pip install "{status.removeprefix("needs ")}"'
    return f"give its name: {card.name}" if status in ("ready", "download") else status
