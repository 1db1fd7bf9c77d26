"""APNet and APNet2: reference numbers, the published formula, checkpoints, chunks, and what a wrong config says."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Vocoder
from amphion_core.checkpoints.weight_names import to_folded
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.loading import convert, find_layout
from amphion_core.mel import MelConfig
from amphion_vocoders import chunks as chunks_module
from amphion_vocoders.models.amplitude_phase import Spectra

TINY = {name: amphion.get("models", f"vocoder/{name}").example_config().model_dump() for name in ("apnet", "apnet2")}
BOTH = pytest.mark.parametrize("name", ["apnet", "apnet2"])
APNET2 = {
    "ASP_channel": 32, "PSP_channel": 32, "num_mels": 20, "n_fft": 128, "hop_size": 20, "win_size": 80,
    "sampling_rate": 16000, "fmin": 0, "fmax": 8000, "meloss": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def case(golden):
    return golden("apnet_small")


def phase_distance(a, b):
    return (a - b - 2 * math.pi * ((a - b) / (2 * math.pi)).round()).abs().max()


def test_reference_numbers_of_apnet(case):
    net = convert("vocoder/apnet", case["state_dict"], layout="yangai520", config=case["config"])
    mel, wanted = case["inputs"]["mel"], case["outputs"]
    with torch.no_grad():
        made = net.spectra(mel)
        wave = net(mel)
    for ours, theirs in (("log_amplitude", "logamp"), ("real", "rea"), ("imaginary", "imag")):
        torch.testing.assert_close(getattr(made, ours), wanted[theirs], atol=1e-5, rtol=0)
    assert float(phase_distance(made.phase, wanted["pha"])) < 1e-5
    assert wave.shape == (1, 1, 400) and wanted["wav"].shape == (1, 1, 380)
    torch.testing.assert_close(wave[..., :380], wanted["wav"], atol=1e-5, rtol=0)
    vocoded = net.for_inference().vocode(mel)
    torch.testing.assert_close(vocoded[:, :380], wanted["wav"][:, 0], atol=1e-5, rtol=0)


def renamed(state, old, new):
    return {name.replace(old, new): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "spelling",
    [
        lambda state: {"generator": {f"module.{name}": tensor for name, tensor in state.items()}, "steps": 7},
        lambda state: renamed(
            renamed(state, "weight_g", "parametrizations.weight.original0"), "weight_v",
            "parametrizations.weight.original1",
        ),
        to_folded,
    ],
    ids=["wrapped", "new names", "folded"],
)  # fmt: skip
def test_apnets_checkpoints_load_in_every_spelling(case, spelling):
    net = amphion.import_model("vocoder/apnet", spelling(case["state_dict"]), layout="yangai520", config=case["config"])
    made = net.vocode(case["inputs"]["mel"])
    torch.testing.assert_close(made[:, :380], case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


def amphion_config(case):
    """The configuration as Amphion nests it."""
    config = dict(case["config"])
    model = {"apnet": {name: value for name, value in config.items() if name[:4] in ("ASP_", "PSP_")}}
    preprocess = {
        "n_mel": 20, "n_fft": 128, "hop_size": 32, "win_size": 128, "sample_rate": 24000, "fmin": 0, "fmax": 12000,
    }  # fmt: skip
    return {"model": model, "preprocess": preprocess}


def test_amphions_layout_has_frames_that_are_not_centred(case):
    net = convert("vocoder/apnet", case["state_dict"], layout="amphion", config=amphion_config(case))
    assert (net.config.mel.padding, net.config.mel.sample_rate, net.config.mel.fmax) == ("same", 24000, None)
    mel = case["inputs"]["mel"]
    with torch.no_grad():
        made, wave = net.spectra(mel), net(mel)[0, 0]
    torch.testing.assert_close(made.real, case["outputs"]["rea"], atol=1e-5, rtol=0)
    frames = torch.fft.irfft(torch.complex(made.real, made.imaginary)[0].T.to(torch.complex128), 128)
    window = torch.hann_window(128, dtype=torch.float64)
    total, weight = torch.zeros(19 * 32 + 128).double(), torch.zeros(19 * 32 + 128).double()
    for index, frame in enumerate(frames):
        total[index * 32 :][:128] += frame * window
        weight[index * 32 :][:128] += window.square()
    torch.testing.assert_close(wave, (total / weight)[48:-48].float(), atol=1e-5, rtol=0)


def test_the_layout_is_found_by_the_config(case, tmp_path):
    state = case["state_dict"]
    assert find_layout("vocoder/apnet", state, config=case["config"]) == "yangai520"
    assert find_layout("vocoder/apnet", state, config=amphion_config(case)) == "amphion"


@pytest.mark.parametrize(
    ("name", "layout", "count"), [("apnet", "yangai520", 72_191_494), ("apnet2", "redmist328", 31_425_539)]
)
def test_the_published_layout_is_complete_and_its_sizes_are_the_defaults(published_layout, name, layout, count):
    architecture = amphion.get("models", f"vocoder/{name}")
    sizes = {
        "ASP_channel": 512, "PSP_channel": 512, "num_mels": 80, "n_fft": 1024, "fmin": 0, "fmax": 8000,
        "ASP_resblock_kernel_sizes": [3, 7, 11], "ASP_resblock_dilation_sizes": [[1, 3, 5]] * 3,
        "PSP_resblock_kernel_sizes": [3, 7, 11], "PSP_resblock_dilation_sizes": [[1, 3, 5]] * 3,
    }  # fmt: skip
    frames = {
        "apnet": {"sampling_rate": 16000, "hop_size": 80, "win_size": 320},
        "apnet2": {"sampling_rate": 22050, "hop_size": 256, "win_size": 1024},
    }[name]
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in published_layout(name).items()}
        config, tensors = architecture.import_state_dict(state, layout=layout, config=sizes | frames)
        net = architecture(config)
    assert config == architecture.Config()
    assert {key: tensor.shape for key, tensor in net.state_dict().items()} == {
        key: tensor.shape for key, tensor in tensors.items()
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == count


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PSP_channel": 16}, "PSP_channel is not ASP_channel"),
        ({"PSP_output_I_conv_kernel_size": 5}, "psp_output_i_conv_kernel_size is 5; our network has 7 only"),
        ({"num_mels": None}, "does not state num_mels"),
        ({"num_mels": None, "n_mel": 20}, "n_mel belongs to another layout; yangai520 has num_mels"),
    ],
)
def test_a_config_that_is_not_read_is_one_sentence(case, changes, message):
    with pytest.raises(WeightsError, match=message):
        convert("vocoder/apnet", case["state_dict"], layout="yangai520", config=dict(case["config"]) | changes)


def test_missing_tensors_and_a_foreign_checkpoint_are_reported(case):
    for lost in ("ASP_ResNet.1.convs2.0.bias", "PSP_output_I_conv.bias", "PSP_output_R_conv.weight_g"):
        state = {name: tensor for name, tensor in case["state_dict"].items() if name != lost}
        with pytest.raises(WeightsError, match=r"1 missing|2 missing|of another shape"):
            convert("vocoder/apnet", state, layout="yangai520", config=case["config"])
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/apnet"):
        convert("vocoder/apnet", {"conv_pre.bias": torch.zeros(3)}, layout="yangai520", config=case["config"])
    for foreign in ({"conv_pre.bias": torch.zeros(3)}, case["state_dict"]):
        with pytest.raises(WeightsError):
            convert("vocoder/apnet2", foreign, layout="redmist328", config=APNET2)


def apnet2_state(layers=2, channels=32, inner=48, mels=20, bins=65):
    """A checkpoint with the names of APNet2's release and lively random weights."""
    shapes = {"ASP_input_conv": (channels, mels, 7), "PSP_input_conv": (channels, mels, 7)}
    shapes |= {f"{head}_conv": (bins, channels, 7) for head in ("ASP_output", "PSP_output_R", "PSP_output_I")}
    for suffix in ("", "2"):
        for index in range(layers):
            block = f"convnext{suffix}.{index}"
            shapes |= {f"{block}.dwconv": (channels, 1, 7), f"{block}.pwconv1": (inner, channels)}
            shapes |= {f"{block}.pwconv2": (channels, inner)}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * math.prod(shape[1:]) ** -0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    norms = [f"{norm}{suffix}" for suffix in ("", "2") for norm in ("norm", "final_layer_norm")]
    norms += [f"convnext{suffix}.{index}.norm" for suffix in ("", "2") for index in range(layers)]
    for name in norms:
        state[f"{name}.weight"] = 1 + 0.1 * torch.randn(channels, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(channels, generator=generator)
    for suffix in ("", "2"):
        for index in range(layers):
            for part in ("gamma", "beta"):
                drawn = 0.5 * torch.randn(1, 1, inner, generator=generator)
                state[f"convnext{suffix}.{index}.grn.{part}"] = drawn
    return state


def published_branch(state, mel, start, suffix, layers):
    """The features of a branch by the formulas of the paper and of ConvNeXt V2, on tensors (B, C, N)."""

    def norm(x, name):
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-6).sqrt() * state[f"{name}.weight"][:, None] + state[f"{name}.bias"][:, None]

    def linear(x, name):
        return torch.einsum("oc,bcn->bon", state[f"{name}.weight"], x) + state[f"{name}.bias"][:, None]

    x = F.conv1d(mel, state[f"{start}_input_conv.weight"], state[f"{start}_input_conv.bias"], padding=3)
    x = norm(x, f"norm{suffix}")
    for index in range(layers):
        block = f"convnext{suffix}.{index}"
        weight = state[f"{block}.dwconv.weight"]
        y = F.conv1d(x, weight, state[f"{block}.dwconv.bias"], padding=3, groups=len(weight))
        y = linear(norm(y, f"{block}.norm"), f"{block}.pwconv1")
        y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
        loudness = y.square().sum(2, keepdim=True).sqrt()
        relative = loudness / (loudness.mean(1, keepdim=True) + 1e-6)
        gamma, beta = (state[f"{block}.grn.{part}"].flatten()[:, None] for part in ("gamma", "beta"))
        x = x + linear(gamma * y * relative + beta + y, f"{block}.pwconv2")
    return norm(x, f"final_layer_norm{suffix}")


