"""Sentence: BERT as a sentence encoder; all-MiniLM-L6-v2 is contained in a Python package.

Devlin et al.: "BERT", arXiv:1810.04805; Reimers, Gurevych: "Sentence-BERT", arXiv:1908.10084: the mean over the tokens,
with unit length. The network is `BertModel` of transformers. Layout read: "transformers", a folder with
``config.json``, ``model.safetensors`` and ``tokenizer.json``.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import BaseConfig, TextCondition
from amphion_tta.models.caption_tokens import BYTES, CaptionTokenizer, TokenEncoder, stored_tokenizer
from amphion_tta.models.published_encoders import require_transformers, stated, without_prefix

UNUSED = ("pooler.", "embeddings.position_ids", "cls.")  # parts of the pre-training, and a buffer of old versions


class Sentence(TokenEncoder):
    """Captions -> states (B, L, dim), one for each token; ``pooled`` (B, dim) is their mean with unit length."""

    class Config(BaseConfig):
        """The sizes of the network; the defaults are those of all-MiniLM-L6-v2."""

        dim: int = Field(default=384, gt=0, le=8192, description="values of each state")
        layers: int = Field(default=6, gt=0, le=48, description="transformer layers")
        heads: int = Field(default=12, gt=0, le=64, description="attention heads; they divide dim")
        inner_dim: int = Field(default=1536, gt=0, le=32768, description="values inside the feed-forward layers")
        vocabulary: int = Field(default=30522, ge=BYTES, le=1_000_000, description="different tokens")
        positions: int = Field(default=512, gt=1, le=8192, description="positions that the network knows")
        max_tokens: int = Field(default=256, gt=1, le=8192, description="tokens of a caption that are read")
        tokenizer_bytes: int = Field(
            default=0, ge=0, le=1 << 26, description="size of the stored tokenizer; 0: tokens are the bytes of the text"
        )

    config: Config
    languages = ("en",)

    def __init__(self, config: Config) -> None:
        """Build the network. Raises MissingPackage without transformers."""
        super().__init__(config)
        transformers = require_transformers("text_encoder/sentence")
        self.dim = self.pooled_dim = config.dim
        self.max_tokens = min(config.max_tokens, config.positions)
        self.tokenizer = CaptionTokenizer(config.tokenizer_bytes, max_tokens=self.max_tokens)
        self.network = transformers.BertModel(
            transformers.BertConfig(
                vocab_size=config.vocabulary, hidden_size=config.dim, num_hidden_layers=config.layers,
                num_attention_heads=config.heads, intermediate_size=config.inner_dim,
                max_position_embeddings=config.positions, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0,
            ),
            add_pooling_layer=False,
        )  # fmt: skip

    @classmethod
    def example_config(cls) -> Config:
        """One layer of eight values; tokens are bytes."""
        return cls.Config(dim=8, layers=1, heads=2, inner_dim=16, vocabulary=BYTES, positions=64, max_tokens=64)

    def forward(self, ids: Tensor, mask: Tensor) -> TextCondition:
        """ids (B, L), mask (B, L) -> TextCondition."""
        states = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state * mask[..., None]
        return TextCondition(states, mask, F.normalize(states.sum(1) / mask.sum(1, keepdim=True), dim=1))

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """``state`` is that of a `BertModel`; ``config`` is its ``config.json`` with the key ``tokenizer``.

        Raises WeightsError for another network and without a tokenizer.
        """
        given = stated(config, "bert", "text_encoder/sentence")
        tokenizer = stored_tokenizer(given.get("tokenizer"))
        own = cls.Config(
            dim=given["hidden_size"], layers=given["num_hidden_layers"], heads=given["num_attention_heads"],
            inner_dim=given["intermediate_size"], vocabulary=given["vocab_size"],
            positions=given["max_position_embeddings"], tokenizer_bytes=len(tokenizer),
        )  # fmt: skip
        tensors = {
            f"network.{key}": value
            for key, value in without_prefix(state, "bert.").items()
            if not key.startswith(UNUSED)
        }
        return own, {**tensors, "tokenizer.json": tokenizer}
