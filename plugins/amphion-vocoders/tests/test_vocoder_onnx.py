"""Exported vocoders give onnxruntime the audio of the network, at any length and batch."""

import os
from importlib.util import find_spec

import pytest
import torch

import amphion_core as amphion
from amphion_core import onnx_export, weights
from amphion_core.cli.main import main

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, onnx_export.PACKAGES)), reason='pip install "amphion-core[onnx]"'
)


def compared(net, path, frames):
    """The audio of onnxruntime and of the network for three random mels that the export has not seen."""
    made = onnx_export.export(net, path)
    assert max(made.differences.values()) <= 1e-4
    inputs = net.onnx_graph().inputs(frames)
    for name, value in inputs.items():
        inputs[name] = torch.cat([value, value.flip(0)]) if len(value) == 2 else value  # a batch of four
    inputs["mel"] = torch.randn(4, net.config.mel.n_mels, frames, generator=torch.Generator().manual_seed(1)) - 2
    with torch.no_grad():
        expected = net.onnx_graph().module(**inputs)
    found = onnx_export.run(path, {name: value.numpy() for name, value in inputs.items()})["wave"]
    assert expected.shape == (4, frames * net.config.mel.hop_length) and expected.std() > 1e-3
    return torch.from_numpy(found), expected


slow = pytest.mark.skipif(
    not os.environ.get("AMPHION_ALL_EXPORTS"),
    reason="recording a graph takes 5 to 40 s of processor time; AMPHION_ALL_EXPORTS=1 runs all",
)
BLOCKS = {"resblock_kernels": (3, 5), "resblock_dilations": ((1, 3), (1,))}  # a third of the layers: each kind is there
CASES = [
    ("vocoder/hifigan", {"mean": (0.5,) * 4, "scale": (2.0,) * 4, "resblock": "2", **BLOCKS}),
    ("vocoder/vocos", {}),
    ("vocoder/nsf_hifigan", BLOCKS),
    pytest.param("vocoder/nsf_hifigan", {"source": "mini"}, marks=slow),
    *(pytest.param(f"vocoder/{name}", {}, marks=slow) for name in ("melgan", "apnet", "apnet2", "bigvgan")),
]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_onnxruntime_makes_the_audio_of_the_network(name, changes, lively, tmp_path):
    found, expected = compared(lively(name, **changes), tmp_path / "made.onnx", frames=41)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_vocoder_that_repeats_a_step_for_each_sample_cannot_be_exported(tmp_path, capsys):
    wavernn = amphion.get("models", "vocoder/wavernn")
    weights.save(wavernn(wavernn.example_config()), tmp_path / "weights")
    assert main(["export", str(tmp_path / "weights"), "-o", str(tmp_path / "made.onnx")]) == 2
    assert "WaveRNN cannot be exported" in capsys.readouterr().err
    assert not (tmp_path / "made.onnx").exists()


def test_the_vocoder_of_the_voice_kathleen_is_exported_by_the_command(tmp_path, capsys):
    pytest.importorskip("amphion_voice_kathleen")
    assert main(["export", "vocoder/hifigan@kathleen", "-o", str(tmp_path / "made.onnx")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith(f"wrote {tmp_path / 'made.onnx'}")
    net = amphion.load("vocoder/hifigan@kathleen")
    mel = torch.randn(1, 80, 30, generator=torch.Generator().manual_seed(1)) - 4
    found = onnx_export.run(tmp_path / "made.onnx", {"mel": mel.numpy()})["wave"]
    torch.testing.assert_close(torch.from_numpy(found), net.vocode(mel), atol=1e-4, rtol=0)
