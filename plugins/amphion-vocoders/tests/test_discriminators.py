"""The discriminators against their references' numbers, their losses, and published checkpoints' names."""

import pytest
import soundfile
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

import amphion_core as amphion
from amphion_core.errors import AudioError, WeightsError
from amphion_core.loading import find_layout
from amphion_vocoders.discriminators.period_judge import fold
from amphion_vocoders.trainers.adversarial import discriminator_loss, feature_loss, generator_loss

NAMES = ["mpd", "msd", "mrd", "ms_stftd", "ms_sb_cqtd", "dac"]
CASES = [
    ("hifigan_mpd", "mpd", "jik876"), ("amphion_mpd", "mpd", "amphion"), ("hifigan_msd", "msd", "jik876"),
    ("bigvgan_mrd", "mrd", "nvidia"), ("encodec_msstftd", "ms_stftd", "encodec"),
    ("amphion_mssbcqtd", "ms_sb_cqtd", "amphion"),
]  # fmt: skip


def imported(case, name, layout):
    return amphion.import_model(f"discriminator/{name}", case["state_dict"], layout=layout, config=case["config"])


def tiny(name):
    component = amphion.get("models", f"discriminator/{name}")
    return component(component.example_config())


@pytest.mark.parametrize(("case", "name", "layout"), CASES)
def test_scores_features_and_losses_are_the_references(golden, case, name, layout):
    case = golden(case)
    net, wanted = imported(case, name, layout), case["outputs"]
    waves = case["inputs"]
    with torch.no_grad():
        scores, features = net(waves["y"])
    reference = wanted.get("d_real") or wanted["logits"]
    for ours, theirs in zip(scores, reference, strict=True):
        torch.testing.assert_close(ours.flatten(1), theirs.flatten(1), atol=1e-5, rtol=0)
    statistics = wanted.get("fmap_real_stats") or wanted["fmap_stats"]
    for ours, theirs in zip(features, statistics, strict=True):
        for one, (shape, mean, magnitude, *_) in zip(ours, theirs, strict=True):
            assert list(one.shape) == shape
            assert float(one.abs().mean()) == pytest.approx(magnitude, rel=1e-3)
            assert float(one.mean()) == pytest.approx(mean, rel=1e-3, abs=1e-5)
    if "gen" in wanted:
        with torch.no_grad():
            fake, made = net(waves["y_hat"])
        assert float(discriminator_loss(scores, fake)) == pytest.approx(wanted["disc"], rel=1e-4)
        assert float(generator_loss(fake)) == pytest.approx(wanted["gen"], rel=1e-4)
        assert 2 * float(feature_loss(features, made)) == pytest.approx(wanted["feat"], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mpd", 41_105_770), ("mpd@nsf", 57_548_078), ("msd", 29_618_821),
        ("msd@melgan", 16_924_086), ("mrd", 280_902), ("mrd@vocos", 600_198), ("ms_stftd", 283_398),
        ("ms_sb_cqtd", 286_368), ("ms_sb_cqtd@bigvgan", 4_454_304),
    ],
)  # fmt: skip
def test_parameter_counts_are_the_published_ones(name, count):
    with torch.device("meta"):
        net = amphion.build(f"discriminator/{name}")
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_the_resolutions_of_vocos_have_centred_frames_and_its_convolutions():
    """Its published formula: torch's centred STFT without a window, strides along both axes."""
    net = amphion.build("discriminator/mrd@vocos", channels=4, resolutions=[[256, 64, 256]]).eval()
    wave = torch.randn(2, 1, 1000, generator=torch.Generator().manual_seed(0))
    x = torch.stft(wave[:, 0], 256, 64, window=torch.ones(256), return_complex=True).abs()[:, None]
    assert x.shape == (2, 1, 129, 16)
    judge = net.discriminators[0]
    with torch.no_grad():
        (score,), (features,) = net(wave)
        for conv, padding, stride, made in zip(
            judge.convs, [(3, 2), (2, 1), (2, 1), (1, 1), (1, 1)], [(2, 2), (2, 1), (2, 2), (2, 1), (2, 2)], features,
            strict=False,
        ):  # fmt: skip
            x = F.leaky_relu(F.conv2d(x, conv.weight, conv.bias, stride, padding), 0.1)
            torch.testing.assert_close(made, x, atol=1e-5, rtol=0)
        x = F.conv2d(x, judge.conv_post.weight, judge.conv_post.bias, padding=1)
    torch.testing.assert_close(score, x.flatten(1), atol=1e-5, rtol=0)
    assert len(features) == 6


