"""The interfaces: what a plugin subclasses, each with one or two abstract methods. Networks are in ``families.py``.

Letters in every docstring: B batch, C channels, T samples, F mel bands, N frames, L tokens, K codebooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from amphion_core.config import AugmentationConfig, BaseConfig, FrontendConfig, validate
from amphion_core.errors import AudioError, DataError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.random import Generator
    from torch import Tensor

    from amphion_core.audio import Audio, Samples

    Array = np.ndarray[Any, np.dtype[Any]]


class Component(ABC):
    """Anything with a name in the registry: built from its nested ``Config`` and keyword-only runtime objects."""

    Config: ClassVar[type[BaseConfig]]
    config: Any

    def __init__(self, config: BaseConfig) -> None:
        self.config = config


@dataclass(frozen=True, slots=True)
class Utterance:
    """One item of a corpus. ``path`` names the audio file; ``start`` and ``duration`` are in seconds."""

    id: str
    path: str
    duration: float
    start: float = 0.0
    text: str = ""
    speaker: str = ""
    language: str = ""
    caption: str = ""
    split: str = ""
    extra: dict[str, str] = field(default_factory=dict)


class Dataset(Component):
    """A corpus on disk. ``problems`` are (where, why) of what could not be read, filled by ``utterances``."""

    leakage: ClassVar[Literal["utterance", "recording", "speaker"]] = "recording"  # what no split may cut through

    def __init__(self, config: BaseConfig) -> None:
        super().__init__(config)
        self.problems: list[tuple[str, str]] = []

    @abstractmethod
    def utterances(self) -> Iterable[Utterance]:
        """Every item of the corpus, ids unique. Raises DataError when the folder is not such a corpus."""


class FeatureExtractor(Component):
    """Wave to frames, or to one vector for each utterance; batched, on any device."""

    sample_rate: int  # Hz expected
    frame_shift: float | None  # seconds between frames; None: one vector for each utterance (speaker, style)
    dim: int

    @property
    def variant(self) -> str:
        """Which weights it uses, such as their checksum; part of the cache's identity. Empty without weights."""
        return ""

    def to(self, device: "torch.device | str") -> Self:
        """Move what the extractor holds to ``device``. Those without weights follow the wave and need nothing.

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

        ``lengths`` (B) are the valid samples; an item's frames equal those it has alone, frames beyond its own are 0.
        """


class Augmentation(Component):
    """A random change of a recording, so that a model trained on few hears many."""

    Config: ClassVar[type[AugmentationConfig]]
    keeps_length: ClassVar[bool]  # False: text and sound stay in step only if they are aligned anew

    @abstractmethod
    def change(self, samples: "Samples", sample_rate: int, random: "Generator") -> "Samples":
        """Mono samples (T,), T > 0, -> (T',), with every draw from ``random``; the input is left as it is."""

    def apply(self, samples: "Samples", sample_rate: int, random: "Generator") -> "Samples":
        """Mono samples (T,) -> (T',), float32: changed with the config's probability, else the same.

        One state of ``random`` gives one result; nothing else is random. T' = T where ``keeps_length``. Samples beyond
        full scale are left so. Raises AudioError for samples that are not (T,), or none.
        """
        import numpy as np

        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1 or not samples.size:
            raise AudioError(f"samples of shape {samples.shape}: an augmentation takes (T,), T > 0")
        if random.random() >= self.config.probability:
            return samples
        return np.asarray(self.change(samples, sample_rate, random), np.float32)


