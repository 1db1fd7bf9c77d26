"""HiFi-GAN: reference numbers, agreement with transformers, published layouts, and what a wrong config says."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import MelConfig, Vocoder
from amphion_core.errors import AudioError, RecipeError, UnknownComponent, WeightsError
from amphion_core.loading import convert
from amphion_core.precision import bf16_is_fast
from amphion_vocoders import HiFiGANGenerator

TINY = amphion.get("models", "vocoder/hifigan").example_config().model_dump()


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 20), batch=st.integers(1, 3))
def test_every_frame_becomes_one_hop(frames, batch):
    net: Vocoder = amphion.build("vocoder/hifigan", **TINY).for_inference()
    assert net.vocode(torch.zeros(batch, 4, frames)).shape == (batch, frames * net.config.mel.hop_length)


@pytest.mark.parametrize("name", ["hifigan_small_rb1", "hifigan_small_rb2"])
def test_reference_numbers_before_and_after_packing(golden, name):
    case = golden(name)
    net = convert("vocoder/hifigan", {"generator": case["state_dict"]}, layout="jik876", config=case["config"])
    with torch.no_grad():
        torch.testing.assert_close(net(case["inputs"]["mel"]), case["outputs"]["wav"], atol=1e-5, rtol=0)
    packed = net.for_inference().vocode(case["inputs"]["mel"])
    torch.testing.assert_close(packed, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


def lively(net):
    """Weights that keep the level of the signal: with N(0, 0.01) the output would be its last bias."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            size = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.normal_(0, size**-0.5, generator=generator)
    return net.eval()


def small_transformers(family="SpeechT5", **changes):
    import transformers

    config = getattr(transformers, f"{family}HifiGanConfig")(
        **({"upsample_initial_channel": 32, "normalize_before": False} | changes)
    )
    return lively(getattr(transformers, f"{family}HifiGan")(config))


def assert_same_as(theirs, frames=30, longer=0):
    config = theirs.config.to_dict()
    ours: Vocoder = amphion.import_model("vocoder/hifigan", theirs.state_dict(), layout="transformers", config=config)
    mel = torch.randn(2, frames, theirs.config.model_in_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wave = theirs(mel)
    assert float(wave.std()) > 0.01  # else there is nothing to compare
    assert wave.shape[1] == frames * ours.config.mel.hop_length + longer
    torch.testing.assert_close(ours.vocode(mel.mT), wave[:, : wave.shape[1] - longer], atol=1e-5, rtol=0)
    return ours


@pytest.mark.parametrize("family", ["SpeechT5", "FastSpeech2Conformer"])
def test_same_waveform_as_transformers(family):
    assert_same_as(small_transformers(family))


def test_same_waveform_as_transformers_when_the_mel_is_standardised_first():
    theirs = small_transformers(normalize_before=True)
    theirs.mean += torch.linspace(-3, 1, 80)
    theirs.scale *= torch.linspace(0.5, 2, 80)
    ours = assert_same_as(theirs)
    assert ours.config.mel.sample_rate == 16000 and ours.config.mel.log == "log10"


def test_kernels_of_another_parity_than_their_rates_as_in_the_vocoder_of_audioldm():
    theirs = small_transformers(
        model_in_dim=64, upsample_rates=[5, 4, 2, 2, 2], upsample_kernel_sizes=[16, 16, 8, 4, 4]
    )
    ours = assert_same_as(theirs, longer=32)  # theirs has one sample more after the first stage, which becomes 32
    assert ours.config.mel == MelConfig.preset("audioldm_16k_64")


def test_a_standardising_network_survives_saving(tmp_path):
    statistics = {"mean": (1.0, 2.0, 3.0, 4.0), "scale": (1.0, 2.0, 0.5, 1.0)}
    net = amphion.build("vocoder/hifigan", **TINY | statistics)
    weights.save(net, tmp_path / "folder")
    again: Vocoder = amphion.load(tmp_path / "folder")
    mel = torch.randn(1, 4, 9)
    torch.testing.assert_close(again.vocode(mel), net.for_inference().vocode(mel), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("tag", "layout", "count"), [("v1", "hifigan_v1", 13_936_130), ("v3", "hifigan_v3", 1_464_322)]
)
def test_the_published_layouts_are_complete(published_layout, tag, layout, count):
    from amphion_core.checkpoints.weight_names import check_keys, expected_shapes, to_parametrized

    names = published_layout(layout)
    state = {f"generator.{name}": torch.empty(shape, device="meta") for name, shape in names.items()}
    shapes = expected_shapes(lambda: amphion.build(f"vocoder/hifigan@{tag}"))
    check_keys(to_parametrized(state, ()), shapes, "HiFi-GAN")
    assert sum(tensor.numel() for tensor in state.values()) == count


def test_v2_has_the_published_size():
    assert sum(parameter.numel() for parameter in amphion.build("vocoder/hifigan@v2").parameters()) == 928_514


def test_a_distributed_export_with_capital_keys_loads(golden):
    case = golden("hifigan_small_rb2")
    state = {"generator_state_dict": {f"module.{name}": value for name, value in case["state_dict"].items()}}
    config = {"MODEL": {"HiFiGAN": {key.upper(): value for key, value in case["config"].items()}}}
    net = amphion.import_model("vocoder/hifigan", state, layout="amphion", config=config)
    torch.testing.assert_close(net.vocode(case["inputs"]["mel"]), case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)


def test_folded_weights_and_a_saved_folder_load_again(tmp_path):
    net = amphion.build("vocoder/hifigan", **TINY).for_inference()
    mel = torch.randn(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel), net.vocode(mel), atol=1e-6, rtol=0)