def test_the_resolutions_of_apnet2_load_from_a_training_checkpoint():
    net = amphion.build("discriminator/mrd@vocos").eval()
    state = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in net.state_dict().items()
    }
    checkpoint = {"mpd": {"discriminators.0.conv_post.bias": torch.zeros(1)}, "mrd": state, "steps": 3}
    assert find_layout("discriminator/mrd", checkpoint) == "redmist328"
    again = amphion.import_model("discriminator/mrd", checkpoint, layout="redmist328")
    assert again.config == net.config
    wave = torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again(wave)[0], net(wave)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("case", "name", "layout"), CASES)
def test_weight_norms_load_in_every_spelling_and_a_missing_key_is_named(golden, case, name, layout):
    case = golden(case)
    state = dict(case["state_dict"])
    net = imported(case, name, layout)
    with torch.no_grad():
        wanted = net(case["inputs"]["y"])[0][0]
    renamed = {
        key.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for key, tensor in state.items()
        if not key.endswith(("weight_u", "weight_orig")) and f"{key[:-2]}_orig" not in state
    } | {key: tensor for key, tensor in state.items() if f"{key.rpartition('.')[0]}.weight_orig" in state}
    for spelling in (renamed, {f"module.{key}": tensor for key, tensor in state.items()}):
        again = amphion.import_model(f"discriminator/{name}", spelling, layout=layout, config=case["config"])
        with torch.no_grad():
            assert again(case["inputs"]["y"])[0][0].equal(wanted)
    lost = next(key for key in state if key.endswith("convs.1.bias") or key.endswith("convs.1.conv.bias"))
    del state[lost]
    with pytest.raises(WeightsError, match=r"1 missing: .*convs\.1\.bias"):
        amphion.import_model(f"discriminator/{name}", state, layout=layout, config=case["config"])