def published_wave(state, mel, layers=2):
    """(B, F, N) -> (B, (N - 1) * 20), with torch's own inverse STFT."""

    def head(features, name):
        return F.conv1d(features, state[f"{name}_conv.weight"], state[f"{name}_conv.bias"], padding=3)

    magnitude = head(published_branch(state, mel, "ASP", "2", layers), "ASP_output").exp()
    features = published_branch(state, mel, "PSP", "", layers)
    phase = torch.atan2(head(features, "PSP_output_I"), head(features, "PSP_output_R"))
    return torch.istft(torch.polar(magnitude, phase), 128, 20, 80, torch.hann_window(80), center=True)


def test_the_published_formula_of_apnet2_gives_the_same_wave_before_and_after_packing():
    state = apnet2_state()
    mel = torch.randn(2, 20, 31, generator=torch.Generator().manual_seed(1))
    wanted = published_wave(state, mel)
    assert 0.01 < float(wanted.std()) < 1
    net = convert("vocoder/apnet2", {"generator": state}, layout="redmist328", config=APNET2)
    assert (net.config.layers, net.config.inner_channels, net.config.channels) == (2, 48, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(mel)[:, 0, : 30 * 20], wanted, atol=1e-5, rtol=0)
    packed = copy.deepcopy(net).for_inference()
    assert packed.phase.backbone.packed is not None and net.phase.backbone.packed is None
    torch.testing.assert_close(packed.vocode(mel)[:, : 30 * 20], wanted.clamp(-1, 1), atol=1e-5, rtol=0)


