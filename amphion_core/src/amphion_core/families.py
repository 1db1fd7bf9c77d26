"""Families of networks: the base classes that models subclass, so that tasks and the command line can rely on them.

They stand in one file, longer than others, so that the author of a model sees side by side what each family asks for.
Letters: B batch, C channels, T samples, F mel bands, N frames, L tokens, K codebooks.
"""

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from amphion_core.component import Component
from amphion_core.config import BaseConfig, validate
from amphion_core.errors import DataError, WeightsError
from amphion_core.modules.folding import fold_weight_norms
from amphion_core.precision import Precision, resolve_precision

if TYPE_CHECKING:
    from amphion_core.data.facts import CorpusFacts
    from amphion_core.onnx_graph import OnnxGraph
    from amphion_core.parts import FeaturePart


class ModelArchitecture(Component, nn.Module):
    """A network with a registry name. It is built from its config and reads the checkpoints of its publishers."""

    class Controls(BaseConfig):
        """What a request may change, such as steps or scales. A model with controls nests its own class."""

    layouts: ClassVar[tuple[str, ...]] = ()  # the publishers' layouts that import_state_dict reads
    layouts_with_config: ClassVar[tuple[str, ...]] = ()  # those that need the publisher's config
    files_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # further files of a layout, beside its checkpoint
    precision: Precision = "float32"
    is_thread_safe: ClassVar[bool] = False  # True: on a CPU, several threads may generate with one network at a time

    def __init__(self, config: BaseConfig) -> None:
        nn.Module.__init__(self)
        self.config = config

    @classmethod
    @abstractmethod
    def example_config(cls) -> Any:
        """A tiny valid config, under 1 M parameters: the conformance kit, tests and docs run on it."""

    @abstractmethod
    def example_inputs(self) -> dict[str, Any]:
        """Keyword arguments for ``forward`` that fit ``example_config``."""

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A publisher's checkpoint and config as ours: (Config, state dict).

        ``loading.read_published`` calls it with one of ``layouts``, and with a config where ``layouts_with_config``
        has the layout. ``config`` also has the contents of ``files_beside``, by their keys: of each the first path that
        exists beside the checkpoint. Raises WeightsError for a checkpoint that does not belong to this network.
        """
        raise WeightsError(f"{cls.__name__} does not read the layout {layout!r}")

    @classmethod
    def config_for(cls, config: Any, facts: "CorpusFacts") -> Any:
        """``config`` completed with what depends on the corpus: speaker names, symbols, statistics.

        Called once, before the network is built for training. Values that the config states are kept. The result is
        stored in the run's recipe and in the exported weights. Raises DataError when config and corpus do not agree.
        """
        return config

    def controls(self, fields: Mapping[str, Any]) -> Any:
        """``fields`` as this model's ``Controls``. Raises RecipeError that lists the model's controls."""
        known = ", ".join(self.Controls.model_fields) or "none"
        return validate(self.Controls, fields, where="controls", hint=f"controls of this model: {known}")

    def for_inference(self, precision: Precision = "float32") -> Self:
        """This network ready to generate: eval mode, no gradients, weight norms folded into plain weights.

        ``precision="bf16"`` computes in bfloat16 where that is faster; elsewhere it warns and stays in float32.
        """
        self.eval().requires_grad_(False)
        fold_weight_norms(self)
        self.precision = resolve_precision(precision, self.device)
        return self

    def onnx_graph(self) -> "OnnxGraph":
        """What ``amphion export`` writes of this network. Raises DataError unless a model overrides it."""
        raise DataError(
            f"{type(self).__name__} cannot be exported: it does not state its graph",
            hint="docs/export.md lists the models that can be exported; a model states its graph in onnx_graph",
        )

    @property
    def device(self) -> torch.device:
        """Where the network computes; the CPU if it has no parameters."""
        return next((tensor.device for tensor in self.parameters()), torch.device("cpu"))

    def fingerprint(self) -> str:
        """A checksum of the weights, by which later work recognises the same network."""
        crc = 0
        for tensor in self.state_dict().values():
            crc = zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(), crc)
        return f"{crc:08x}"

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of inference: bfloat16 autocast after ``for_inference("bf16")``, else a context without effect."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Synthesis:
    """Result of generation: ``mel`` (B, F, N) or ``wave`` (B, T), and what the model predicted on the way.

    ``lengths`` (B) are valid frames of the mel, or valid samples of the wave. ``durations`` (B, L) are in frames,
    ``f0`` (B, N) in Hz with 0 where unvoiced, for vocoders that need it.
    """

    lengths: Tensor
    mel: Tensor | None = None
    wave: Tensor | None = None
    durations: Tensor | None = None
    f0: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A recording that zero-shot synthesis imitates: ``wave`` (B, T) at the model's rate, ``lengths`` (B) in samples.

    ``ids`` (B, L) and ``id_lengths`` (B) are the symbols of its text, for models that need them.
    """

    wave: Tensor
    lengths: Tensor
    ids: Tensor | None = None
    id_lengths: Tensor | None = None


