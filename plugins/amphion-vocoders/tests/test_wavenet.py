"""WaveNet: reference numbers of three kinds of outputs, generation that equals the parallel pass, and its training."""

import importlib.util
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

import amphion_core as amphion
from amphion_core import recipe as recipes, weights
from amphion_core.api import Vocoder
from amphion_core.checkpoints.weight_names import to_folded
from amphion_core.component import Utterance
from amphion_core.data.batch import Example
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder
from amphion_vocoders.models import compiled
from amphion_vocoders.models.compiled import COMPILED
from amphion_vocoders.models.wave_outputs import Gaussian, Logistics, MuLaw, draw, number
from amphion_vocoders.models.wavenet_generation import generate
from amphion_vocoders.trainers.autoregressive_vocoder import SpeakerCollator

ARCHITECTURE = amphion.get("models", "vocoder/wavenet")
TINY = ARCHITECTURE.example_config().model_dump()
KINDS = ("gauss", "mol", "mulaw")
ONE_GAUSSIAN = 0.5 * math.log(2 * math.pi * math.e)  # plus the logarithm of its deviation: nats for each sample


@pytest.fixture(scope="module")
def cases(golden):
    return {kind: golden(f"wavenet_{kind}_small") for kind in KINDS}


def loaded(state, config=None):
    return convert("vocoder/wavenet", state, layout="r9y9", config=config)


