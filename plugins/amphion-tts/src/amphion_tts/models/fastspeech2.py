"""FastSpeech 2: text to mel spectrogram, all frames at once, with predicted durations, pitch and energy.

Ren et al.: "FastSpeech 2: Fast and High-Quality End-to-End Text to Speech", arXiv:2006.04558. As in all published
checkpoints, the decoder has six blocks (paper: four), pitch is predicted as a value of each symbol, without the paper's
wavelets, and a PostNet refines the mel.
Layouts read: "ming024", "amphion".
Deviations: padding is masked before every convolution, and left out of the PostNet's batch norms. In the published code
the padding of a batch reaches the last two symbols of the predictors and the last ten frames of the PostNet; for a
single text there is no difference. A scale of durations is applied before rounding; published code rounds first and
cuts off the fraction of the product, so that a scale of 1.1 changes no token shorter than ten frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    CorpusFacts,
    FeaturePart,
    FrontendPart,
    Mel,
    MelConfig,
    OnnxGraph,
    Precision,
    Prompt,
    Synthesis,
    TextToSpeech,
)  # fmt: skip
from amphion_core.config import validate
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_core.speakers import check_speakers, speaker_fields, speakers_for
from amphion_core.text.symbols import frontend_with_symbols
from amphion_tts.models.aligner import Aligner, hard_durations
from amphion_tts.models.fastspeech2_modules import PostNet, TextEncoder, Transformer, masked, valid
from amphion_tts.models.fastspeech2_variance import Level, VarianceAdaptor, spread
from amphion_tts.models.token_checks import checked_lengths

WIDEST = 4.0  # deviations from the mean: values beyond get the first or the last embedding


@dataclass(frozen=True, slots=True)
class FastSpeech2Output:
    """Result of the training pass. ``pitch`` and ``energy`` are normalised predictions by the levels of the config."""

    mel: Tensor  # (B, F, N)
    refined: Tensor  # (B, F, N), after the PostNet; without one, it is ``mel``
    log_durations: Tensor  # (B, L): ln(frames + 1)
    pitch: Tensor  # (B, L) or (B, N)
    energy: Tensor  # (B, L) or (B, N)
    durations: Tensor  # (B, L) in frames, those that are given or found by the aligner
    token_mask: Tensor  # (B, L), True where valid
    frame_mask: Tensor  # (B, N), True where valid
    alignment: Tensor | None = None  # (B, N, L), log-probabilities of the aligner, where it was asked


class FastSpeech2(TextToSpeech):
    """Text to speech: ids (B, L) -> mel (B, F, N)."""

    class Config(BaseConfig):
        """The defaults are those of the published LJSpeech checkpoints: 34.6 M parameters without position tables."""

        frontend: FrontendPart | None = Field(
            default=None, description="frontend that turns text into symbols; null: the network takes ids only"
        )
        vocabulary: int | None = Field(
            default=None, gt=0, description="rows of the text embedding; null: as many as the frontend has symbols"
        )
        mel: Mel = Field(default=MelConfig.preset("tacotron2_22k_80"), description="mel convention of the output")
        n_speakers: int = Field(default=1, ge=1, description="number of speakers; 1: no speaker embedding")
        speakers: tuple[str, ...] = Field(
            default=(), description="names of the speakers by index; left out: the corpus's, or numbers"
        )
        hidden_channels: int = Field(default=256, gt=0, description="channels of encoder and decoder")
        encoder_layers: int = Field(default=4, gt=0, description="blocks of the encoder")
        decoder_layers: int = Field(default=6, gt=0, description="blocks of the decoder; the paper has 4")
        n_heads: int = Field(default=2, gt=0, description="attention heads of encoder and decoder")
        filter_channels: int = Field(default=1024, gt=0, description="width of the convolutions in the blocks")
        kernels: tuple[int, int] = Field(default=(9, 1), description="kernels of the two convolutions of a block, odd")
        dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of encoder and decoder")
        predictor_channels: int = Field(default=256, gt=0, description="width of the predictors")
        predictor_kernel: int = Field(default=3, gt=0, description="kernel of the predictors, odd")
        predictor_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the predictors")
        n_bins: int = Field(default=256, gt=2, description="entries of the embeddings of pitch and energy")
        pitch_level: Level = Field(default="token", description="one pitch for each symbol (token) or each frame")
        energy_level: Level = Field(default="token", description="one energy for each symbol (token) or each frame")
        f0: FeaturePart | None = Field(
            default=None, description="tracker of the pitch in training, which gets this mel; null: f0_dio"
        )
        pitch_mean: float | None = Field(
            default=None, description="mean F0 of voiced frames in the corpus, Hz; null: computed before training"
        )
        pitch_std: float | None = Field(default=None, gt=0, description="standard deviation of the same, Hz")
        pitch_range: tuple[float, float] = Field(
            default=(-WIDEST, WIDEST), description="lowest and highest normalised pitch with its own embedding"
        )
        energy_mean: float | None = Field(
            default=None, description="mean energy of all frames in the corpus; null: computed before training"
        )
        energy_std: float | None = Field(default=None, gt=0, description="standard deviation of the same")
        energy_range: tuple[float, float] = Field(
            default=(-WIDEST, WIDEST), description="lowest and highest normalised energy with its own embedding"
        )
        postnet_channels: int = Field(
            default=512, ge=0, description="width of the PostNet, which refines the mel; 0: none"
        )
        aligner: bool = Field(
            default=False, description="has an aligner, which training without stated durations needs"
        )

        @model_validator(mode="before")
        @classmethod
        def _complete_speakers(cls, values: Any) -> Any:
            return speaker_fields(values) if isinstance(values, Mapping) else values

        @property
        def vocabulary_size(self) -> int:
            """Rows of the embedding."""
            return self.vocabulary or (len(self.frontend.config.symbols) if self.frontend else 0)  # type: ignore[attr-defined]

        @property
        def pitch_feature(self) -> FeaturePart:
            """The extractor of F0 in Hz in the frames of ``mel``, 0 where unvoiced."""
            if self.f0 is None:
                return FeaturePart.named("f0_dio", mel=self.mel)
            return FeaturePart.named(self.f0.name, **self.f0.config.model_dump() | {"mel": self.mel})

        @property
        def energy_feature(self) -> FeaturePart:
            """The extractor of energy in the frames of ``mel``."""
            return FeaturePart.named("energy", mel=self.mel)

        @model_validator(mode="after")
        def _parts_agree(self) -> Self:
            check_speakers(self.speakers, self.n_speakers)
            symbols = len(self.frontend.config.symbols) if self.frontend else 0  # type: ignore[attr-defined]
            if self.vocabulary is not None and self.vocabulary < symbols:
                raise ValueError(f"vocabulary: {self.vocabulary} rows are too few for {symbols} symbols")
            if self.hidden_channels % self.n_heads:
                raise ValueError(f"n_heads: {self.n_heads} does not divide hidden_channels {self.hidden_channels}")
            for name, kernels in (("kernels", self.kernels), ("predictor_kernel", (self.predictor_kernel,))):
                if any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
                    raise ValueError(f"{name}: {max(kernels)} is not odd, so the length would change")
            for name in ("pitch", "energy"):
                low, high = getattr(self, f"{name}_range")
                if low >= high:
                    raise ValueError(f"{name}_range: {low} is not below {high}")
                if (getattr(self, f"{name}_mean") is None) != (getattr(self, f"{name}_std") is None):
                    raise ValueError(f"{name}_mean: give {name}_std with it, or neither")
            return self

    class Controls(BaseConfig):
        """What a request may change. A control that is not given changes nothing."""

        length_scale: float | None = Field(
            default=None, ge=0.25, le=10, description="factor on all durations; 2 is half the speed, 0.5 is double"
        )
        pitch: float | None = Field(
            default=None, ge=-24, le=24, description="semitones by which the voice is higher; -12: an octave lower"
        )
        pitch_variation: float | None = Field(
            default=None, ge=0, le=4, description="factor on the melody around the mean pitch; 0: monotone, 2: lively"
        )
        energy: float | None = Field(
            default=None, ge=-20, le=20, description="decibels by which the voice speaks with more energy"
        )
        energy_variation: float | None = Field(
            default=None, ge=0, le=4, description="factor on the changes of energy around the mean; 0: even"
        )

    config: Config
    layouts = ("ming024", "amphion")
    layouts_with_config = ("amphion",)
    output = "mel"
    takes_seeds = is_thread_safe = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        if not c.vocabulary_size:
            raise RecipeError(
                "vocabulary: a FastSpeech 2 without a frontend needs its number of symbols",
                hint="give frontend or vocabulary",
            )
        sizes = c.kernels, c.dropout
        self.encoder = TextEncoder(
            c.vocabulary_size, c.hidden_channels, c.filter_channels, c.n_heads, c.encoder_layers, *sizes
        )
        self.variance_adaptor = VarianceAdaptor(c)
        self.decoder = Transformer(c.hidden_channels, c.filter_channels, c.n_heads, c.decoder_layers, *sizes)
        self.mel_linear = nn.Linear(c.hidden_channels, c.mel.n_mels)
        if c.postnet_channels:
            self.postnet = PostNet(c.mel.n_mels, c.postnet_channels)
        if c.n_speakers > 1:
            self.speaker_emb = nn.Embedding(c.n_speakers, c.hidden_channels)
        if c.aligner:
            self.aligner = Aligner(c.vocabulary_size, c.mel.n_mels)

    @classmethod
    def example_config(cls) -> Config:
        """Latin letters, two speakers, eight bands, an aligner."""
        mel = MelConfig.preset("tacotron2_22k_80").replace(n_fft=256, win_length=256, hop_length=128, n_mels=8)
        return cls.Config(
            frontend=FrontendPart.named("characters"), mel=mel, n_speakers=2, hidden_channels=8, encoder_layers=1,
            decoder_layers=1, filter_channels=16, kernels=(3, 1), dropout=0.0, predictor_channels=8,
            predictor_dropout=0.0, n_bins=16,
            pitch_mean=150.0, pitch_std=40.0, energy_mean=1.0, energy_std=1.0, postnet_channels=0, aligner=True,
        )  # fmt: skip

    @classmethod
    def config_for(cls, config: Config, facts: CorpusFacts) -> Config:
        """``config`` with the corpus's speakers, symbols and statistics of pitch and energy, where it has none.

        The pitch is that of voiced frames in Hz, the energy that of all frames. Raises DataError for a speaker or a
        text that does not fit what ``config`` states, and for a corpus without voiced frames.
        """
        speakers = speakers_for(config.speakers, facts)
        changes: dict[str, Any] = {"speakers": speakers, "n_speakers": max(1, len(speakers))}
        if config.frontend is not None:
            texts = (utterance.text for utterance in facts.utterances())
            changes["frontend"] = frontend_with_symbols(config.frontend, texts)
        for name, part in (("pitch", config.pitch_feature), ("energy", config.energy_feature)):
            if getattr(config, f"{name}_mean") is None:
                found = facts.statistics(part, positive_only=name == "pitch")
                mean, std = found.mean[0], found.deviation[0] or 1.0
                lowest, highest = (found.smallest[0] - mean) / std, (found.largest[0] - mean) / std
                limits = max(lowest, -WIDEST), min(highest, WIDEST)
                changes |= {f"{name}_mean": mean, f"{name}_std": std}
                changes |= {f"{name}_range": limits if limits[0] < limits[1] else (-WIDEST, WIDEST)}
        return config.replace(**changes)

    def example_inputs(self) -> dict[str, Any]:
        """Two items of different lengths, with mels for the aligner, or with durations where there is none."""
        generator = torch.Generator().manual_seed(0)
        inputs = {
            "ids": torch.randint(0, self.config.vocabulary_size, (2, 5), generator=generator),
            "lengths": torch.tensor([5, 3]),
            "speaker": torch.tensor([0, self.config.n_speakers - 1]) if self.config.n_speakers > 1 else None,
        }
        if not self.config.aligner:
            return inputs | {"durations": torch.tensor([[2, 1, 0, 3, 2], [1, 2, 2, 0, 0]])}
        mel = torch.randn(2, self.config.mel.n_mels, 9, generator=generator)
        return inputs | {"mel": mel, "mel_lengths": torch.tensor([9, 6])}

    def forward(
        self, ids: Tensor, lengths: Tensor, durations: Tensor | None = None, pitch: Tensor | None = None,
        energy: Tensor | None = None, speaker: Tensor | None = None, *, mel: Tensor | None = None,
        mel_lengths: Tensor | None = None, size: int | None = None,
    ) -> FastSpeech2Output:  # fmt: skip
        """The training pass: ids (B, L), lengths (B), durations (B, L) in whole frames, speaker (B).

        Without ``durations``, the aligner finds them in ``mel`` (B, F, N) with ``mel_lengths`` (B). ``pitch`` and
        ``energy`` are normalised, (B, L) or (B, N) by the config's levels; None: the predictions are used. ``size`` is
        N, if it is known, which saves waiting for a GPU. Raises WeightsError where an aligner is needed and missing,
        DataError for fewer frames than tokens.
        """
        alignment = None
        if durations is None:
            if mel is None or mel_lengths is None:
                raise DataError("neither durations nor mels are given", hint="give one of them to the training pass")
            alignment = self._aligner()(ids, lengths, mel, mel_lengths)
            _, durations = hard_durations(alignment, lengths, mel_lengths)
        tokens = valid(lengths, ids.shape[1])
        durations = durations.long() * tokens
        counts = durations.sum(1)
        size = int(counts.max()) if size is None else size
        frames = valid(counts, size)
        x, log_durations = self._encode(ids, tokens, speaker)
        x, *by_token = self.variance_adaptor.vary(x, tokens, "token", pitch, energy)
        x, *by_frame = self.variance_adaptor.vary(spread(x, durations, size), frames, "frame", pitch, energy)
        plain, refined = self._decode(x, frames)
        values = [own if own is not None else other for own, other in zip(by_token, by_frame, strict=True)]
        assert values[0] is not None and values[1] is not None
        return FastSpeech2Output(
            plain, refined, log_durations, values[0], values[1], durations, tokens, frames, alignment
        )

    @torch.no_grad()
    def align(
        self, ids: Tensor, lengths: Tensor, wave: Tensor, wave_lengths: Tensor, speaker: Tensor | None = None
    ) -> Tensor:
        """Durations (B, L) in frames of recordings wave (B, T) whose texts are ids (B, L). No speaker is needed.

        Raises DataError for fewer frames than tokens, WeightsError for a network without aligner.
        """
        mel = self.config.mel
        frames = wave_lengths // mel.hop_length + mel.frames(0)
        found = self._aligner()(ids, lengths, mel_spectrogram(wave, mel, wave_lengths), frames)
        return hard_durations(found, lengths, frames)[1]

    @torch.inference_mode()
    def synthesize(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None = None, *, prompt: Prompt | None = None,
        seed: int | Sequence[int] | None = None, controls: Controls | None = None,
    ) -> Synthesis:  # fmt: skip
        """ids (B, L), lengths (B), speaker (B) -> mel (B, F, N), lengths in frames, durations (B, L) in frames.

        ``speaker`` are indices in the config's ``speakers``. Nothing is drawn, so ``seed`` has no effect.
        Raises DataError for ids and speakers that the network does not have, for a prompt, and for a control of the
        pitch or energy where the checkpoint has no statistics.
        """
        c = self.config
        sizes = checked_lengths(
            ids, lengths, c.vocabulary_size, model="FastSpeech 2", speaker=speaker, n_speakers=c.n_speakers
        )
        if prompt is not None:
            raise DataError("FastSpeech 2 cannot imitate a recording", hint="leave the prompt out")
        wanted = controls or self.Controls()
        scale = 1.0 if wanted.length_scale is None else wanted.length_scale
        tokens = None if min(sizes) == ids.shape[1] else valid(lengths, ids.shape[1])
        with self.autocast():
            x, log_durations = self._encode(ids, tokens, speaker)
            x, *_ = self.variance_adaptor.vary(x, tokens, "token", None, None, wanted)
            durations = self.variance_adaptor.frames(log_durations, tokens, scale)
            counts = durations.sum(1)
            frame_counts = counts.tolist()
            size = max(frame_counts)
            frames = None if min(frame_counts) == size else valid(counts, size)
            x = spread(x, durations, size)
            x, *_ = self.variance_adaptor.vary(x, frames, "frame", None, None, wanted)
            _, mel = self._decode(x, frames)
        return Synthesis(counts, mel=mel.float().contiguous(), durations=durations)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """As for every model; convolutions are also laid out for the CPU."""
        super().for_inference(precision)
        return pack_convolutions(self) if self.device.type == "cpu" else self

    def onnx_graph(self) -> OnnxGraph:
        """Texts (B, L) -> their mels (B, F, N); see ``fastspeech2_onnx.py``."""
        from amphion_tts.models.fastspeech2_onnx import fastspeech2_graph

        return fastspeech2_graph(self)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint with its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_tts.models import fastspeech2_layouts

        fields, tensors = fastspeech2_layouts.read(state, layout, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors

    def _aligner(self) -> Aligner:
        if not self.config.aligner:
            raise WeightsError(
                "this FastSpeech 2 cannot align: it has no aligner",
                hint="state durations, or train a network with aligner: true",
            )
        return self.aligner

    def _encode(self, ids: Tensor, mask: Tensor | None, speaker: Tensor | None) -> tuple[Tensor, Tensor]:
        """States of the symbols (B, L, C), and their log durations (B, L), which do not change the states."""
        x = self.encoder(ids, mask)
        if self.config.n_speakers > 1:
            if speaker is None:
                raise DataError(
                    f"this FastSpeech 2 has {self.config.n_speakers} speakers; none is given",
                    hint=f"give each item an index from 0 to {self.config.n_speakers - 1}",
                )
            x = masked(x + self.speaker_emb(speaker)[:, None], mask)
        return x, self.variance_adaptor.duration_predictor(x, mask)

    def _decode(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, N, C) -> mel and refined mel, (B, F, N) each, 0 where the mask is False."""
        mel = masked(self.mel_linear(self.decoder(x, mask)), mask)
        refined = masked(mel + self.postnet(mel, mask), mask) if self.config.postnet_channels else mel
        return mel.mT, refined.mT