@dataclass(frozen=True, slots=True)
class TextCondition:
    """Encoded captions: ``states`` (B, L, C), and ``mask`` (B, L), True where valid.

    ``pooled`` (B, G) is one vector for each caption, from encoders that have one.
    """

    states: Tensor
    mask: Tensor
    pooled: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Codes:
    """Output of a codec: ``indices`` (K, B, N), and further streams where the codec has them."""

    indices: Tensor
    extra: dict[str, Tensor] | None = None


class Vocoder(ModelArchitecture):
    """Mel to wave. ``forward(mel (B, F, N), f0 (B, N) = None) -> (B, 1, T)`` where the model is feed-forward."""

    needs_f0: bool = False  # may depend on the config
    needs_weights: ClassVar[bool] = True  # False: needs no training and takes any mel convention
    alike_in_batches: ClassVar[bool] = False  # True: an item of a batch is what `vocode` makes of it alone, to rounding

    @property
    def context(self) -> int | None:
        """Frames before and behind a frame that its audio depends on; None: more, or unknown."""
        return None

    @abstractmethod
    def vocode(self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1], T = N * hop_length; ``f0`` (B, N) in Hz, 0 = unvoiced. No gradients.

        A vocoder with ``Controls`` also takes ``controls``. Raises AudioError where ``needs_f0`` and none is given.
        """

    def vocode_part(
        self, mel: Tensor, f0: Tensor | None = None, *, start: int, seed: int | None = None, **controls: Any
    ) -> Tensor:
        """Frames of a longer mel, those from ``start`` on: (B, F, N) -> (B, N * hop_length). Long audio is made so.

        ``f0`` (B, M) begins at the beginning of the longer mel, M >= start + N. By default the part is vocoded alone. A
        vocoder whose output depends on all earlier frames, as one that sums a phase, overrides it. Errors as `vocode`.
        """
        own = None if f0 is None else f0[:, start : start + mel.shape[-1]]
        return self.vocode(mel, own, seed=seed, **controls)


class Discriminator(ModelArchitecture):
    """Several sub-discriminators that each decide whether a wave is real or generated."""

    @abstractmethod
    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores and feature maps, with one entry for each sub-discriminator."""


