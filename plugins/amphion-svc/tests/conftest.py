"""Tiny untrained networks that stand in for published ones."""

import pytest
import torch

TINY = {
    "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
    "classifier_proj_size": 6, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def tiny_hubert(tmp_path_factory):
    """A folder as transformers writes it, with ``final_proj``, and the network: ``(folder, network)``."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    network = HubertModel(HubertConfig(**TINY))
    network.final_proj = torch.nn.Linear(16, 6)
    folder = tmp_path_factory.mktemp("hubert")
    network.save_pretrained(folder)
    return folder, network.eval()


@pytest.fixture(scope="session")
def tiny_wavlm(tmp_path_factory):
    """A folder of a tiny WavLM with layer norm before its layers, as the large one has, and the network."""
    from transformers import WavLMConfig, WavLMModel

    torch.manual_seed(0)
    fields = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
    network = WavLMModel(WavLMConfig(**TINY, **fields))
    folder = tmp_path_factory.mktemp("wavlm")
    network.save_pretrained(folder)
    return folder, network.eval()


@pytest.fixture
def noise():
    """Two seconds of noise at 16 kHz, (1, 32000)."""
    return torch.randn(1, 32000, generator=torch.Generator().manual_seed(1)) * 0.1