def reference(cases, kind):
    case = cases[kind]
    return loaded(case["state_dict"], case["config"]), case["inputs"], case["outputs"]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_and_the_upsampled_mel_are_those_of_the_reference(cases, kind):
    net, given, wanted = reference(cases, kind)
    condition = net.upsample_net(given["mel"])
    torch.testing.assert_close(condition, wanted["c_up"], atol=1e-6, rtol=0)
    x = given["x"]
    inputs = torch.nn.functional.one_hot(x, net.config.classes).mT.float() if kind == "mulaw" else x
    torch.testing.assert_close(net.predict(inputs, condition, None), wanted["y"], atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_mel_is_extended_by_its_first_and_last_frames(cases):
    net, given, _ = reference(cases, "mol")
    mel = given["mel"][..., 2:-2]
    longer = torch.cat([mel[..., :1], mel[..., :1], mel, mel[..., -1:], mel[..., -1:]], 2)
    torch.testing.assert_close(net.condition(mel), net.upsample_net(longer))


@pytest.mark.parametrize("kind", ["gauss", "mol"])
def test_the_likelihood_of_each_sample_is_that_of_the_reference(cases, kind):
    net, given, wanted = reference(cases, kind)
    found = net.distribution.negative_log_likelihood(wanted["y"], given["target"][..., 0])
    torch.testing.assert_close(found, wanted["nll"][..., 0], atol=1e-5, rtol=1e-5)
    assert float(found.mean()) == pytest.approx(wanted["nll_mean"], rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_generation_sample_by_sample_equals_the_parallel_pass(cases, kind):
    net = reference(cases, kind)[0].for_inference()
    condition = net.condition(torch.randn(3, 20, 12, generator=torch.Generator().manual_seed(0)))
    wave, predicted = generate(net, condition, None, seed=3, predictions=True)
    before = torch.cat([torch.zeros(3, 1), wave[:, :-1]], 1)
    torch.testing.assert_close(net.predict(net._inputs(before), condition, None), predicted, atol=1e-5, rtol=0)
    assert wave.shape == (3, 192) and len(wave.unique()) > 20


@torch.no_grad()
@pytest.mark.skipif(not COMPILED, reason="numba is not installed, so the loop is not compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_gives_the_same_without_a_compiler(cases, kind, monkeypatch):
    net = reference(cases, kind)[0].for_inference()
    condition = net.condition(torch.randn(2, 20, 2))
    wanted = generate(net, condition, None, seed=3)[0]
    monkeypatch.setattr(compiled, "COMPILED", False)
    spec = importlib.util.find_spec(generate.__module__)
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    assert plain.WIDTH == 1  # products of NumPy
    torch.testing.assert_close(plain.generate(net, condition, None, seed=3)[0], wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def test_generation_equals_the_parallel_pass_for_each_speaker():
    net = amphion.build("vocoder/wavenet", **TINY).for_inference()
    condition, voices = net.condition(torch.randn(2, 4, 6)), net.embed_speakers(torch.tensor([1, 0]))
    wave, predicted = generate(net, condition, voices, seed=3, predictions=True)
    before = torch.cat([torch.zeros(2, 1), wave[:, :-1]], 1)
    found = net.predict(net._inputs(before), condition, voices[..., None])
    torch.testing.assert_close(found, predicted, atol=1e-5, rtol=0)
    assert not torch.allclose(net.predict(net._inputs(before), condition, voices.flip(0)[..., None]), predicted)


def test_the_distributions_sum_to_one_and_have_the_density_of_scipy():
    values = torch.linspace(-1, 1, 65536, dtype=torch.float64).float()[None]
    predicted = torch.tensor([0.3, -0.2, 0.1, -0.6, -3.0, -4.0])[None, :, None].expand(1, 6, 65536)
    shares = (-Logistics(2).negative_log_likelihood(predicted, values)).exp()
    assert float(shares.double().sum()) == pytest.approx(1, abs=2e-3)
    weight = 1 / (1 + math.exp(-0.5))
    wanted = weight * stats.logistic.pdf(0.05, 0.1, math.exp(-3)) + (1 - weight) * stats.logistic.pdf(
        0.05, -0.6, math.exp(-4)
    )
    at = Logistics(2).negative_log_likelihood(predicted[..., :1], torch.tensor([[0.05]]))
    assert float((-at).exp()) * 32767.5 == pytest.approx(wanted, rel=1e-2)
    normal = Gaussian().negative_log_likelihood(torch.tensor([0.1, -2.0])[None, :, None], torch.tensor([[0.3]]))
    assert float(normal) == pytest.approx(-stats.norm.logpdf(0.3, 0.1, math.exp(-2)), abs=1e-5)


@pytest.mark.parametrize("output", [Logistics(2), Gaussian(), MuLaw(16)])
def test_drawn_samples_follow_the_distribution(output):
    generator = torch.Generator().manual_seed(0)
    one = 0.3 * torch.randn(output.channels, generator=generator)
    if not isinstance(output, MuLaw):
        one[-output.channels // 3 :] = -4.0  # scales: nothing beyond -1 and 1
    count = 4000
    uniform = torch.rand(count, output.draws, generator=generator).clamp(1e-5, 1 - 1e-5)
    values = np.empty(count, np.float32)
    predicted = one.expand(count, -1).contiguous().numpy()
    draw(number(output), predicted, output.noise(uniform).numpy(), -9.0, values)
    if isinstance(output, MuLaw):
        found = np.bincount(values.astype(int), minlength=16) / count
        assert found == pytest.approx(one.softmax(0).numpy(), abs=0.03)
        return
    points = torch.linspace(-0.998, 0.998, 20001)
    density = (-output.negative_log_likelihood(one[None, :, None].expand(1, -1, 20001), points[None])).exp()[0]
    cumulative = (density / density.sum()).cumsum(0).numpy()
    assert stats.kstest(values, lambda x: np.interp(x, points.numpy(), cumulative)).statistic < 0.04


@pytest.mark.parametrize("classes", [16, 256, 65536])
def test_mu_law_classes_stay_themselves_and_their_values_are_dense_near_zero(classes):
    law = MuLaw(classes)
    every = torch.arange(classes)
    values = law.decode(every)
    assert law.encode(values).equal(every)
    assert values[0] == -1 and values[-1] == 1
    steps = values.diff()
    assert float(steps[classes // 2]) < 0.2 * float(steps[-1]) and float(steps.min()) > 0
    if classes == 256:  # the value of r9y9's silence
        assert int(law.encode(torch.zeros(1))) == 127


@pytest.mark.parametrize(
    "spelling", [to_folded, lambda state: {"state_dict": state, "optimizer": {}, "global_step": 3}]
)
def test_published_checkpoints_load_in_every_spelling(cases, spelling):
    case = cases["mol"]
    net, other = loaded(case["state_dict"], case["config"]), loaded(spelling(case["state_dict"]), case["config"])
    mel, wave = torch.randn(1, 20, 4), torch.rand(1, 64)
    torch.testing.assert_close(other(mel, wave), net(mel, wave), atol=1e-6, rtol=0)


def test_the_published_layout_is_complete_and_its_sizes_are_the_defaults(published_layout):
    names = published_layout("wavenet_mol")
    state = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
    config, tensors = ARCHITECTURE.import_state_dict(state, layout="r9y9")
    assert config == ARCHITECTURE.Config()
    with torch.device("meta"):
        net = ARCHITECTURE(config)
    assert {name: tensor.shape for name, tensor in net.state_dict().items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == 3_720_932


def test_the_settings_give_the_mel_the_stacks_and_the_distribution(cases):
    case = cases["gauss"]
    config = case["config"] | {"sample_rate": 24000, "fft_size": 2048, "win_length": 1200, "fmin": 20, "fmax": 9000}
    found = loaded(case["state_dict"], config).config
    assert (found.mel.sample_rate, found.mel.n_fft, found.mel.win_length) == (24000, 2048, 1200)
    assert (found.mel.fmin, found.mel.fmax, found.mel.hop_length) == (20, 9000, 16)
    assert (found.output, found.stacks, found.dilations) == ("gaussian", 2, (1, 2, 4, 1, 2, 4))
    mu_law = loaded(cases["mulaw"]["state_dict"], cases["mulaw"]["config"]).config
    assert (mu_law.output, mu_law.classes) == ("mu_law", 64)


def test_speakers_of_a_checkpoint_are_numbered():
    net = amphion.build("vocoder/wavenet", **TINY)
    again = loaded(net.state_dict(), {"stacks": 2, "fmin": 0, "fft_size": 64})
    assert again.config.speakers == ("0", "1")
    mel, wave, speaker = torch.randn(1, 4, 4), torch.rand(1, 64), torch.tensor([1])
    torch.testing.assert_close(again(mel, wave, speaker), net.eval()(mel, wave, speaker), atol=1e-6, rtol=0)


def test_foreign_old_and_incomplete_checkpoints_are_refused_with_the_reason(cases):
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/wavenet"):
        loaded({"conv_pre.bias": torch.zeros(3)})
    state = dict(cases["mol"]["state_dict"])
    old = {name: tensor for name, tensor in state.items() if not name.startswith("upsample_net")}
    with pytest.raises(WeightsError, match="an older WaveNet"):
        loaded(old)
    with pytest.raises(WeightsError, match=r"a mixture of normal distributions \(30 outputs\)"):
        loaded(state, {"output_distribution": "Normal"})
    del state["conv_layers.2.conv.bias"]
    with pytest.raises(WeightsError, match=r"1 missing: conv_layers\.2\.conv\.bias"):
        loaded(state, cases["mol"]["config"])


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 40), batch=st.integers(1, 3), piece=st.sampled_from([0, 1, 3, 7, 100]))
def test_every_frame_becomes_one_hop_in_pieces_of_any_length(frames, batch, piece):
    net: Vocoder = amphion.build("vocoder/wavenet", **TINY).for_inference()
    controls = net.controls({"piece": piece})
    made = net.vocode(torch.zeros(batch, 4, frames), seed=0, controls=controls)
    assert made.shape == (batch, frames * net.config.mel.hop_length) and made.isfinite().all()
    assert net.vocode(torch.zeros(batch, 4, 0), seed=0, controls=controls).shape == (batch, 0)


def test_pieces_join_without_a_gap_and_with_the_same_power():
    net = amphion.build("vocoder/wavenet", **TINY | {"output": "gaussian"}).for_inference()
    with torch.no_grad():
        net.last_conv_layers[3].weight.zero_()
        net.last_conv_layers[3].bias.copy_(torch.tensor([0.0, -2.0]))  # noise of one level, whatever came before
    made = net.vocode(torch.zeros(8, 4, 120), seed=0, controls=net.controls({"piece": 10}))
    power = made.view(8, 120, -1).square().mean((0, 2))  # of each frame
    assert float(power.min()) > 0.5 * math.exp(-4) and float(power.max()) < 1.6 * math.exp(-4)


def test_the_seed_draws_the_samples_and_the_speaker_is_a_control():
    net = amphion.build("vocoder/wavenet", **TINY).for_inference()
    mel = torch.randn(1, 4, 30)
    first = net.vocode(mel, seed=1)
    assert float(first.abs().max()) <= 1
    assert first.equal(net.vocode(mel, seed=1)) and not first.equal(net.vocode(mel, seed=2))
    assert first.equal(net.vocode(mel, seed=1, controls=net.controls({"speaker": "0"})))
    assert not first.equal(net.vocode(mel, seed=1, controls=net.controls({"speaker": "1"})))
    with pytest.raises(DataError, match="this WaveNet has no speaker '7'"):
        net.vocode(mel, seed=1, controls=net.controls({"speaker": "7"}))
    with pytest.raises(DataError, match="has 2 speakers, and needs one index for each item"):
        net(mel, torch.zeros(1, 480))


def test_a_saved_folder_loads_again_with_the_statistics_of_its_mel(tmp_path):
    statistics = {"mel_mean": (-1.0, 0.5, 0.0, 2.0), "mel_deviation": (1.0, 2.0, 0.5, 3.0)}
    net = amphion.build("vocoder/wavenet", **TINY | statistics).for_inference()
    mel = torch.randn(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel, seed=0), net.vocode(mel, seed=0), atol=1e-5, rtol=0)
    plain = amphion.build("vocoder/wavenet", **TINY)
    plain.load_state_dict(amphion.build("vocoder/wavenet", **TINY | statistics).state_dict())
    shifted = (mel - torch.tensor(statistics["mel_mean"])[:, None]) / torch.tensor(statistics["mel_deviation"])[:, None]
    net = amphion.build("vocoder/wavenet", **TINY | statistics)
    net.load_state_dict(plain.state_dict())
    torch.testing.assert_close(net.condition(mel), plain.condition(shifted))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_rates": (4, 8)}, r"upsample_rates: product 32 is not mel\.hop_length 16"),
        ({"stacks": 3}, "stacks: 4 layers are not a multiple of 3"),
        ({"layers": 40, "stacks": 1}, "stacks: 40 layers in a stack are more than 16"),
        ({"mel_mean": (1.0,), "mel_deviation": (1.0,)}, "mel_mean: 1 values for 4 bands"),
        ({"mel_mean": (0.0,) * 4}, "mel_deviation: one number above 0"),
        ({"speakers": ("a", "a")}, "speakers: every name must be there once"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("vocoder/wavenet", **TINY | changes)


def test_forty_steps_beat_a_gaussian_of_each_clips_own_level(four_clips, tmp_path):
    folder, levels = four_clips
    recipe = recipes.check({
        "name": "overfit", "audio": {"preset": "wavenet_22k_80", "n_mels": 20}, "seed": 1,
        "model": {
            "name": "vocoder/wavenet", "output": "gaussian", "layers": 8, "stacks": 2, "channels": 16,
            "gate_channels": 32, "skip_channels": 16,
        },
        "data": {"root": str(folder), "crop": 4096, "budget": 0.8},
        "trainer": "autoregressive_vocoder",
        "optim": {"name": "adam", "lr": 1e-2, "weight_decay": 0, "clip": 10.0},
        "engine": {"steps": 40, "validate_every": 40, "log_every": 10, "device": "cpu", "monitor": "nll"},
    })  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = train(recipe, tmp_path / "run")
    torch.set_num_threads(threads)
    scores = RunFolder(tmp_path / "run").curve()[-1]
    bound = sum(math.log(level) + ONE_GAUSSIAN for level in levels) / len(levels)  # -1.25
    assert scores["dev/nll"] < bound - 0.2
    assert scores["dev/mel"] > 0
    net = amphion.load(found)
    assert len(net.config.mel_mean) == 20 and min(net.config.mel_deviation) > 0
    assert net.vocode(torch.zeros(1, 20, 3), seed=0).shape == (1, 3 * 256)


def test_other_vocoders_and_metrics_without_copies_are_refused():
    recipe = recipes.check({"name": "r", "model": "vocoder/melgan", "trainer": "autoregressive_vocoder"})
    with pytest.raises(RecipeError, match="it trains vocoders that predict each sample"):
        build_trainer(recipe)
    trainer = {"name": "autoregressive_vocoder", "copies": False, "metrics": ["m_stft"]}
    with pytest.raises(RecipeError, match=r"trainer\.metrics: they score copies"):
        build_trainer(recipes.check({"name": "r", "model": "vocoder/wavenet", "trainer": trainer}))


def test_speakers_become_indices_and_an_unknown_one_is_named_with_its_item():
    def example(speaker):
        utterance = Utterance(id="clip", path="clip.wav", duration=1.0, speaker=speaker)
        return Example(utterance, np.zeros(100, np.float32))

    collate = SpeakerCollator(("ann", "bob"))
    assert collate([example("bob"), example("ann")])["speaker"].tolist() == [1, 0]
    with pytest.raises(DataError, match="clip: the model has no speaker 'eve'"):
        collate([example("eve")])
