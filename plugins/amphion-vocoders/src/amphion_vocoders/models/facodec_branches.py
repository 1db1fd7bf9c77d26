"""What both FACodecs share: branches of prosody, content and residual, and predictors that keep them apart in training.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2. A network subclasses `BranchedCodec`, and its Config
subclasses `BranchedConfig`; the trainer ``facodec`` trains it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Codec, FrontendPart
from amphion_core.data.facts import CorpusFacts
from amphion_core.errors import DataError
from amphion_core.speakers import speakers_for
from amphion_core.text.symbols import frontend_with_symbols
from amphion_vocoders.models.facodec_heads import REVERSED, Factors, Head, build_heads, reversed_gradient
from amphion_vocoders.models.facodec_redecoder import Redecoder
from amphion_vocoders.models.facodec_timbre import TimbreNorm
from amphion_vocoders.quantization import FactorizedCodebook, ResidualQuantizer


class BranchedConfig(BaseConfig):
    """The codebooks, and the predictors that only training needs."""

    prosody_books: int = Field(default=1, gt=0, le=64, description="codebooks of prosody")
    content_books: int = Field(default=2, gt=0, le=64, description="codebooks of content")
    residual_books: int = Field(default=3, gt=0, le=64, description="codebooks of the residual")
    book_size: int = Field(default=1024, gt=1, le=1 << 20, description="entries of each codebook")
    code_dim: int = Field(default=8, gt=0, le=4096, description="dimensions in which entries are searched")
    dead_below: float = Field(
        default=0.0, ge=0,
        description="entries that fewer vectors of a step choose, on average, are replaced in training; 0: none",
    )  # fmt: skip
    residual_dropout: float = Field(
        default=0.75, ge=0, lt=1, description="probability that an item in training has no residual"
    )
    predictors: tuple[Head, ...] = Field(
        default=(), description="predictors of f0, phone and speaker for training; see ``facodec_heads.py``"
    )
    frontend: FrontendPart | None = Field(
        default=None, description="frontend whose symbols, and a blank, are the classes of the predictors of phones"
    )
    n_phones: int = Field(default=5003, gt=0, description="these classes; with a frontend: as many as its symbols need")
    speakers: tuple[str, ...] = Field(
        default=(), description="names of the speakers by index; left out: the corpus's, in training"
    )
    n_speakers: int = Field(
        default=245200, gt=0, description="classes of the predictors of speakers; with speakers: their number"
    )

    @model_validator(mode="before")
    @classmethod
    def _count_speakers(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("speakers"):
            return {**values, "n_speakers": len(values["speakers"])}
        return values

    @model_validator(mode="after")
    def _predictors_differ(self) -> Self:
        if len(set(self.predictors)) < len(self.predictors):
            raise ValueError("predictors: one is listed twice")
        return self

    @property
    def phone_classes(self) -> int:
        """Classes of the predictors of phones."""
        symbols = len(self.frontend.config.symbols) if self.frontend else 0  # type: ignore[attr-defined]
        return symbols + 1 if symbols else self.n_phones

    @property
    def books(self) -> tuple[int, int, int]:
        """Codebooks of prosody, content and residual."""
        return self.prosody_books, self.content_books, self.residual_books

    def quantizer(self, count: int, dim: int) -> ResidualQuantizer:
        """A quantiser of vectors of ``dim`` channels with ``count`` codebooks."""
        return ResidualQuantizer([
            FactorizedCodebook(self.book_size, dim, code_dim=self.code_dim, threshold=self.dead_below)
            for _ in range(count)
        ])  # fmt: skip

    def heads_for(self, dim: int) -> nn.ModuleDict:
        """The predictors, which read branches of ``dim`` channels."""
        return build_heads(self.predictors, dim, phones=self.phone_classes, speakers=self.n_speakers)


class BranchedCodec(Codec):
    """A codec of three branches and a timbre. A subclass builds ``heads``, ``timbre`` and ``decoder``."""

    config: Any
    heads: nn.ModuleDict
    timbre: TimbreNorm
    decoder: nn.Module
    redecoder: Redecoder | None

    @property
    @abstractmethod
    def quantizers(self) -> tuple[ResidualQuantizer, ResidualQuantizer, ResidualQuantizer]:
        """Those of prosody, content and residual."""

    @abstractmethod
    def factorise(self, wave: Tensor) -> Factors:
        """(B, 1, T) -> Factors with gradients, N = ceil(T / hop_length). Raises AudioError for another shape."""

    @classmethod
    def config_for(cls, config: Any, facts: CorpusFacts) -> Any:
        """``config`` with what its predictors need of the corpus: the symbols of its texts, and its speakers.

        Raises DataError for a text or a speaker that does not fit what ``config`` states, and for a corpus without
        speakers where they are predicted.
        """
        changes: dict[str, Any] = {}
        if config.frontend is not None:
            texts = [utterance.text for utterance in facts.utterances() if utterance.text.strip()]
            if not texts and any(name.endswith("phone") for name in config.predictors):
                raise DataError(
                    "model.predictors: phones are predicted, and the corpus has no text",
                    hint="add a corpus with texts, or leave the predictors of phones out",
                )
            changes["frontend"] = frontend_with_symbols(config.frontend, texts)
        if any(name.endswith("speaker") for name in config.predictors):
            if not (speakers := speakers_for(config.speakers, facts)):
                raise DataError(
                    "model.predictors: speakers are predicted, and the corpus names none",
                    hint="prepare the corpus with speakers, or leave the predictors of speakers out",
                )
            changes |= {"speakers": speakers, "n_speakers": len(speakers)}
        return config.replace(**changes)

    @property
    def bypassed(self) -> bool:
        """Whether a training has not begun with codebooks yet, so that there are no indices."""
        return self.quantizers[0].bypassed

    def mix(self, factors: Factors) -> Tensor:
        """Factors -> the frames that the decoder reads, (B, C, N).

        In training, the residual of an item is left out with probability ``residual_dropout``.
        """
        prosody, content, residual = factors.parts
        if self.training and self.config.residual_dropout:
            kept = torch.rand(len(residual), 1, 1, device=residual.device) >= self.config.residual_dropout
            residual = residual * kept
        return self.timbre(prosody + content + residual, factors.speaker)

    def predict(self, factors: Factors) -> dict[str, list[Tensor]]:
        """What each predictor makes of its branch: F0 and voicing (B, N, 1), phones (B, N, P), speakers (B, S).

        Gradients of predictors of what a branch should not hold are reversed where they enter the branch. In training
        these predictors read normalised frames: `mix` normalises, so that nothing else bounds the size of a branch, and
        a branch that grew would make such a predictor worse for ever.
        """
        prosody, content, residual = factors.parts
        inputs = {
            "f0": prosody, "phone": content, "speaker": factors.speaker, "content_f0": content,
            "prosody_phone": prosody, "residual_f0": residual, "residual_phone": residual,
            "sum_speaker": prosody + content + residual,
        }  # fmt: skip
        found = {}
        for name, head in self.heads.items():
            x = reversed_gradient(inputs[name]) if name in REVERSED else inputs[name]
            if name in REVERSED and self.training:
                x = nn.functional.layer_norm(x.mT, x.shape[1:2]).mT
            made = head(x)
            found[name] = [made] if isinstance(made, Tensor) else made
        return found
