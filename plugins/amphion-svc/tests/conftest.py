"""Tiny untrained networks that stand in for published ones; short recordings of voices; the task with svc/world."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Audio

RATE = 24000
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


@pytest.fixture(scope="session")
def song(data_pack):
    """Four seconds of a man who sings."""
    audio = Audio.load(data_pack / "singing_ccby/audio/vocadito_10.flac").resample(RATE)
    return Audio(audio.samples[: 4 * RATE], RATE)


@pytest.fixture(scope="session")
def singer(data_pack):
    """Three seconds of a woman who sings."""
    audio = Audio.load(data_pack / "singing_ccby/audio/xserra_female.flac").resample(RATE)
    return Audio(audio.samples[RATE : 4 * RATE], RATE)


@pytest.fixture(scope="session")
def task():
    return amphion.task("svc", model="svc/world")


@pytest.fixture(scope="session")
def hum():
    """Two synthetic vowels, as (1.5 s at 140 Hz, 1.5 s at 210 Hz with formants a tenth higher)."""

    def vowel(f0, factor):
        times = np.arange(int(1.5 * RATE)) / RATE
        wave = np.zeros(len(times))
        for k in range(1, int(11000 / f0)):
            formants = sum(np.exp(-(((k * f0 / factor - centre) / 180) ** 2)) for centre in (700, 1200, 2600))
            gain = formants + 0.3 * np.exp(-k * f0 / 400) + 0.01  # voices have a strong fundamental
            wave += gain * np.sin(2 * np.pi * f0 * k * times + k * k)
        return Audio((0.3 * wave / np.abs(wave).max()).astype(np.float32), RATE)

    return vowel(140.0, 1.0), vowel(210.0, 1.1)
