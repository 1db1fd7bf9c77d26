"""VITS: text to waveform in one network, a conditional variational autoencoder with a flow and a GAN decoder.

Kim, Kong, Son: "Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech",
arXiv:2106.06103. Equation numbers refer to it. The decoder is HiFi-GAN's generator.
Layouts read: "jaywalnut310" (authors), "amphion", "piper" (checkpoint, or ONNX voice with its JSON), "transformers"
(VitsModel, MMS), "coqui".
Deviations: items of different lengths are decoded one by one, so that padding does not change their ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    CorpusFacts,
    FrontendPart,
    Mel,
    MelConfig,
    OnnxGraph,
    Precision,
    Prompt,
    Synthesis,
    TextToSpeech,
    is_recording,
)  # fmt: skip
from amphion_core.config import validate
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.features.linear import linear_spectrogram
from amphion_core.modules.item_noise import draw_noise, generators
from amphion_core.modules.latent_flow import Flow, PosteriorEncoder
from amphion_core.modules.masks import length_mask, random_starts, slice_frames
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_core.speakers import check_speakers, speaker_fields, speakers_for
from amphion_core.text.symbols import frontend_with_symbols
from amphion_tts.models.alignment import expand, monotonic_alignment
from amphion_tts.models.stochastic_duration import DurationPredictor, StochasticDurationPredictor
from amphion_tts.models.vits_losses import VITSOutput, prior_log_likelihood
from amphion_tts.models.vits_modules import TextEncoder
from amphion_tts.models.vits_speech import CPUSpeech, GPUSpeech, Speech
from amphion_vocoders import HiFiGANGenerator
from amphion_vocoders.models.hifigan_gpu import GPUGenerator

ALIGNMENT_SAMPLES = 4  # with the mean of the posterior alone, the sharpest token would take most frames


class VITS(TextToSpeech):
    """Text to speech: ids (B, L) -> wave (B, T)."""

    class Config(HiFiGANGenerator.Config):
        """The decoder's fields and those of the other parts. The defaults are the authors' LJSpeech configuration."""

        frontend: FrontendPart | None = Field(
            default=None, description="frontend that turns text into symbols; null: the network takes ids only"
        )
        vocabulary: int | None = Field(
            default=None, gt=0, description="rows of the text embedding; null: as many as the frontend has symbols"
        )
        mel: Mel = Field(
            default=MelConfig.preset("vits_22k_80"),
            description="mel convention of the loss; the posterior encoder reads its linear STFT",
        )
        n_speakers: int = Field(default=1, ge=1, description="number of speakers; 1: no speaker embedding")
        speakers: tuple[str, ...] = Field(
            default=(), description="names of the speakers by index; left out: the corpus's, or numbers"
        )
        speaker_channels: int = Field(
            default=256, gt=0, description="size of the speaker embedding, if there are several"
        )
        latent_channels: int = Field(default=192, gt=0, multiple_of=2, description="channels of the latent z")
        hidden_channels: int = Field(default=192, gt=0, description="channels of encoders, flow and duration predictor")
        filter_channels: int = Field(default=768, gt=0, description="width of the text encoder's feed-forward layers")
        n_heads: int = Field(default=2, gt=0, description="attention heads of the text encoder")
        n_layers: int = Field(default=6, gt=0, description="layers of the text encoder")
        kernel: int = Field(default=3, gt=0, description="kernel of the feed-forward layers, tokens")
        window: int = Field(default=4, gt=0, description="largest distance with a separate attention weight, tokens")
        dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout of the text encoder")
        stochastic_duration: bool = Field(default=True, description="predict durations by a flow; false: by regression")
        stochastic_width: int | None = Field(
            default=None, gt=0, description="width of the stochastic duration predictor; null: hidden_channels"
        )
        duration_width: int = Field(default=256, gt=0, description="width of the regression duration predictor")
        duration_epsilon: float = Field(
            default=1e-5, gt=0, description="epsilon of the norms of the regression duration predictor; Coqui has 1e-4"
        )
        duration_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the duration predictor")
        posterior: bool = Field(
            default=True, description="has a posterior encoder, which training needs; exported voices have none"
        )
        segment: int = Field(default=32, gt=0, description="frames that a training step decodes of each item")
        noise_scale: float = Field(
            default=0.667, ge=0, le=100, description="standard deviation of the prior sample at inference"
        )
        duration_noise_scale: float = Field(
            default=0.8, ge=0, le=100, description="standard deviation of the duration sample at inference"
        )
        length_scale: float = Field(default=1.0, gt=0, le=100, description="factor on all durations at inference")

        @model_validator(mode="before")
        @classmethod
        def _complete_speakers(cls, values: Any) -> Any:
            return speaker_fields(values) if isinstance(values, Mapping) else values

        @property
        def vocabulary_size(self) -> int:
            """Rows of the embedding."""
            return self.vocabulary or (len(self.frontend.config.symbols) if self.frontend else 0)  # type: ignore[attr-defined]

        @model_validator(mode="after")
        def _parts_agree(self) -> Self:
            check_speakers(self.speakers, self.n_speakers)
            symbols = len(self.frontend.config.symbols) if self.frontend else 0  # type: ignore[attr-defined]
            if self.vocabulary is not None and self.vocabulary < symbols:
                raise ValueError(f"vocabulary: {self.vocabulary} rows are too few for {symbols} symbols")
            if self.hidden_channels % self.n_heads:
                raise ValueError(f"n_heads: {self.n_heads} does not divide hidden_channels {self.hidden_channels}")
            return self

    class Controls(BaseConfig):
        """What a request may change. A control that is not given has the value of the config."""

        length_scale: float | None = Field(
            default=None, ge=0.25, le=10, description="factor on all durations; 2 is half the speed, 0.5 is double"
        )
        noise_scale: float | None = Field(
            default=None, ge=0, le=3, description="variation of the voice, as a factor on its deviation; 0: none"
        )
        duration_noise_scale: float | None = Field(
            default=None, ge=0, le=3, description="variation of the rhythm, as a factor on its deviation; 0: none"
        )

    config: Config
    layouts = layouts_with_config = ("jaywalnut310", "amphion", "piper", "transformers", "coqui")
    output = "wave"
    takes_seeds = is_thread_safe = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, hidden = config, config.hidden_channels
        if not c.vocabulary_size:
            raise RecipeError(
                "vocabulary: a VITS without a frontend needs its number of symbols", hint="give frontend or vocabulary"
            )
        g = c.speaker_channels if c.n_speakers > 1 else 0
        self.enc_p = TextEncoder(
            c.vocabulary_size, c.latent_channels, hidden, c.filter_channels, c.n_heads, c.n_layers, c.kernel, c.window,
            c.dropout,
        )  # fmt: skip
        self.dec = HiFiGANGenerator(c.latent_channels, c, condition_channels=g, post_bias=False, norm_ends=False)
        self.flow = Flow(c.latent_channels, hidden, g)
        if c.posterior:
            self.enc_q = PosteriorEncoder(c.mel.n_fft // 2 + 1, c.latent_channels, hidden, g)
        self.dp: StochasticDurationPredictor | DurationPredictor
        if c.stochastic_duration:
            self.dp = StochasticDurationPredictor(
                hidden, c.stochastic_width or hidden, 3, c.duration_dropout, g, posterior=c.posterior
            )
        else:
            self.dp = DurationPredictor(hidden, c.duration_width, 3, c.duration_dropout, g, c.duration_epsilon)
        self._graphs: GPUSpeech | None = None
        if g:
            self.emb_g = nn.Embedding(c.n_speakers, g)

    @classmethod
    def example_config(cls) -> Config:
        """Latin letters, two speakers, a hop of 4 samples."""
        mel = MelConfig.preset("vits_22k_80").replace(n_fft=16, win_length=16, hop_length=4, n_mels=4)
        return cls.Config(
            frontend=FrontendPart.named("characters"), mel=mel, n_speakers=2, speaker_channels=4, latent_channels=8,
            hidden_channels=8, filter_channels=16, n_layers=1, channels=16, upsample_rates=(2, 2),
            upsample_kernels=(4, 4), resblock_kernels=(3,), resblock_dilations=((1, 3),),
            segment=4, duration_dropout=0.0, dropout=0.0,
        )  # fmt: skip

    @classmethod
    def config_for(cls, config: Config, facts: CorpusFacts) -> Config:
        """``config`` with the corpus's speakers, and with the symbols of its texts where the frontend has none.

        Raises DataError for a speaker or a text that does not fit what ``config`` states.
        """
        speakers = speakers_for(config.speakers, facts)
        changes: dict[str, Any] = {"speakers": speakers, "n_speakers": max(1, len(speakers))}
        if config.frontend is not None:
            texts = (utterance.text for utterance in facts.utterances())
            changes["frontend"] = frontend_with_symbols(config.frontend, texts)
        return config.replace(**changes)

    def example_inputs(self) -> dict[str, Any]:
        """Two items of different lengths."""
        generator = torch.Generator().manual_seed(0)
        return {
            "ids": torch.randint(0, self.config.vocabulary_size, (2, 5), generator=generator),
            "lengths": torch.tensor([5, 3]),
            "spec": torch.rand(2, self.config.mel.n_fft // 2 + 1, 12, generator=generator),
            "spec_lengths": torch.tensor([12, 9]),
            "speaker": torch.tensor([0, self.config.n_speakers - 1]) if self.config.n_speakers > 1 else None,
        }

    def forward(
        self, ids: Tensor, lengths: Tensor, spec: Tensor, spec_lengths: Tensor, speaker: Tensor | None = None, *,
        noise: Tensor | None = None, duration_noise: Tensor | None = None, starts: Tensor | None = None,
    ) -> VITSOutput:  # fmt: skip
        """The training pass: ids (B, L), linear magnitudes spec (B, n_fft / 2 + 1, N), their lengths, speaker (B).

        ``noise`` (B, C, N), ``duration_noise`` (B, 2, L) and ``starts`` (B) are drawn unless given. Raises ValueError
        when an item has fewer frames than tokens, WeightsError for a network without posterior encoder.
        """
        self._need_posterior("train")
        g = self._speaker(speaker)
        token_mask, frame_mask = length_mask(lengths, ids.shape[1]), length_mask(spec_lengths, spec.shape[2])
        h, m_p, logs_p = self.enc_p(ids, token_mask)
        z, m_q, logs_q = self.enc_q(spec, frame_mask, g, noise)
        z_p = self.flow(z, frame_mask, g)
        with torch.autocast(z.device.type, enabled=False):  # sums of large terms, and flows of durations: float32
            m_p, logs_p = m_p.float(), logs_p.float()
            path = monotonic_alignment(prior_log_likelihood(z_p.float(), m_p, logs_p), lengths, spec_lengths)
            duration_loss = self._duration_loss(h.float(), token_mask, path, g, duration_noise)
            m_p, logs_p = expand(m_p, path), expand(logs_p, path)
        wave, starts = self._decode_slices(z, spec_lengths, g, starts)
        return VITSOutput(wave, starts, path, duration_loss, z, z_p, m_p, logs_p, m_q, logs_q, token_mask, frame_mask)

    def _duration_loss(self, h: Tensor, mask: Tensor, path: Tensor, g: Tensor | None, noise: Tensor | None) -> Tensor:
        """The duration predictor's loss of each item (B), summed over tokens, for the durations of ``path``."""
        durations = path.sum(1, keepdim=True)  # (B, 1, L)
        g = None if g is None else g.float()
        if isinstance(self.dp, StochasticDurationPredictor):
            return self.dp(h, mask, durations, g, noise=noise)
        error = torch.log(durations + 1e-6) * mask - self.dp(h, mask, g)
        return error.square().sum((1, 2))

    def _decode_slices(
        self, z: Tensor, lengths: Tensor, g: Tensor | None, starts: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """``segment`` frames of each item as audio (B, 1, S * hop), and their first frames (B).

        An item that is shorter is decoded whole, with a latent of 0 behind its end.
        """
        size = self.config.segment
        starts = random_starts(lengths, size) if starts is None else starts
        return self.dec(slice_frames(z, starts, size), g), starts

    @torch.inference_mode()
    def synthesize(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None = None, *, prompt: Prompt | None = None,
        seed: int | Sequence[int] | None = None, controls: Controls | None = None,
    ) -> Synthesis:  # fmt: skip
        """ids (B, L), lengths (B), speaker (B) -> wave (B, T), lengths in samples, durations (B, L) in frames.

        ``speaker`` are indices in the config's ``speakers``. Item b draws from seed + b or from the seed b of several,
        so its result does not depend on the other items. Raises DataError for ids and speakers that the network does
        not have, and for a prompt.
        """
        speech = self._speech()
        planned, durations = speech.planned(ids, lengths, speaker, prompt, seed, controls)
        frames = planned["frames"]
        wave = speech.render(**planned, size=int(frames.max()))
        return Synthesis(frames * self.config.mel.hop_length, wave=wave, durations=durations)

    @torch.inference_mode()
    def synthesize_parts(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None = None, *, prompt: Prompt | None = None,
        seed: int | Sequence[int] | None = None, controls: Controls | None = None,
    ) -> Iterator[Synthesis]:  # fmt: skip
        """The wave of ``synthesize`` for one item, its beginning before the rest."""
        speech = self._speech()
        for wave in speech.parts(**speech.planned(ids, lengths, speaker, prompt, seed, controls)[0]):
            yield Synthesis(torch.tensor([wave.shape[1]]), wave=wave)

    @torch.inference_mode()
    def convert(
        self, spec: Tensor, lengths: Tensor, source: Tensor, target: Tensor, *, seed: int | None = None,
        noise: Tensor | None = None,
    ) -> Synthesis:  # fmt: skip
        """Voice conversion, section 4.4: spec (B, n_fft / 2 + 1, N) of ``source`` (B) said by ``target`` (B).

        ``noise`` (B, C, N) is drawn from ``seed`` unless given. Raises DataError for a speaker that the network does
        not have, WeightsError for a network without posterior encoder.
        """
        self._need_posterior("convert voices")
        mask = length_mask(lengths, spec.shape[2])
        if noise is None:
            draws = generators(seed, len(spec), spec.device)
            noise = draw_noise(draws, self.config.latent_channels, lengths.tolist(), spec.shape[2])
        z, _, _ = self.enc_q(spec, mask, self._speaker(source), noise)
        g = self._speaker(target)
        z = self.flow.reverse(self.flow(z, mask, self._speaker(source)), mask, g)
        return Synthesis(lengths * self.config.mel.hop_length, wave=self._speech().decode(z * mask, lengths, g))

    @torch.no_grad()
    def align(
        self, ids: Tensor, lengths: Tensor, wave: Tensor, wave_lengths: Tensor, speaker: Tensor | None = None
    ) -> Tensor:
        """Durations (B, L) in frames of recordings wave (B, T) whose texts are ids (B, L); equation 6.

        The likelihood is the mean over some samples of the posterior; an item's samples are always the same. Raises
        DataError for fewer frames than tokens, WeightsError for a network without posterior encoder.
        """
        self._need_posterior("align")
        c, g = self.config, self._speaker(speaker)
        spec, frames = linear_spectrogram(wave, c.mel, wave_lengths), wave_lengths // c.mel.hop_length
        mask = length_mask(frames, spec.shape[2])
        _, m_p, logs_p = self.enc_p(ids, length_mask(lengths, ids.shape[1]))
        draws, scores = generators(0, len(ids), spec.device), m_p.new_zeros(())
        for _ in range(ALIGNMENT_SAMPLES):
            noise = draw_noise(draws, c.latent_channels, frames.tolist(), spec.shape[2])
            z, _, _ = self.enc_q(spec, mask, g, noise)
            scores = scores + prior_log_likelihood(self.flow(z, mask, g), m_p, logs_p)
        return monotonic_alignment(scores / ALIGNMENT_SAMPLES, lengths, frames).sum(1).long()

    @torch.no_grad()
    def speak_latents(self, ids: Tensor, lengths: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, ...]:
        """ids (B, L) -> latents (B, C, N) with new noise, their frames (B), and the audio (B, T) of them."""
        c, g, speech = self.config, self._speaker(speaker), Speech(self)
        noise = torch.randn(len(ids), 2, ids.shape[1], device=ids.device) * c.duration_noise_scale
        m_p, logs_p, durations, frames = speech.plan(ids, lengths, noise, g, 1.0)
        size = int(frames.max())
        noise = torch.randn(len(ids), c.latent_channels, size, device=ids.device)
        z = speech.latent(m_p, logs_p, durations, frames, noise, g, c.noise_scale, size)
        return z, frames, self.dec(z, g)[:, 0]

    def posterior(self, spec: Tensor, lengths: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """spec (B, n_fft / 2 + 1, N) -> mean and log deviation of the latents (B, C, N), and the mask (B, 1, N)."""
        mask = length_mask(lengths, spec.shape[2])
        _, mean, log_deviation = self.enc_q(spec, mask, self._speaker(speaker), None)
        return mean, log_deviation, mask

    def decode(self, z: Tensor, lengths: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Latents (B, C, N) of ``lengths`` (B) frames -> wave (B, T), T = N * hop, 0 after each item's end."""
        return self._speech().decode(z, lengths, self._speaker(speaker))

    def for_inference(self, precision: Precision = "float32") -> Self:
        """As for every model; the weights are also laid out for the CPU. Only the decoder computes in bfloat16."""
        super().for_inference(precision)
        for part in (self.enc_p, self.dp, self.flow) if self.device.type == "cpu" else ():
            pack_convolutions(part)
        self.dec.for_inference(self.precision)
        return self

    def onnx_graph(self) -> OnnxGraph:
        """One text (1, L) -> its wave (1, T), with the noise drawn in the graph; see ``vits_onnx.py``."""
        from amphion_tts.models.vits_onnx import vits_graph

        return vits_graph(self)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint with its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_tts.models import vits_layouts

        fields, tensors = vits_layouts.read(state, layout, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors

    def _speaker(self, speaker: Tensor | None) -> Tensor | None:
        if self.config.n_speakers == 1:
            return None
        count = self.config.n_speakers
        if speaker is None or bool((speaker < 0).any() | (speaker >= count).any()):
            given = "none is given" if speaker is None else f"the indices given are {speaker.tolist()}"
            raise DataError(
                f"this VITS has {count} speakers; {given}", hint=f"give each item an index from 0 to {count - 1}"
            )
        return self.emb_g(speaker)[..., None]  # (B, G, 1)

    def _scale(self, controls: Controls | None, name: str) -> float:
        """The value of a control, or the checkpoint's own where the request leaves it out."""
        value = getattr(controls, name, None)
        return float(getattr(self.config, name) if value is None else value)

    def _need_posterior(self, purpose: str) -> None:
        if not self.config.posterior:
            raise WeightsError(
                f"this VITS cannot {purpose}: it has no posterior encoder, like every exported voice",
                hint="import the voice's training checkpoint instead, or build a network with posterior=True",
            )

    def _speech(self) -> Speech:
        """How this network infers: with recorded graphs after ``for_inference`` on a GPU, else plainly."""
        if not isinstance(self.dec.packed, GPUGenerator) or is_recording():  # a graph cannot report
            return CPUSpeech(self) if self.device.type == "cpu" else Speech(self)
        if self._graphs is None or self._graphs.decoder is not self.dec.packed:
            self._graphs = GPUSpeech(self)
        return self._graphs
