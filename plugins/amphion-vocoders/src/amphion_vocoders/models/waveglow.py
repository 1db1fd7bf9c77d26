"""WaveGlow: an invertible network (normalizing flow) that turns noise and a mel spectrogram into a waveform.

Prenger, Valle, Catanzaro: "WaveGlow: A Flow-based Generative Network for Speech Synthesis", arXiv:1811.00002. Section
numbers refer to it. Layout read: "nvidia" (authors' release, with one or with several conditioning layers).
Deviations: none. ``vocode`` removes the network's constant hum as the authors' denoiser does; see `Controls`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import BaseConfig, Mel, MelConfig, Precision, Vocoder
from amphion_core.config import validate
from amphion_core.draws import random_generator
from amphion_core.errors import AudioError
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_vocoders.models.mel_input import check_mel

HUM_FRAMES = 88  # frames of the silent mel from which the denoiser measures the hum, as in the authors' code


@dataclass(frozen=True, slots=True)
class Latents:
    """What the flow makes of audio, with G samples side by side in each of M groups.

    ``z`` (B, G, M). ``log_scales`` (B, flows): sum of the logarithms of a coupling's factors, eq. 6.
    ``log_determinants`` (flows): log |det W| of each 1x1 convolution at one group, eq. 4.
    """

    z: Tensor
    log_scales: Tensor
    log_determinants: Tensor

    def negative_log_likelihood(self, sigma: float = 1.0) -> Tensor:
        """The loss of each item (B), nats for each sample: eq. 8, without the constant of the normal distribution."""
        z = self.z.float()
        volume = self.log_scales.sum(1) + z.shape[2] * self.log_determinants.sum()
        return (z.square().sum((1, 2)) / (2 * sigma**2) - volume) / z[0].numel()


class WaveGlow(Vocoder):
    """Mel (B, F, N) and noise -> wave (B, T), T = N * mel.hop_length; ``forward`` is the opposite direction."""

    class Config(BaseConfig):
        """The defaults are those of the published weights: 87.9 M parameters."""

        mel: Mel = Field(
            default=MelConfig.preset("tacotron2_22k_80"),
            description="mel convention: bands F, hop in samples, rate in Hz",
        )
        group: int = Field(
            default=8, gt=1, le=256, multiple_of=2, description="samples that stand side by side as channels"
        )
        flows: int = Field(default=12, gt=0, le=100, description="1x1 convolutions, each followed by a coupling")
        early_every: int = Field(default=4, gt=0, description="flows between two early outputs")
        early_size: int = Field(default=2, gt=0, multiple_of=2, description="channels of each early output")
        layers: int = Field(
            default=8, gt=0, le=16, description="dilated convolutions of a coupling; the dilation doubles"
        )
        channels: int = Field(default=256, gt=0, le=4096, description="channels of these convolutions")
        kernel: int = Field(default=3, gt=0, le=31, description="their kernel, in groups of samples; odd")
        upsample_kernel: int = Field(
            default=1024, gt=0, le=2**16, description="kernel of the transposed convolution of the mel, samples"
        )

        @model_validator(mode="after")
        def _sizes_fit(self) -> Self:
            if self.mel.hop_length % self.group:
                raise ValueError(f"group: {self.group} does not divide mel.hop_length {self.mel.hop_length}")
            if self.upsample_kernel < self.mel.hop_length:
                raise ValueError(f"upsample_kernel: {self.upsample_kernel} is less than a hop, {self.mel.hop_length}")
            if self.kernel % 2 == 0:
                raise ValueError(f"kernel: {self.kernel} is even, and would shift the output")
            if self.remaining(self.flows - 1) < 2:
                raise ValueError(f"early_size: the early outputs use up all {self.group} channels of the group")
            return self

        def remaining(self, flow: int) -> int:
            """Channels that enter the flow of this index; the others were output earlier, section 3.3."""
            return self.group - flow // self.early_every * self.early_size

        def is_early(self, flow: int) -> bool:
            """Whether an early output stands before the flow of this index."""
            return flow > 0 and flow % self.early_every == 0

    class Controls(BaseConfig):
        """Of a request."""

        sigma: float = Field(default=0.6, ge=0, le=2, description="standard deviation of the noise; 1 in training")
        denoise: float = Field(
            default=0.1, ge=0, le=10,
            description="how much of the network's constant hum is subtracted from the magnitudes; 0: nothing",
        )  # fmt: skip

    config: Config
    layouts = ("nvidia",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        bands = config.mel.n_mels
        self.upsample = nn.ConvTranspose1d(bands, bands, config.upsample_kernel, config.mel.hop_length)
        remaining = [config.remaining(flow) for flow in range(config.flows)]
        # Parameters have the names of the authors' checkpoints.
        self.WN = nn.ModuleList(_Coupling(count // 2, bands * config.group, config) for count in remaining)
        self.convinv = nn.ModuleList(_Mix(count) for count in remaining)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 flows of 2 layers."""
        mel = MelConfig.preset("tacotron2_22k_80").replace(n_mels=4, hop_length=16, n_fft=64, win_length=64)
        return cls.Config(mel=mel, group=4, flows=2, early_every=1, layers=2, channels=8, upsample_kernel=64)

    def example_inputs(self) -> dict[str, Any]:
        """Four frames, and their audio."""
        mel = self.config.mel
        return {"mel": torch.zeros(1, mel.n_mels, 4), "wave": torch.linspace(-1, 1, 4 * mel.hop_length)[None].sin()}

    def forward(self, mel: Tensor, wave: Tensor) -> Latents:
        """Mel (B, F, N) and its audio (B, T) -> latents; samples after the last whole group are left out.

        Raises AudioError if the mel is shorter than the audio.
        """
        condition = self._condition(mel, wave.shape[1])
        x = wave.unfold(1, self.config.group, self.config.group).mT  # (B, G, M)
        outputs, scales, determinants = [], [], []
        steps: Any = zip(self.convinv, self.WN, strict=True)
        for flow, (mix, coupling) in enumerate(steps):
            if self.config.is_early(flow):
                outputs.append(x[:, : self.config.early_size])
                x = x[:, self.config.early_size :]
            x = mix(x)
            determinants.append(mix.log_determinant())
            kept, changed = x.chunk(2, 1)
            shift, log_scale = coupling(kept, condition)
            x = torch.cat([kept, changed * log_scale.exp() + shift], 1)  # eq. 5
            scales.append(log_scale.sum((1, 2)))
        return Latents(torch.cat([*outputs, x], 1), torch.stack(scales, 1), torch.stack(determinants))

    def inverse(self, mel: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Mel (B, F, N) and latents -> wave (B, N * hop), not limited to [-1, 1].

        ``noise`` has the shapes of `noise_shapes`: the channels at the end, then each early output, the last one first.
        """
        condition = self._condition(mel, mel.shape[2] * self.config.mel.hop_length)
        x, *early = noise
        for flow in reversed(range(self.config.flows)):
            kept, changed = x.chunk(2, 1)
            shift, log_scale = self.WN[flow](kept, condition)
            mix: Any = self.convinv[flow]
            x = mix.inverse(torch.cat([kept, (changed - shift) * (-log_scale).exp()], 1))
            if self.config.is_early(flow):
                x = torch.cat([early.pop(0), x], 1)
        return x.mT.flatten(1)

    def noise_shapes(self, batch: int, frames: int) -> list[tuple[int, int, int]]:
        """The shapes (B, C, M) of what `inverse` takes, for ``frames`` (N) frames of a mel."""
        c = self.config
        groups = frames * c.mel.hop_length // c.group
        early = sum(c.is_early(flow) for flow in range(c.flows))
        return [(batch, c.remaining(c.flows - 1), groups), *[(batch, c.early_size, groups)] * early]

    @torch.no_grad()
    def vocode(
        self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None, controls: Controls | None = None
    ) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]; ``seed`` draws the noise, and ``f0`` is not used.

        Raises AudioError for another shape and for values that are not finite.
        """
        check_mel(mel, self.config.mel.n_mels)
        if not mel.shape[2]:
            return mel.new_zeros(len(mel), 0)
        controls = controls or self.Controls()
        generator = random_generator(seed, mel.device)
        noise = [
            controls.sigma * torch.randn(shape, generator=generator, device=mel.device)
            for shape in self.noise_shapes(len(mel), mel.shape[2])
        ]
        with self.autocast():
            wave = self.inverse(mel, noise).float()
        if controls.denoise:
            wave = self._without_hum(wave, controls.denoise)
        return wave.clamp(-1, 1)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and on a CPU give the convolutions reordered weights."""
        super().for_inference(precision)
        if self.device.type == "cpu" and self.precision == "float32":
            for coupling in self.WN:
                pack_convolutions(coupling)
        return self

    def _condition(self, mel: Tensor, samples: int) -> Tensor:
        """(B, F, N) -> (B, M, F * G): the mel at the rate of the audio, grouped like it. Raises AudioError."""
        upsampled = self.upsample(mel)
        if upsampled.shape[2] < samples:
            raise AudioError(
                f"a mel of {mel.shape[2]} frames is shorter than {samples} samples",
                hint="compute the mel from the same audio",
            )
        grouped = upsampled[..., :samples].unfold(2, self.config.group, self.config.group)  # (B, F, M, G)
        return grouped.transpose(1, 2).flatten(2)

    def _without_hum(self, wave: Tensor, strength: float) -> Tensor:
        """(B, T) -> (B, T), less ``strength`` times the magnitudes that the network makes of a mel of zeros."""
        mel = self.config.mel
        silent = wave.new_zeros(1, mel.n_mels, HUM_FRAMES)
        with self.autocast():
            hum = self.inverse(silent, [wave.new_zeros(s) for s in self.noise_shapes(1, HUM_FRAMES)]).float()
        size, step = mel.n_fft, mel.n_fft // 4
        window = torch.hann_window(size, device=wave.device)
        level = torch.stft(hum, size, step, window=window, return_complex=True).abs()[
            :, :, :1
        ]  # the first, as published
        spectrum = torch.stft(F.pad(wave, (0, size)), size, step, window=window, return_complex=True)
        magnitude = (spectrum.abs() - strength * level).clamp_min(0)
        cleaned = torch.polar(magnitude, spectrum.angle())
        return torch.istft(cleaned, size, step, window=window, length=wave.shape[1])

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Sizes that its tensors show are taken from them.

        Raises WeightsError for another checkpoint, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.waveglow_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors


class _Mix(nn.Module):
    """An invertible 1x1 convolution, section 3.2. It begins as a rotation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 1, bias=False)
        if not self.conv.weight.is_meta:
            rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
            rotation[:, 0] *= torch.linalg.det(rotation).sign()  # a reflection has the determinant -1
            self.conv.weight.data = rotation[..., None]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, M) -> (B, C, M)."""
        return self.conv(x)

    def inverse(self, x: Tensor) -> Tensor:
        """(B, C, M) -> (B, C, M); undoes `forward`."""
        return torch.linalg.inv(self.conv.weight[..., 0].float()).to(x.dtype) @ x

    def log_determinant(self) -> Tensor:
        """log |det W|, a scalar."""
        return torch.linalg.slogdet(self.conv.weight[..., 0].float())[1]


class _Coupling(nn.Module):
    """The WaveNet of an affine coupling, section 3.1: half of the channels and the mel give scale and shift."""

    def __init__(self, half: int, condition: int, config: WaveGlow.Config) -> None:
        super().__init__()
        channels, layers = config.channels, config.layers
        self.start = weight_norm(nn.Conv1d(half, channels, 1))
        self.cond_layer = weight_norm(nn.Conv1d(condition, 2 * channels * layers, 1))  # of all layers together
        self.in_layers, self.res_skip_layers = nn.ModuleList(), nn.ModuleList()
        for layer in range(layers):
            dilation = 2**layer
            padding = dilation * (config.kernel - 1) // 2
            dilated = nn.Conv1d(channels, 2 * channels, config.kernel, dilation=dilation, padding=padding)
            self.in_layers.append(weight_norm(dilated))
            outputs = channels if layer == layers - 1 else 2 * channels  # the last has no residual part
            self.res_skip_layers.append(weight_norm(nn.Conv1d(channels, outputs, 1)))
        self.end = nn.Conv1d(channels, 2 * half, 1)
        nn.init.zeros_(self.end.weight)  # the coupling changes nothing at first
        nn.init.zeros_(self.end.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C / 2, M), (B, M, F * G) -> shift and logarithm of the scale, (B, C / 2, M) each."""
        x = self.start(x)
        skip: Tensor | None = None
        weights = self.cond_layer.weight[..., 0].chunk(len(self.in_layers))
        biases = self.cond_layer.bias.chunk(len(self.in_layers))
        for layer, (dilated, pointwise) in enumerate(zip(self.in_layers, self.res_skip_layers, strict=True)):
            # One layer's share of the condition at a time needs an eighth of the memory of all together.
            signal, gate = (dilated(x) + F.linear(condition, weights[layer], biases[layer]).mT).chunk(2, 1)
            found = pointwise(torch.tanh(signal) * torch.sigmoid(gate))
            if layer < len(self.in_layers) - 1:
                residual, found = found.chunk(2, 1)
                x = x + residual
            skip = found if skip is None else skip + found
        shift, log_scale = self.end(skip).float().chunk(2, 1)
        return shift, log_scale
