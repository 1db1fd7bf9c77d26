"""VALL-E of the Amphion paper: two Llamas over SpeechTokenizer codes that speak in the voice of a short recording.

Wang et al.: "Neural Codec Language Models are Zero-Shot Text to Speech Synthesizers", arXiv:2301.02111; as described in
"Amphion: An Open-Source Audio, Music and Speech Generation Toolkit", arXiv:2312.09911, and its second version. Layout
read: "amphion" (``amphion/valle``, both files in one folder or one mapping).
Deviations: the order inside the NAR model's sequence, and whether its last norm is adaptive, are inferred; the names of
its published tensors are too. The AR model may only say codes and the end. Loops are cut off.
"""

from collections.abc import Mapping
from typing import Any, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from amphion_core.api import FrontendPart
from amphion_core.config import validate
from amphion_tts.models.code_generation import (
    FRAMES_PER_SYMBOL,
    WEIGHT_STD,
    CodeControls,
    KeyValueCache,
    Sampling,
    generate,
    new_embedding,
)  # fmt: skip
from amphion_tts.models.codec_speech import CodecSpeech, CodecSpeechConfig, Scores
from amphion_tts.models.fastspeech2_modules import valid
from amphion_tts.models.llama import Llama

MOST_FRAMES = 2000  # of generated speech, as published
TOP_K, TOP_P = 100, 0.9  # as published
SPECIAL = 10  # rows of the tables after codes and phones; seven are used
PAD, TARGET_BEGIN, TARGET_END, TEXT_BEGIN, TEXT_END = range(5)  # 5 and 6, for prompts, are not used


