"""Zero-shot text to speech in the codes of a codec: from a prompt's recording to the wave of a text.

What every such model does alike: it encodes the prompt, joins its text with the text to speak, and decodes the codes
that the model generates. Wang et al., arXiv:2301.02111, section 4.
Letters: B batch, T samples, K codebooks, N frames, L tokens.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import (
    BaseConfig,
    Codec,
    CodecPart,
    CodecSource,
    Codes,
    CorpusFacts,
    FeaturePart,
    FrontendPart,
    Prompt,
    Synthesis,
    TextToSpeech,
    open_codec,
    report,
)  # fmt: skip
from amphion_core.draws import random_generator
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.text.symbols import frontend_with_symbols
from amphion_tts.models.code_generation import CodeControls

SHORTEST = 0.2  # seconds: a shorter prompt holds no syllable


class Scores(NamedTuple):
    """Result of a training pass: scores (B, S, V) of the next codes, those codes, and which of them count, (B, S)."""

    scores: Tensor
    targets: Tensor
    predicted: Tensor


class CodecSpeechConfig(BaseConfig):
    """The fields of every model that speaks in codes."""

    frontend: FrontendPart | None = Field(
        default=None, description="frontend that turns text into symbols; null: the network takes ids only"
    )
    vocabulary: int | None = Field(
        default=None, gt=0, le=1 << 20,
        description="rows of the text embedding; null: as many as the frontend has symbols",
    )  # fmt: skip
    codec: CodecSource = Field(
        default="codec/encodec", description="card, weights folder or run of the codec; or an untrained codec"
    )
    codec_fingerprint: str = Field(
        default="", description="checksum of the codec's weights in the training; empty: not known"
    )
    n_codebooks: int = Field(default=8, ge=2, le=64, description="codebooks of the codec that are used, K")
    codebook_size: int = Field(default=1024, gt=1, le=1 << 15, description="entries of each codebook")

    @property
    def vocabulary_size(self) -> int:
        """Rows of the text embedding. Raises RecipeError where neither the config nor a frontend states them."""
        symbols = len(self.frontend.config.symbols) if self.frontend else 0  # type: ignore[attr-defined]
        if not (self.vocabulary or symbols):
            raise RecipeError(
                "vocabulary: a model without a frontend needs its number of symbols", hint="give frontend"
            )
        if self.vocabulary and self.vocabulary < symbols:
            raise RecipeError(
                f"vocabulary: {self.vocabulary} rows are too few for {symbols} symbols", hint="leave vocabulary out"
            )
        return self.vocabulary or symbols

    @property
    def codes_feature(self) -> FeaturePart:
        """The extractor of the codes that the model learns from."""
        return FeaturePart.named("codec_codes", codec=self.codec, n_codebooks=self.n_codebooks)


class CodecSpeech(TextToSpeech):
    """Text and a prompt -> codes -> wave. A subclass generates the codes of one text."""

    class Controls(CodeControls):
        """What a request may change. A control that is not given has the model's own value."""

    output = "wave"
    takes_prompt = True
    config: Any
    ar: Any  # the network of the first codebook, one code after another
    nar: Any  # that of the other codebooks, each at once

    @property
    def codec(self) -> Codec:
        """The codec of the config with its weights, on this network's device.

        Raises WeightsError: there are no weights at this place, or it is a codec of other sizes, or of other weights
        than in the training.
        """
        found = open_codec(self.config.codec, str(self.device), self.config.codec_fingerprint)
        sizes = self.config.n_codebooks, self.config.codebook_size
        if found.n_codebooks < sizes[0] or found.codebook_size != sizes[1]:
            raise WeightsError(
                f"the codec has {found.n_codebooks} codebooks of {found.codebook_size} entries, and the model uses"
                f" {sizes[0]} of {sizes[1]}",
                hint=f"a trained model needs the codec it was trained with; in a recipe: model.codec=PLACE, or"
                f" model.n_codebooks={min(found.n_codebooks, sizes[0])} model.codebook_size={found.codebook_size}",
            )
        return found

    @property
    def sample_rate(self) -> int:
        """Hz of the codec. Raises WeightsError where the codec's weights are missing."""
        return self.codec.sample_rate

    @classmethod
    def config_for(cls, config: Any, facts: CorpusFacts) -> Any:
        """``config`` with the codec's fingerprint, and the symbols of the corpus for a frontend that has none.

        Raises DataError for a text that does not fit a stated frontend, WeightsError where the codec has no weights.
        """
        codec = open_codec(config.codec, "cpu", config.codec_fingerprint)
        config = config.replace(codec_fingerprint=codec.fingerprint())
        if config.frontend is None:
            return config
        texts = (utterance.text for utterance in facts.utterances())
        return config.replace(frontend=frontend_with_symbols(config.frontend, texts))

    def forward(self, ids: Tensor, lengths: Tensor, codes: Tensor, code_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Texts (B, L), codes (B, K, N) -> scores of the AR model (B, S, V), and of all stages of the NAR model.

        These are (B, K - 1, N, V); half of each recording is the prompt.
        """
        given = ids, lengths, codes, code_lengths
        stages = range(1, self.config.n_codebooks)
        scores = [self.nar(*given, stage, code_lengths // 2).scores for stage in stages]
        return self.ar(*given).scores, torch.stack(scores, 1)

    @abstractmethod
    def generate_codes(
        self, ids: Tensor, prompt_ids: Tensor, prompt: Tensor, generator: torch.Generator, controls: CodeControls | None
    ) -> Tensor:
        """Codes (K, N) of one text (L), spoken after the prompt (K, P) with its text (M). No gradients.

        N may be 0. In a continuation ``prompt_ids`` are empty. ``generator`` is on the CPU.
        """

    @torch.no_grad()
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
        """ids (B, L), lengths (B) -> Synthesis with ``wave`` (B, T), the texts in the voices of the prompts.

        Items are generated one by one. ``speaker`` is not used. Raises DataError: no prompt, a prompt that is too short
        or whose text is missing; nothing was generated. Raises WeightsError where the codec's weights are missing.
        """
        if prompt is None:
            raise DataError("this model imitates a recording, and none is given", hint="--prompt FILE")
        continuing = bool(controls and controls.continuation)
        if prompt.ids is None and not continuing:
            raise DataError(
                "this model needs the text of the prompt too", hint="--prompt-text 'WORDS', or the control continuation"
            )
        codec = self.codec
        waves = []
        for row, size in enumerate(lengths.tolist()):
            generator = random_generator(None if seed is None else seed + row)
            heard = self._encoded(codec, prompt.wave[row, : int(prompt.lengths[row])])
            said = ids.new_zeros(0)
            if not continuing:
                assert prompt.ids is not None
                said = prompt.ids[row] if prompt.id_lengths is None else prompt.ids[row, : int(prompt.id_lengths[row])]
            codes = self.generate_codes(ids[row, :size], said, heard, generator, controls)
            if not codes.shape[1]:
                raise DataError(
                    "the speech ended before its first frame", hint="--seed NUMBER, or a prompt without a long pause"
                )
            report("codes", codes[None], "BKN")
            waves.append(self._decoded(codec, heard, codes))
        sizes = [len(wave) for wave in waves]
        padded = torch.stack([F.pad(wave, (0, max(sizes) - len(wave))) for wave in waves])
        return Synthesis(torch.tensor(sizes, device=padded.device), wave=padded)

    def _encoded(self, codec: Codec, wave: Tensor) -> Tensor:
        """A recording (T) as codes (K, P). An incomplete last frame is left out. Raises DataError."""
        if len(wave) < SHORTEST * codec.sample_rate:
            raise DataError(
                f"the prompt has {len(wave) / codec.sample_rate:.2f} seconds, too little to hear a voice",
                hint="use about three seconds of clear speech",
            )
        whole = len(wave) - len(wave) % codec.hop_length
        return codec.encode(wave[None, None, :whole].float(), self.config.n_codebooks).indices[:, 0].long()

    def _decoded(self, codec: Codec, heard: Tensor, codes: Tensor) -> Tensor:
        """The wave (T) of codes (K, N). The decoder also reads the prompt, so that the speech begins without a jump."""
        both = torch.cat([heard, codes], 1)[:, None]
        return codec.decode(Codes(both))[0, 0, heard.shape[1] * codec.hop_length :].float()

    def most_frames(self, most: int, controls: CodeControls | None) -> int:
        """``most`` frames, or fewer where the control ``longest`` says so; at least one."""
        if controls is None or controls.longest is None:
            return most
        return min(most, max(1, round(controls.longest * self.codec.frame_rate)))

    def joined(self, prompt_ids: Tensor, ids: Tensor) -> Tensor:
        """The text of the prompt (M) and the text to speak (L) as one text.

        The end symbol of the first and the begin symbol of the second are left out.
        """
        if not len(prompt_ids):
            return ids
        part = self.config.frontend
        if part is not None:
            table = list(part.config.symbols)
            c = part.config
            if c.end is not None and int(prompt_ids[-1]) == table.index(c.end):
                prompt_ids = prompt_ids[:-1]
            if c.begin is not None and int(ids[0]) == table.index(c.begin):
                ids = ids[1:]
        return torch.cat([prompt_ids, ids])

    @staticmethod
    def example_codec() -> CodecPart:
        """An untrained EnCodec of 75 frames a second, 3 codebooks of 16 entries."""
        sizes = {"filters": 2, "dim": 4, "codebooks": 3, "codebook_size": 16, "kmeans": False, "lstm_layers": 1}
        return CodecPart.named("codec/encodec", **sizes)

    def example_inputs(self) -> dict[str, Any]:
        """Two texts, and codes of two recordings of different lengths."""
        g = torch.Generator().manual_seed(0)
        c = self.config
        return {
            "ids": torch.randint(c.vocabulary_size, (2, 5), generator=g),
            "lengths": torch.tensor([5, 3]),
            "codes": torch.randint(c.codebook_size, (2, c.n_codebooks, 9), generator=g),
            "code_lengths": torch.tensor([9, 6]),
        }