class TextFrontend(Component):
    """Text to symbols to ids. The symbol table is in its config and nowhere else."""

    Config: ClassVar[type[FrontendConfig]]

    @abstractmethod
    def tokens(self, text: str) -> list[str]:
        """The symbols of a text, without blanks and ends. Raises DataError when there is nothing to say."""

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """The ids of ``tokens`` with begin, end and blanks put in, as the config says.

        Raises DataError that names the first symbol the table lacks, and its position.
        """
        table = {symbol: index for index, symbol in enumerate(self.config.symbols)}
        for place, token in enumerate(tokens):
            if token not in table:
                where = f"position {place + 1} of {len(tokens)}"
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

    ``Request`` describes what can be asked for. Command line, demo page and server are generated from its fields.
    """

    Request: ClassVar[type[BaseConfig]]

    @classmethod
    def request(cls, **fields: Any) -> Any:
        """A checked request. Raises RecipeError that lists every problem with the nearest valid field."""
        return validate(cls.Request, fields, where=f"{cls.__name__.removesuffix('Task').lower()} request")

    @abstractmethod
    def generate(self, request: Any) -> "Audio":
        """The audio asked for. Raises AmphionError for a request that cannot be met."""

    def stream(self, request: Any) -> "Iterator[Audio]":
        """The same in pieces, each as soon as it is ready; one piece unless the task can do better."""
        yield self.generate(request)


@dataclass(frozen=True, slots=True)
class Score:
    """What one metric says of one item or one set: its value, the numbers and arrays it was made of, words to show.

    ``value`` is NaN for one item of a metric ``of_sets``, whose ``arrays`` describe the item.
    """

    value: float
    details: dict[str, float] = field(default_factory=dict)
    arrays: "dict[str, Array]" = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class Metric(Component):
    """A number for one generated item, and for a whole set of them.

    A metric ``of_sets`` compares two sets of files that need no partners: ``measure`` then describes one file,
    generated or reference, and only ``aggregate`` gives a value.
    """

    unit: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    library: ClassVar[str] = ""  # whose numbers it gives, such as "pystoi 0.4"
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})  # of NEEDS; one audio at most, and the text
    sample_rate: int | None = None  # Hz; None: the generated file's own
    of_sets: ClassVar[bool] = False

    NEEDS: ClassVar[frozenset[str]] = frozenset({"reference", "prompt", "resynthesis", "text"})
    """What an item may be compared with; ``resynthesis`` is a prompt that went through a codec."""

    @property
    def variant(self) -> str:
        """What tells two values of this metric apart: the tracker, the network, the alignment."""
        return ""

    @abstractmethod
    def measure(self, generated: "Audio", reference: "Audio | None" = None, *, text: str | None = None) -> Score:
        """One item. ``reference`` is the audio named in ``needs``; both come mono and at ``sample_rate``.

        Raises DataError where the metric is not defined.
        """

    def score(self, generated: "Audio", reference: "Audio | None" = None, *, text: str | None = None) -> float:
        """The value of one item alone."""
        return self.measure(generated, reference, text=text).value

    def combine(self, sums: "Mapping[str, Array]", count: "Array") -> "Array":
        """Values of sets, (...), from the sums of ``value`` and of every detail over ``count`` items, (...) each.

        The mean, unless the definition is one of the corpus.
        """
        return sums["value"] / count

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """The value of a set. ``references`` describe the other set, for metrics ``of_sets``.

        Raises DataError if there is no item, or the metric is not defined for the set.
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
    """What an embedding makes of one audio: vectors (N, D) of N windows, and of classifiers logits (N, classes)."""

    vectors: "Array"
    logits: "Array | None" = None


class AudioEmbedding(Component):
    """Audio to vectors that lie near one another where the audio sounds alike, or where one person speaks."""

    sample_rate: int  # Hz expected
    dim: int

    @property
    def variant(self) -> str:
        """What tells two configurations apart in a report: the size, the weights' name."""
        return ""

    @abstractmethod
    def embed(self, audio: "Audio") -> Embedded:
        """Mono audio at ``sample_rate`` -> at least one window. Raises DataError where it is too short."""


class SpeechRecognizer(Component):
    """Audio to the words heard in it."""

    sample_rate: int  # Hz expected

    @property
    def variant(self) -> str:
        """What tells two configurations apart in a report: the model's name."""
        return ""

    @abstractmethod
    def transcribe(self, audio: "Audio", language: str) -> str:
        """The words in mono audio at ``sample_rate``, "" for none.

        ``language`` is a code such as ``en``. Raises DataError for a language it lacks.
        """
