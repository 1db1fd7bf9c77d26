"""Vocos: the published formula computed independently, published names and configs, and what a wrong one says."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

import amphion_core as amphion
from amphion_core import weights, yaml
from amphion_core.api import Vocoder
from amphion_core.errors import AudioError, RecipeError, WeightsError
from amphion_core.features.mel import mel_filterbank
from amphion_core.loading import convert, find_layout
from amphion_core.mel import MelConfig
from amphion_core.precision import bf16_is_fast
from amphion_vocoders import chunks as chunks_module
from amphion_vocoders.models.convnext_packed import PackedBackbone
from amphion_vocoders.models.inverse_stft import inverse_stft

TINY = amphion.get("models", "vocoder/vocos").example_config().model_dump()
WINDOW = "feature_extractor.mel_spec.spectrogram.window"
FILTERBANK = "feature_extractor.mel_spec.mel_scale.fb"


def lively(**config):
    """A network whose weights keep the level of the signal, and whose output is about as loud as speech."""
    net = amphion.build("vocoder/vocos", **config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
    return net.eval()


def published_spectra(state, mel, layers):
    """The formula of the paper's section 3 and of the author's release, on tensors (B, C, N); -> (B, bins, N)."""

    def norm(x, name):
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-6).sqrt() * state[f"{name}.weight"][:, None] + state[f"{name}.bias"][:, None]

    def linear(x, name):
        return torch.einsum("oc,bcn->bon", state[f"{name}.weight"], x) + state[f"{name}.bias"][:, None]

    x = F.conv1d(mel, state["backbone.embed.weight"], state["backbone.embed.bias"], padding=3)
    x = norm(x, "backbone.norm")
    for index in range(layers):
        block = f"backbone.convnext.{index}"
        weight = state[f"{block}.dwconv.weight"]
        y = F.conv1d(x, weight, state[f"{block}.dwconv.bias"], padding=3, groups=len(weight))
        y = linear(norm(y, f"{block}.norm"), f"{block}.pwconv1")
        y = linear(y * (1 + torch.erf(y / math.sqrt(2))) / 2, f"{block}.pwconv2")
        x = x + state[f"{block}.gamma"][:, None] * y
    magnitude, phase = linear(norm(x, "backbone.final_layer_norm"), "head.out").chunk(2, 1)
    return torch.polar(magnitude.exp().clamp(max=100), phase)


def test_the_published_formula_gives_the_same_wave():
    """Frames at their centres: torch's own inverse STFT is the reference, asked for one hop more than it returns."""
    net = lively(layers=3, channels=64, inner_channels=96)
    mel = torch.randn(2, 100, 37, generator=torch.Generator().manual_seed(1))
    spectra = published_spectra(net.state_dict(), mel, 3)
    window = torch.hann_window(1024)
    with torch.no_grad():
        wave = net(mel)[:, 0]
    assert 0.01 < float(wave.std()) < 1
    usual = torch.istft(spectra, 1024, 256, window=window, center=True)
    assert usual.shape == (2, 36 * 256)
    torch.testing.assert_close(wave[:, : 36 * 256], usual, atol=1e-5, rtol=0)
    longer = torch.istft(spectra, 1024, 256, window=window, center=True, length=37 * 256)
    torch.testing.assert_close(wave, longer, atol=1e-5, rtol=0)


@pytest.mark.skipif(not PackedBackbone.available(), reason="this torch has no oneDNN with reordered weights")
@pytest.mark.parametrize("frames", [1, 37, 300])
def test_packing_changes_no_more_than_rounding_and_follows_the_weights(frames):
    net = lively(layers=3, channels=64, inner_channels=96)
    mel = torch.randn(2, 100, frames, generator=torch.Generator().manual_seed(1))
    plain = net.vocode(mel)
    assert net.backbone.packed is None
    packed = net.for_inference()
    assert net.backbone.packed is not None
    torch.testing.assert_close(packed.vocode(mel), plain, atol=1e-5, rtol=0)
    state = {name: 0.9 * tensor for name, tensor in net.state_dict().items()}
    other = amphion.build("vocoder/vocos", **net.config.model_dump()).eval()
    other.load_state_dict(state)
    net.load_state_dict(state)
    assert net.backbone.packed is None
    assert net.vocode(mel).equal(other.vocode(mel))


