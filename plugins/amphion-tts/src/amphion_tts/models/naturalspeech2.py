"""NaturalSpeech 2: text and three seconds of a voice to a wave, by diffusion of the latents of a neural codec.

Shen et al.: "NaturalSpeech 2: Latent Diffusion Models are Natural and Zero-Shot Speech and Singing Synthesizers",
arXiv:2304.09116. A prompt encoder reads the latents of a recorded voice. With it, a phone encoder and predictors of
duration and pitch make a condition for each frame, and a WaveNet denoises latents, which the codec decodes.
Layouts read: "amphion". The codec is not part of the weights; the config names it.
Deviations: as in Amphion's models, the codec is EnCodec, and the WaveNet predicts the clean latents. Durations are
scaled before they are rounded. Padding never reaches valid symbols and frames. The switches ``positional``,
``time_scale`` and ``midpoint`` exist for published weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Codec,
    CodecPart,
    Codes,
    CorpusFacts,
    FrontendPart,
    MelConfig,
    Prompt,
    Synthesis,
    TextToSpeech,
    open_codec,
)  # fmt: skip
from amphion_core.config import validate
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.modules.item_noise import draw_noise, generators
from amphion_core.text.symbols import frontend_with_symbols
from amphion_tts.models.fastspeech2_modules import valid
from amphion_tts.models.fastspeech2_variance import LONGEST_TOKEN, spread
from amphion_tts.models.naturalspeech2_config import NaturalSpeech2Config
from amphion_tts.models.naturalspeech2_denoiser import Denoiser
from amphion_tts.models.naturalspeech2_prior import PriorEncoder, Transformer, attend
from amphion_tts.models.naturalspeech2_sde import NoiseSchedule, Solver, sample
from amphion_tts.models.token_checks import checked_lengths

STEPS = 150  # the paper's number of steps, section 4.2
MEASURED = 100  # recordings of each corpus in which the deviation of the latents is measured
NOISE_SCALE = 1 / 1.2  # of the first noise, as in Amphion's models


@dataclass(frozen=True, slots=True)
class NaturalSpeech2Output:
    """Result of the training pass."""

    clean: Tensor  # (B, D, N): the latents that the noisy ones are made of
    log_durations: Tensor  # (B, L): ln(frames + 1)
    log_f0: Tensor  # (B, N): ln(Hz)
    token_mask: Tensor  # (B, L), True where valid
    frame_mask: Tensor  # (B, N), True where valid


@dataclass(frozen=True, slots=True)
class Voice:
    """A prompt as the network sees it: its states (B, M, C), where they are valid (B, M), and its tokens (B, Q, C)."""

    states: Tensor
    mask: Tensor
    tokens: Tensor


class NaturalSpeech2(TextToSpeech):
    """Text to speech in the voice of a prompt: ids (B, L), wave of the prompt (B, T) -> wave (B, T)."""

    class Config(NaturalSpeech2Config):
        """The defaults are the sizes of Amphion's configuration: 378 M parameters."""

    class Controls(BaseConfig):
        """What a request may change. A control that is not given changes nothing."""

        steps: int | None = Field(
            default=None, ge=1, le=999, description=f"steps of the diffusion; fewer are faster ({STEPS})"
        )
        solver: Solver | None = Field(
            default=None, description="euler; midpoint, with two evaluations in each step; dpm_solver, for few steps"
        )
        noise_scale: float | None = Field(
            default=None, ge=0, le=2, description=f"deviation of the first noise ({NOISE_SCALE:.2f})"
        )
        length_scale: float | None = Field(
            default=None, ge=0.25, le=10, description="factor on all durations; 2 is half the speed, 0.5 is double"
        )
        pitch: float | None = Field(
            default=None, ge=-24, le=24, description="semitones by which the voice is higher; -12: an octave lower"
        )
        pitch_variation: float | None = Field(
            default=None, ge=0, le=4, description="factor on the melody around its mean; 0: monotone, 2: lively"
        )

    config: Config
    layouts = ("amphion",)
    layouts_with_config = ("amphion",)
    output = "wave"
    takes_prompt = True
    needs_prompt_text = False
    takes_seeds = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        if not c.vocabulary_size:
            raise RecipeError(
                "vocabulary: a NaturalSpeech 2 without a frontend needs its number of symbols",
                hint="give frontend or vocabulary",
            )
        self.schedule = NoiseSchedule(*c.noise_rate)
        if c.latent_channels != c.hidden_channels:
            self.prompt_lin = nn.Linear(c.latent_channels, c.hidden_channels)
        self.prompt_encoder = Transformer(
            c.hidden_channels, c.prompt_filter, c.prompt_heads, c.prompt_layers, c.prompt_kernel, c.prompt_dropout,
            c.positional,
        )  # fmt: skip
        self.query_emb = nn.Embedding(c.query_tokens, c.hidden_channels)
        self.query_attn = nn.MultiheadAttention(c.hidden_channels, c.query_heads, batch_first=True)
        self.prior_encoder = PriorEncoder(c)
        self.denoiser = Denoiser(
            c.latent_channels, c.hidden_channels, c.denoiser_layers, c.denoiser_heads, c.denoiser_attention_every,
            c.dilation_cycle, c.denoiser_dropout, c.time_scale,
        )  # fmt: skip

    @classmethod
    def example_config(cls) -> Config:
        """Latin letters, an untrained codec of two codebooks, networks of eight channels."""
        codec = CodecPart.named(
            "codec/encodec", sample_rate=8000, filters=2, dim=8, strides=(8, 8), kernel=3, codebooks=2, codebook_size=8,
            kmeans=False, lstm_layers=0,
        )  # fmt: skip
        return cls.Config(
            codec=codec, n_codebooks=2, latent_channels=8, frontend=FrontendPart.named("characters"),
            mel=MelConfig(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=8, fmax=None),
            hidden_channels=8, prompt_layers=1, prompt_filter=8, prompt_kernel=3, prompt_heads=2, prompt_dropout=0.0,
            query_tokens=2, query_heads=2, encoder_layers=1, encoder_filter=8, encoder_kernel=3, encoder_heads=2,
            encoder_dropout=0.0, duration_layers=2, pitch_layers=2, predictor_heads=2, predictor_dropout=0.0,
            n_bins=16, denoiser_layers=2, denoiser_heads=2, denoiser_dropout=0.0,
        )  # fmt: skip

    @classmethod
    def config_for(cls, config: Config, facts: CorpusFacts) -> Config:
        """``config`` with the codec's fingerprint, and where it has none the symbols and the deviation of the latents.

        Raises DataError for a text that does not fit a stated frontend, WeightsError where the codec has no weights.
        """
        codec = open_codec(config.codec, "cpu", config.codec_fingerprint)
        changes: dict[str, Any] = {"codec_fingerprint": codec.fingerprint()}
        if config.frontend is not None:
            texts = (utterance.text for utterance in facts.utterances())
            changes["frontend"] = frontend_with_symbols(config.frontend, texts)
        if config.latent_scale is None:
            changes["latent_scale"] = _deviation(config, facts)
        return config.replace(**changes)

    def example_inputs(self) -> dict[str, Any]:
        """Two items of different lengths."""
        draws, c = torch.Generator().manual_seed(0), self.config
        return {
            "ids": torch.randint(0, c.vocabulary_size, (2, 5), generator=draws), "lengths": torch.tensor([5, 3]),
            "durations": torch.tensor([[2, 1, 0, 3, 2], [1, 2, 2, 0, 0]]),
            "f0": 100 + 100 * torch.rand(2, 8, generator=draws),
            "prompt": torch.randn(2, c.latent_channels, 6, generator=draws), "prompt_lengths": torch.tensor([6, 4]),
            "noisy": torch.randn(2, c.latent_channels, 8, generator=draws), "time": torch.tensor([0.3, 0.8]),
        }  # fmt: skip

    def forward(
        self, ids: Tensor, lengths: Tensor, durations: Tensor, f0: Tensor, prompt: Tensor, prompt_lengths: Tensor,
        noisy: Tensor, time: Tensor,
    ) -> NaturalSpeech2Output:  # fmt: skip
        """The training pass: ids (B, L) with lengths (B), durations (B, L) in whole frames, f0 (B, N) in Hz.

        ``prompt`` (B, D, M) with prompt_lengths (B), and ``noisy`` (B, D, N) at the diffusion's ``time`` (B), are
        latents that `latents` gave. f0 has no gaps; see `amphion_core.features.f0.interpolate_f0`.
        """
        tokens = valid(lengths, ids.shape[1])
        durations = durations * tokens
        frames = valid(durations.sum(1), noisy.shape[2])
        voice = self.voice(prompt, prompt_lengths)
        x, log_durations = self.prior_encoder.phones(ids, tokens, voice.states, voice.mask)
        x = spread(x, durations, noisy.shape[2])
        log_f0 = self.prior_encoder.pitch_predictor(x, frames, voice.states, voice.mask)
        condition = self.prior_encoder.with_pitch(x, f0, frames)
        clean = self.denoiser(noisy, frames, condition, time, voice.tokens)
        return NaturalSpeech2Output(clean, log_durations, log_f0, tokens, frames)

    def voice(self, prompt: Tensor, lengths: Tensor) -> Voice:
        """Latents (B, D, M) with lengths (B) -> what the networks know of the voice."""
        mask = valid(lengths, prompt.shape[2])
        rows = prompt.mT
        if self.config.latent_channels != self.config.hidden_channels:
            rows = self.prompt_lin(rows)
        states = self.prompt_encoder(rows, mask)
        queries = self.query_emb.weight.expand(len(rows), -1, -1)
        return Voice(states, mask, attend(self.query_attn, queries, states, mask))

    @property
    def codec(self) -> Codec:
        """The codec of the config with its weights, on this network's device.

        Raises WeightsError: there are no weights at this place, or it is a codec of another rate, hop or size, or of
        other weights than in the training.
        """
        c = self.config
        found = open_codec(c.codec, str(self.device), c.codec_fingerprint)
        ours = c.mel.sample_rate, c.mel.hop_length
        if (found.sample_rate, found.hop_length) != ours or found.n_codebooks < c.n_codebooks:
            raise WeightsError(
                f"the codec has {found.sample_rate} Hz, a hop of {found.hop_length} and {found.n_codebooks} codebooks,"
                f" and the model {ours[0]} Hz, {ours[1]} and {c.n_codebooks}",
                hint="a trained model needs the codec it was trained with; in a recipe: model.codec=PLACE, or"
                f" audio.sample_rate={found.sample_rate} audio.hop_length={found.hop_length}"
                f" model.n_codebooks={min(found.n_codebooks, c.n_codebooks)}",
            )
        return found

    def latents(self, codes: Tensor) -> Tensor:
        """Codes (B, K, N) -> the latents (B, D, N) on which the diffusion works. No gradients.

        Raises WeightsError for latents of another size than the config states.
        """
        found = self.codec.latents(Codes(codes.long().transpose(0, 1)))
        if found.shape[1] != self.config.latent_channels:
            raise WeightsError(
                f"the codec has {found.shape[1]} latent channels, and the model {self.config.latent_channels}",
                hint="a trained model needs the codec it was trained with; in a recipe: model.codec=PLACE, or"
                f" model.latent_channels={found.shape[1]}",
            )
        return (found / self.config.scale).clone()  # of inference mode before, and then unfit for training

    @torch.no_grad()
    def synthesize(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor | None = None, *, prompt: Prompt | None = None,
        seed: int | Sequence[int] | None = None, controls: Controls | None = None,
    ) -> Synthesis:  # fmt: skip
        """ids (B, L), lengths (B) -> wave (B, T), lengths in samples, durations (B, L) in frames of the codec.

        ``prompt`` is the recording of the voice; its text is not needed. ``speaker`` has no effect.
        Raises DataError for ids that the network does not have, and without a prompt or with one shorter than a frame;
        WeightsError where the codec's weights are missing.
        """
        wanted = controls or self.Controls()
        checked_lengths(ids, lengths, self.config.vocabulary_size, model="NaturalSpeech 2")
        heard, heard_lengths = self._heard(prompt)
        tokens = valid(lengths, ids.shape[1])
        with self.autocast():
            voice = self.voice(heard, heard_lengths)
            x, log_durations = self.prior_encoder.phones(ids, tokens, voice.states, voice.mask)
        durations = self._durations(log_durations, tokens, wanted.length_scale)
        counts = durations.sum(1)
        sizes = counts.tolist()
        frames = valid(counts, max(sizes))
        with self.autocast():
            x = spread(x, durations, max(sizes))
            log_f0 = self.prior_encoder.pitch_predictor(x, frames, voice.states, voice.mask)
            condition = self.prior_encoder.with_pitch(x, controlled_f0(log_f0.float(), frames, wanted), frames)
        draws = generators(seed, len(ids), ids.device)
        noise = draw_noise(draws, self.config.latent_channels, sizes, max(sizes))
        noise = noise * (NOISE_SCALE if wanted.noise_scale is None else wanted.noise_scale)
        latents = sample(
            lambda noisy, time: self._denoised(noisy, frames, condition, time, voice), noise, self.schedule,
            steps=wanted.steps or STEPS, solver=wanted.solver or "euler", midpoint=self.config.midpoint,
        )  # fmt: skip
        wave = self._decoded(latents, sizes)
        return Synthesis(counts * self.config.mel.hop_length, wave=wave, durations=durations)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint with its publisher's ``args.json`` as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_tts.models import naturalspeech2_layouts

        fields, tensors = naturalspeech2_layouts.read(state, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors

    def _heard(self, prompt: Prompt | None) -> tuple[Tensor, Tensor]:
        """The latents (B, D, M) of a prompt, and their lengths (B). An incomplete last frame is filled with silence."""
        if prompt is None:
            raise DataError("NaturalSpeech 2 imitates a recording, and none is given", hint="--prompt FILE")
        if int(prompt.lengths.min()) < self.config.mel.hop_length:
            raise DataError(
                f"the prompt has {int(prompt.lengths.min())} samples, fewer than a frame of the codec",
                hint="use about three seconds of clear speech",
            )
        codec = self.codec
        codes = self.config.codes_feature.build().to(self.device).extract(prompt.wave.to(self.device), prompt.lengths)
        return self.latents(codes), -(-prompt.lengths.to(self.device) // codec.hop_length)

    def _durations(self, log_durations: Tensor, mask: Tensor, scale: float | None) -> Tensor:
        """ln(frames + 1) (B, L) -> whole frames (B, L); at least one for each item."""
        mel = self.config.mel
        frames = torch.expm1(log_durations.float()) * (1.0 if scale is None else scale)
        found = torch.round(frames.clamp(0, LONGEST_TOKEN * mel.sample_rate / mel.hop_length)).long() * mask
        found[:, 0] += found.sum(1) == 0
        return found

    def _denoised(self, noisy: Tensor, mask: Tensor, condition: Tensor, time: Tensor, voice: Voice) -> Tensor:
        with self.autocast():
            found = self.denoiser(noisy, mask, condition, time, voice.tokens)
        return found.float()

    def _decoded(self, latents: Tensor, sizes: Sequence[int]) -> Tensor:
        """Latents (B, D, N) -> waves (B, T). Each item is decoded alone, because many codecs look ahead."""
        hop, codec = self.config.mel.hop_length, self.codec
        wave = latents.new_zeros(len(latents), max(sizes) * hop)
        for row, item, size in zip(wave, latents * self.config.scale, sizes, strict=True):
            row[: size * hop] = codec.decode_latents(item[None, :, :size])[0, 0, : size * hop]
        return wave.clamp(-1, 1)


def _deviation(config: NaturalSpeech2.Config, facts: CorpusFacts) -> float:
    """The root of the mean square of the latents in the first recordings of the corpus."""
    part = config.codes_feature
    facts.statistics(part)  # computes and caches the codes, which training needs too
    codec, squares, count = open_codec(config.codec, "cpu"), 0.0, 0
    for manifest in facts.manifests:
        cache = FeatureCache(manifest, part, facts.config.cache)
        for index in range(min(len(manifest), MEASURED)):
            codes = torch.from_numpy(cache.read(index)).long()[:, None]
            found = codec.latents(Codes(codes)).double()
            squares, count = squares + float(found.square().sum()), count + found.numel()
    return max(math.sqrt(squares / count), 1e-6)


def controlled_f0(log_f0: Tensor, mask: Tensor, controls: Any) -> Tensor:
    """ln(Hz) (B, N) -> F0 in Hz as a request wants it: first the variation, then the shift of the whole voice."""
    if controls.pitch_variation is not None:
        mean = (log_f0 * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
        log_f0 = mean + controls.pitch_variation * (log_f0 - mean)
    return torch.exp(log_f0 + math.log(2) * (controls.pitch or 0.0) / 12)