class VALLE(CodecSpeech):
    """Text and prompt -> codes -> wave. The two stages are the networks ``ar`` and ``nar``."""

    class Config(CodecSpeechConfig):
        """The defaults are those of the published models, 271 M and 320 M parameters."""

        channels: int = Field(default=1024, gt=0, le=1 << 16, description="channels C of both Llamas")
        n_heads: int = Field(default=16, gt=0, le=1024, description="attention heads; their channels are even")
        n_layers: int = Field(default=16, gt=0, le=1024, description="blocks of each Llama")
        width: int = Field(default=4096, gt=0, le=1 << 18, description="width of the feed-forward networks")
        norm_eps: float = Field(default=1e-6, gt=0, le=1, description="added to the mean square in the norms")
        adaptive_end: bool = Field(default=False, description="the last norm of the NAR model is adaptive as well")
        code_rows: int | None = Field(
            default=None, gt=0, le=1 << 16, description="rows of the NAR model's code tables; null: codebook_size"
        )

        @model_validator(mode="after")
        def _fields_agree(self) -> Self:
            if self.channels % (2 * self.n_heads):
                raise ValueError(f"n_heads: channels {self.channels} is no multiple of 2 * {self.n_heads}")
            if self.code_rows is not None and self.code_rows < self.codebook_size:
                raise ValueError(f"code_rows: {self.code_rows} is less than codebook_size {self.codebook_size}")
            return self

        @property
        def first_special(self) -> int:
            """The id of the first special symbol: codes and phones come before it."""
            return self.codebook_size + self.vocabulary_size

    config: Config
    layouts = ("amphion",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.ar, self.nar = TextCodeAR(config), TextCodeNAR(config)

    @classmethod
    def example_config(cls) -> Config:
        """Letters, an untrained codec, 16 channels."""
        return cls.Config(
            frontend=FrontendPart.named("characters"), n_codebooks=3, codebook_size=16, channels=16, n_heads=2,
            n_layers=2, width=32, codec=cls.example_codec(),
        )  # fmt: skip

    def generate_codes(
        self, ids: Tensor, prompt_ids: Tensor, prompt: Tensor, generator: torch.Generator,
        controls: CodeControls | None = None,
    ) -> Tensor:  # fmt: skip
        """Codes (K, N) of a text (L) after the prompt (K, P) and its text (M). No gradients.

        The text, with that of the prompt, limits the length: 16 frames for each of its symbols, at most 2000.
        """
        text, rate = self.joined(prompt_ids, ids), self.codec.frame_rate
        most = self.most_frames(min(MOST_FRAMES, FRAMES_PER_SYMBOL * len(text)), controls)
        with torch.no_grad():
            step = self.ar.steps(text, prompt[0], most)
            first = generate(
                step, end=self.config.codebook_size, most=most, frame_rate=rate,
                how=Sampling.of(controls, top_k=TOP_K, top_p=TOP_P), generator=generator,
            )  # fmt: skip
            return self.nar.fill(text, prompt, torch.tensor(first, device=ids.device, dtype=torch.long))

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """The published networks as (Config, state dict). Sizes are read from the tensors. Raises WeightsError."""
        from amphion_tts.models.valle_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors


class TextCodeAR(nn.Module):
    """First codebook: one Llama over ``[begin] text [end] [begin] codes [end]``, in which all see what is before."""

    def __init__(self, c: VALLE.Config) -> None:
        super().__init__()
        self.codes, self.special = c.codebook_size, c.first_special
        self.added = 1  # what is predicted beyond the codes of an item: the end
        self.n_heads, self.n_layers = c.n_heads, c.n_layers
        self.embed_tokens = new_embedding(c.first_special + SPECIAL, c.channels)
        self.decoder = Llama(c.channels, c.n_heads, c.n_layers, c.width, c.norm_eps)
        self.lm_head = nn.Linear(c.channels, c.first_special + SPECIAL, bias=False)
        nn.init.normal_(self.lm_head.weight, std=WEIGHT_STD)

    def forward(self, ids: Tensor, lengths: Tensor, codes: Tensor, code_lengths: Tensor) -> Scores:
        """Texts (B, L), codes (B, K, N) -> scores (B, S, V) and targets (B, S): the codes and the end."""
        rows = [
            torch.cat([self.prefix(row[:size]), book[:count], book.new_tensor([self.special + TARGET_END])])
            for row, size, book, count in zip(
                ids, lengths.tolist(), codes[:, 0].long(), code_lengths.tolist(), strict=True
            )
        ]
        tokens = pad_sequence(rows, batch_first=True, padding_value=self.special + PAD)
        place = torch.arange(tokens.shape[1] - 1, device=ids.device)
        first = (lengths + 2)[:, None]  # the position of the second begin symbol, which the first code follows
        predicted = (place >= first) & (place <= first + code_lengths[:, None])
        x = self.decoder(self.embed_tokens(tokens[:, :-1]), causal=True)
        return Scores(self.lm_head(x), tokens[:, 1:], predicted)

    def prefix(self, ids: Tensor) -> Tensor:
        """A text (L) -> ``[begin] text [end] [begin]`` (L + 3)."""
        marks = [ids.new_tensor([self.special + mark]) for mark in (TEXT_BEGIN, TEXT_END, TARGET_BEGIN)]
        return torch.cat([marks[0], ids + self.codes, *marks[1:]])

    def steps(self, ids: Tensor, codes: Tensor, most: int) -> "_Steps":
        """Generation after a text (L) and codes (P): scores of the next code, for at most ``most`` codes."""
        return _Steps(self, torch.cat([self.prefix(ids), codes]), most)


class _Steps:
    """The AR model with a cache: each call takes the code that was drawn and gives the scores of the next one."""

    def __init__(self, network: TextCodeAR, tokens: Tensor, most: int) -> None:
        self.network, weight = network, network.lm_head.weight
        head = weight.shape[1] // network.n_heads
        self.cache = KeyValueCache(network.n_layers, network.n_heads, head, len(tokens) + most, weight)
        end = network.special + TARGET_END
        self.weight = torch.cat([weight[: network.codes], weight[end : end + 1]])  # codes and end: all it may say
        self.first = self._scores(tokens[None])

    def __call__(self, code: int | None) -> Tensor:
        """Scores (V) of what follows ``code``, the end last; None: of what follows the prompt."""
        if code is None:
            return self.first
        return self._scores(torch.tensor([[code]], device=self.first.device))

    def _scores(self, tokens: Tensor) -> Tensor:
        x = self.network.decoder(self.network.embed_tokens(tokens), causal=True, cache=self.cache)
        return nn.functional.linear(x[0, -1], self.weight)


class TextCodeNAR(nn.Module):
    """Codebooks 1 to K - 1: a Llama over ``[begin] text [end] frames`` that sees everything and knows the stage."""

    def __init__(self, c: VALLE.Config) -> None:
        super().__init__()
        self.n_codebooks, self.codebook_size, self.vocabulary = c.n_codebooks, c.codebook_size, c.vocabulary_size
        self.phone_embedder = new_embedding(c.vocabulary_size + SPECIAL, c.channels)
        self.prompt_embedder = nn.ModuleList(
            new_embedding(c.code_rows or c.codebook_size, c.channels) for _ in range(c.n_codebooks)
        )
        self.embed_cond = new_embedding(c.n_codebooks - 1, c.channels)
        self.decoder = Llama(
            c.channels, c.n_heads, c.n_layers, c.width, c.norm_eps, adaptive=True, adaptive_end=c.adaptive_end
        )
        heads = (nn.Linear(c.channels, c.first_special + SPECIAL, bias=False) for _ in range(c.n_codebooks - 1))
        self.lm_head = nn.ModuleList(heads)

    def forward(
        self, ids: Tensor, lengths: Tensor, codes: Tensor, code_lengths: Tensor, stage: int,
        prefix: Tensor | None = None,
    ) -> Scores:  # fmt: skip
        """Texts (B, L), codes (B, K, N) -> scores (B, N, V) of codebook ``stage``, 1 to K - 1, and the codes (B, N).

        Of the first ``prefix`` (B) frames of each item all codebooks are seen, of the others those before ``stage``.
        """
        codes = codes.long()
        frames = self._frames(codes, stage)
        predicted = valid(code_lengths, codes.shape[2])
        if prefix is not None:
            begun = valid(prefix, codes.shape[2])
            frames = torch.where(begun[..., None], self._frames(codes, self.n_codebooks), frames)
            predicted = predicted & ~begun
        sizes = list(zip(lengths.tolist(), code_lengths.tolist(), strict=True))
        rows = [torch.cat([self._text(ids[b, :size]), frames[b, :count]]) for b, (size, count) in enumerate(sizes)]
        x = pad_sequence(rows, batch_first=True)
        seen = valid(lengths + 2 + code_lengths, x.shape[1])[:, None, None]
        x = self._hidden(x, seen, stage)
        found = pad_sequence(
            [x[b, size + 2 : size + 2 + count] for b, (size, count) in enumerate(sizes)], batch_first=True
        )
        scores = self.lm_head[stage - 1](nn.functional.pad(found, (0, 0, 0, codes.shape[2] - found.shape[1])))
        return Scores(scores, codes[:, stage], predicted)

    @torch.no_grad()
    def fill(self, ids: Tensor, prompt: Tensor, first: Tensor) -> Tensor:
        """A text (L), a prompt (K, P) and the first codebook (N) -> all codebooks (K, N), greedily."""
        text, count = self._text(ids)[None], prompt.shape[1]
        heard = self._frames(prompt[None], self.n_codebooks)
        made = self._frames(first[None, None], 1)
        codes = [first]
        for stage in range(1, self.n_codebooks):
            x = self._hidden(torch.cat([text, heard, made], 1), None, stage)[0, text.shape[1] + count :]
            codes.append(self.lm_head[stage - 1](x)[:, : self.codebook_size].argmax(-1))
            made = made + self.prompt_embedder[stage](codes[-1])
        return torch.stack(codes)

    def _text(self, ids: Tensor) -> Tensor:
        """A text (L) -> ``[begin] text [end]`` (L + 2, C)."""
        marks = [ids.new_tensor([self.vocabulary + mark]) for mark in (TEXT_BEGIN, TEXT_END)]
        return self.phone_embedder(torch.cat([marks[0], ids, marks[1]]))

    def _frames(self, codes: Tensor, count: int) -> Tensor:
        """Codes (B, K, N) -> the sum (B, N, C) of the embeddings of the first ``count`` codebooks."""
        tables = cast("list[nn.Embedding]", self.prompt_embedder[:count])
        return torch.stack([table(codes[:, book]) for book, table in enumerate(tables)]).sum(0)

    def _hidden(self, x: Tensor, seen: Tensor | None, stage: int) -> Tensor:
        return self.decoder(x, seen, condition=self.embed_cond.weight[stage - 1])