@pytest.mark.skipif(not PackedBackbone.available(), reason="this torch has no oneDNN with reordered weights")
def test_pieces_on_several_threads_are_the_whole_and_a_packed_network_can_be_copied(monkeypatch):
    net = lively(layers=3, channels=64, inner_channels=96).for_inference()
    mel = torch.randn(2, 100, 900, generator=torch.Generator().manual_seed(1))
    whole = net.vocode(mel)
    assert copy.deepcopy(net).vocode(mel).equal(whole)
    counts = []

    def one_by_one(pieces):
        counts.append(len(pieces))
        return [piece() for piece in pieces]

    monkeypatch.setattr("amphion_vocoders.models.convnext_packed.threads_for_pieces", lambda: 2)
    monkeypatch.setattr("amphion_vocoders.models.convnext_packed.run_pieces", one_by_one)
    torch.testing.assert_close(net.vocode(mel), whole, atol=1e-5, rtol=0)
    assert counts == [4]
    net.vocode(mel[..., :100])  # too short for pieces
    assert counts == [4]


def test_frames_beside_their_hops_give_the_formula_of_the_release():
    """padding "same": a sum over frames in float64, cut by (n_fft - hop) / 2 at both ends."""
    net = lively(layers=2, channels=32, inner_channels=64, mel="hifigan_22k_80")
    mel = torch.randn(1, 80, 9, generator=torch.Generator().manual_seed(1))
    frames = np.fft.irfft(published_spectra(net.state_dict(), mel, 2)[0].T.numpy(), 1024)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    total, weight = np.zeros(8 * 256 + 1024), np.zeros(8 * 256 + 1024)
    for index, frame in enumerate(frames):
        total[index * 256 :][:1024] += frame * window
        weight[index * 256 :][:1024] += window**2
    expected = (total[384:-384] / weight[384:-384]).astype(np.float32)
    with torch.no_grad():
        torch.testing.assert_close(net(mel)[0, 0], torch.from_numpy(expected), atol=1e-5, rtol=0)


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 20), batch=st.integers(1, 3), padding=st.sampled_from(["same", "center"]))
def test_every_frame_becomes_one_hop(frames, batch, padding):
    net: Vocoder = amphion.build("vocoder/vocos", **TINY | {"padding": padding}).for_inference()
    assert net.vocode(torch.zeros(batch, 4, frames)).shape == (batch, frames * net.config.mel.hop_length)


