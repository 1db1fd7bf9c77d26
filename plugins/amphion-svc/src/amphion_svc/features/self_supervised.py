"""SelfSupervised: the base of `hubert`, `contentvec` and `wavlm`: hidden states of a network on the waveform.

The networks are those of `transformers`. A layer is numbered as there and in fairseq: layer L is the output of the
L-th transformer layer, without the norm that large models have after their last layer. Later layers are not computed.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.checkpoints.weight_names import unwrap
from amphion_core.errors import WeightsError
from amphion_core.weights import load_state, read_checkpoint
from amphion_svc.features.content import ContentExtractor
from amphion_svc.features.fairseq_names import from_fairseq, is_fairseq
from amphion_svc.features.published_models import (
    find_model,
    read_settings,
    require_transformers,
    weights_identity,
)

FIRST_WINDOW = 400  # samples that one frame sees: the kernels 10, 3, 3, 3, 3, 2, 2 with strides 5, 2, 2, 2, 2, 2, 2


class SelfSupervised(ContentExtractor):
    """(B, T) at 16 kHz -> (B, dim, N), N = (T - 400) // 320 + 1. The centre of frame n is at 12.5 ms + n * 20 ms."""

    needs_packages = ("transformers",)
    receptive = FIRST_WINDOW
    name: ClassVar[str]  # of the component, for errors
    classes: ClassVar[tuple[str, str]]  # of transformers: the config and the model

    class Config(ContentExtractor.Config):
        """The weights, the layer, and the length of the windows."""

        model: str = Field(description="folder of a published model, its file of weights, or a hub name")
        layer: int = Field(default=12, ge=1, le=48, description="transformer layer whose output is the feature")
        projection: bool = Field(
            default=False, description="apply the final projection of the pre-training to the layer's output"
        )
        dim: int = Field(default=768, gt=0, le=8192, description="channels of the feature; the weights must agree")
        normalize: bool | None = Field(
            default=None,
            description="give each recording the mean 0 and the variance 1; null: as the model's "
            "preprocessor_config.json says, and not without one",
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.dim
        self._normalized = bool(config.normalize)

    @property
    def variant(self) -> str:
        """The name and the digest of the weights; empty where they are not on this computer."""
        return weights_identity(self.config.model, self.name)

    @property
    def first_centre(self) -> float:
        """The middle of the samples that the first frame sees, in seconds."""
        return FIRST_WINDOW / 2 / self.sample_rate

    def prepare(self, wave: Tensor) -> Tensor:
        """(T,) -> (T,), with mean 0 and variance 1 where the model was trained so."""
        network = self.network  # loading it reads how the model was trained
        if not self._normalized:
            return wave
        return (wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt().to(next(network.parameters()))

    def compute(self, waves: Tensor) -> Tensor:
        """(B, T) -> (B, dim, N)."""
        hidden = self.network(waves).last_hidden_state  # (B, N, C)
        if self.config.projection:
            hidden = self.network.final_proj(hidden)
        return hidden.mT

    @abstractmethod
    def keys_of(self, state: dict[str, Any]) -> dict[str, Any]:
        """The tensors of a published checkpoint under the names of the class of transformers."""

    def load_network(self) -> nn.Module:
        """The network with its first ``layer`` layers. Raises MissingPackage, WeightsError."""
        transformers = require_transformers(self.name)
        place = find_model(self.config.model, self.name)
        settings = read_settings(place, "config.json")
        fields = {key: value for key, value in settings.items() if key not in ("architectures", "torch_dtype", "dtype")}
        config = getattr(transformers, self.classes[0])(**fields)
        if self.config.normalize is None:
            self._normalized = bool(read_settings(place, "preprocessor_config.json").get("do_normalize", False))
        if self.config.layer > config.num_hidden_layers:
            raise WeightsError(
                f"{self.config.model} has {config.num_hidden_layers} layers, and the config asks for layer "
                f"{self.config.layer}",
                hint=f"set layer to at most {config.num_hidden_layers}",
            )
        network = getattr(transformers, self.classes[1])(config)
        if self.config.projection:
            network.final_proj = nn.Linear(config.hidden_size, config.classifier_proj_size)
        state = self.keys_of(dict(unwrap(read_checkpoint(place), "model", "state_dict")))
        load_state(network, _only_used(state, network), what=f"{self.name} ({self.config.model})")
        _cut(network, self.config.layer)
        return network.eval()


class HubertFamily(SelfSupervised):
    """The networks of HuBERT's architecture, from checkpoints of transformers and of fairseq."""

    classes = ("HubertConfig", "HubertModel")

    def keys_of(self, state: dict[str, Any]) -> dict[str, Any]:
        """Names of transformers; those of fairseq are translated."""
        return from_fairseq(state) if is_fairseq(state) else without_head(state, "hubert.")


def without_head(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors of a network inside a model with a head: ``hubert.encoder...`` of a ``HubertForCTC``."""
    if not any(key.startswith(prefix) for key in state):
        return state
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _only_used(state: dict[str, Any], network: nn.Module) -> dict[str, Any]:
    """``state`` without tensors of the pre-training that the feature does not use; its names may lack the mask."""
    own = network.state_dict()
    unused = ("final_proj.", "label_embs_concat", "mask_emb", "masked_spec_embed", "project_hid.", "quantizer.")
    kept = {key: value for key, value in state.items() if key in own or not key.startswith(unused)}
    return kept | {key: own[key] for key in ("masked_spec_embed",) if key in own and key not in kept}


def _cut(network: Any, layer: int) -> None:
    """Remove what follows ``layer``: the other layers, and the norm that large models have after their last layer."""
    network.encoder.layers = network.encoder.layers[:layer]
    if network.config.do_stable_layer_norm:
        network.encoder.layer_norm = torch.nn.Identity()
