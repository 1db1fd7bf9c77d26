"""Neural coding as a task: a recording becomes codes, and codes become audio. A roundtrip shows what is lost."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core import cards
from amphion_core.api import Audio, BaseConfig, Codec, Codes, Precision, TaskFramework
from amphion_core.audio_files.mono import mono_pieces
from amphion_core.errors import AudioError, RecipeError
from amphion_core.loading import load
from amphion_vocoders.code_files import CodeFile, identity_of, read_codes, require_codec, write_codes
from amphion_vocoders.request import Source


class CodecRequest(BaseConfig):
    """A recording to encode and decode."""

    audio: Source = Field(description="the recording, whose channels are mixed to one")
    codebooks: int | None = Field(default=None, gt=0, le=1024, description="first codebooks to use; null: all")


class CodecTask(TaskFramework):
    """Encodes recordings, decodes codes, and both in a row."""

    class Config(BaseConfig):
        """Which codec."""

        model: str | None = Field(
            default=None, description="card, weights folder or run of a codec; null: the default card on this disk"
        )

    config: Config
    Request = CodecRequest
    command = "codec roundtrip {audio} --codec {model}"

    def __init__(self, config: Config, *, precision: Precision = "float32", device: str = "cpu") -> None:
        """Load the codec. Raises UnknownComponent, WeightsError, and AudioError for a model that is no codec."""
        super().__init__(config)
        self.model_name = config.model or cards.default("codec").name
        net: Any = load(self.model_name, precision=precision, device=device)
        if not isinstance(net, Codec):
            raise AudioError(f"{self.model_name} is no codec", hint="amphion list --pretrained 'codec/*'")
        self.net: Codec = net

    @classmethod
    def example_request(cls) -> CodecRequest:
        """A second of a tone."""
        return CodecRequest(audio=Audio(np.sin(np.arange(16000) / 20).astype(np.float32), 16000))

    @cached_property
    def identity(self) -> str:
        """A checksum of the codec's config and weights, which its code files state."""
        return identity_of(self.net)

    def generate(self, request: CodecRequest | Audio | str | Path) -> Audio:
        """The recording after coding and decoding, mono at the codec's rate, as long as the recording.

        Raises AudioError for a recording that cannot be read, RecipeError for too many codebooks.
        """
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request: CodecRequest | Audio | str | Path) -> Iterator[Audio]:
        """The same in pieces of some seconds. Memory grows with the number of codes only, some KB a second."""
        given: CodecRequest = self.as_request(request, "audio")
        codes, samples = self.encode(given.audio, given.codebooks)
        yield from self.decode(codes, samples)

    def encode(self, source: Audio | Path, codebooks: int | None = None) -> tuple[Codes, int]:
        """A recording -> its codes (K, 1, N), and its length in samples at the codec's rate. Raises as `generate`."""
        if codebooks is not None and codebooks > self.net.n_codebooks:
            raise RecipeError(
                f"codebooks: {codebooks}, and {self.model_name} has {self.net.n_codebooks}",
                hint=f"--codebooks {self.net.n_codebooks}",
            )
        counted = _Counted(mono_pieces(source, self.net.sample_rate))
        device = self.net.device
        pieces = (torch.from_numpy(piece)[None, None].to(device) for piece in counted)
        codes = self.net.encode_pieces(pieces, codebooks)
        return codes, counted.samples

    def decode(self, codes: Codes, samples: int) -> Iterator[Audio]:
        """Codes (K, 1, N) -> audio of ``samples`` samples, in pieces of some seconds."""
        device = self.net.device
        moved = {name: tensor.to(device) for name, tensor in (codes.extra or {}).items()}
        return self.as_audio(self.net.decode_pieces(Codes(codes.indices.to(device), moved or None)), samples)

    def as_audio(self, pieces: Iterable[Tensor], samples: int) -> Iterator[Audio]:
        """Pieces (1, 1, T) that the codec made -> audio of ``samples`` samples together."""
        for piece in pieces:
            wave = piece[0, 0, :samples].float().cpu().numpy()
            samples -= len(wave)
            if len(wave):
                yield Audio(wave, self.net.sample_rate)

    def write(self, path: Path, codes: Codes, samples: int) -> None:
        """Write a code file. Raises AmphionError where it cannot be written."""
        write_codes(path, self.net, codes, samples, identity=self.identity)

    def read(self, path: Path, codebooks: int | None = None) -> CodeFile:
        """A code file of this codec. Raises AudioError for one of another codec, and for a damaged one."""
        found = read_codes(path, n_codebooks=codebooks)
        require_codec(path, found, self.net, self.identity)
        return found


class _Counted:
    """Pieces of samples, and how many samples have passed."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces = pieces
        self.samples = 0

    def __iter__(self) -> Iterator[Any]:
        for piece in self._pieces:
            self.samples += len(piece)
            yield piece