@pytest.mark.parametrize("name", NAMES)
@given(samples=st.integers(1500, 3000))
@settings(deadline=None, max_examples=8)
def test_any_length_is_judged_item_by_item(name, samples):
    net = tiny(name).eval()
    waves = torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(samples)) * 0.1
    scores, features = net(waves)
    alone = net(waves[1:])[0]
    assert len(scores) == len(features)
    for both, one in zip(scores, alone, strict=True):
        torch.testing.assert_close(both[1:], one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_silence_is_finite_and_gradients_reach_the_wave(name, data_pack):
    net = tiny(name).train()
    samples, _ = soundfile.read(next((data_pack / "kathleen_en/wavs").glob("*.flac")), dtype="float32", frames=4096)
    wave = torch.stack([torch.zeros(4096), torch.from_numpy(samples)])[:, None].requires_grad_()
    scores, features = net(wave)
    loss = generator_loss(scores) + feature_loss([[f * 0 for f in maps] for maps in features], features)
    assert loss.shape == (2,)
    loss.sum().backward()
    assert bool(wave.grad.isfinite().all())
    assert float(wave.grad[1].abs().max()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_wave_of_another_shape_or_too_short_is_refused(name):
    net = tiny(name)
    with pytest.raises(AudioError, match=r"discriminators take \(B, 1, T\)"):
        net(torch.zeros(2, 4096))
    with pytest.raises(AudioError, match="samples are too few: at least"):
        net(torch.zeros(1, 1, 1))


@given(period=st.integers(2, 37), samples=st.integers(40, 400))
@settings(deadline=None)
def test_folding_only_moves_samples(period, samples):
    wave = torch.arange(float(samples))[None, None]
    folded = fold(wave, period)
    assert folded.shape == (1, 1, -(-samples // period), period)
    assert folded.flatten()[:samples].equal(wave.flatten())
    mirrored = folded.flatten()[samples:]
    assert mirrored.equal(wave.flatten().flip(0)[1 : 1 + len(mirrored)])


def test_forward_changes_no_state_and_an_update_moves_the_spectral_norm():
    net = tiny("msd").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(net.example_inputs()["wave"])
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    for _ in range(200):
        net.after_update()
    for conv in [*net.discriminators[0].convs, net.discriminators[0].conv_post]:
        assert float(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-2)


def test_hinge_and_feature_losses_are_their_formulas():
    real, fake = [torch.tensor([[2.0, 0.5]])], [torch.tensor([[-2.0, 0.5]])]
    assert discriminator_loss(real, fake, "hinge").tolist() == [0.25 + 0.75]
    assert generator_loss(fake, "hinge").tolist() == [0.75]
    assert discriminator_loss(real, fake, "clamped_hinge").tolist() == [0.25 + 0.75]
    assert generator_loss(fake, "clamped_hinge").tolist() == [1.75]
    assert generator_loss([torch.tensor([[1.5, 0.5]])], "clamped_hinge").tolist() == [0.25]
    maps, made = [[torch.ones(1, 2), torch.full((1, 4), 2.0)]], [[torch.zeros(1, 2), torch.zeros(1, 4)]]
    assert feature_loss(maps, made).tolist() == [3.0]
    assert feature_loss(maps, made, "encodec").tolist() == [1.0]
    seven = [[torch.full((1, 3), float(2**n)) for n in range(7)]] * 3  # three scales of six layers, and the scores
    silent = [[torch.zeros(1, 3)] * 7] * 3
    assert feature_loss(seven, silent, "melgan").tolist() == [pytest.approx(63 * 4 / 5)]  # the scores do not count
    recorded = torch.ones(1, 2, requires_grad=True)
    feature_loss([[recorded]], [[torch.zeros(1, 2, requires_grad=True)]]).sum().backward()
    assert recorded.grad is None


@pytest.mark.parametrize("layout", ["jaywalnut310", "piper"])
def test_the_discriminator_of_vits_loads_as_one_scale_and_five_periods(published_layout, layout):
    torch.manual_seed(0)
    state = {name: torch.randn(shape) * 0.1 + 0.1 for name, shape in published_layout("vits_discriminator").items()}
    stored = {"state_dict": {f"model_d.{name}": value for name, value in state.items()} | {"model_g.x": torch.ones(1)}}
    given = {"model": state, "iteration": 1} if layout == "jaywalnut310" else stored
    scale = amphion.import_model("discriminator/msd", given, layout=layout)
    periods = amphion.import_model("discriminator/mpd", given, layout=layout)
    folded = sum(tensor.numel() for name, tensor in state.items() if name.endswith("weight_g"))
    loaded = sum(tensor.numel() for net in (scale, periods) for tensor in net.parameters())
    assert loaded + folded == 46_747_132  # the published number of parameters
    wave = torch.randn(1, 1, 2000)
    x = wave
    for index, (stride, groups) in enumerate([(1, 1), (4, 4), (4, 16), (4, 64), (4, 256), (1, 1)]):
        g, v, bias = (state[f"discriminators.0.convs.{index}.{name}"] for name in ("weight_g", "weight_v", "bias"))
        weight = g * v / v.square().sum((1, 2), keepdim=True).sqrt()
        x = torch.conv1d(x, weight, bias, stride, v.shape[2] // 2, groups=groups)
        x = torch.where(x > 0, x, 0.1 * x)
    with torch.no_grad():
        scores, features = scale(wave)
        _, maps = periods(wave)
    torch.testing.assert_close(features[0][5], x, atol=1e-4, rtol=1e-4)
    assert len(scores) == 1 and len(features[0]) == 7
    first = torch.conv2d(
        fold(wave, 3),
        _weight(state, "discriminators.2.convs.0"),
        state["discriminators.2.convs.0.bias"],
        (3, 1),
        (2, 0),
    )
    torch.testing.assert_close(maps[1][0], torch.where(first > 0, first, 0.1 * first), atol=1e-4, rtol=1e-4)


def test_the_discriminator_of_melgan_loads_from_its_authors_names():
    """Against the authors' formula: mirrored edges, slope 0.2, averages that leave out the padding."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(16, 1, 15), (64, 4, 41), (256, 4, 41), (1024, 4, 41), (1024, 4, 41), (1024, 1024, 5), (1, 1024, 3)]
    state = {}
    for scale in range(3):
        for index, size in enumerate(sizes):
            inner = "." if index == 6 else ".1." if index == 0 else ".0."
            layer = f"model.disc_{scale}.model.layer_{index}{inner}"
            state[f"{layer}weight_v"] = torch.randn(size, generator=generator)
            state[f"{layer}weight_g"] = torch.rand(size[0], 1, 1, generator=generator) + 0.5
            state[f"{layer}bias"] = torch.randn(size[0], generator=generator) * 0.1
    assert sum(tensor.numel() for tensor in state.values()) == 16_924_086  # the published number
    net = amphion.import_model(
        "discriminator/msd", {f"module.{name}": t for name, t in state.items()}, layout="descriptinc"
    )
    wave = torch.randn(2, 1, 1501, generator=generator)
    with torch.no_grad():
        scores, features = net(wave)
    x = wave
    for scale in range(3):
        y = torch.cat([x[..., 1:8].flip(2), x, x[..., -8:-1].flip(2)], 2)
        for index in range(7):
            inner = "" if index == 6 else ".1" if index == 0 else ".0"
            layer = f"model.disc_{scale}.model.layer_{index}{inner}"
            g, v, bias = (state[f"{layer}.{part}"] for part in ("weight_g", "weight_v", "bias"))
            weight = g * v / v.square().sum((1, 2), keepdim=True).sqrt()
            stride, groups = (4, y.shape[1] // 4) if 1 <= index <= 4 else (1, 1)
            y = torch.conv1d(y, weight, bias, stride, v.shape[2] // 2 if index else 0, groups=groups)
            y = y if index == 6 else torch.where(y > 0, y, 0.2 * y)
            torch.testing.assert_close(features[scale][index], y, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scores[scale], y.flatten(1), atol=1e-4, rtol=1e-4)
        around, ones = (torch.nn.functional.pad(z, (1, 1)).unfold(2, 4, 2).sum(3) for z in (x, torch.ones_like(x)))
        x = around / ones


def _weight(state, layer):
    g, v = state[f"{layer}.weight_g"], state[f"{layer}.weight_v"]
    return g * v / v.square().sum((1, 2, 3), keepdim=True).sqrt()


def test_a_discriminator_of_hifigan_is_no_discriminator_of_vits(golden):
    with pytest.raises(WeightsError, match="no discriminator of VITS"):
        amphion.import_model("discriminator/mpd", golden("hifigan_mpd")["state_dict"], layout="jaywalnut310")


def test_a_scale_whose_channels_are_no_multiple_of_its_groups_is_refused():
    with pytest.raises(ValueError, match="channels: 4 is not a multiple of 16"):
        amphion.build("discriminator/msd", channels=4)
    wave = torch.zeros(1, 1, 300)
    assert len(amphion.build("discriminator/msd", channels=4, convolutions="melgan", scales=2)(wave)[0]) == 2
