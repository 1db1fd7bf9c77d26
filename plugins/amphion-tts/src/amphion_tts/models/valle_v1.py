"""VALL-E, first release: a language model of EnCodec codes that speaks in the voice of a three-second recording.

Wang, Chen, Wu, Zhang, Zhou, Liu, Chen, Liu, Wang, Li, He, Zhao, Wei: "Neural Codec Language Models are Zero-Shot Text
to Speech Synthesizers", arXiv:2301.02111. An autoregressive Transformer (AR) generates the first codebook, another one
(NAR) the others, each codebook at once. Layouts read: "amphion" (HEAD), "lifeiteng" (lifeiteng/vall-e).
Deviations: the continuation runs the AR model, as in the paper; the published ``continual`` takes the first codebook of
the recording. Loops are cut off. Prefix modes 2 and 4 of the published code are not supported.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import validate
from amphion_tts.models.code_generation import (
    FRAMES_PER_SYMBOL,
    CodeControls,
    KeyValueCache,
    Sampling,
    generate,
    new_embedding,
)  # fmt: skip
from amphion_tts.models.codec_speech import CodecSpeech, CodecSpeechConfig, Scores
from amphion_tts.models.fastspeech2_modules import valid
from amphion_tts.models.valle_v1_modules import SinePositions, Transformer


class VALLEv1(CodecSpeech):
    """Text and prompt -> codes -> wave. The two stages are the networks ``ar`` and ``nar``."""

    class Config(CodecSpeechConfig):
        """The defaults are those of the published models, 367 M parameters."""

        channels: int = Field(default=1024, gt=0, le=1 << 16, description="channels C of both Transformers, even")
        n_heads: int = Field(default=16, gt=0, le=1024, description="attention heads")
        n_layers: int = Field(default=12, gt=0, le=1024, description="blocks of each Transformer")
        dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout of the blocks")
        begin: bool = Field(default=False, description="a begin symbol stands before the codes of the AR model")
        prefix: Literal["none", "start"] = Field(
            default="start",
            description="what the NAR model sees of the prompt: as much as of the rest (none, prefix mode 0), or all "
            "codebooks (start, prefix mode 1)",
        )

        @model_validator(mode="after")
        def _fields_agree(self) -> Self:
            if self.channels % (2 * self.n_heads):
                raise ValueError(f"n_heads: channels {self.channels} is no multiple of 2 * {self.n_heads}")
            return self

    config: Config
    layouts = ("amphion", "lifeiteng")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.ar, self.nar = CodeAR(config), CodeNAR(config)

    @classmethod
    def example_config(cls) -> Config:
        """12 symbols, an untrained codec, 16 channels."""
        return cls.Config(
            vocabulary=12, codec=cls.example_codec(), n_codebooks=3, codebook_size=16, channels=16,
            n_heads=2, n_layers=2, dropout=0.0,
        )  # fmt: skip

    @torch.no_grad()
    def generate_codes(
        self, ids: Tensor, prompt_ids: Tensor, prompt: Tensor, generator: torch.Generator,
        controls: CodeControls | None = None,
    ) -> Tensor:  # fmt: skip
        """Codes (K, N) of a text (L) after the prompt (K, P) and its text (M).

        The text, with that of the prompt, limits the length: 16 frames and one more for each of its symbols.
        """
        text = self.joined(prompt_ids, ids)[None]
        most = self.most_frames(FRAMES_PER_SYMBOL * text.shape[1] + 1, controls)
        step = self.ar.steps(text, prompt[0], most)
        first = generate(
            step, end=self.config.codebook_size, most=most, frame_rate=self.codec.frame_rate,
            how=Sampling.of(controls), generator=generator,
        )  # fmt: skip
        return self.nar.fill(text, prompt, torch.tensor(first, device=ids.device, dtype=torch.long))

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Sizes are read from the tensors. Raises WeightsError."""
        from amphion_tts.models.valle_v1_layouts import read

        fields, tensors = read(state, layout, config or {})
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors


