"""T5: one state for each token of a caption, from the encoder of T5 or FLAN-T5.

Raffel et al.: "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", arXiv:1910.10683;
Chung et al.: "Scaling Instruction-Finetuned Language Models", arXiv:2210.11416 (FLAN-T5, the same network with gated
layers). The network is the encoder of `T5EncoderModel` of transformers. Layout read: "transformers", a folder with
``config.json``, ``model.safetensors`` and ``tokenizer.json``; a decoder inside is left out.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, TextCondition
from amphion_tta.models.caption_tokens import BYTES, CaptionTokenizer, TokenEncoder, stored_tokenizer
from amphion_tta.models.published_encoders import require_transformers, stated

ENCODER = "encoder."


class T5(TokenEncoder):
    """Captions -> states (B, L, dim), one for each token; there is no pooled vector."""

    class Config(BaseConfig):
        """The sizes of the encoder; the defaults are those of T5 base."""

        dim: int = Field(default=768, gt=0, le=8192, description="values of each state")
        layers: int = Field(default=12, gt=0, le=48, description="transformer layers")
        heads: int = Field(default=12, gt=0, le=128, description="attention heads")
        head_dim: int = Field(default=64, gt=0, le=1024, description="values of each head")
        inner_dim: int = Field(default=3072, gt=0, le=131072, description="values inside the feed-forward layers")
        activation: str = Field(
            default="relu",
            pattern=r"^(gated-)?(relu|gelu|silu)$",
            description="of the feed-forward layers: relu in T5, gated-gelu in FLAN-T5",
        )
        buckets: int = Field(default=32, gt=1, le=1024, description="classes of distances between tokens")
        max_distance: int = Field(default=128, gt=1, le=65536, description="distance from which on all are one class")
        norm_epsilon: float = Field(default=1e-6, gt=0, lt=1, description="added to the variance in norms")
        vocabulary: int = Field(default=32128, ge=BYTES, le=1_000_000, description="different tokens")
        max_tokens: int = Field(default=512, gt=1, le=8192, description="tokens of a caption that are read")
        tokenizer_bytes: int = Field(
            default=0, ge=0, le=1 << 26, description="size of the stored tokenizer; 0: tokens are the bytes of the text"
        )

    config: Config
    languages = ("en", "de", "fr", "ro")  # of T5's training; FLAN-T5 was tuned on English above all

    def __init__(self, config: Config) -> None:
        """Build the encoder. Raises MissingPackage without transformers."""
        super().__init__(config)
        transformers = require_transformers("text_encoder/t5")
        self.dim, self.max_tokens = config.dim, config.max_tokens
        self.tokenizer = CaptionTokenizer(config.tokenizer_bytes, max_tokens=config.max_tokens)
        self.network = transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=config.vocabulary, d_model=config.dim, d_kv=config.head_dim, d_ff=config.inner_dim,
                num_layers=config.layers, num_heads=config.heads, feed_forward_proj=config.activation,
                relative_attention_num_buckets=config.buckets, relative_attention_max_distance=config.max_distance,
                layer_norm_epsilon=config.norm_epsilon, dropout_rate=0.0,
            )
        ).encoder  # fmt: skip

    @classmethod
    def example_config(cls) -> Config:
        """One layer of eight values; tokens are bytes."""
        return cls.Config(
            dim=8, layers=1, heads=2, head_dim=4, inner_dim=16, buckets=8, vocabulary=BYTES, max_tokens=64
        )  # fmt: skip

    def forward(self, ids: Tensor, mask: Tensor) -> TextCondition:
        """ids (B, L), mask (B, L) -> TextCondition."""
        states = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return TextCondition(states * mask[..., None], mask)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """``state`` is that of a T5, with or without its decoder; ``config`` is its ``config.json`` with ``tokenizer``.

        Raises WeightsError for another network and without a tokenizer.
        """
        given = stated(config, "t5", "text_encoder/t5")
        tokenizer = stored_tokenizer(given.get("tokenizer"))
        own = cls.Config(
            dim=given["d_model"], layers=given["num_layers"], heads=given["num_heads"], head_dim=given["d_kv"],
            inner_dim=given["d_ff"], activation=given.get("feed_forward_proj", "relu"),
            buckets=given.get("relative_attention_num_buckets", 32),
            max_distance=given.get("relative_attention_max_distance", 128),
            norm_epsilon=given.get("layer_norm_epsilon", 1e-6), vocabulary=given["vocab_size"],
            tokenizer_bytes=len(tokenizer),
        )  # fmt: skip
        tensors = {
            f"network.{key.removeprefix(ENCODER)}": value for key, value in state.items() if key.startswith(ENCODER)
        }
        if "shared.weight" in state:  # the table of the tokens, which files of transformers store once
            tensors["network.embed_tokens.weight"] = state["shared.weight"]
        return own, {**tensors, "tokenizer.json": tokenizer}
