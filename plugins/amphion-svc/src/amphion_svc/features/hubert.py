"""HuBERT: what is said, as hidden states of a network that predicts clusters of masked speech.

Hsu et al.: "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
arXiv:2106.07447. Layer 9 of the base model is the most phonetic one (table 5 there), and usual for voice conversion.
Layouts read: transformers (a folder or a hub name) and fairseq (``hubert_base_ls960.pt`` of the authors).
"""

from pydantic import Field

from amphion_svc.features.self_supervised import HubertFamily, SelfSupervised


class Hubert(HubertFamily):
    """(B, T) at 16 kHz -> (B, 768, N): layer 9 of HuBERT base."""

    name = "hubert"

    class Config(SelfSupervised.Config):
        """HuBERT base, layer 9, without projection."""

        model: str = Field(
            default="facebook/hubert-base-ls960",
            description="folder of a HuBERT model, its file of weights, or a hub name",
        )
        layer: int = Field(default=9, ge=1, le=48, description="transformer layer whose output is the feature")

    config: Config
