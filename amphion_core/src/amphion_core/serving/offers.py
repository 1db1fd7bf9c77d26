"""The models that a client may name: those that the command line states, and the cards that are on this disk."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amphion_core import cards, registry
from amphion_core.errors import UnknownComponent, nearest, shortened
from amphion_core.serving.answers import Refused
from amphion_core.serving.settings import Settings

OPENAI = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
DEFAULT_NAMES = ("", "default", *OPENAI)
"""Names that mean the default model. OpenAI's are among them, because many programs cannot send another name."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of a task, by the name that clients use. ``place`` is a card, a folder or a run; None: the default."""

    task: str
    name: str
    place: str | None

    @property
    def tag(self) -> str:
        """The name without the model's architecture: ``kathleen`` of ``tts/fastspeech2@kathleen``."""
        return self.name.rpartition("@")[2]


class Offers:
    """What a server offers. Nothing is loaded or downloaded here."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = _names(place for places in settings.places.values() for place in places)
        self._defaults: dict[str, Offer] = {}

    def of(self, task: str) -> list[Offer]:
        """The models of a task that have a name, its default first."""
        found = dict.fromkeys([self.default(task), *self._stated(task), *self._cards(task)])
        return [offer for offer in found if offer.place is not None]

    def default(self, task: str) -> Offer:
        """The model that a request gets which names none."""
        if task not in self._defaults:
            self._defaults[task] = self._default(task)
        return self._defaults[task]

    def find(self, task: str, name: str | None) -> Offer:
        """The model called ``name``. Raises Refused (404) with the nearest name, or with all."""
        if name is None or name in DEFAULT_NAMES:
            return self.default(task)
        known = {offer.name: offer for offer in self.of(task)}
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean {close}?" if close else f"the models are {', '.join([*known, 'default'])}"
            raise Refused(404, f"this server offers no model {shortened(name, 80)!r} for {task}", hint=hint)
        return known[name]

    def _default(self, task: str) -> Offer:
        for offer in self._stated(task):
            return offer
        try:
            card = cards.default(task)
        except UnknownComponent:  # the task may choose a model without weights, or say what is missing
            return Offer(task, "default", None)
        return Offer(task, card.name, card.name)

    def _stated(self, task: str) -> Iterator[Offer]:
        places = self._settings.places.get(task, ())
        first = {self._names[place]: place for place in reversed(places)}  # a folder may be stated twice
        yield from (Offer(task, name, first[name]) for name in dict.fromkeys(self._names[place] for place in places))

    def _cards(self, task: str) -> Iterator[Offer]:
        for card in cards.cards(f"{task}/"):
            if card.source is not None and card.status == "ready":
                yield Offer(task, card.name, card.name)


def _names(places: Iterable[str]) -> dict[str, str]:
    """A name for each place: of a card its own, of a folder that of the folder.

    Folders of the same name, such as ``ann/final`` and ``ben/final``, get as many of the folders above as tell them
    apart. No folder gets the name of a card, or one that means the default model.
    """
    found: dict[str, str] = {}
    paths: dict[str, Path] = {}
    for place in places:
        if registry.NAME.fullmatch(place) and not Path(place).exists():
            found[place] = place
        else:
            paths[place] = Path(place).expanduser().resolve()
    taken = {*DEFAULT_NAMES, *found.values(), *(card.name for card in cards.cards())} if paths else set()
    depth = 1
    while open_places := paths.keys() - found.keys():
        tails = {path: "/".join(path.parts[1:][-depth:]) for path in {paths[place] for place in open_places}}
        uses = Counter(tails.values())
        for place in open_places:
            name = tails[paths[place]]
            if (uses[name] == 1 and name not in taken) or depth >= len(paths[place].parts):
                found[place] = name
        depth += 1
    return found