@BOTH
def test_two_threads_compute_a_branch_each_with_the_same_result(name, monkeypatch):
    net = amphion.build(f"vocoder/{name}", **TINY[name]).for_inference()
    mel = torch.randn(1, 4, 30, generator=torch.Generator().manual_seed(0))
    alone = net.vocode(mel)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = net.vocode(mel)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@settings(max_examples=20, deadline=None)
@given(
    frames=st.integers(1, 20), name=st.sampled_from(["apnet", "apnet2"]), padding=st.sampled_from(["same", "center"])
)
def test_every_frame_becomes_one_hop(frames, name, padding):
    net: Vocoder = amphion.build(f"vocoder/{name}", **TINY[name] | {"padding": padding}).for_inference()
    mel = torch.randn(2, 4, frames, generator=torch.Generator().manual_seed(0))
    wave = net.vocode(mel)
    assert wave.shape == (2, frames * net.config.mel.hop_length)
    torch.testing.assert_close(net.vocode(mel[1:]), wave[1:], atol=1e-5, rtol=0)


@BOTH
@pytest.mark.parametrize("padding", ["same", "center"])
def test_the_spectra_of_a_wave_give_the_wave_again(name, padding):
    net = amphion.build(f"vocoder/{name}", **TINY[name] | {"padding": padding})
    wave = 0.3 * torch.randn(2, 60 * 4, generator=torch.Generator().manual_seed(0))
    spectra = Spectra.of(net.complex_spectra(wave, 61))
    assert spectra.phase.shape[2] == 60 + (padding == "center")
    torch.testing.assert_close(net.wave_of(spectra)[:, 0, : 60 * 4], wave, atol=1e-5, rtol=0)
    torch.testing.assert_close(spectra.log_amplitude.exp() * spectra.phase.cos(), spectra.real, atol=1e-4, rtol=0)


