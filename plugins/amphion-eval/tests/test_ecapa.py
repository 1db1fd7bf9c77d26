"""ECAPA-TDNN, alone and with WavLM, compared with the published networks with the same weights; their files."""

import math
import zlib

import numpy as np
import pytest
import torch

from amphion_core.api import Audio
from amphion_core.errors import DataError, WeightsError
from amphion_eval.embeddings import ecapa, wavlm_ecapa

# Origin of the numbers: speechbrain 1.1.2 (Fbank, InputNormalization, ECAPA_TDNN), torch 2.13, CPU, with `filled` and
# `recording` below. The first eight components and the norm; some of the log-mels.
ECAPA_VECTOR = [-3.131559, -2.833406, -1.716209, -0.430343, -0.107526, -1.112674, 1.040613, 0.5235]
ECAPA_NORM = 15.857474
MELS = {  # (band, frame): dB; the last is where filters in float64 would show most, by 1.4e-4
    (0, 0): 18.253357, (10, 75): -1.805114, (40, 20): 1.686247, (79, 150): 2.325569, (57, 129): -8.525794,
}  # fmt: skip
# Origin: WavLM.py of s3prl 0.4.18 and eval/ecapa_tdnn.py of f5_tts 1.1.22, which is UniSpeech's, at the sizes SMALL.
WAVLM_VECTOR = [0.418097, -0.492889, -0.479713, -0.424435, -0.31126, 0.219092, 0.312822, 0.358499]
WAVLM_NORM = 7.118495
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "num_buckets": 320,
    "max_bucket_distance": 800,
}  # fmt: skip


def filled(shapes):
    """Weights computed from their names, so that any implementation can compute the same ones."""
    found = {}
    for name, shape in shapes.items():
        leaf = name.rsplit(".", 1)[-1]
        if leaf == "num_batches_tracked":
            found[name] = torch.tensor(0)
            continue
        drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
        if leaf == "running_var":
            drawn = 1 + 0.1 * np.abs(drawn)
        elif leaf == "running_mean" or leaf == "bias":
            drawn = 0.1 * drawn
        elif leaf == "weight_g" or leaf == "grep_a" or drawn.ndim < 2:
            drawn = 1 + 0.1 * drawn
        else:
            drawn = drawn / math.sqrt(math.prod(shape[1:]))
        found[name] = torch.from_numpy(drawn)
    return found


def recording(length=24000):
    """A sawtooth of 125 Hz with noise whose level rises four times a second."""
    index = np.arange(length)
    noise = np.random.RandomState(7).standard_normal(length)
    return (0.2 * (index % 128 / 128 - 0.5) + 0.02 * noise * (1 + index % 4000 / 4000)).astype(np.float32)


