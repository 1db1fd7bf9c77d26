"""Copy synthesis as a task: audio -> mel -> vocoder -> audio. The difference is what the vocoder loses."""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import Audio, BaseConfig, FeaturePart, Mel, Precision, TaskFramework
from amphion_core.errors import AudioError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.vocoding import open_named_vocoder
from amphion_vocoders.request import VocoderRequest

CHUNK = 2048  # frames vocoded at once, so that memory does not grow with the audio
CONTEXT = 80  # frames on either side of a chunk; more than feed-forward vocoders see, which is at most 68 (APNet)
FADE = 16  # frames over which two chunks are mixed; needed for vocoders that choose a phase themselves


class VocoderTask(TaskFramework):
    """Takes audio apart into a mel and puts it together again."""

    class Config(BaseConfig):
        """Which vocoder."""

        model: str | None = Field(
            default=None,
            description="card, weights folder, run, or a vocoder without weights such as vocoder/griffin_lim; "
            "null: the default card, else a vocoder that needs no weights",
        )
        mel: Mel | None = Field(
            default=None, description="mel convention to use; null: the vocoder's own. Trained vocoders have one only"
        )
        f0: str = Field(
            default="f0_harvest", description="feature that tracks F0, for vocoders that need it; amphion list features"
        )

    config: Config
    Request = VocoderRequest

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the vocoder. Raises UnknownComponent, WeightsError, AudioError."""
        super().__init__(config)
        self.model_name, self.net = open_named_vocoder(config.model, config.mel, precision=precision, device=device)
        self.tracker = FeaturePart.named(config.f0, mel=self.net.config.mel).build() if self.net.needs_f0 else None
        self.device = device

    def generate(self, request: VocoderRequest | Audio) -> Audio:
        """The same sound at the vocoder's rate, mono, its length rounded to whole frames.

        Raises AudioError for audio shorter than a frame.
        """
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: VocoderRequest | Audio) -> Iterator[Audio]:
        """The same in chunks of about half a minute; those of a feed-forward vocoder equal the whole, to rounding,
        except APNet2's, which normalises over all frames that it is given.

        Raises what `generate` raises, and RecipeError for a control that the vocoder does not have.
        """
        given: VocoderRequest = self.as_request(request, "audio")
        controls: dict[str, Any] = {}  # few vocoders have any
        if given.controls:
            controls["controls"] = self.net.controls(given.controls)
        mel = self.net.config.mel
        audio = given.audio.mono().resample(mel.sample_rate)
        if len(audio.samples) < mel.shortest:
            raise AudioError(
                f"{audio.duration:.3f} seconds are too short for frames of {mel.n_fft} samples",
                hint=f"give at least {mel.shortest / mel.sample_rate:.3f} seconds",
            )
        wave = torch.from_numpy(audio.samples.copy())[None].to(self.device)
        features = mel_spectrogram(wave, mel)  # (1, F, N)
        f0 = self.tracker.extract(wave)[:, 0] if self.tracker else None  # (1, N)
        count = features.shape[2]
        overlap: Tensor | None = None  # the first frames of this chunk, as the chunk before made them
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            left, right = max(0, start - CONTEXT), min(count, stop + CONTEXT)
            made = self.net.vocode(
                features[..., left:right], None if f0 is None else f0[:, left:right], seed=given.seed, **controls
            )[0]
            piece = made[(start - left) * mel.hop_length : (stop - left) * mel.hop_length]
            if overlap is not None:
                rising = torch.linspace(0, 1, len(overlap), device=overlap.device)
                piece = torch.cat([torch.lerp(overlap, piece[: len(overlap)], rising), piece[len(overlap) :]])
            overlap = made[(stop - left) * mel.hop_length : (min(stop + FADE, count) - left) * mel.hop_length]
            yield Audio(piece.float().cpu().numpy(), mel.sample_rate)