@pytest.mark.parametrize("padding", ["same", "center"])
@pytest.mark.parametrize(("size", "hop"), [(64, 16), (60, 13)])
def test_the_inverse_of_a_signals_stft_is_the_signal(padding, size, hop):
    wave = torch.randn(1, 20 * hop, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(size)
    left = size // 2 if padding == "center" else (size - hop) // 2
    padded = F.pad(wave, (left, size))
    frames = padded.unfold(-1, size, hop)[:, :20] * window
    again = inverse_stft(torch.fft.rfft(frames), window, hop, padding)
    torch.testing.assert_close(again[:, : 20 * hop], wave, atol=1e-5, rtol=0)


def charactr(**changes):
    """The config.yaml of charactr/vocos-mel-24khz, with changed arguments by section."""
    arguments = {
        "feature_extractor": {
            "sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, "padding": "center",
        },
        "backbone": {"input_channels": 100, "dim": 512, "intermediate_dim": 1536, "num_layers": 8},
        "head": {"dim": 512, "n_fft": 1024, "hop_length": 256, "padding": "center"},
    }  # fmt: skip
    classes = {"feature_extractor": "feature_extractors.MelSpectrogramFeatures", "backbone": "models.VocosBackbone"}
    return {
        name: {
            "class_path": "vocos." + classes.get(name, "heads.ISTFTHead"),
            "init_args": values | changes.get(name, {}),
        }
        for name, values in arguments.items()
    }


SMALL = charactr(backbone={"dim": 32, "intermediate_dim": 48, "num_layers": 2}, head={"dim": 32})


def published(net):
    """The tensors of a released checkpoint: those of the network, and the fixed ones of the author's modules."""
    mel = net.config.mel
    fixed = {
        WINDOW: torch.hann_window(1024), FILTERBANK: mel_filterbank(mel).T, "head.istft.window": torch.hann_window(1024)
    }  # fmt: skip
    return net.state_dict() | fixed


@pytest.fixture(scope="module")
def small():
    return lively(channels=32, inner_channels=48, layers=2)


def test_the_released_configuration_has_the_released_tensors():
    with torch.device("meta"):
        net = amphion.build("vocoder/vocos@mel-24khz")
    assert sum(tensor.numel() for tensor in net.parameters()) == 13_531_650  # counted with the author's package
    names = list(net.state_dict())
    assert len(names) == 80
    assert {"backbone.embed.weight", "backbone.convnext.7.gamma", "head.out.bias"} < set(names)
    assert net.config.mel == MelConfig.preset("vocos_24k_100")
    fields = type(net).import_state_dict({}, layout="charactr", config=charactr())[0]
    assert fields == net.config


def test_a_released_folder_is_read(small, tmp_path):
    torch.save(published(small), tmp_path / "pytorch_model.bin")
    yaml_text = "\n".join(
        f"{section}:\n  class_path: {value['class_path']}\n  init_args:\n"
        + "".join(f"    {key}: {each}\n" for key, each in value["init_args"].items())
        for section, value in SMALL.items()
    )
    (tmp_path / "config.yaml").write_text(yaml_text, encoding="utf-8")
    assert yaml.parse(yaml_text) == SMALL
    path = tmp_path / "pytorch_model.bin"
    assert find_layout("vocoder/vocos", path) == "charactr"
    again: Vocoder = amphion.import_model("vocoder/vocos", path, layout="charactr")
    assert again.config == small.config
    mel = torch.randn(1, 100, 9)
    torch.testing.assert_close(again.vocode(mel), small.vocode(mel), atol=1e-6, rtol=0)


def test_a_training_checkpoint_is_separated_from_its_discriminators(small):
    others = {"multiperioddisc.discriminators.0.convs.0.weight_g": torch.ones(3), "multiresddisc.x": torch.ones(2)}
    others |= {"melspec_loss.mel_spec.spectrogram.window": torch.ones(4)}
    checkpoint = {"state_dict": published(small) | others, "epoch": 3, "hparams_name": "kwargs"}
    training = {"model": {"class_path": "vocos.experiment.VocosExp", "init_args": SMALL | {"sample_rate": 24000}}}
    again = convert("vocoder/vocos", checkpoint, layout="charactr", config=training)
    assert all(again.state_dict()[name].equal(tensor) for name, tensor in small.state_dict().items())


def test_a_mel_with_other_edges_and_scale_is_read_from_the_config():
    features = {
        "sample_rate": 22050, "n_mels": 80, "f_min": 0, "f_max": 8000, "norm": "slaney", "mel_scale": "slaney",
        "padding": "same",
    }  # fmt: skip
    config = charactr(feature_extractor=features, backbone={"input_channels": 80}, head={"padding": "same"})
    fields, _ = amphion.get("models", "vocoder/vocos").import_state_dict({}, layout="charactr", config=config)
    expected = MelConfig.preset("hifigan_22k_80").replace(epsilon=0.0, floor=1e-7)
    assert fields.mel == expected and fields.padding is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": {"n_fft": 2048}}, "n_fft is 2048, and that of the mel is 1024"),
        ({"backbone": {"adanorm_num_embeddings": 4}}, "adanorm_num_embeddings is set"),
        ({"feature_extractor": {"padding": "valid"}}, "padding is .?valid.?, not same or center"),
        ({"backbone": {"dim": None}}, "does not state backbone.init_args.dim"),
    ],
)
def test_a_network_that_is_not_read_is_one_sentence(small, changes, message):
    with pytest.raises(WeightsError, match=message):
        convert("vocoder/vocos", published(small), layout="charactr", config=charactr(**changes))