def shapes_of(network):
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def published_upstream(size, layers, heads, inner):
    """WavLM's tensors with the names of the published file."""
    shapes = {"mask_emb": (size,), "layer_norm.weight": (512,), "layer_norm.bias": (512,)}
    for index, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        start = f"feature_extractor.conv_layers.{index}"
        shapes[f"{start}.0.weight"] = (512, 512 if index else 1, kernel)
        shapes |= {f"{start}.2.1.{leaf}": (512,) for leaf in ("weight", "bias")}
    shapes |= {"post_extract_proj.weight": (size, 512), "post_extract_proj.bias": (size,)}
    shapes |= {"encoder.pos_conv.0.weight_g": (1, 1, 128), "encoder.pos_conv.0.weight_v": (size, size // 16, 128)}
    shapes |= {"encoder.pos_conv.0.bias": (size,), "encoder.layer_norm.weight": (size,)}
    shapes |= {"encoder.layer_norm.bias": (size,)}
    for index in range(layers):
        start = f"encoder.layers.{index}"
        for linear, (out, width) in {
            "self_attn.k_proj": (size, size), "self_attn.v_proj": (size, size), "self_attn.q_proj": (size, size),
            "self_attn.out_proj": (size, size), "self_attn.grep_linear": (8, size // heads), "fc1": (inner, size),
            "fc2": (size, inner),
        }.items():  # fmt: skip
            shapes |= {f"{start}.{linear}.weight": (out, width), f"{start}.{linear}.bias": (out,)}
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{start}.{norm}.{leaf}": (size,) for leaf in ("weight", "bias")}
        shapes[f"{start}.self_attn.grep_a"] = (1, heads, 1, 1)
    shapes["encoder.layers.0.self_attn.relative_attention_bias.weight"] = (320, heads)
    return {f"feature_extract.model.{name}": shape for name, shape in shapes.items()}


def published_verifier(network, upstream):
    """The tensors of a published file: WavLM's, those of ECAPA-TDNN, and the classifier used in training."""
    head = {name: shape for name, shape in shapes_of(network).items() if not name.startswith("feature_extract.")}
    return filled({**upstream, **head, "loss_calculator.projection.weight": (5, 256)})


def test_ecapa_is_speechbrains():
    network = ecapa.Network().eval()
    network.load_state_dict(filled(shapes_of(network)))
    mel = ecapa.log_mel(torch.from_numpy(recording()))
    assert mel.shape == (80, 151)
    for index, value in MELS.items():
        assert float(mel[index]) == pytest.approx(value, abs=5e-5)  # dB; both sum in float32
    with torch.inference_mode():
        vector = network(mel[None])[0]
    np.testing.assert_allclose(vector[:8], ECAPA_VECTOR, atol=1e-4)
    assert float(vector.norm()) == pytest.approx(ECAPA_NORM, rel=1e-5)


def test_the_published_networks_have_their_sizes():
    assert sum(value.numel() for value in ecapa.Network().parameters()) == 20_767_552
    with torch.device("meta"):
        large = wavlm_ecapa.Network(**wavlm_ecapa.LARGE)
    head = sum(value.numel() for name, value in large.named_parameters() if not name.startswith("feature_extract."))
    assert head == 8_410_841


def test_a_file_of_ecapa_loads_and_a_missing_tensor_is_named(tmp_path):
    state = filled(shapes_of(ecapa.Network()))
    torch.save(state, tmp_path / "embedding_model.ckpt")
    net = ecapa.ECAPA(ecapa.ECAPA.Config(weights=str(tmp_path / "embedding_model.ckpt")))
    voice, loud = (net.embed(Audio(level * recording(), 16000)).vectors[0] for level in (1, 3))
    np.testing.assert_allclose(voice[:8], ECAPA_VECTOR, atol=1e-4)
    assert voice.shape == (net.dim,)
    assert voice @ loud / np.linalg.norm(voice) / np.linalg.norm(loud) == pytest.approx(1, abs=1e-4)
    assert net.embed(Audio(recording(640), 16000)).vectors.shape == (1, 192)
    with pytest.raises(DataError, match=r"0\.04 seconds"):
        net.embed(Audio(recording(639), 16000))
    state.pop("blocks.2.res2net_block.blocks.3.conv.conv.bias")
    torch.save(state, tmp_path / "less.ckpt")
    with pytest.raises(WeightsError, match=r"blocks\.2\.res2net_block\.blocks\.3\.conv\.conv\.bias"):
        ecapa.ECAPA(ecapa.ECAPA.Config(weights=str(tmp_path / "less.ckpt"))).embed(Audio(recording(), 16000))
    with pytest.raises(WeightsError, match="ecapa needs a file"):
        ecapa.ECAPA(ecapa.ECAPA.Config()).embed(Audio(recording(), 16000))


def test_wavlm_ecapa_is_unispeechs(tmp_path, monkeypatch):
    """A small network, loaded by the component from a file in the published format."""
    pytest.importorskip("transformers", reason='pip install "amphion-eval[transformers]"')
    state = published_verifier(wavlm_ecapa.Network(**SMALL), published_upstream(32, 2, 4, 48))
    torch.save({"model": state}, tmp_path / "wavlm.pth")
    monkeypatch.setattr(wavlm_ecapa, "LARGE", SMALL)
    net = wavlm_ecapa.WavLMECAPA(wavlm_ecapa.WavLMECAPA.Config(weights=str(tmp_path / "wavlm.pth")))
    vector, again = (net.embed(Audio(recording(), 16000)).vectors[0] for _ in range(2))
    np.testing.assert_allclose(vector[:8], WAVLM_VECTOR, atol=1e-4)
    assert np.linalg.norm(vector) == pytest.approx(WAVLM_NORM, rel=1e-5)
    assert vector.shape == (net.dim,) and np.array_equal(vector, again)
    with pytest.raises(DataError, match=r"0\.1 seconds"):
        net.embed(Audio(recording(1599), 16000))
    state.pop("feature_extract.model.encoder.layers.1.fc1.bias")
    torch.save({"model": state}, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match=r"encoder\.layers\.1\.feed_forward\.intermediate_dense\.bias"):
        wavlm_ecapa.WavLMECAPA(wavlm_ecapa.WavLMECAPA.Config(weights=str(tmp_path / "less.pth"))).embed(
            Audio(recording(), 16000)
        )


def test_every_tensor_of_wavlm_large_is_read():
    pytest.importorskip("transformers", reason='pip install "amphion-eval[transformers]"')
    with torch.device("meta"):
        wanted = shapes_of(wavlm_ecapa.Network(**wavlm_ecapa.LARGE))
    upstream = "feature_extract.model."
    found = {
        upstream + wavlm_ecapa.renamed(name.removeprefix(upstream)): shape
        for name, shape in published_upstream(1024, 24, 16, 4096).items()
    }
    assert found == {name: shape for name, shape in wanted.items() if name.startswith(upstream)}
