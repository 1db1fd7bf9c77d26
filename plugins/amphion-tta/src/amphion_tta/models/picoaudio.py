"""PicoAudio: latent diffusion of sounds whose times and number a caption states exactly.

Xie, Xu, Wu, Wu: "PicoAudio: Enabling Precise Timestamp and Frequency Controllability of Audio Events in Text-to-audio
Generation", arXiv:2407.02869. The onset matrix of a caption is put beside the noisy latents as two more channels; one
vector, of the events or of a text encoder, is read by attention.
Layouts read: "zeyuxie29" (the authors' UNet, under the names of diffusers, with their table of event vectors).
Deviations: the vector of a caption is the mean of all its events' vectors; the published model takes the first event's
alone (``several="first"``). Without a caption, for guidance, both the vector and the onset matrix are zero.
Letters: B batch, K rows of events, N columns, Z latent channels, H latents in time, W latents in frequency.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import CorpusFacts, FrontendPart, MelConfig, TextCondition, TextEncoder, TextToAudio
from amphion_core.errors import DataError, counted
from amphion_core.modules.diffusion import Diffusion, Sampler
from amphion_tta.autoencoders import AutoencoderPart
from amphion_tta.models.latent_diffusion import LatentDiffusion
from amphion_tta.models.latent_unet import LatentUNet, UNetConfig
from amphion_tta.models.picoaudio_layouts import read_zeyuxie29
from amphion_tta.onsets import Translator, onset_matrix, read_caption
from amphion_tta.timed_events import TimedEvent


class PicoAudio(LatentDiffusion):
    """Captions with times to mels (B, F, N). A condition has a state for each row of events: see `read_captions`."""

    class Config(LatentDiffusion.Config):
        """The defaults are those of the published model."""

        autoencoder: AutoencoderPart = Field(
            default_factory=lambda: AutoencoderPart.named("autoencoder/kl"),
            description="autoencoder of mels: its latents are generated",
        )
        events: tuple[str, ...] = Field(
            default=(), description="names of the events; the index is the row. Empty: those of the training captions"
        )
        rows: int = Field(default=32, gt=0, le=4096, description="rows K of the onset matrix, a multiple of W")
        columns: int = Field(
            default=256, gt=0, le=100_000, description="columns N of the longest sound, each as long as one latent"
        )
        reads: Literal["events", "text"] = Field(
            default="events", description="what attention reads: vectors of events, or a text encoder's pooled vector"
        )
        vectors: int = Field(default=24, gt=0, le=4096, description="vectors of events, for as many events at most")
        several: Literal["mean", "first"] = Field(
            default="mean", description="vector of a caption with several events: their mean, or that of the first"
        )
        translator: FrontendPart | None = Field(
            default=None, description="text frontend whose tokens are events with their times, such as dog__1-2_3-4"
        )
        text_encoder: str = Field(
            default="text_encoder/words", description="encoder of the names of the events, used where reads is text"
        )
        condition_dim: int = Field(
            default=1024, gt=0, le=16384, description="values of the vector that attention reads"
        )
        unet: UNetConfig = Field(
            default=UNetConfig(
                channels=(128, 256, 512, 512), attention=(True, True, True, False), heads=(4, 8, 16, 16),
                linear_projection=True,
            ),
            description="sizes of the network",
        )  # fmt: skip
        diffusion: Diffusion = Field(  # the numbers of stabilityai/stable-diffusion-2-1, as in the published code
            default=Diffusion(
                first_noise=0.00085, last_noise=0.012, schedule="scaled_linear", prediction="v_prediction", clip="never"
            ),
            description="noise of the training, and what the network predicts",
        )
        sampler: Sampler = Field(default="ddpm", description="sampler of a request that states none")
        guidance: float = Field(default=3.0, ge=0, le=100, description="guidance of a request that states none")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if not self.autoencoder.config.time_first:
                raise ValueError("autoencoder: its latents must be (time, bands): time_first=true")
            if self.rows % self.bands:
                raise ValueError(f"rows: {self.rows} is not a multiple of the {self.bands} latents in frequency")
            most = self.most_events
            if len(self.events) > most:
                raise ValueError(f"events: {len(self.events)} are stated, and there is room for {most}")
            if len({name.casefold() for name in self.events}) < len(self.events) or "" in self.events:
                raise ValueError("events: two have the same name")
            return self

        @property
        def bands(self) -> int:
            """W, latents in frequency."""
            return int(self.mel.n_mels // self.autoencoder.config.reduction)

        @property
        def rate(self) -> float:
            """Columns of the onset matrix, and latents, in each second."""
            return self.mel.sample_rate / (self.mel.hop_length * self.autoencoder.config.reduction)

        @property
        def most_events(self) -> int:
            """How many events there is room for."""
            return self.rows if self.reads == "text" else min(self.rows, self.vectors)

    config: Config
    layouts = ("zeyuxie29",)

    def __init__(self, config: Config, *, translate: Translator | None = None) -> None:
        """``translate`` turns free text into events with their times, such as a language model; see `read_captions`.

        Raises MissingPackage without diffusers.
        """
        TextToAudio.__init__(self, config)
        self.autoencoder = config.autoencoder.build().requires_grad_(False)
        self.unet = TimedUNet(config)
        self.translate = translate or (None if config.translator is None else _by_frontend(config.translator))
        self.max_duration = config.columns / config.rate

    @classmethod
    def example_config(cls) -> Config:
        """Two small levels over a tiny autoencoder; the events are the texts of the conformance kit."""
        mel = MelConfig.preset("audioldm_16k_64").replace(n_mels=8)
        small = {"mel": mel, "channels": (4, 4, 4), "blocks": 1, "latent_channels": 2, "groups": 2, "attention": False}
        return cls.Config(
            autoencoder=AutoencoderPart.named("autoencoder/kl", **small),
            unet=UNetConfig(
                channels=(8, 16), blocks=1, attention=(True, False), heads=(2, 2), groups=4, linear_projection=True
            ),
            events=("hello there", "how are you", "good day", "fine"),
            rows=4, columns=64, vectors=4, condition_dim=8, steps=2,
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Noisy latents of half a second, steps, and two captions."""
        latents = torch.randn(2, *self.autoencoder.latent_shape(50), generator=torch.Generator().manual_seed(0))
        captions = ["good day at 0.1-0.3", "fine at 0-0.2 and hello at 0.3-0.4"]
        condition = self.read_captions(captions, duration=0.5)
        return {"latents": latents, "step": torch.tensor([3, 500]), "condition": condition}

    @classmethod
    def config_for(cls, config: Any, facts: CorpusFacts) -> Any:
        """``config`` with the names of the events in the training captions, and its text encoder's fingerprint.

        Raises DataError for captions that cannot be read, and for more events than there is room for.
        """
        if config.reads == "text":
            from amphion_tta.opening import open_text_encoder

            encoder = open_text_encoder(config.text_encoder)
            config = config.replace(text_encoder_fingerprint=encoder.fingerprint())
        if config.events:
            return config
        found: set[str] = set()
        for one in facts.utterances():
            try:
                found.update(event.name for event in read_caption(one.caption, None, duration=one.duration))
            except DataError as error:
                raise DataError(f"item {one.id}: {error.message}", hint=error.hint) from error
        if len(found) > (most := config.most_events):
            raise DataError(
                f"the captions name {counted(len(found), 'event')}, and the model has room for {most}",
                hint="set model.rows and model.vectors, or state the names to use as model.events",
            )
        return config.replace(events=tuple(sorted(found)))

    def read_captions(
        self, captions: Sequence[str], *, duration: float, encoder: TextEncoder | None = None
    ) -> TextCondition:
        """Captions of sounds of ``duration`` seconds -> the condition. An empty caption means no condition.

        ``states`` (B, K, 1 + N) belong to the rows of events: first how much the event counts in the vector that
        attention reads, then 1 in each column in which it sounds. ``pooled`` (B, G) is what ``encoder`` makes of the
        names of the events, where the model reads texts. Free text goes to ``translate``, if the model has it, whose
        answer is read in its place. Raises DataError for a caption that cannot be used.
        """
        c = self.config
        if duration > c.columns / c.rate + 1e-6:
            raise DataError(
                f"{duration:g} seconds were asked for, and this model makes at most {c.columns / c.rate:g}",
                hint=f"choose at most {c.columns / c.rate:g} seconds",
            )
        columns = max(1, -int(-duration * c.rate // 1))
        read = [self._events(text, duration) for text in captions]
        states = torch.zeros(len(read), c.rows, 1 + columns)
        for item, events in enumerate(read):
            matrix = onset_matrix(events, c.events, rows=c.rows, columns=columns, rate=c.rate)
            states[item, :, 1:] = torch.from_numpy(matrix)
            used = events if c.several == "mean" else events[:1]
            for event in used:
                states[item, c.events.index(event.name), 0] = 1 / len(used)
        pooled = self._named(read, encoder) if c.reads == "text" else None
        mask = torch.ones(states.shape[:2], dtype=torch.bool, device=self.device)
        return TextCondition(states.to(self.device), mask, pooled)

    def _events(self, caption: str, duration: float) -> list[TimedEvent]:
        if not caption.strip():
            return []
        return read_caption(caption, self.config.events, duration=duration, translate=self.translate)

    def _named(self, read: Sequence[Sequence[TimedEvent]], encoder: TextEncoder | None) -> Tensor:
        """(B, G): the encoded names of the events of each caption; zeros without events."""
        texts = [" and ".join(event.name for event in events) for events in read]
        pooled = None if encoder is None else encoder.encode(texts).pooled
        if pooled is None:
            raise DataError(
                "this model reads one vector for each caption, and its text encoder gives none",
                hint="use a text encoder with a pooled vector, such as text_encoder/clap",
            )
        some = torch.tensor([[bool(events)] for events in read], device=pooled.device)
        return (pooled * some).to(self.device)

    def forward(self, latents: Tensor, step: Tensor, condition: TextCondition) -> Tensor:
        """Noisy latents (B, Z, H, W), step (B) of the training, condition of `read_captions` -> velocity (B, Z, H, W).

        Raises DataError for a condition of another model.
        """
        return self.unet(latents, step, condition)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """The published UNet, event vectors and autoencoder as (Config, state dict). Raises WeightsError."""
        return read_zeyuxie29(cls.Config, state, config)


class TimedUNet(LatentUNet):
    """The UNet with the vectors of the events, which reads the conditions of `PicoAudio.read_captions`."""

    def __init__(self, config: PicoAudio.Config) -> None:
        """Raises MissingPackage without diffusers."""
        coder = config.autoencoder.config
        super().__init__(
            config.unet,
            in_channels=config.rows // config.bands + coder.latent_channels,
            out_channels=coder.latent_channels,
            context_dim=config.condition_dim,
            latent_scale=coder.latent_scale if config.latent_scale is None else config.latent_scale,
        )
        self.rows, self.size = config.rows, config.condition_dim
        self.vectors = nn.Embedding(config.vectors, config.condition_dim) if config.reads == "events" else None

    def forward(self, latents: Tensor, step: Tensor, condition: TextCondition) -> Tensor:
        """Noisy latents (B, Z, H, W), step (B), condition -> velocity (B, Z, H, W). Raises DataError."""
        if condition.states.shape[1] != self.rows or (self.vectors is None) != (condition.pooled is not None):
            raise DataError(
                f"the model reads conditions of {self.rows} rows of events, and this is another one",
                hint="make it with the model's read_captions",
            )
        counts, onsets = condition.states[..., 0], condition.states[..., 1:]
        if self.vectors is not None:
            weight = self.vectors.weight[: self.rows]
            context = counts[:, : len(weight)] @ weight
        else:
            assert condition.pooled is not None
            context = condition.pooled.repeat(1, -(-self.size // condition.pooled.shape[1]))[:, : self.size]
        token = context[:, None]  # (B, 1, condition_dim)
        valid = torch.ones(token.shape[:2], dtype=torch.bool, device=token.device)
        inputs = torch.cat([onset_channels(onsets, latents).to(latents), latents], 1)
        return super().forward(inputs, step, TextCondition(token, valid))


def onset_channels(onsets: Tensor, latents: Tensor) -> Tensor:
    """Onset matrices (B, K, N) as channels beside latents (B, Z, H, W): (B, K / W, H, W).

    Row k is channel k // W at frequency k % W. Columns behind H are left out, missing ones are 0.
    """
    height, width = latents.shape[2:]
    onsets = F.pad(onsets, (0, max(0, height - onsets.shape[2])))[..., :height]
    return onsets.reshape(len(onsets), -1, width, height).mT


def _by_frontend(part: FrontendPart) -> Translator:
    """A translator made of a text frontend, whose tokens are events in the short notation."""
    frontend = part.build()
    return lambda text, names, seconds: "--".join(frontend.tokens(text))
