"""TransformerSVC: content, melody, loudness and singer to a mel spectrogram, all frames at once, with one encoder.

Zhang et al.: "Amphion: An Open-Source Audio, Music and Speech Generation Toolkit", arXiv:2312.09911, section 3.2, with
the condition encoder of arXiv:2310.11160. The published encoder "conformer" is the one of VITS (relative attention).
Layouts read: "amphion".
Deviations: the encoder "transformer" leaves padding out of its attention; the published code does not. By default, F0
is a mixture of neighbouring classes (published: one of 255 classes, up to 47 cents wide at 100 Hz), and loudness has
classes up to 100 (published: up to 1.5, which up to 89 % of the frames of six sung recordings exceed).
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.api import Synthesis
from amphion_core.config import validate
from amphion_core.errors import WeightsError
from amphion_svc.models.acoustic_encoder import FEED_FORWARD, Conformer, SineTransformer
from amphion_svc.models.condition_layout import given_values, read_condition, read_mel, read_range, split
from amphion_svc.models.conditioned import (
    MelConverter,
    MelConverterConfig,
    example_condition_inputs,
    example_conditions,
)


class TransformerSVC(MelConverter):
    """Features of a recording and a singer -> mel (B, F, N)."""

    class Config(MelConverterConfig):
        """The defaults are those of the published configuration: 10.7 M parameters and 0.9 M of the condition."""

        encoder: Literal["conformer", "transformer"] = Field(
            default="conformer", description="conformer: relative attention; transformer: sines as positions"
        )
        n_layers: int = Field(default=6, gt=0, description="blocks of the encoder")
        n_heads: int = Field(default=2, gt=0, description="attention heads")
        filter_channels: int = Field(
            default=512, gt=0, description="width between the two layers of a block; published transformers have 2048"
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout of the encoder")

        @model_validator(mode="after")
        def _heads_divide(self) -> Self:
            if self.condition_channels % self.n_heads:
                raise ValueError(
                    f"n_heads: {self.n_heads} does not divide condition_channels {self.condition_channels}"
                )
            return self

    config: Config
    layouts = ("amphion",)
    layouts_with_config = ("amphion",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        kind = Conformer if c.encoder == "conformer" else SineTransformer
        self.encoder = kind(c.condition_channels, c.filter_channels, c.n_heads, c.n_layers, c.mel.n_mels, c.dropout)

    @classmethod
    def example_config(cls) -> Config:
        """Eight bands, two singers, and a mel in the role of the content."""
        return cls.Config(**example_conditions(), condition_channels=16, n_layers=1, filter_channels=16, dropout=0.0)

    def example_inputs(self) -> dict[str, Any]:
        """Two items of 12 and 8 frames."""
        return example_condition_inputs(self)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint, its config, and the files ``singers``, ``mel_min`` and ``mel_max``.

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        given = given_values(config or {})
        first, second = split(state, "TransformerSVC")
        fields, tensors = read_condition(first, given)
        fields |= _encoder_fields(second, given)
        n_mels = fields.pop("n_mels")
        fields |= read_mel(given, n_mels) | read_range(given, n_mels)
        tensors |= {f"encoder.{name}": value for name, value in second.items() if name != "pos_encoder.pe"}
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors

    def forward(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        f0: Tensor,
        *,
        counts: Mapping[str, Tensor] | None = None,
        offsets: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The arguments of `encode` -> the mel as `scaled` gives it, (B, F, N); 0 where an item has no frame."""
        condition, mask = self.encode(features, lengths, speaker, f0, counts=counts, offsets=offsets)
        return self.encoder(condition, mask)

    @torch.no_grad()
    def convert(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        *,
        f0: Tensor | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Features by name, lengths (B) in mel frames, speaker -> mel (B, F, N). ``seed`` changes nothing.

        Raises DataError for a missing feature, without F0, and for a speaker of the wrong kind.
        """
        if f0 is not None:
            f0 = f0[:, : int(lengths.max())]
        with self.autocast():
            condition, mask = self.encode(features, lengths, speaker, f0)
            made = self.encoder(condition, mask)
        return Synthesis(lengths, mel=self.unscaled(made.float()), f0=f0)


def _encoder_fields(state: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The fields of the encoder that the tensors show, with the number of bands as ``n_mels``."""
    stated = given.section("model").section("transformer")
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}
    found: dict[str, Any] = {"n_heads": stated.whole("n_heads", 2), "dropout": stated.number("dropout", 0.1, most=0.99)}
    if (table := shapes.get("conformer_encoder.attn_layers.0.emb_rel_k", ())) and "projection.weight" in shapes:
        out, channels, _ = shapes["projection.weight"]
        width = shapes.get("conformer_encoder.ffn_layers.0.conv_1.weight", (0,))[0]
        layers, kind = {name.split(".")[2] for name in shapes if ".attn_layers." in name}, "conformer"
        found["n_heads"] = channels // table[2]
    elif "output_mlp.weight" in shapes:
        out, _ = shapes["output_mlp.weight"]
        width = shapes.get("transformer_encoder.layers.0.linear1.weight", (FEED_FORWARD,))[0]
        layers, kind = {name.split(".")[2] for name in shapes if ".layers." in name}, "transformer"
    else:
        raise WeightsError("the checkpoint has no encoder of TransformerSVC", hint="amphion list models 'svc/*'")
    return found | {"encoder": kind, "n_layers": len(layers), "filter_channels": width, "n_mels": out}
