"""WavLM-Large with ECAPA-TDNN: the speaker embedding with 256 dimensions that zero-shot TTS papers use for similarity.

Chen et al.: "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing", arXiv:2110.13900,
section V-C; Desplanques et al.: "ECAPA-TDNN", arXiv:2005.07143. The input of ECAPA-TDNN is a weighted sum of all 25
hidden states instead of log-mels. Layout: UniSpeech's speaker verification (``wavlm_large_finetune.pth``): tensors
under "model", WavLM's own names after ``feature_extract.model.``; the classifier used in training
(``loss_calculator.``) is not read. WavLM itself is computed by `transformers`. Deviations: none.
"""

import re
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import DataError, MissingPackage
from amphion_eval.embeddings.checkpoint import load_into

RATE, DIM = 16000, 256
SHORTEST = 0.1  # seconds
LARGE: dict[str, Any] = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "num_buckets": 320, "max_bucket_distance": 800,
}  # fmt: skip
CHANNELS, SCALE, SQUEEZED, ATTENTION = 512, 8, 128, 128
TRAINING = "loss_calculator."
NAMES = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.0\.", r"\1.conv."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.2\.1\.", r"\1.layer_norm."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)
"""Patterns of WavLM's names -> names in transformers; the first pattern that matches is used."""


class WavLMECAPA(AudioEmbedding):
    """Mono audio at 16 kHz, of any length -> one vector (1, 256), which is not normalised."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The weights and the device."""

        weights: str | None = Field(default=None, description="file of UniSpeech's wavlm_large_finetune.pth")
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, DIM

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """One vector (1, 256).

        Raises DataError below 0.1 seconds, MissingPackage without transformers, WeightsError without weights.
        """
        if audio.duration < SHORTEST:
            raise DataError(f"WavLM needs {SHORTEST} seconds of audio")
        wave = torch.from_numpy(audio.samples.copy())[None].to(self.config.device)
        return Embedded(self._network(wave).cpu().numpy())

    @cached_property
    def _network(self) -> nn.Module:
        source = "wavlm_large_finetune.pth of github.com/microsoft/UniSpeech, downstreams/speaker_verification"
        network = load_into(Network(**LARGE), self.config.weights, name="wavlm_ecapa", source=source, without=TRAINING)
        return network.to(self.config.device)


class Network(nn.Module):
    """Waves (B, T) -> vectors (B, 256). ``sizes`` are fields of transformers' WavLMConfig."""

    def __init__(self, *, channels: int = CHANNELS, **sizes: Any) -> None:
        super().__init__()
        self.feature_extract = _Upstream(**sizes)
        size = sizes["hidden_size"]
        self.feature_weight = nn.Parameter(torch.zeros(sizes["num_hidden_layers"] + 1))
        self.layer1 = _Layer(size, channels, kernel=5)
        self.layer2, self.layer3, self.layer4 = (_Block(channels, dilation) for dilation in (2, 3, 4))
        self.conv = nn.Conv1d(3 * channels, 3 * channels, 1)
        self.pooling = _AttentivePooling(3 * channels)
        self.bn = nn.BatchNorm1d(6 * channels)
        self.linear = nn.Linear(6 * channels, DIM)

    def forward(self, wave: Tensor) -> Tensor:
        """WavLM's hidden states of the normalised wave, then ECAPA-TDNN."""
        return self.head(torch.stack(self.feature_extract(F.layer_norm(wave, wave.shape[1:]))))

    def head(self, states: Tensor) -> Tensor:
        """ECAPA-TDNN: hidden states (layers, B, N, C) -> vectors (B, 256)."""
        weights = self.feature_weight.softmax(0)
        x = torch.einsum("l,lbnc->bcn", weights, states)
        x2 = self.layer2(self.layer1(F.instance_norm(x + 1e-6)))  # (B, 512, N)
        x3 = self.layer3(x2)
        x4 = self.layer4(x3)
        frames = F.relu(self.conv(torch.cat([x2, x3, x4], 1)))  # (B, 1536, N)
        return self.linear(self.bn(self.pooling(frames)))


class _Upstream(nn.Module):
    """WavLM with layer norms before its layers: waves (B, T) -> hidden states, (B, N, C) each."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__()
        try:
            from transformers import WavLMConfig, WavLMModel
        except ImportError as error:
            raise MissingPackage("WavLM needs transformers", hint='pip install "amphion-eval[transformers]"') from error
        config = WavLMConfig(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=False, **sizes)
        self.model = WavLMModel(config)
        self.register_load_state_dict_pre_hook(_rename)  # type: ignore[no-untyped-call]

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        """The input of each layer, and the output of the last layer after its norm."""
        found = self.model(wave, output_hidden_states=True)
        return (*found.hidden_states[:-1], found.last_hidden_state)


def _rename(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
    """Gives WavLM's tensors their names in transformers when a state dict is loaded."""
    start = f"{prefix}model."
    names = [name for name in state if name.startswith(start)]
    found = {start + renamed(name.removeprefix(start)): state.pop(name) for name in names}
    state.update(found)


def renamed(name: str) -> str:
    """The name in transformers of a tensor of WavLM.

    >>> renamed("encoder.layers.0.self_attn.grep_linear.weight")
    'encoder.layers.0.attention.gru_rel_pos_linear.weight'
    """
    for pattern, new in NAMES:
        name, count = re.subn(pattern, new, name)
        if count:
            return name
    return name


class _Layer(nn.Module):
    """Convolution, ReLU, batch norm."""

    def __init__(self, channels: int, out: int, *, kernel: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv1d(channels, out, kernel, padding=kernel // 2), nn.BatchNorm1d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(F.relu(self.conv(x)))


class _Block(nn.Module):
    """SE-Res2Block: (B, C, N) -> (B, C, N)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.Conv1dReluBn1, self.Conv1dReluBn2 = _Layer(channels, channels), _Layer(channels, channels)
        self.Res2Conv1dReluBn = _Res2Net(channels, dilation)
        self.SE_Connect = _SqueezeExcitation(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.SE_Connect(self.Conv1dReluBn2(self.Res2Conv1dReluBn(self.Conv1dReluBn1(x))))


class _Res2Net(nn.Module):
    """Eight groups of channels: the last is kept; each other is added to the previous output and filtered."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        convs = [nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(SCALE - 1)]
        self.convs, self.bns = nn.ModuleList(convs), nn.ModuleList(nn.BatchNorm1d(width) for _ in convs)

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = x.chunk(SCALE, 1)
        found: list[Tensor] = []
        for part, conv, bn in zip(parts, self.convs, self.bns, strict=True):
            found.append(bn(F.relu(conv(part + found[-1] if found else part))))
        return torch.cat([*found, last], 1)


class _SqueezeExcitation(nn.Module):
    """Scales each channel by a factor that depends on the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, SQUEEZED), nn.Linear(SQUEEZED, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(2)))))[:, :, None]


class _AttentivePooling(nn.Module):
    """(B, C, N) -> mean and standard deviation over time (B, 2 C), with weights per channel and frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Conv1d(channels, ATTENTION, 1), nn.Conv1d(ATTENTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(self.linear2(torch.tanh(self.linear1(x))), 2)
        mean = (weights * x).sum(2)
        variance = (weights * x.square()).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp_min(1e-9).sqrt()], 1)
