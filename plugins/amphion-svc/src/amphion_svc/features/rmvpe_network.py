"""RMVPE's network: a U-net over log-mels, a recurrent layer, and the probabilities of 360 pitch bins.

Wei et al.: "RMVPE: A Robust Model for Vocal Pitch Estimation in Polyphonic Music", arXiv:2306.15412, figure 2. Module
names are those of the published checkpoints. The paper filters what the encoder hands to the decoder (``tf``).
Published networks were trained with or without these filters, and some contain filters that were not trained.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.api import MelConfig
from amphion_core.checkpoints.weight_names import unwrap
from amphion_core.errors import WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.weights import load_state

RATE, HOP = 16000, 160  # Hz, samples: a frame each 10 ms
HIDDEN = 256  # of the recurrent layer, in each direction
_BUFFERS = ("mel.",)  # tables that some checkpoints contain; they are computed here


class RMVPE(nn.Module):
    """Log-mels (B, F, N), N a multiple of 2 to the number of levels, -> probabilities (B, N, bins)."""

    def __init__(
        self, *, bands: int, n_fft: int, channels: int, levels: int, blocks: int, middle: int, bins: int, filtered: bool
    ) -> None:
        """``channels`` of the first level; ``blocks`` in each level, ``middle`` levels without pooling.

        ``filtered``: whether the filters between encoder and decoder are used.
        """
        super().__init__()
        self.mel = MelConfig(
            sample_rate=RATE, n_fft=n_fft, win_length=n_fft, hop_length=HOP, n_mels=bands, fmin=30.0, fmax=None,
            scale="htk", epsilon=0.0, padding="center",
        )  # fmt: skip
        self.unet = _UNet(channels, levels, blocks, middle, filtered)
        self.cnn = nn.Conv2d(channels, 3, 3, padding=1)
        recurrent = nn.Module()
        recurrent.gru = nn.GRU(3 * bands, HIDDEN, batch_first=True, bidirectional=True)
        self.fc = nn.ModuleList([recurrent, nn.Linear(2 * HIDDEN, bins)])
        self.multiple = 2**levels

    def forward(self, mel: Tensor) -> Tensor:
        """The U-net sees time and bands as the two sides of a picture."""
        x = self.cnn(self.unet(mel.mT[:, None]))  # (B, 3, N, F)
        x, _ = self.fc[0].gru(x.transpose(1, 2).flatten(2))  # type: ignore[operator]
        return torch.sigmoid(self.fc[1](x))

    @torch.inference_mode()
    def bins(self, samples: Tensor) -> Tensor:
        """(T,) at 16 kHz -> (T // 160 + 1, bins). Frames of silence are added up to a whole number of pictures."""
        mel = mel_spectrogram(samples[None], self.mel)
        count = mel.shape[2]
        padded = nn.functional.pad(mel, (0, -count % self.multiple), value=math.log(self.mel.floor))
        return self(padded)[0, :count]


class _Block(nn.Module):
    """Two convolutions with batch norm and ReLU, added to the input: (B, C, N, F) -> (B, C', N, F)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.shortcut(x)


class _Level(nn.Module):
    """Several blocks; the first changes the number of channels."""

    def __init__(self, channels: int, out: int, blocks: int) -> None:
        super().__init__()
        self.conv = nn.ModuleList(_Block(channels if index == 0 else out, out) for index in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.conv:
            x = block(x)
        return x


class _Upper(nn.Module):
    """A level of the decoder: twice the size by a transposed convolution, the encoder's level beside it, blocks."""

    def __init__(self, channels: int, out: int, blocks: int) -> None:
        super().__init__()
        up = nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=1, bias=False)
        self.conv1 = nn.Sequential(up, nn.BatchNorm2d(out), nn.ReLU())
        self.conv2 = nn.ModuleList(_Block(2 * out if index == 0 else out, out) for index in range(blocks))

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = torch.cat([self.conv1(x), beside], 1)
        for block in self.conv2:
            x = block(x)
        return x


class _UNet(nn.Module):
    """(B, 1, N, F) -> (B, channels, N, F)."""

    def __init__(self, channels: int, levels: int, blocks: int, middle: int, filtered: bool) -> None:
        super().__init__()
        sizes = [channels << level for level in range(levels)]  # of each level
        deepest = 2 * sizes[-1]
        self.encoder, self.intermediate, self.decoder = (nn.Module() for _ in range(3))
        self.encoder.bn = nn.BatchNorm2d(1)
        inputs = [1, *sizes[:-1]]
        self.encoder.layers = nn.ModuleList(_Level(a, b, blocks) for a, b in zip(inputs, sizes, strict=True))
        middles = [sizes[-1], *[deepest] * (middle - 1)]
        self.intermediate.layers = nn.ModuleList(_Level(size, deepest, blocks) for size in middles)
        self.tf = nn.Module() if filtered else None
        if self.tf is not None:
            self.tf.layers = nn.ModuleList(_Block(size, size) for size in sizes)
        self.decoder.layers = nn.ModuleList(_Upper(2 * size, size, blocks) for size in reversed(sizes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder.bn(x)  # type: ignore[operator]
        kept = []
        for level in self.encoder.layers:  # type: ignore[union-attr]
            kept.append(level(x))
            x = nn.functional.avg_pool2d(kept[-1], 2)
        for level in self.intermediate.layers:  # type: ignore[union-attr]
            x = level(x)
        if self.tf is not None:
            kept = [filter(level) for filter, level in zip(self.tf.layers, kept, strict=True)]  # type: ignore[arg-type]
        for level, beside in zip(self.decoder.layers, reversed(kept), strict=True):  # type: ignore[arg-type]
            x = level(x, beside)
        return x


def rmvpe_network(checkpoint: Mapping[str, Any], *, filtered: bool | None, what: str) -> RMVPE:
    """The network of a published checkpoint, whose sizes follow from its tensors.

    ``filtered`` None: the filters are used if the norms in them have counted batches; in a filter that was not trained
    they have counted none. Filters that are not used are ignored. Raises WeightsError.
    """
    state = {str(name): value for name, value in unwrap(checkpoint, "model", "state_dict").items()}
    if filtered is None:
        filtered = int(state.get("unet.tf.layers.0.conv.1.num_batches_tracked", 0)) > 0
    ignored = _BUFFERS if filtered else (*_BUFFERS, "unet.tf.")
    kept = {name: value for name, value in state.items() if not name.startswith(ignored)}

    def count(place: str) -> int:
        return len({name[len(place) :].split(".")[0] for name in kept if name.startswith(place)})

    try:
        bands = kept["fc.0.gru.weight_ih_l0"].shape[1] // 3
        basis = state.get("mel.stft.forward_basis")
        network = RMVPE(
            bands=bands,
            n_fft=8 * bands if basis is None else basis.shape[2],
            channels=kept["cnn.weight"].shape[1],
            levels=count("unet.encoder.layers."),
            blocks=count("unet.encoder.layers.0.conv."),
            middle=count("unet.intermediate.layers."),
            bins=len(kept["fc.1.bias"]),
            filtered=filtered,
        )
    except (KeyError, AttributeError, ValueError, IndexError) as error:
        raise WeightsError(f"{what} is not a checkpoint of RMVPE: {error}", hint="give the file rmvpe.pt") from error
    load_state(network, kept, what=what)
    return network.eval()
