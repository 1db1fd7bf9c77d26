"""The interfaces that a plugin subclasses, each with one or two abstract methods. Networks are in ``families.py``.

Letters in every docstring: B batch, C channels, T samples, F mel bands, N frames, L tokens, K codebooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from amphion_core import registry
from amphion_core.config import AugmentationConfig, BaseConfig, FrontendConfig, validate
from amphion_core.errors import AudioError, DataError, nearest, shortened

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.random import Generator
    from torch import Tensor

    from amphion_core.audio import Audio, Samples

    Array = np.ndarray[Any, np.dtype[Any]]


class Component(ABC):
    """Anything with a name in the registry. It is built from its nested ``Config`` and keyword-only runtime objects.

    ``needs_packages`` are the import names of optional packages that it cannot do without, written as a tuple of
    strings: ``amphion list`` reads them as text and says which are missing.
    """

    Config: ClassVar[type[BaseConfig]]
    needs_packages: ClassVar[tuple[str, ...]] = ()
    config: Any

    def __init__(self, config: BaseConfig) -> None:
        self.config = config


@dataclass(frozen=True, slots=True)
class Utterance:
    """One item of a corpus. ``path`` names the audio file; ``start`` and ``duration`` are in seconds.

    Its samples are multiplied by ``gain`` (dB) when they are read.
    """

    id: str
    path: str
    duration: float
    start: float = 0.0
    text: str = ""
    speaker: str = ""
    language: str = ""
    caption: str = ""
    split: str = ""
    gain: float = 0.0
    extra: dict[str, str] = field(default_factory=dict)


class Dataset(Component):
    """A corpus on disk. ``utterances`` fills ``problems`` with (where, why) for everything that it could not read.

    ``where`` is a line of a table, or the path of a file relative to the corpus. In the report of ``amphion prepare``,
    ``why`` is the reason for that file. What is the same for many files stands before a colon: "kind: details".
    """

    leakage: ClassVar[Literal["utterance", "recording", "speaker"]] = "recording"  # what stays in one split

    def __init__(self, config: BaseConfig) -> None:
        super().__init__(config)
        self.problems: list[tuple[str, str]] = []

    @abstractmethod
    def utterances(self) -> Iterable[Utterance]:
        """Every item of the corpus, all with different ids. Raises DataError for a folder of another kind."""


class FeatureExtractor(Component):
    """Wave to frames, or to one vector for each utterance; batched, on any device."""

    sample_rate: int  # Hz expected
    frame_shift: float | None  # seconds between frames; None: one vector for each utterance (speaker, style)
    dim: int

    @property
    def variant(self) -> str:
        """Identifies the weights it uses, such as by their checksum, for the cache. Empty without weights."""
        return ""

    def to(self, device: "torch.device | str") -> Self:
        """Move the network inside to ``device``. An extractor without weights computes where the wave is.

        Cached features are computed on a GPU only by extractors that override this method.
        """
        return self

    @property
    def first_centre(self) -> float:
        """Seconds from the start of the wave to the centre of the first frame: half a frame unless overridden."""
        return (self.frame_shift or 0.0) / 2

    def frames(self, samples: int) -> int | None:
        """N, the number of frames of a wave of ``samples`` (T) samples. None: not known in advance.

        The feature cache puts items of different lengths into one batch only where this number is known.
        """
        return None

    @abstractmethod
    def extract(self, wave: "Tensor", lengths: "Tensor | None" = None) -> "Tensor":
        """(B, T) -> (B, dim, N), or (B, dim) where ``frame_shift`` is None.

        ``lengths`` (B) are the valid samples of each item. An item's frames are the same as without a batch, and the
        frames after them are 0.
        """


class Augmentation(Component):
    """A random change of a recording, so that a model trained on few hears many."""

    Config: ClassVar[type[AugmentationConfig]]
    keeps_length: ClassVar[bool]  # False: the times of labels no longer fit

    @abstractmethod
    def change(self, samples: "Samples", sample_rate: int, random: "Generator") -> "Samples":
        """Mono samples (T,), T > 0, -> (T',). Draws from ``random`` only, and does not change its input."""

    def apply(self, samples: "Samples", sample_rate: int, random: "Generator") -> "Samples":
        """Mono samples (T,) -> (T',), float32: changed with the config's probability, else the same samples.

        The same state of ``random`` gives the same result. T' = T where ``keeps_length``. Samples beyond full scale are
        not clipped. Raises AudioError unless the samples are (T,) with T > 0.
        """
        import numpy as np

        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1 or not samples.size:
            raise AudioError(f"samples of shape {samples.shape}: an augmentation takes (T,), T > 0")
        if random.random() >= self.config.probability:
            return samples
        return np.asarray(self.change(samples, sample_rate, random), np.float32)


class TextFrontend(Component):
    """Turns a text into symbols and symbols into ids. Its config is the only owner of the symbol table."""

    Config: ClassVar[type[FrontendConfig]]

    @abstractmethod
    def tokens(self, text: str) -> list[str]:
        """The symbols of a text, without blank, begin and end. Raises DataError when there is nothing to say."""

    def guessed(self, text: str) -> list[str]:
        """Words of ``text``, as it writes them, whose sounds are a guess, so that a user may want to state them.

        Empty where a frontend does not distinguish such words, which is the default.
        """
        return []

    def phones(self, text: str) -> list[str]:
        """The symbols of a pronunciation that a user or a lexicon states in the notation of this frontend.

        Where every symbol of the table is one character, as in IPA, they are written together: ``həlˈoʊ wˈɜːld``. Other
        symbols, as those of ARPAbet, have spaces between them, and ``|`` stands between two words:
        ``HH AH0 L OW1 | W ER1 L D``. An empty table takes all characters. Blank, begin and end are no phones.
        Raises DataError with the first phone that the table lacks and its position, and for a text without phones.
        """
        from amphion_core.text.symbols import described, in_table_forms

        own = {self.config.blank, self.config.begin, self.config.end}
        known = [symbol for symbol in self.config.symbols if symbol not in own]
        if apart := any(len(symbol) > 1 for symbol in known):
            found = [" " if piece == "|" else piece for piece in text.replace("|", " | ").split()]
        else:
            found = [*in_table_forms(" ".join(text.split()), known, ("NFC", "NFD"))]
        for index, phone in enumerate(found):
            if known and phone not in known:
                name = repr(phone) if len(phone) > 1 else described(phone)
                close = nearest(phone, known) if apart else None
                listed = " ".join(symbol for symbol in known if not symbol.isspace())
                raise DataError(
                    f"unknown phone {name} at position {index + 1} of {shortened(text, 80)!r}",
                    hint=f"did you mean {close}?" if close else f"the model knows {shortened(listed, 400)}",
                )
        if not any(char.isalpha() for phone in found for char in phone):
            raise DataError(f"there are no phones in {shortened(text, 80)!r}", hint="write the sounds of the word")
        return found

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """The ids of ``tokens``, with the begin, end and blank symbols of the config inserted.

        Raises DataError with the first symbol that the table lacks, and its position.
        """
        table = {symbol: id_ for id_, symbol in enumerate(self.config.symbols)}
        for index, token in enumerate(tokens):
            if token not in table:
                where = f"position {index + 1} of {len(tokens)}"
                raise DataError(
                    f"symbol {token!r} at {where} is not among the model's {len(table)} symbols",
                    hint=f"rewrite that part of the text; this model speaks {self.config.language}",
                )
        row = [*filter(None, [self.config.begin]), *tokens, *filter(None, [self.config.end])]
        if self.config.blank is None:
            return [table[token] for token in row]
        spaced = [table[self.config.blank]] * (2 * len(row) + 1)
        spaced[1::2] = [table[token] for token in row]
        return spaced if self.config.blank_ends else spaced[1:-1]


class TaskFramework(Component):
    """Inference for one task: a request becomes audio.

    ``Request`` describes what a user may request. Command line, demo page and server are generated from its fields.
    ``command`` is how ``amphion`` is called for this task, such as ``vocode {audio} --vocoder {model}``: a name in
    braces is a field of ``Request`` or ``Config``. Other fields have options of their own names; ``-o`` names the file.
    Empty: the task has no command. ``voice_recipes`` are the recipes that learn a new voice for it from recordings with
    texts; the demo page offers them.
    """

    Request: ClassVar[type[BaseConfig]]
    command: ClassVar[str] = ""
    voice_recipes: ClassVar[tuple[str, ...]] = ()

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call ``generate`` and ``stream`` at a time. A server then lets them."""
        return False

    def voices(self) -> list[str]:
        """The names of the voices that a request can choose; none for a task or a model with one voice."""
        return []

    def voice(self, name: str) -> dict[str, Any]:
        """The fields of a request that choose a voice of ``voices``."""
        raise DataError(f"there is no voice {shortened(name, 80)!r}", hint="leave the voice out")

    @classmethod
    def request(cls, **fields: Any) -> Any:
        """A checked request. Raises RecipeError that lists every problem with the nearest valid field."""
        name = next(
            (ref.name for ref in registry.refs("tasks") if ref.target == f"{cls.__module__}:{cls.__name__}"), ""
        )
        hint = f"amphion info tasks:{name} lists the fields" if name else None
        return validate(cls.Request, fields, where=f"{name or cls.__name__} request", hint=hint)

    @classmethod
    def as_request(cls, given: Any, field: str) -> Any:
        """``given`` if it is a request, else the request whose one ``field`` it is. Raises RecipeError."""
        return given if isinstance(given, cls.Request) else cls.request(**{field: given})

    @abstractmethod
    def generate(self, request: Any) -> "Audio":
        """The requested audio. Raises AmphionError for a request that cannot be fulfilled."""

    def stream(self, request: Any) -> "Iterator[Audio]":
        """The requested audio in pieces, each as soon as it is ready. One piece, unless a task overrides this.

        A server may compute pieces of several requests in turn, each in another thread.
        """
        yield self.generate(request)

    def stream_early(self, request: Any) -> "Iterator[Audio]":
        """As ``stream``, but with the first audio as early as it can be, such as the beginning of a sentence.

        The joined pieces are the audio of ``generate`` to rounding; making them may take somewhat longer in total. A
        server calls it for requests that share the processor with few others. By default it is ``stream``.
        """
        yield from self.stream(request)

    def pieces(self, request: Any) -> "tuple[Iterator[Audio], int | None]":
        """The pieces that ``generate`` joins, and how many they are, or None where that is not known before.

        Between two pieces a caller can show progress, and stop. By default the pieces are those of ``stream``; a task
        whose ``stream`` gives other audio than ``generate`` overrides this method.
        """
        return self.stream(request), None


@dataclass(frozen=True, slots=True)
class Score:
    """Result of one metric for one item or one set: the value, the numbers and arrays behind it, and words to show.

    ``value`` is NaN for one item of a metric ``of_sets``, whose ``arrays`` describe the item.
    """

    value: float
    details: dict[str, float] = field(default_factory=dict)
    arrays: "dict[str, Array]" = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class Metric(Component):
    """A number for one generated item, and for a whole set of them.

    A metric ``of_sets`` compares two sets of files that need not be paired. Its ``measure`` describes one file,
    generated or reference, and only ``aggregate`` gives a value.
    """

    unit: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    library: ClassVar[str] = ""  # the library that computes it, such as "pystoi 0.4"
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})  # from NEEDS: at most one audio, and the text
    sample_rate: int | None = None  # Hz; None: the rate of the generated file
    of_sets: ClassVar[bool] = False

    NEEDS: ClassVar[frozenset[str]] = frozenset({"reference", "prompt", "resynthesis", "text"})
    """What an item may be compared with. ``resynthesis`` is a prompt that was coded and decoded by a codec."""

    @property
    def variant(self) -> str:
        """The choices that change the values of this metric: tracker, network, alignment."""
        return ""

    @abstractmethod
    def measure(self, generated: "Audio", reference: "Audio | None" = None, *, text: str | None = None) -> Score:
        """Measures one item. ``reference`` is the audio named in ``needs``; both are mono and at ``sample_rate``.

        Raises DataError for an item for which the metric is not defined.
        """

    def score(self, generated: "Audio", reference: "Audio | None" = None, *, text: str | None = None) -> float:
        """The value of one item."""
        return self.measure(generated, reference, text=text).value

    def combine(self, sums: "Mapping[str, Array]", count: "Array") -> "Array":
        """Values of sets, given the sums of ``value`` and of each detail over ``count`` items; every shape is (...).

        The mean of the items, unless the metric defines the value of a corpus in another way.
        """
        return sums["value"] / count

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """The value of a set of items. ``references`` are the scores of the other set, for metrics ``of_sets``.

        Raises DataError without items, and for a set for which the metric is not defined.
        """
        import numpy as np

        if not scores:
            raise DataError("no item could be scored")
        rows = [{"value": score.value, **score.details} for score in scores]
        sums = {key: np.asarray(sum(row[key] for row in rows)) for key in rows[0]}
        value = float(self.combine(sums, np.asarray(len(rows))))
        return Score(value, {key: float(total) for key, total in sums.items() if key != "value"})


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embedding of one audio: vectors (N, D) for N windows, and logits (N, classes) where it is a classifier."""

    vectors: "Array"
    logits: "Array | None" = None


class AudioEmbedding(Component):
    """Audio to vectors. Similar sounds, or recordings of one speaker, have similar vectors."""

    sample_rate: int  # Hz expected
    dim: int

    @property
    def variant(self) -> str:
        """Shows in a report which configuration was used: the size, the name of the weights."""
        return ""

    @abstractmethod
    def embed(self, audio: "Audio") -> Embedded:
        """Mono audio at ``sample_rate`` -> at least one window. Raises DataError for audio that is too short."""


class SpeechRecognizer(Component):
    """Audio to the words that are spoken in it."""

    sample_rate: int  # Hz expected

    @property
    def variant(self) -> str:
        """Shows in a report which configuration was used: the name of the model."""
        return ""

    @abstractmethod
    def transcribe(self, audio: "Audio", language: str) -> str:
        """The words in mono audio at ``sample_rate``; "" when nobody speaks.

        ``language`` is a code such as ``en``. Raises DataError for a language that the recogniser does not know.
        """
