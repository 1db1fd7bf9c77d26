"""Copy synthesis as a task: audio -> mel -> vocoder -> audio. What is lost is what the vocoder loses."""

from collections.abc import Iterator

import torch
from pydantic import Field

import amphion_core as amphion
from amphion_core import cards
from amphion_core.api import Audio, BaseConfig, Mel, Precision, TaskFramework, Vocoder
from amphion_core.errors import AudioError, UnknownComponent
from amphion_core.features.mel import mel_spectrogram

CHUNK = 2048  # frames vocoded at once, so that memory does not grow with the audio
CONTEXT = 64  # frames on either side of a chunk; more than the receptive field of feed-forward vocoders
FADE = 16  # frames over which a chunk takes over from the last; matters to those that find a phase of their own


class VocoderTask(TaskFramework):
    """Takes audio apart into a mel and puts it together again."""

    class Config(BaseConfig):
        """Which vocoder."""

        model: str | None = Field(
            default=None,
            description="card, weights folder or vocoder/griffin_lim; null: the default card, else Griffin-Lim",
        )
        mel: Mel | None = Field(
            default=None, description="mel convention, for Griffin-Lim; trained vocoders have their own"
        )

    config: Config

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the vocoder. Raises UnknownComponent, WeightsError, AudioError."""
        super().__init__(config)
        self.model_name = config.model or _default()
        if self.model_name == "vocoder/griffin_lim":
            fields = {"mel": config.mel} if config.mel else {}
            self.net: Vocoder = amphion.build(self.model_name, **fields).to(device).for_inference(precision)
        else:
            self.net = amphion.load(self.model_name, precision=precision, device=device)
            if config.mel:
                self.net.config.mel.require_same(config.mel, ours="vocoder", theirs="request")
        self.device = device

    def generate(self, request: Audio) -> Audio:
        """The same sound at the vocoder's rate, mono, its length rounded to whole frames.

        Raises AudioError for audio shorter than a frame.
        """
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: Audio) -> Iterator[Audio]:
        """The same in chunks of about half a minute; a feed-forward vocoder's are those of the whole, to rounding."""
        mel = self.net.config.mel
        audio = request.mono().resample(mel.sample_rate)
        if len(audio.samples) < mel.shortest:
            raise AudioError(
                f"{audio.duration:.3f} seconds are too short for frames of {mel.n_fft} samples",
                hint=f"give at least {mel.shortest / mel.sample_rate:.3f} seconds",
            )
        wave = torch.from_numpy(audio.samples.copy())[None].to(self.device)
        features = mel_spectrogram(wave, mel)  # (1, F, N)
        count = features.shape[2]
        last: torch.Tensor | None = None  # what the chunk before made of the first frames of this one
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            left, right = max(0, start - CONTEXT), min(count, stop + CONTEXT)
            made = self.net.vocode(features[..., left:right], seed=0)[0]
            piece = made[(start - left) * mel.hop_length : (stop - left) * mel.hop_length]
            if last is not None:
                rising = torch.linspace(0, 1, len(last), device=last.device)
                piece = torch.cat([torch.lerp(last, piece[: len(last)], rising), piece[len(last) :]])
            last = made[(stop - left) * mel.hop_length : (min(stop + FADE, count) - left) * mel.hop_length]
            yield Audio(piece.cpu().numpy(), mel.sample_rate)


def _default() -> str:
    try:
        return cards.default("vocoder").name
    except UnknownComponent:
        return "vocoder/griffin_lim"
