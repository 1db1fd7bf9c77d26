"""Export to ONNX: what the file says of itself, what stays when the export fails, and what the command prints."""

import json
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from amphion_core import onnx_export, weights
from amphion_core.api import BaseConfig, Mel, MelConfig, Vocoder, vocoder_graph
from amphion_core.cli.main import main
from amphion_core.errors import MissingPackage, WeightsError
from amphion_core.extras import pip_command

needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, onnx_export.PACKAGES)), reason='pip install "amphion-core[onnx]"'
)


class Bands(Vocoder):
    """Each hop is a linear map of its frame."""

    class Config(BaseConfig):
        """The mel."""

        mel: Mel = MelConfig.preset("hifigan_22k_80").replace(n_mels=4, hop_length=4)

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.up = nn.ConvTranspose1d(config.mel.n_mels, 1, config.mel.hop_length, config.mel.hop_length)

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self):
        return {"mel": torch.zeros(1, 4, 3)}

    def forward(self, mel, f0=None):
        return torch.tanh(self.up(mel))

    def vocode(self, mel, f0=None, *, seed=None):
        return self(mel)[:, 0]

    def onnx_graph(self):
        return vocoder_graph(self)


class Unstated(Bands):
    """The same without a graph."""

    onnx_graph = Vocoder.onnx_graph


@needs_onnx
def test_the_file_describes_itself_and_takes_any_batch_and_length(tmp_path):
    import onnxruntime

    net = Bands(Bands.example_config())
    made = onnx_export.export(net, tmp_path / "bands.onnx", about={"licence": "MIT"})
    assert max(made.differences.values()) < 1e-6 and made.size == (tmp_path / "bands.onnx").stat().st_size
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["amphion"])
    assert about["sample_rate"] == 22050 and about["mel"]["n_mels"] == 4 and about["licence"] == "MIT"
    assert "hop_length samples for each frame" in about["outputs"]["wave"]
    assert session.get_inputs()[0].shape == ["batch", 4, "frames"]
    for batch, frames in ((1, 1), (3, 57)):
        mel = torch.randn(batch, 4, frames)
        found = session.run(["wave"], {"mel": mel.numpy()})[0]
        torch.testing.assert_close(torch.from_numpy(found), net.vocode(mel), atol=1e-6, rtol=0)


@needs_onnx
def test_a_file_that_gives_other_results_is_not_kept(tmp_path, monkeypatch):
    kept = tmp_path / "bands.onnx"
    kept.write_bytes(b"before")
    run = onnx_export.run
    monkeypatch.setattr(onnx_export, "run", lambda *given: {"wave": run(*given)["wave"] + 2e-4})
    with pytest.raises(WeightsError, match=r"does not give the results of the network: largest difference 0\.0002"):
        onnx_export.export(Bands(Bands.example_config()), kept)
    assert kept.read_bytes() == b"before" and [*tmp_path.iterdir()] == [kept]


def test_missing_packages_are_an_error_with_the_pip_line(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="onnx and onnxscript and onnxruntime") as caught:
        onnx_export.export(Bands(Bands.example_config()), tmp_path / "bands.onnx")
    assert caught.value.hint == pip_command("amphion-core", ["onnx", "onnxscript", "onnxruntime"])
    assert caught.value.hint.startswith("pip install")
    with pytest.raises(MissingPackage, match="running an ONNX file needs onnxruntime") as caught:
        onnx_export.run(tmp_path / "bands.onnx", {})
    assert caught.value.hint == pip_command("amphion-core", ["onnxruntime"])


def test_the_command_says_which_packages_are_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxscript" else True)
    assert main(["export", "vocoder/hifigan@kathleen", "-o", str(tmp_path / "made.onnx")]) == 2
    error = capsys.readouterr().err
    assert "the export needs onnxscript" in error and 'pip install "amphion-core[onnx]"' in error


@needs_onnx
def test_the_command_refuses_a_model_without_a_graph_and_another_suffix(installed, tmp_path, capsys):
    installed("models", **{"vocoder/unstated": Unstated})
    weights.save(Unstated(Unstated.example_config()), tmp_path / "weights")
    assert main(["export", str(tmp_path / "weights"), "-o", str(tmp_path / "made.onnx")]) == 2
    assert "Unstated cannot be exported: it does not state its graph" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "weights"), "-o", str(tmp_path / "made.bin")]) == 2
    assert f"write -o {tmp_path / 'made.onnx'}" in capsys.readouterr().err
    assert not [*tmp_path.glob("*.onnx")]