@pytest.mark.parametrize("tag", ["v2", "v3"])
@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_packing_changes_nothing_but_the_order_of_the_sums(monkeypatch, tag, piece):
    from amphion_vocoders.models import hifigan_packed as packed

    monkeypatch.setattr(packed, "PIECE", piece)  # 1: every stage in many pieces
    net = lively(amphion.build(f"vocoder/hifigan@{tag}"))
    mel = torch.randn(2, 80, 37, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = net(mel)[:, 0]
    assert net.generator.packed is None and float(plain.std()) > 0.01
    made = net.for_inference().vocode(mel)
    assert net.generator.packed is not None
    torch.testing.assert_close(made, plain, atol=1e-5, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    taps=st.integers(1, 12), dilation=st.integers(1, 12), size=st.integers(1, 200), padding=st.integers(0, 30),
)  # fmt: skip
def test_a_layer_equals_the_plain_convolution(taps, dilation, size, padding):
    from torch.nn import functional as F

    from amphion_vocoders.models import hifigan_packed as packed

    if size + 2 * padding <= (taps - 1) * dilation:
        return
    generator = torch.Generator().manual_seed(taps)
    weight, bias = torch.randn(6, 4, taps, generator=generator), torch.randn(6, generator=generator)
    x = torch.randn(2, 4, size, generator=generator)
    plain = F.conv1d(F.leaky_relu(x, 0.1), weight, bias, padding=padding, dilation=dilation)
    layer = packed.PackedLayer(
        weight, bias, dilation, padding, torch.float32, slope=0.1
    )  # by a matrix product or oneDNN
    made = layer(x[:, :, None])
    torch.testing.assert_close(made[:, :, 0], plain, atol=1e-4, rtol=1e-4)  # values of about 7, 48 products each


def test_changed_weights_are_heard_after_for_inference():
    net = amphion.build("vocoder/hifigan", **TINY).for_inference()
    mel = torch.randn(1, 4, 9)
    before = net.vocode(mel)
    net.load_state_dict({name: tensor * 2 for name, tensor in net.state_dict().items()})
    assert net.generator.packed is None
    doubled = net.vocode(mel)
    assert not torch.equal(before, doubled)
    torch.testing.assert_close(net.for_inference().vocode(mel), doubled, atol=1e-6, rtol=0)
    assert net.train().generator.packed is None


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        (torch.zeros(1, 5, 9), r"this vocoder takes \(B, 4, N\)"),
        (torch.zeros(4, 9), r"this vocoder takes \(B, 4, N\)"),
        (torch.full((1, 4, 9), float("nan")), "not finite"),
    ],
)
def test_a_mel_that_cannot_be_vocoded_is_reported(mel, message):
    with pytest.raises(AudioError, match=message):
        amphion.build("vocoder/hifigan", **TINY).for_inference().vocode(mel)