class CodeAR(nn.Module):
    """First codebook, one code after another: the text is seen from everywhere, earlier codes from later ones."""

    def __init__(self, c: VALLEv1.Config) -> None:
        super().__init__()
        self.end, self.begin = c.codebook_size, c.begin
        self.added = int(c.begin)  # without a begin symbol, the first code is not predicted, and the end is
        self.n_heads, self.n_layers = c.n_heads, c.n_layers
        self.text_embedding = new_embedding(c.vocabulary_size, c.channels)
        self.audio_embedding = new_embedding(c.codebook_size + 1 + c.begin, c.channels)
        self.text_position, self.audio_position = SinePositions(learned=True), SinePositions(learned=True)
        self.decoder = Transformer(c.channels, c.n_heads, c.n_layers, c.dropout, staged=False)
        self.predict_layer = nn.Linear(c.channels, c.codebook_size + 1, bias=False)

    def inputs_and_targets(self, codes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (B, N) -> what the model reads and what it shall say, each (B, N), or N + 1 with a begin symbol.

        The end symbol follows the last code of an item, and stands for all padding.
        """
        filled = codes.masked_fill(~valid(lengths, codes.shape[1]), self.end)
        ended = F.pad(filled, (0, 1), value=self.end)
        if self.begin:
            return F.pad(filled, (1, 0), value=self.end + 1), ended
        return ended[:, :-1], ended[:, 1:]

    def forward(self, ids: Tensor, lengths: Tensor, codes: Tensor, code_lengths: Tensor) -> Scores:
        """Texts (B, L), codes (B, K, N) -> scores (B, N, V) and targets (B, N): the codes that follow, and the end."""
        inputs, targets = self.inputs_and_targets(codes[:, 0], code_lengths)
        size, count = ids.shape[1], inputs.shape[1]
        real = valid(code_lengths + self.begin, count)
        seen = torch.cat([valid(lengths, size), real], 1)[:, None, None]  # (B, 1, 1, L + N)
        x = torch.cat([self._text(ids), self._audio(inputs, 0)], 1)
        x = self.decoder(x, self._order(size, count, ids.device) & seen)[:, size:]
        return Scores(self.predict_layer(x), targets, real)

    def steps(self, ids: Tensor, codes: Tensor, most: int) -> "_Steps":
        """Generation after a text (1, L) and codes (P): scores of the next code, for at most ``most`` codes."""
        return _Steps(self, ids, codes, most)

    def _text(self, ids: Tensor) -> Tensor:
        return self.text_position(self.text_embedding(ids))

    def _audio(self, codes: Tensor, start: int) -> Tensor:
        return self.audio_position(self.audio_embedding(codes), start)

    def _order(self, size: int, count: int, device: torch.device) -> Tensor:
        """(1, 1, L + N, L + N): the text sees the text, codes see the text and the codes up to themselves."""
        mask = torch.ones(size + count, size + count, dtype=torch.bool, device=device).tril()
        mask[:size, :size] = True
        return mask[None, None]


class _Steps:
    """The AR model with a cache: each call takes the code that was drawn and gives the scores of the next one."""

    def __init__(self, network: CodeAR, ids: Tensor, codes: Tensor, most: int) -> None:
        self.network = network
        if network.begin:
            codes = F.pad(codes, (1, 0), value=network.end + 1)
        self.count = len(codes)
        weight = network.predict_layer.weight
        head = weight.shape[1] // network.n_heads
        size = ids.shape[1] + self.count + most
        self.cache = KeyValueCache(network.n_layers, network.n_heads, head, size, weight)
        x = torch.cat([network._text(ids), network._audio(codes[None], 0)], 1)
        order = network._order(ids.shape[1], self.count, ids.device)
        self.first = self._scores(network.decoder(x, order, cache=self.cache))

    def __call__(self, code: int | None) -> Tensor:
        """Scores (V) of what follows ``code``; None: of what follows the prompt."""
        if code is None:
            return self.first
        codes = torch.tensor([[code]], device=self.first.device)
        x = self.network._audio(codes, self.count)
        self.count += 1
        return self._scores(self.network.decoder(x, None, cache=self.cache))

    def _scores(self, x: Tensor) -> Tensor:
        return self.network.predict_layer(x[0, -1])


class CodeNAR(nn.Module):
    """Codebooks 1 to K - 1, each at once from the text and the codebooks before it."""

    def __init__(self, c: VALLEv1.Config) -> None:
        super().__init__()
        self.end, self.prefix, self.n_codebooks = c.codebook_size, c.prefix, c.n_codebooks
        self.text_embedding = new_embedding(c.vocabulary_size, c.channels)
        self.audio_embeddings = nn.ModuleList(
            new_embedding(c.codebook_size + (book == 0), c.channels) for book in range(c.n_codebooks)
        )
        self.text_position, self.audio_position = SinePositions(learned=False), SinePositions(learned=False)
        self.decoder = Transformer(c.channels, c.n_heads, c.n_layers, c.dropout, staged=True)
        self.predict_layer = nn.Linear(c.channels, c.codebook_size, bias=False)  # of the last stage
        self.stage_embeddings = nn.ModuleList(nn.Embedding(1, c.channels) for _ in range(c.n_codebooks - 1))

    def forward(
        self,
        ids: Tensor,
        lengths: Tensor,
        codes: Tensor,
        code_lengths: Tensor,
        stage: int,
        prefix: Tensor | None = None,
    ) -> Scores:
        """Texts (B, L), codes (B, K, N) -> scores (B, N, V) of codebook ``stage``, 1 to K - 1, and the codes (B, N).

        Of the first ``prefix`` (B) frames of each item all codebooks are seen, of the others those before ``stage``.
        """
        real = valid(code_lengths, codes.shape[2])
        filled = torch.cat([codes[:, :1].masked_fill(~real[:, None], self.end), codes[:, 1:]], 1)
        audio, predicted = self._embedded(filled, stage), real
        if prefix is not None:
            begun = valid(prefix, codes.shape[2])
            audio = torch.where(begun[..., None], self._embedded(filled, self.n_codebooks), audio)
            predicted = real & ~begun
        seen = torch.cat([valid(lengths, ids.shape[1]), real], 1)[:, None, None]
        return Scores(self._predict(self._text(ids), audio, seen, stage), codes[:, stage], predicted)

    @torch.no_grad()
    def fill(self, ids: Tensor, prompt: Tensor, first: Tensor) -> Tensor:
        """A text (1, L), a prompt (K, P) and the first codebook (N) -> all codebooks (K, N), greedily."""
        text, count = self._text(ids), prompt.shape[1]
        codes = [first]
        known = self.n_codebooks if self.prefix == "start" else 1
        audio = torch.cat([self._embedded(prompt[None], known), self._embedded(first[None, None], 1)], 1)
        for stage in range(1, self.n_codebooks):
            codes.append(self._predict(text, audio, None, stage)[0, count:].argmax(-1))
            if stage + 1 < self.n_codebooks:
                table = self.audio_embeddings[stage]
                audio[:, count:] += table(codes[-1])
                if self.prefix == "none":
                    audio[:, :count] += table(prompt[stage])
        return torch.stack(codes)

    def _text(self, ids: Tensor) -> Tensor:
        return self.text_position(self.text_embedding(ids))

    def _embedded(self, codes: Tensor, count: int) -> Tensor:
        """Codes (B, K, N) -> the sum (B, N, C) of the embeddings of the first ``count`` codebooks."""
        return torch.stack([table(codes[:, book]) for book, table in enumerate(self.audio_embeddings[:count])]).sum(0)

    def _predict(self, text: Tensor, audio: Tensor, seen: Tensor | None, stage: int) -> Tensor:
        """Text (B, L, C), summed codes (B, N, C) -> scores (B, N, V) of codebook ``stage``."""
        x = torch.cat([text, self.audio_position(audio)], 1)
        condition = cast(nn.Embedding, self.stage_embeddings[stage - 1]).weight[0]
        x = self.decoder(x, seen, condition)[:, text.shape[1] :]
        if stage == self.n_codebooks - 1:
            return self.predict_layer(x)
        following = cast(nn.Embedding, self.audio_embeddings[stage + 1])
        return F.linear(x, following.weight)  # the prediction shares the next codebook's table