def test_a_stream_of_apnet_equals_the_whole(tmp_path, monkeypatch, data_pack):
    """With the published kernels a branch sees 66 frames to either side, and the inverse STFT two more."""
    torch.manual_seed(0)
    net = amphion.build("vocoder/apnet", channels=8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("original0"):
                parameter.normal_(0.3 if name.startswith("amplitude.post") else 0.8, 0.1, generator=generator)
    weights.save(net, tmp_path / "net")
    task = amphion.task("vocoder", model=str(tmp_path / "net"))
    audio = amphion.Audio.load(data_pack / "kathleen_en" / "wavs" / "kathleen_a0001.flac")
    monkeypatch.setattr(chunks_module, "CHUNK", 1024)
    whole = task.generate(audio).samples  # one chunk
    monkeypatch.setattr(chunks_module, "CHUNK", 150)
    pieces = [piece.samples for piece in task.stream(audio)]
    assert len(pieces) > 3 and float(whole.std()) > 0.01 and float(np.abs(whole).max()) < 1
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-4)
    monkeypatch.setattr(chunks_module, "CONTEXT", 30)
    shorter = np.concatenate([piece.samples for piece in task.stream(audio)])
    assert float(np.abs(shorter - whole).max()) > 1e-3  # the context is needed


@BOTH
def test_a_saved_folder_loads_again_and_every_parameter_learns(name, tmp_path):
    net = amphion.build(f"vocoder/{name}", **TINY[name])
    mel = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(0))
    net(mel).square().sum().backward()
    assert [key for key, each in net.named_parameters() if each.grad is None or not each.grad.any()] == []
    again: Vocoder = amphion.load(weights.save(net.for_inference(), tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel), net.vocode(mel), atol=1e-6, rtol=0)


@BOTH
def test_amplitudes_that_no_wave_has_are_limited(name):
    net = amphion.build(f"vocoder/{name}", **TINY[name])
    with torch.no_grad():
        (net.amplitude.post if name == "apnet" else net.amplitude.head[0]).bias.fill_(100.0)
        made = net.spectra(torch.zeros(1, 4, 9))
    loudest = float(torch.hann_window(net.config.mel.win_length).sum())
    assert float(made.log_amplitude.max()) > 90
    assert float(torch.hypot(made.real, made.imaginary).max()) == pytest.approx(loudest, rel=1e-4)
    wave = net.for_inference().vocode(torch.zeros(1, 4, 9))
    assert wave.isfinite().all() and float(wave.abs().max()) <= 1


@BOTH
def test_no_frames_are_no_samples_and_another_shape_is_refused(name):
    net = amphion.build(f"vocoder/{name}", **TINY[name]).for_inference()
    assert net.vocode(torch.zeros(2, 4, 0)).shape == (2, 0)
    with pytest.raises(AudioError, match=r"this vocoder takes \(B, 4, N\)"):
        net.vocode(torch.zeros(1, 5, 9))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("apnet", {"mel": TINY["apnet"]["mel"] | {"hop_length": 5}}, "the hop 5 is more than a quarter of the window"),
        ("apnet", {"resblock_kernels": (3, 4)}, "resblock_kernels: 4 is even, and would shift the output"),
        ("apnet", {"resblock_kernels": (3,)}, "resblock_dilations: 2 rows for 1 kernels"),
        ("apnet", {"resblock_dilations": ((1,), (0,))}, "resblock_dilations: 0 is not from 1 to 1000"),
        ("apnet", {"resblock_dilations": ((1,), ())}, "every block needs at least one dilation"),
        ("apnet2", {"layers": 30}, "layers"),
    ],
)
def test_a_wrong_config_is_refused_by_name(name, changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build(f"vocoder/{name}", **TINY[name] | changes)


def test_the_reference_mel_of_apnet(golden):
    case = golden("apnet_losses")
    made = mel_spectrogram(case["inputs"]["wav"], MelConfig.preset("apnet_16k_80"))
    torch.testing.assert_close(made, case["outputs"]["mel"], atol=1e-4, rtol=0)