def test_no_frames_are_no_samples():
    assert amphion.build("vocoder/hifigan", **TINY).for_inference().vocode(torch.zeros(2, 4, 0)).shape == (2, 0)


@pytest.mark.skipif(not bf16_is_fast(torch.device("cpu")), reason="this CPU has no bfloat16 dot products")
def test_bfloat16_stays_near_float32_and_comes_back_as_float32():
    torch.manual_seed(0)
    net = amphion.build("vocoder/hifigan@v2")
    state = net.state_dict()
    mel = torch.randn(1, 80, 20)
    exact = net.for_inference().vocode(mel)
    other = amphion.build("vocoder/hifigan@v2")
    other.load_state_dict(state)
    rough = other.for_inference("bf16").vocode(mel)
    assert rough.dtype == torch.float32
    noise = float((rough - exact).square().mean() / exact.square().mean())
    assert 0 < noise < 1e-3  # bfloat16 has 8 bits: one rounding is 1e-5 of the energy, and about 60 follow each other


def test_bfloat16_without_the_hardware_warns_and_stays_float32(monkeypatch):
    monkeypatch.setattr("amphion_core.precision.bf16_is_fast", lambda device: False)
    with pytest.warns(RuntimeWarning, match="stays float32"):
        net = amphion.build("vocoder/hifigan", **TINY).for_inference("bf16")
    assert net.precision == "float32" and net.generator.packed.dtype == torch.float32


def test_the_slopes_are_stated_once(monkeypatch):
    mel = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(2))
    for name in ("slope", "last_slope"):
        before = lively(amphion.build("vocoder/hifigan", **TINY)).for_inference().vocode(mel)
        monkeypatch.setattr(HiFiGANGenerator, name, 0.5)
        net = lively(amphion.build("vocoder/hifigan", **TINY))
        with torch.no_grad():
            plain = net(mel)[:, 0]
        torch.testing.assert_close(net.for_inference().vocode(mel), plain, atol=1e-5, rtol=0)
        assert not torch.allclose(before, plain, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_kernels": (4, 1)}, "upsample_kernels: 1 is below the rate 2"),
        ({"upsample_rates": (2, 4)}, r"upsample_rates: product 8 is not mel\.hop_length 4"),
        ({"resblock_dilations": ((1,),)}, "resblock_dilations: 1 rows for 3 kernels"),
        ({"resblock_dilations": ((1,), (), (1,))}, "every block needs at least one dilation"),
        ({"mean": (1.0,)}, "mean: 1 values for 4 mel bands"),
        ({"scale": (1.0, 1.0, 0.0, 1.0)}, "scale: a band cannot be divided by 0"),
        ({"channels": 6}, "channels: 6 cannot be halved 2 times"),
        ({"chanels": 8}, "chanels: no such field; did you mean channels?"),
        ({"mel": "hifigan_22k_8"}, "did you mean hifigan_22k_80"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        amphion.build("vocoder/hifigan", **TINY | changes)


def test_loading_a_configuration_says_how_to_bring_weights():
    with pytest.raises(UnknownComponent, match="without weights") as caught:
        amphion.load("vocoder/bigvgan@v1")
    assert "amphion convert vocoder/bigvgan" in caught.value.hint


@pytest.mark.parametrize("layout", ["jik876", "amphion", "transformers"])
def test_a_checkpoint_of_another_model_is_one_sentence(layout, golden):
    config = golden("hifigan_small_rb1")["config"]
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/hifigan"):
        amphion.import_model("vocoder/hifigan", {"encoder.weight": torch.zeros(3)}, layout=layout, config=config)


def test_a_missing_config_is_reported(golden):
    with pytest.raises(WeightsError, match="needs the publisher's config"):
        amphion.import_model("vocoder/hifigan", golden("hifigan_small_rb1")["state_dict"], layout="jik876")
