"""ContentVec: what is said, with less of who says it than HuBERT has.

Qian et al.: "ContentVec: An Improved Self-Supervised Speech Representation by Disentangling Speakers",
arXiv:2204.09224. The network is HuBERT base. Three choices are common: layer 12 and the final projection (256 channels,
the default, of the Amphion paper), layer 12 alone (``projection=false dim=768``), and layer 9 with the projection.
Layouts read: transformers with ``final_proj``, and fairseq (``checkpoint_best_legacy_500.pt`` of the authors).
"""

from pydantic import Field

from amphion_svc.features.self_supervised import HubertFamily, SelfSupervised


class ContentVec(HubertFamily):
    """(B, T) at 16 kHz -> (B, 256, N): layer 12 of ContentVec and its final projection."""

    name = "contentvec"

    class Config(SelfSupervised.Config):
        """ContentVec, layer 12, with its final projection."""

        model: str = Field(
            default="lengyue233/content-vec-best",
            description="folder of a ContentVec model, its file of weights, or a hub name",
        )
        projection: bool = Field(
            default=True, description="apply the final projection to the layer's output: 256 channels instead of 768"
        )
        dim: int = Field(default=256, gt=0, le=8192, description="channels of the feature; the weights must agree")

    config: Config
