"""Copy synthesis as a task: audio -> mel -> vocoder -> audio. The difference is what the vocoder loses."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, FeaturePart, Mel, MelConfig, Precision, TaskFramework
from amphion_core.audio_files import check_file
from amphion_core.audio_files.mono import mono_pieces
from amphion_core.errors import AudioError
from amphion_core.vocoding import VocoderChoice, choose_vocoder, open_named_vocoder
from amphion_vocoders import chunks
from amphion_vocoders.blocks import Block, blocks_of_audio, blocks_of_mel
from amphion_vocoders.f0_tracking import DEFAULT, tracker_for
from amphion_vocoders.mel_files import FOLDERS_MEL, MelFile, stated_mel
from amphion_vocoders.request import VocoderRequest
from amphion_vocoders.vocode_sources import is_mel_file

BATCH = 16  # short files that are vocoded together on a GPU


class VocoderTask(TaskFramework):
    """Takes audio apart into a mel and puts it together again, or makes audio of a mel."""

    class Config(BaseConfig):
        """Which vocoder."""

        model: str | None = Field(
            default=None,
            description="card, weights folder, run, or a vocoder without weights such as vocoder/griffin_lim; "
            "null: the default card, else a vocoder that needs no weights",
        )
        mel: Mel | None = Field(
            default=None,
            description="mel convention, for a vocoder without weights and for mel files that state none; null: the "
            "vocoder's own. Trained vocoders have one only",
        )
        f0: str = Field(
            default=DEFAULT, description="feature that tracks F0, for vocoders that need it; amphion list features"
        )

    config: Config
    Request = VocoderRequest
    command = "vocode {audio} --vocoder {model}"

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the vocoder. Raises UnknownComponent, WeightsError, AudioError, and RecipeError for ``f0``."""
        super().__init__(config)
        choice = choose_vocoder(config.mel) if config.model is None else VocoderChoice(config.model)
        self.note = choice.note  # a sentence for the user about the choice, or None
        self.model_name, self.net = open_named_vocoder(choice.name, config.mel, precision=precision, device=device)
        self.tracker: Any = None
        if self.net.needs_f0:
            self.tracker = tracker_for(self.mel, FeaturePart.named(config.f0, mel=self.mel)).build()
        self.device = device
        self._fingerprint: str | None = None

    @classmethod
    def example_request(cls) -> VocoderRequest:
        """A second of a tone."""
        return VocoderRequest(audio=Audio(np.sin(np.arange(22050) / 20).astype(np.float32), 22050))

    @property
    def mel(self) -> MelConfig:
        """The mel convention of the vocoder."""
        mel: MelConfig = self.net.config.mel
        return mel

    def generate(self, request: VocoderRequest | Audio | str | Path) -> Audio:
        """The same sound at the vocoder's rate, mono, its length rounded to whole frames; or the audio of a mel.

        Raises AudioError for audio shorter than a frame, and for a mel of another convention.
        """
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: VocoderRequest | Audio | str | Path) -> Iterator[Audio]:
        """The same in chunks of some seconds; those of a feed-forward vocoder equal the whole, to rounding,
        except APNet2's, which normalises over all frames that it is given.

        A file is read, and its audio generated, as far as it is asked for, so that memory does not grow with its
        length. Raises what `generate` raises, and RecipeError for a control that the vocoder does not have.
        """
        yield from self.chunks(request)

    def chunks(self, request: VocoderRequest | Audio | str | Path, *, start: int = 0) -> Iterator[Audio]:
        """What `stream` yields from the chunk of number ``start`` on."""
        given: VocoderRequest = self.as_request(request, "audio")
        controls, blocks = self._controls(given), self._blocks(given.audio)
        for wave in chunks.vocode_in_chunks(self.net, blocks, seed=given.seed, controls=controls, start=start):
            yield Audio(wave.cpu().numpy(), self.mel.sample_rate)

    @property
    def batch_size(self) -> int:
        """Short files that are vocoded together: several on a GPU, by a vocoder whose items do not differ in batches.

        On a CPU a batch takes as long as its items one by one.
        """
        return BATCH if self.net.device.type != "cpu" and self.net.alike_in_batches else 1

    def is_short(self, frames: int) -> bool:
        """Whether so many frames are vocoded at once."""
        return frames <= chunks.CHUNK

    def whole(self, source: Audio | Path) -> Block:
        """All frames of a short source. Raises AudioError."""
        blocks = list(self._blocks(source))
        f0 = [block.f0 for block in blocks if block.f0 is not None]
        return Block(torch.cat([block.mel for block in blocks], 2), torch.cat(f0, 1) if f0 else None)

    def vocode_alike(self, blocks: Sequence[Block], request: VocoderRequest) -> list[Audio]:
        """The audio of frames that are equally many, made at once. ``request`` holds the seed and the controls."""
        f0 = [block.f0 for block in blocks if block.f0 is not None]
        waves = self.net.vocode(
            torch.cat([block.mel for block in blocks]), torch.cat(f0) if f0 else None, seed=request.seed,
            **self._controls(request),
        )  # fmt: skip
        return [Audio(wave.float().cpu().numpy(), self.mel.sample_rate) for wave in waves]

    def frames(self, source: Audio | Path) -> int | None:
        """The number of frames of a source, or about that number; None where no header states it. Raises AudioError."""
        if isinstance(source, Path) and is_mel_file(source):
            return self._mel_file(source).frames
        if isinstance(source, Audio):
            return self.mel.frames(round(source.duration * self.mel.sample_rate))
        from amphion_core.audio_files.reading import AudioFile

        with AudioFile(source) as file:
            stated = file.stated
            return stated and self.mel.frames(round(stated / file.samplerate * self.mel.sample_rate))

    def work(self, request: VocoderRequest) -> dict[str, Any]:
        """What determines the audio made of a file, in values of JSON: file, weights, seed, controls.

        Raises AudioFileError for a file that is missing.
        """
        assert isinstance(request.audio, Path)
        found = check_file(request.audio)
        if self._fingerprint is None:
            self._fingerprint = self.net.fingerprint()
        return {
            "file": os.path.realpath(request.audio), "size": found.st_size, "changed": found.st_mtime_ns,
            "model": self.model_name, "config": self.net.config.model_dump(mode="json"), "weights": self._fingerprint,
            "device": self.net.device.type, "precision": self.net.precision, "chunk": chunks.CHUNK,
            "f0": self.config.f0 if self.tracker else None, "seed": request.seed, "controls": request.controls,
        }  # fmt: skip

    def _controls(self, request: VocoderRequest) -> dict[str, Any]:
        """The arguments for the controls of a request; few vocoders have any. Raises RecipeError."""
        return {"controls": self.net.controls(request.controls)} if request.controls else {}

    def _blocks(self, source: Audio | Path) -> Iterable[Block]:
        """The frames of a recording, or of a mel file, which is checked before. Raises AudioError."""
        if isinstance(source, Path) and is_mel_file(source):
            return blocks_of_mel(self._mel_file(source), self.device, with_f0=self.net.needs_f0)
        return blocks_of_audio(mono_pieces(source, self.mel.sample_rate), self.mel, self.tracker, self.device)

    def _mel_file(self, path: Path) -> MelFile:
        """A mel file of the vocoder's convention. Raises AudioError for one that states another, or none."""
        stated = stated_mel(path) or self.config.mel
        if stated is None:
            names = [name for name, preset in MelConfig.presets().items() if preset == self.mel]
            preset = names[0] if names else "PRESET"
            raise AudioError(
                f"{path} does not state its mel convention",
                hint=f"if it was computed so: --mel {preset}, or write a file {FOLDERS_MEL} beside it: {preset}",
            )
        stated.require_same(self.mel, ours="file", theirs="vocoder")
        return MelFile(path, self.mel.n_mels)
