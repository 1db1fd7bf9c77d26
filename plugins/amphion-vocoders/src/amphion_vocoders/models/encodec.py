"""EnCodec: a causal codec for any sound at 24 kHz, 1.5 to 24 kbit/s, which also works piece by piece.

Defossez et al.: "High Fidelity Neural Audio Compression", arXiv:2210.13438.
Layouts read: "encodec" (the authors' package, 24 kHz), "transformers" (``facebook/encodec_24khz``).
Deviations: the model of 48 kHz stereo, with its normalisation and overlapping segments, is not read. Codebooks are
summed up over all processes once a step; see `amphion_vocoders.quantization`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor

from amphion_core.api import CodecStream
from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_vocoders.models.seanet import SEANetConfig
from amphion_vocoders.models.seanet_codec import (
    SEANetCodec,
    SEANetStream,
    checked,
    names_of_encodec,
    names_of_transformers,
    sizes_of,
    stated,
)  # fmt: skip


class EnCodec(SEANetCodec):
    """Wave (B, 1, T) -> codes (K, B, N) -> wave (B, 1, N * hop_length). The LSTM runs forwards only."""

    class Config(SEANetConfig):
        """The defaults are the authors': 24 kHz, hop 320, 32 codebooks."""

        codebooks: int = Field(
            default=32,
            gt=0,
            le=256,
            description="number of codebooks K: at 24 kHz 2, 4, 8, 16, 32 are 1.5 to 24 kbit/s",
        )

    config: Config
    causal = True
    layouts = ("encodec", "transformers")

    @classmethod
    def example_config(cls) -> Config:
        """Frames of 4 samples, 3 codebooks of 8 entries."""
        return cls.Config(**cls._example_sizes())

    def stream(self) -> CodecStream:
        """A coder that processes one long signal piece by piece. It begins with a piece of some frames."""
        return SEANetStream(self)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Raises WeightsError, RecipeError."""
        tensors = names_of_encodec(state) if layout == "encodec" else names_of_transformers(state)
        fields = sizes_of(tensors) | _fields(flat_values(config))
        return checked(cls.Config, fields, layout), tensors


def _fields(given: Values) -> dict[str, Any]:
    """The fields that transformers' config.json states. Raises WeightsError for a network that we do not have."""
    for name, value in {
        "audio_channels": 1, "normalize": False, "use_causal_conv": True, "norm_type": "weight_norm", "compress": 2,
        "pad_mode": "reflect", "trim_right_ratio": 1, "use_conv_shortcut": True,
    }.items():  # fmt: skip
        if name in given and given.get(name) != value:
            raise given.problem(name, f"is {given.get(name)}; only networks with {value} are read")
    for name in ("kernel_size", "last_kernel_size"):
        if name in given and given.whole(name) != given.whole("kernel_size", 7):
            raise given.problem(name, "is not kernel_size; only networks with one size are read")
    names = {
        "sampling_rate": "sample_rate", "kernel_size": "kernel", "residual_kernel_size": "residual_kernel",
        "num_residual_layers": "residual_layers", "dilation_growth_rate": "dilation_base",
        "num_lstm_layers": "lstm_layers",
    }  # fmt: skip
    return stated(given, names, {"upsampling_ratios": "strides"})
