"""TransformerSVC: reference numbers, the published layout, conditions, losses, and training on a few seconds."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import amphion_core as amphion
from amphion_core.api import FeaturePart
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_svc.losses import structural_distance
from amphion_svc.models.acoustic_encoder import Conformer, SineTransformer
from amphion_svc.models.transformer import TransformerSVC


@pytest.fixture(scope="module")
def case(golden):
    return golden("svc")


@pytest.fixture
def net():
    torch.manual_seed(0)
    return TransformerSVC(TransformerSVC.example_config()).for_inference()


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_conformer_is_that_of_the_reference(case):
    encoder = Conformer(24, 48, 2, 2, 10, 0.1).eval()
    encoder.load_state_dict(case["state_dict"]["conformer"])
    given = case["inputs"]["conformer"]
    with torch.no_grad():
        found = encoder(given["x"].mT, given["mask"].mT)
    wanted = case["outputs"]["conformer"] * given["mask"]  # the reference leaves a bias in the padding
    assert (found.mT - wanted).abs().max() < 1e-5


def test_the_transformer_is_that_of_the_reference(case):
    encoder = SineTransformer(24, 2048, 2, 2, 10, 0.1).eval()
    encoder.load_state_dict(case["state_dict"]["transformer"])
    x = case["inputs"]["transformer"]["x"]
    with torch.no_grad():
        found = encoder(x.mT, torch.ones(2, 1, 11))
    assert (found.mT - case["outputs"]["transformer"]).abs().max() < 1e-5


def test_the_published_sizes():
    with torch.device("meta"):
        assert size(Conformer(384, 512, 2, 6, 100, 0.1)) == 10_699_876
        assert size(SineTransformer(384, 2048, 2, 6, 100, 0.1)) == 13_047_652


def test_padding_changes_neither_encoder(net):
    for kind in ("conformer", "transformer"):
        torch.manual_seed(0)
        net = TransformerSVC(net.config.replace(encoder=kind)).for_inference()
        inputs = net.example_inputs()
        both = net(**inputs)
        row = slice(1, 2)
        own = {name: value[row, :, :8] for name, value in inputs["features"].items()}
        alone = net(own, inputs["lengths"][row], inputs["speaker"][row], inputs["f0"][row, :8])
        assert (alone - both[row, :, :8]).abs().max() < 1e-5
        assert both[1, :, 8:].abs().max() == 0


def test_a_quiet_source_is_brought_to_the_loudness_of_the_corpus(net):
    net.config = net.config.replace(loudness_mean=0.5)
    inputs = net.example_inputs()
    quiet = {**inputs["features"], "loudness": inputs["features"]["loudness"] / 100}
    rest = {name: value for name, value in inputs.items() if name != "features"}
    loud_made, quiet_made = (net.convert(features, **rest).mel for features in (inputs["features"], quiet))
    assert torch.allclose(quiet_made, loud_made, atol=1e-5)
    net.config = net.config.replace(loudness_mean=None)
    assert not torch.allclose(net.convert(quiet, **rest).mel, loud_made, atol=1e-2)


def published(case, encoder="conformer"):
    """A checkpoint, config and files as they are published."""
    parts = case["state_dict"]
    state = {f"0.{name}": value for name, value in parts["condition"].items()}
    state |= {f"1.{name}": value for name, value in parts[encoder].items()}
    config = {
        "preprocess": {"sample_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "fmin": 0, "n_mel": 10},
        "model": {"transformer": {"type": encoder, "n_heads": 2, "dropout": 0.1}},
        "singers": {"opencpop_female1": 1, "m4singer_Alto-1": 0},
        "mel_min": torch.full((10,), -11.0), "mel_max": torch.full((10,), 1.0),
    }  # fmt: skip
    return state, config


@pytest.mark.parametrize("kind", ["conformer", "transformer"])
def test_a_published_checkpoint_gives_what_its_two_networks_give(case, kind):
    pytest.importorskip("transformers", reason="pip install transformers")
    state, config = published(case, kind)
    net = amphion.import_model("svc/transformer", state, layout="amphion", config=config)
    assert net.config.speakers[:3] == ("m4singer_Alto-1", "opencpop_female1", "2") and len(net.config.speakers) == 16
    assert [part.name for part in net.config.content] == ["whisper_encoder", "contentvec"]
    assert net.config.mel.n_mels == 10 and net.config.melody == "coarse"
    x = torch.randn(1, 24, 7, generator=torch.Generator().manual_seed(2))
    encoder = Conformer(24, 48, 2, 2, 10, 0.0) if kind == "conformer" else SineTransformer(24, 2048, 2, 2, 10, 0.0)
    encoder.load_state_dict(case["state_dict"][kind])
    with torch.no_grad():
        assert torch.equal(net.encoder(x, torch.ones(1, 1, 7)), encoder.eval()(x, torch.ones(1, 1, 7)))
    assert torch.equal(net.condition.speaker.weight, case["state_dict"]["condition"]["singer_encoder.nn.weight"])
    assert torch.allclose(net.unscaled(torch.tensor([[[1.0]]])), torch.ones(1, 10, 1))


def test_a_published_checkpoint_that_reads_wenet_names_the_feature(case):
    pytest.importorskip("transformers", reason="pip install transformers")
    state, config = published(case)
    state |= {"0.wenet_encoder.nn.weight": torch.ones(24, 5), "0.wenet_encoder.nn.bias": torch.ones(24)}
    net = amphion.import_model("svc/transformer", state, layout="amphion", config=config)
    assert [(part.name, part.config.dim) for part in net.config.content][-1] == ("wenet", 5)
    assert torch.equal(net.condition.content["wenet"].weight, torch.ones(24, 5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state, config: config.pop("mel_min"), "mel_min is missing"),
        (lambda state, config: config.update(mel_max=torch.ones(9)), "9 values for 10 bands"),
        (lambda state, config: config["singers"].update(someone=16), "number 16"),
        (lambda state, config: state.update({"0.mert_encoder.nn.weight": torch.ones(24, 5)}), "MERT"),
        (lambda state, config: state.update({"2.bias": torch.ones(1)}), "not a checkpoint"),
        (lambda state, config: state.pop("1.projection.bias"), "projection.bias"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(case, change, words):
    state, config = published(case)
    change(state, config)
    with pytest.raises(WeightsError, match=words):
        amphion.import_model("svc/transformer", state, layout="amphion", config=config)


def test_what_is_missing_is_named(net):
    inputs = net.example_inputs()
    features, lengths, speaker, f0 = (inputs[name] for name in ("features", "lengths", "speaker", "f0"))
    with pytest.raises(DataError, match="needs F0"):
        net.convert(features, lengths, speaker)
    with pytest.raises(DataError, match="needs the feature loudness"):
        net.convert({"mel": features["mel"]}, lengths, speaker, f0=f0)
    with pytest.raises(DataError, match="numbers of its singers"):
        net.convert(features, lengths, torch.zeros(2, 4), f0=f0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"content": ("mel", "mel")}, "every feature must be there once"),
        ({"n_heads": 3}, "does not divide"),
        ({"mel_lowest": (0.0,) * 8, "mel_highest": (0.0,) * 8}, "from a smaller to a larger"),
        ({"loudness_range": (1.0, 0.5)}, "rising"),
        ({"speaker_f0": (100.0,)}, "1 values for 2 speakers"),
        ({"voice": "speaker_embedding", "speakers": ("a", "b")}, "no table of speakers"),
    ],
)
def test_configs_that_contradict_themselves(fields, words):
    with pytest.raises(RecipeError, match=words):
        TransformerSVC.example_config().replace(**fields)


def test_content_at_another_rate_stands_at_the_same_times(net):
    feature = torch.arange(50.0).expand(1, 6, -1)  # 20 ms, as its own place in units of 20 ms
    net._places = {"mel": (0.02, 0.0125)}
    found = net._at_mel("mel", feature, torch.tensor([93]), 93, None, None)
    centres = torch.arange(93) * 256 / 24000 + net.config.mel.first_centre
    assert (found[0, 0] - ((centres - 0.0125) / 0.02).clamp(0, 48)).abs().max() < 1e-3


def test_content_of_a_crop_is_that_of_the_whole(net):
    net._places = {"mel": (0.02, 0.0125)}
    feature = torch.randn(1, 6, 100, generator=torch.Generator().manual_seed(0))
    whole = net._at_mel("mel", feature, torch.tensor([180]), 180, None, None)
    start, first = 75 * 256 / 24000, 40  # the crop begins 0.8 s after the recording, where frame 40 begins
    crop = net._at_mel(
        "mel",
        feature[..., first:],
        torch.tensor([60]),
        60,
        torch.tensor([60]),
        torch.tensor([first * 0.02 + 0.0125 - start]),
    )
    assert (crop[..., 1:] - whole[..., 76:135]).abs().max() < 1e-4  # frame 0 lies before the centre of frame 40


def test_a_voice_replaces_the_table_of_singers():
    config = TransformerSVC.example_config()
    config = config.replace(n_speakers=1, speakers=(), speaker_f0=(), voice=FeaturePart.named("world_voice"))
    net = TransformerSVC(config).for_inference()
    inputs = net.example_inputs() | {"speaker": torch.randn(2, 1025, generator=torch.Generator().manual_seed(0))}
    assert net.voice_feature == config.voice and net(**inputs).shape == (2, 8, 12)


def similarity(first, second):
    """The structural similarity of two arrays (F, N) by filters of scipy, whose windows end at the edges with zeros."""

    def mean(values):
        return gaussian_filter(values, 1.5, mode="constant", radius=5)

    mu, nu = mean(first), mean(second)
    variances = mean(first**2) - mu**2 + mean(second**2) - nu**2
    together = mean(first * second) - mu * nu
    return (2 * mu * nu + 1e-4) * (2 * together + 9e-4) / ((mu**2 + nu**2 + 1e-4) * (variances + 9e-4))


def test_structural_distance_is_the_published_formula():
    draw = np.random.default_rng(0)
    first = draw.normal(size=(40, 60))
    second = first + draw.normal(size=(40, 60)) * 0.3
    made, wanted = (torch.from_numpy(each).float()[None] for each in (first, second))
    found = structural_distance(made, wanted, torch.ones(1, 1, 60))
    assert 1 - found.item() / made.numel() == pytest.approx(similarity(first + 6, second + 6).mean(), abs=1e-4)
    assert structural_distance(made, made, torch.ones(1, 1, 60)).abs() < 1e-2


def test_structural_distance_is_that_of_the_reference(case):
    encoder = Conformer(24, 48, 2, 2, 10, 0.1).eval()
    state, given = case["state_dict"]["como"], case["inputs"]["como"]
    encoder.load_state_dict(
        {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}
    )
    with torch.no_grad():
        made = encoder(given["enc_x"].mT, given["enc_mask"].mT)
    found = structural_distance(made, given["mel"], torch.ones(2, 1, 11)).sum() / made.numel()  # no mask, as published
    assert found.item() == pytest.approx(case["outputs"]["como"]["compute_loss_ssim_prior_diff"][0], rel=1e-4)


def test_structural_distance_is_exact_in_a_training_with_bfloat16():
    made, wanted = torch.rand(2, 1, 20, 60, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = structural_distance(made, wanted, torch.ones(1, 1, 60))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(structural_distance(made, wanted, torch.ones(1, 1, 60)), exact)


def test_padding_does_not_change_the_structural_distance():
    draw = torch.Generator().manual_seed(0)
    made, wanted = torch.randn(2, 1, 20, 60, generator=draw)
    alone = structural_distance(made[..., :30], wanted[..., :30], torch.ones(1, 1, 30))
    padded = structural_distance(made, wanted, (torch.arange(60) < 30).float()[None, None])
    assert padded.item() == pytest.approx(alone.item(), rel=1e-5)