class Codec(ModelArchitecture):
    """Wave to codes and back. ``forward(wave (B, 1, T)) -> (wave (B, 1, T), losses)``."""

    sample_rate: int  # Hz
    hop_length: int  # samples for each frame of codes
    n_codebooks: int  # K, the largest number of codebooks that ``encode`` uses
    codebook_size: int  # entries of each codebook; every index is smaller
    causal: ClassVar[bool] = False  # True: ``stream`` works, because no output depends on later input
    context: int = 0  # frames before and after a frame on which its codes and samples depend, where not causal
    _stored_fingerprint: str = ""  # that of the weights before `for_inference` folded their weight norms

    def for_inference(self, precision: Precision = "float32") -> Self:
        """This codec ready to encode and decode; see `ModelArchitecture.for_inference`."""
        self._stored_fingerprint = self.fingerprint()
        return super().for_inference(precision)

    def fingerprint(self) -> str:
        """A checksum of the weights, by which models that learned from its codes recognise the same codec.

        After `for_inference` it is that of the weights as they are stored, because the last bits of folded weights
        depend on the processor.
        """
        return self._stored_fingerprint or super().fingerprint()

    @property
    def frame_rate(self) -> float:
        """Frames of codes in each second."""
        return self.sample_rate / self.hop_length

    def bitrate(self, n_codebooks: int | None = None) -> float:
        """Bits in each second with the first ``n_codebooks`` codebooks, or with all."""
        return (n_codebooks or self.n_codebooks) * self.frame_rate * math.log2(self.codebook_size)

    @abstractmethod
    def encode(self, wave: Tensor, n_codebooks: int | None = None) -> Codes:
        """(B, 1, T) -> Codes with indices (K, B, N) of the first ``n_codebooks`` or all codebooks. No gradients."""

    @abstractmethod
    def latents(self, codes: Codes) -> Tensor:
        """Codes -> (B, C, N): the continuous vectors that the decoder reads. No gradients."""

    @abstractmethod
    def decode_latents(self, latents: Tensor) -> Tensor:
        """(B, C, N) -> (B, 1, T), T = N * hop_length: also of vectors that another model generated. No gradients."""

    def decode(self, codes: Codes) -> Tensor:
        """Codes -> (B, 1, T), T = N * hop_length. No gradients."""
        return self.decode_latents(self.latents(codes))

    def stream(self) -> "CodecStream":
        """A coder that processes one long signal piece by piece. Raises DataError unless ``causal``."""
        raise DataError(f"{type(self).__name__} is not causal, so it cannot work piece by piece")

    def encode_pieces(self, pieces: Iterable[Tensor], n_codebooks: int | None = None) -> Codes:
        """Consecutive pieces (B, 1, T) of a long signal -> the Codes of the whole, in memory for some seconds of audio.

        The end is filled with zeros to a whole frame. A codec that needs the whole signal overrides this method and
        `decode_pieces`. Raises AudioError for a signal without samples.
        """
        from amphion_core.codec_pieces import encode_pieces

        return Codes(encode_pieces(self, pieces, n_codebooks))

    def decode_pieces(self, codes: Codes) -> Iterator[Tensor]:
        """The Codes of a long signal -> its samples, in pieces (B, 1, T) of some seconds."""
        from amphion_core.codec_pieces import decode_pieces

        return decode_pieces(self, codes)


class CodecStream(ABC):
    """A causal codec on one long signal. The results of all pieces together equal the result of the whole signal."""

    @abstractmethod
    def encode(self, wave: Tensor) -> Codes:
        """The next samples (B, 1, T), T a multiple of hop_length -> their codes (K, B, T / hop_length)."""

    @abstractmethod
    def decode(self, codes: Codes) -> Tensor:
        """The next codes (K, B, N) -> their samples (B, 1, N * hop_length)."""


