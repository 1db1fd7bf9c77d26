"""F0 by FCPE: the convolutions of conformers on log-mels; accurate on singing, and fast.

FCPE, "Fast Context-based Pitch Estimation" (github.com/CNChTu/FCPE, MIT licence). The weights are those of the package
`torchfcpe`; nothing else of it is used, so install it without its dependencies. They have no attention. F0 is the
weighted mean of the bins around the largest one. Deviation: at the lowest and the highest bin, the package counts the
outermost bin more than once; here bins beyond the edge do not count.
"""

from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import Audio, MelConfig
from amphion_core.errors import MissingPackage, WeightsError
from amphion_core.features.f0 import Array, F0Extractor
from amphion_core.features.mel import mel_spectrogram
from amphion_core.weights import load_state, read_checkpoint
from amphion_svc.features.pitch_bins import local_average, windowed

MEL = MelConfig(sample_rate=16000, hop_length=160, n_mels=128, fmax=None)
KERNEL, GROUPS = 31, 4
WINDOW, OVERLAP = 60.0, 4.0  # seconds of audio computed at a time, and shared by neighbours
HINT = "pip install --no-deps torchfcpe==0.0.4"


class F0FCPE(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Works at 16 kHz in frames of 10 ms, on the wave's device."""

    needs_packages = ("torchfcpe",)

    class Config(F0Extractor.Config):
        """The range, the frames, and the threshold of voice."""

        RANGE: ClassVar[tuple[float, float]] = (32.70, 1975.5)  # Hz, covered by the bins

        threshold: float = Field(
            default=0.006, ge=0, le=1, description="probability above which a frame is voiced; the authors use 0.006"
        )
        weights: str | None = Field(
            default=None, description="file of another checkpoint of FCPE; null: the one in the package torchfcpe"
        )

    config: Config

    @property
    def variant(self) -> str:
        """The file of weights, or the version of torchfcpe. Empty if it is not installed."""
        if self.config.weights:
            return Path(self.config.weights).name
        try:
            return f"torchfcpe {version('torchfcpe')}"
        except PackageNotFoundError:
            return ""

    def to(self, device: torch.device | str) -> Self:
        """Nothing to move: `track` uses the network on the device of the wave."""
        return self

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """The network's frames of 10 ms. Raises MissingPackage, WeightsError."""
        samples = torch.from_numpy(Audio(wave.cpu().numpy(), self.sample_rate).resample(MEL.sample_rate).samples.copy())
        network = _network(self.config.weights, str(wave.device))
        bins = windowed(samples.to(wave.device), network.bins, MEL.hop_length, WINDOW, OVERLAP)
        found, probability = local_average(bins, network.cents)
        times = np.arange(len(found)) * MEL.hop_length / MEL.sample_rate
        voiced = (probability > self.config.threshold) & (found >= self.config.fmin) & (found <= self.config.fmax)
        return times, np.where(voiced, found, 0.0)


class FCPE(nn.Module):
    """Log-mels (B, 128, N) -> probabilities of the pitch bins (B, N, 360)."""

    cent_table: Tensor

    def __init__(self, *, bands: int, channels: int, layers: int, bins: int) -> None:
        super().__init__()
        self.input_stack = nn.Sequential(
            nn.Conv1d(bands, channels, 3, padding=1), nn.GroupNorm(GROUPS, channels), nn.LeakyReLU(),
            nn.Conv1d(channels, channels, 3, padding=1),
        )  # fmt: skip
        self.net = nn.Module()
        self.net.encoder_layers = nn.ModuleList(_Layer(channels) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.output_proj = weight_norm(nn.Linear(channels, bins))
        self.register_buffer("cent_table", torch.zeros(bins))  # cents above 10 Hz of each bin
        self.register_buffer("gaussian_blurred_cent_mask", torch.zeros(()))  # used in training only

    @property
    def cents(self) -> Array:
        """Cents above 10 Hz of each bin."""
        return self.cent_table.double().cpu().numpy()

    def forward(self, mel: Tensor) -> Tensor:
        """Convolutions, conformer layers, and a projection to the bins."""
        x = self.input_stack(mel).mT
        for layer in self.net.encoder_layers:  # type: ignore[union-attr]
            x = layer(x)
        return torch.sigmoid(self.output_proj(self.norm(x)))

    @torch.inference_mode()
    def bins(self, samples: Tensor) -> Tensor:
        """(T,) at 16 kHz -> (T // 160 + 1, bins). The last frame repeats the mel's last one."""
        mel = mel_spectrogram(samples[None], MEL)
        return self(torch.cat([mel, mel[..., -1:]], 2))[0]


class _Layer(nn.Module):
    """(B, N, C) -> (B, N, C): the convolutions of a conformer, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conformer = _Convolution(channels)
        self.norm = nn.LayerNorm(channels)  # in the checkpoint; only layers with attention use it

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conformer(x)


class _Convolution(nn.Module):
    """Norm, gated projection to twice the channels, depthwise convolution, SiLU, projection back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 2 * channels
        depthwise = nn.Module()  # the checkpoint's name of this convolution is net.4.conv
        depthwise.conv = nn.Conv1d(inner, inner, KERNEL, padding=KERNEL // 2, groups=inner)
        self.net = nn.ModuleDict(
            {"0": nn.LayerNorm(channels), "2": nn.Conv1d(channels, 2 * inner, 1), "4": depthwise,
             "6": nn.Conv1d(inner, channels, 1)}
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        depthwise: Any = self.net["4"]
        gated = F.glu(self.net["2"](self.net["0"](x).mT), 1)
        return self.net["6"](F.silu(depthwise.conv(gated))).mT


@lru_cache(maxsize=2)
def _network(weights: str | None, device: str) -> FCPE:
    """The network, loaded once per process. Raises MissingPackage, WeightsError."""
    checkpoint = read_checkpoint(_file(weights))
    state = checkpoint.get("model", checkpoint)
    try:
        layers = sum(name.endswith("conformer.net.2.weight") for name in state)
        channels, bands, _ = state["input_stack.0.weight"].shape
        bins = len(state["cent_table"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{weights} is not a checkpoint of FCPE: {error}", hint=HINT) from error
    network = FCPE(bands=bands, channels=channels, layers=layers, bins=bins)
    load_state(network, state, what="f0_fcpe")
    return network.eval().to(device)


def _file(weights: str | None) -> Path:
    if weights:
        return Path(weights).expanduser()
    spec = PathFinder.find_spec("torchfcpe")  # not imported, because that needs its dependencies
    if spec is None or spec.origin is None:
        raise MissingPackage("f0_fcpe needs the weights in the package torchfcpe", hint=HINT)
    return Path(spec.origin).parent / "assets" / "fcpe_c_v001.pt"