def test_another_head_is_refused_by_its_class(small):
    config = SMALL | {"head": {"class_path": "vocos.heads.IMDCTSymExpHead", "init_args": {"dim": 32}}}
    with pytest.raises(WeightsError, match="IMDCTSymExpHead; only ISTFTHead is read"):
        convert("vocoder/vocos", published(small), layout="charactr", config=config)


@pytest.mark.parametrize("name", [WINDOW, FILTERBANK])
def test_a_checkpoint_of_another_mel_convention_is_refused(small, name):
    state = published(small)
    state[name] = state[name].roll(1, 0)
    with pytest.raises(WeightsError, match=f"{name} of the checkpoint is not what its config describes"):
        convert("vocoder/vocos", state, layout="charactr", config=SMALL)


def test_a_checkpoint_of_another_model_is_one_sentence():
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/vocos"):
        convert("vocoder/vocos", {"encoder.weight": torch.zeros(3)}, layout="charactr", config=SMALL)


def test_a_stream_equals_the_whole(tmp_path, monkeypatch, data_pack):
    """8 blocks see 27 frames to either side, which is less than the context of a chunk."""
    weights.save(lively(channels=16, inner_channels=24, mel="hifigan_22k_80"), tmp_path / "net")
    task = amphion.task("vocoder", model=str(tmp_path / "net"))
    audio = amphion.Audio.load(data_pack / "kathleen_en" / "wavs" / "kathleen_a0001.flac")
    whole = task.generate(audio).samples
    monkeypatch.setattr(chunks_module, "CHUNK", 40)
    pieces = [piece.samples for piece in task.stream(audio)]
    assert len(pieces) > 5 and float(whole.std()) > 0.01
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-4)


def test_every_parameter_learns():
    net = amphion.build("vocoder/vocos", **TINY)
    net(torch.randn(2, 4, 9)).square().sum().backward()
    assert [name for name, each in net.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_the_loudest_spectrum_is_limited_and_the_wave_is_clipped():
    net = lively(**TINY)
    with torch.no_grad():
        net.head["out"].bias[: TINY["mel"]["n_fft"] // 2 + 1] = 50.0  # e^50 would overflow a sum of squares
    mel = torch.randn(1, 4, 9)
    assert float(net.vocode(mel).abs().max()) == 1
    with torch.no_grad():
        assert 1 < float(net(mel).abs().max()) < 1e4


@pytest.mark.skipif(not bf16_is_fast(torch.device("cpu")), reason="this CPU has no bfloat16 dot products")
def test_bfloat16_stays_near_float32():
    exact = lively(channels=64, inner_channels=96)
    mel = torch.randn(1, 100, 20, generator=torch.Generator().manual_seed(0))
    wave = exact.vocode(mel)
    rough = exact.for_inference("bf16").vocode(mel)
    assert rough.dtype == torch.float32
    noise = float((rough - wave).square().mean() / wave.square().mean())
    assert 0 < noise < 1e-2  # the phase head turns an error of 1e-2 radians into 1e-4 of the energy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mel": TINY["mel"] | {"hop_length": 8}}, "the hop 8 is more than a quarter of the FFT size 16"),
        ({"padding": "valid"}, "padding"),
        ({"layers": 30}, "layers"),
        ({"chanels": 8}, "did you mean channels"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("vocoder/vocos", **TINY | changes)


@pytest.mark.parametrize("mel", [torch.zeros(1, 5, 3), torch.zeros(4, 3), torch.full((1, 4, 3), float("nan"))])
def test_a_mel_that_cannot_be_vocoded_is_reported(mel):
    with pytest.raises(AudioError):
        amphion.build("vocoder/vocos", **TINY).for_inference().vocode(mel)


def test_no_frames_are_no_samples():
    assert amphion.build("vocoder/vocos", **TINY).for_inference().vocode(torch.zeros(2, 4, 0)).shape == (2, 0)