class TextToSpeech(ModelArchitecture):
    """Tokens to mel or wave; ``forward`` is the training pass. Its config has ``frontend``, and ``mel`` for mels.

    A model of waves without ``mel`` overrides ``sample_rate``.

    A model of several speakers has their names in its config, as ``speakers``.
    """

    output: ClassVar[Literal["mel", "wave"]] = "mel"  # "mel": needs a vocoder of the same mel convention
    takes_prompt: ClassVar[bool] = False  # True: imitates the voice of a recording
    needs_prompt_text: ClassVar[bool] = True  # False: the recording is enough, and ``Prompt.ids`` may be None
    takes_seeds: ClassVar[bool] = False  # True: ``seed`` may be a sequence of one seed for each item

    @property
    def sample_rate(self) -> int:
        """Hz of the waves: of the recordings it learns from, of prompts, and of its output where that is a wave."""
        return int(self.config.mel.sample_rate)

    @abstractmethod
    def synthesize(
        self,
        ids: Tensor,
        lengths: Tensor,
        speaker: Tensor | None = None,
        *,
        prompt: Prompt | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """ids (B, L), lengths (B), speaker (B) -> Synthesis. No gradients.

        ``speaker`` are indices in the config's ``speakers``. ``controls`` is an instance of ``Controls``; None, and
        fields that are None, mean the model's default values. Item b draws from ``seed + b``.
        """

    def synthesize_parts(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None = None, *, prompt: Prompt | None = None,
        seed: int | None = None, controls: Any = None,
    ) -> "Iterator[Synthesis]":  # fmt: skip
        """The mel or wave of ``synthesize`` for one item, ids (1, L), in parts that follow one another, to rounding.

        A model that has the beginning before the rest overrides it. By default there is one part.
        """
        yield self.synthesize(ids, lengths, speaker, prompt=prompt, seed=seed, controls=controls)

    def align(
        self, ids: Tensor, lengths: Tensor, wave: Tensor, wave_lengths: Tensor, speaker: Tensor | None = None
    ) -> Tensor:
        """Durations (B, L) in frames of the mel: how long each symbol takes in a recording of the text. No gradients.

        ids (B, L) with lengths (B) are the texts, wave (B, T) with wave_lengths (B) are the recordings at the mel's
        rate. The durations of an item add up to its frames. Raises DataError for a model that cannot align and for an
        item with fewer frames than symbols, WeightsError where the part that aligns is missing.
        """
        raise DataError(
            f"{type(self).__name__} cannot find the symbols of a text in a recording",
            hint="use a VITS with its posterior encoder, or a FastSpeech 2 with an aligner",
        )


class VoiceConverter(ModelArchitecture):
    """Audio of one voice to audio of another voice; ``forward`` is the training pass. Its config has ``mel``.

    A model of several speakers has their names in its config, as ``speakers``, and may have ``speaker_f0``, the median
    F0 of each in Hz, so that a task can choose the key. A model of any voice states ``voice_feature`` instead.
    """

    output: ClassVar[Literal["mel", "wave"]] = "mel"  # "mel": needs a vocoder of the same mel convention
    needs_weights: ClassVar[bool] = True  # False: needs no training

    @property
    @abstractmethod
    def features(self) -> "dict[str, FeaturePart]":
        """The features of the source recording that ``convert`` needs, by name. Each may have another frame rate.

        A feature with ``frame_shift = None`` describes the voice of the source: a task computes it once for the whole
        recording, also where it converts the recording in pieces.
        """

    @property
    def voice_feature(self) -> "FeaturePart | None":
        """The feature (B, G) that turns a recording of any voice into ``speaker``; None: only ``speakers`` are known.

        ``convert`` of a model with ``voice_feature`` and without ``speakers`` takes vectors (B, G) only.
        """
        return None

    @property
    def pitch_feature(self) -> "FeaturePart":
        """The F0 tracker whose values ``convert`` expects, in the frames of the mel.

        Its ``fmin`` and ``fmax``, in Hz, are the range in which the model can sing.
        """
        from amphion_core.parts import FeaturePart

        return FeaturePart.named("f0_dio", mel=self.config.mel)

    @property
    def feature_variants(self) -> Mapping[str, str]:
        """The ``variant`` of each of ``features`` with which the model was trained, by name.

        ``voice`` is that of ``voice_feature``. A task refuses to convert with features of other weights. What is not
        listed is not compared.
        """
        return {}

    @abstractmethod
    def convert(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        *,
        f0: Tensor | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Features of the source by name, each (B, dim, N) at its own frame rate -> Synthesis. No gradients.

        ``lengths`` (B) are the mel frames to generate, which span the same time as the features. ``speaker`` is (B),
        indices in the config's ``speakers``, or (B, G), vectors of any voice. ``f0`` (B, N) is in Hz at the mel's rate.
        """


class TextToAudio(ModelArchitecture):
    """Captions to sounds; ``forward`` is the training pass. Its config has ``mel`` where the output is a mel.

    The encoder of the captions is another model, which the config names: ``text_encoder`` is a card, a weights folder
    or the name of an encoder without weights, and ``text_encoder_fingerprint`` is the encoder's `fingerprint`, with
    which a task refuses to generate with other weights than those of the training; empty where it is not known.
    """

    output: ClassVar[Literal["mel", "wave"]] = "mel"  # "mel": needs a vocoder of the same mel convention
    can_edit: ClassVar[bool] = False  # True: ``edit`` works
    max_duration: float | None = None  # seconds, the longest sound that it makes; None: no limit

    @property
    def sample_rate(self) -> int:
        """Hz of the sounds. That of the config's ``mel``, unless a model overrides it."""
        return int(self.config.mel.sample_rate)

    def read_captions(
        self, captions: Sequence[str], *, duration: float, encoder: "TextEncoder | None" = None
    ) -> TextCondition:
        """Captions (B) of sounds of ``duration`` seconds -> the condition that ``forward`` and ``sample`` take.

        ``encoder`` is the text encoder that the config names, None where it names none. The condition is what it makes
        of the captions, unless a model that finds more in a caption, such as times, overrides this method. An empty
        caption is valid and means no condition. Raises DataError for a caption that the model cannot use.
        """
        if encoder is None:
            raise DataError(f"{type(self).__name__} needs a text encoder", hint="amphion list models 'text_encoder/*'")
        return encoder.encode(captions)

    @abstractmethod
    def sample(
        self,
        condition: TextCondition,
        *,
        duration: float,
        negative: TextCondition | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Encoded captions (B) -> Synthesis of ``duration`` seconds. No gradients.

        ``negative`` (B) describes what to avoid, for guided models: a task gives the encoded empty caption where a user
        states nothing. Its L may differ from that of ``condition``. Item b draws from ``seed + b``.
        """

    def edit(
        self,
        condition: TextCondition,
        wave: Tensor,
        *,
        strength: float = 0.6,
        regions: Sequence[tuple[float, float]] = (),
        negative: TextCondition | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Recordings that are changed to what the captions (B) say. No gradients. Other arguments as ``sample``.

        ``wave`` (B, T) are recordings of one length at ``sample_rate``. ``strength``, over 0 and at most 1, is the
        share of the way to noise from which generation starts: small values keep the recording, 1 ignores it.
        ``regions`` are spans (start, end) in seconds, for all items: only they are made anew, to fit the sound around
        them. Empty: the whole recording. The result lasts as long as the recording, to a frame.

        Raises DataError unless ``can_edit``.
        """
        raise DataError(
            f"{type(self).__name__} cannot start from a recording",
            hint="leave the recording out, or name another model",
        )


class TextEncoder(ModelArchitecture):
    """Captions to vectors that condition generation, such as T5, CLAP and sentence encoders."""

    dim: int  # C of the states
    pooled_dim: int = 0  # G of ``pooled``; 0: there is none
    max_tokens: int | None = None  # of a caption, with the symbols of its ends; None: no limit
    languages: tuple[str, ...] = ()  # codes of the languages that it understands; empty: any
    needs_weights: ClassVar[bool] = True  # False: needs no training
    hears_audio: bool = False  # True: ``encode_audio`` works; may depend on the config

    def token_count(self, text: str) -> int:
        """Tokens of a caption before it is cut to ``max_tokens``."""
        return len(text.split())

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> TextCondition:
        """B captions -> TextCondition. No gradients. An empty caption is valid and means no condition.

        A caption of more than ``max_tokens`` tokens is cut. A trainer calls it in its step, with
        ``batch.texts["caption"]``; so it may not return tensors of inference mode.
        """

    def encode_audio(self, wave: Tensor, sample_rate: int, lengths: Tensor | None = None) -> TextCondition:
        """Sounds where captions are expected: wave (B, T) at ``sample_rate`` Hz -> TextCondition. No gradients.

        ``lengths`` (B) are the valid samples. ``pooled`` (B, G) of a sound and of its caption are similar vectors of
        unit length. Raises DataError unless ``hears_audio``.
        """
        raise DataError(f"{type(self).__name__} reads texts only", hint="use text_encoder/clap with its audio tower")
