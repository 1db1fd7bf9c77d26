"""DiffWave: reference numbers of the network, both schedules of noise, published checkpoints, and its training."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core import recipe as recipes, weights
from amphion_core.api import Vocoder
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.loading import convert
from amphion_core.mel import MelConfig
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder

ARCHITECTURE = amphion.get("models", "vocoder/diffwave")
TINY = ARCHITECTURE.example_config().model_dump()
BOUND = 0.40  # half of what no prediction leaves, E|z| = 0.80; measured: 0.352


@pytest.fixture(scope="module")
def case(golden):
    return golden("diffwave_small")


def loaded(state, config=None):
    return convert("vocoder/diffwave", state, layout="lmnt", config=config)


@torch.no_grad()
@pytest.mark.parametrize("packed", [False, True])
def test_noise_is_predicted_as_by_the_reference_at_whole_and_at_fractional_steps(case, packed):
    net, given, wanted = loaded(case["state_dict"], case["config"]), case["inputs"], case["outputs"]
    if packed:
        net.for_inference()
    for step in ("int", "float"):
        found = net(given["audio"], given["mel"], given[f"t_{step}"])
        torch.testing.assert_close(found, wanted[f"eps_{step}"], atol=1e-6, rtol=0)
    torch.testing.assert_close(net.spectrogram_upsampler(given["mel"]), wanted["upsampled"], atol=1e-6, rtol=0)
    torch.testing.assert_close(net.diffusion_embedding(given["t_float"]), wanted["emb"], atol=1e-6, rtol=0)


def test_a_batch_may_have_a_fractional_step_for_each_item(case):
    net, given = loaded(case["state_dict"], case["config"]), case["inputs"]
    steps = torch.tensor([3.25, 40.5])
    together = net(given["audio"], given["mel"], steps)
    alone = [net(given["audio"][n : n + 1], given["mel"][n : n + 1], steps[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)


def test_the_fast_schedule_has_the_training_steps_with_the_same_noise_levels():
    net = amphion.build("vocoder/diffwave")
    training = torch.cumprod(1 - torch.linspace(1e-4, 0.05, 50, dtype=torch.float64), 0).sqrt()
    fast = torch.cumprod(1 - torch.tensor([1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5], dtype=torch.float64), 0).sqrt()
    steps = [one.step for one in net.schedule("fast")]
    for step, level in zip(steps, fast.tolist(), strict=True):
        low = min(int(step), 48)
        share = (training[low] - level) / (training[low] - training[low + 1])
        assert step == pytest.approx(low + float(share), abs=1e-9)
    assert steps[0] == 0 and 42 < steps[-1] < 43
    assert [one.step for one in net.schedule("full")] == pytest.approx(list(range(50)))


@pytest.mark.parametrize("kind", ["fast", "full"])
def test_with_a_perfect_prediction_every_reverse_step_keeps_the_noise_level_and_the_last_gives_the_signal(kind):
    net = amphion.build("vocoder/diffwave")
    noises = net.config.noises if kind == "full" else [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]
    level = torch.cumprod(1 - torch.tensor(noises, dtype=torch.float64), 0)
    torch.manual_seed(0)
    clean = 0.1 * torch.randn(200_000, dtype=torch.float64)
    x = level[-1].sqrt() * clean + (1 - level[-1]).sqrt() * torch.randn_like(clean)
    for index, step in reversed(list(enumerate(net.schedule(kind)))):
        noise = (x - level[index].sqrt() * clean) / (1 - level[index]).sqrt()
        x = step.factor * (x - step.share * noise) + step.deviation * torch.randn_like(x)
        before = float(level[index - 1]) if index else 1.0
        error = x - before**0.5 * clean
        assert float(error.square().mean()) < (1 - before) * 1.02 + 1e-20
    torch.testing.assert_close(x, clean, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("layout", "layers"), [("lmnt", 30), ("amphion", 30)])
def test_the_published_layout_is_complete_and_its_sizes_are_the_defaults(published_layout, layout, layers):
    names = published_layout("diffwave")
    state = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
    stated = {"noise_schedule": torch.linspace(1e-4, 0.05, 50).tolist(), "dilation_cycle_length": 10}
    wrapped = {"lmnt": {"model": state, "params": stated, "optimizer": {}, "step": 3}, "amphion": {"state_dict": state}}
    config, tensors = ARCHITECTURE.import_state_dict(wrapped[layout], layout=layout)
    default = ARCHITECTURE.Config()
    if layout == "amphion":
        default = default.replace(mel=MelConfig.preset("amphion_24k_100").replace(n_mels=80))
    assert config.replace(last_noise=0.05, first_noise=1e-4) == default
    assert (config.first_noise, config.last_noise) == pytest.approx((1e-4, 0.05))
    with torch.device("meta"):
        net = ARCHITECTURE(config)
    assert {name: tensor.shape for name, tensor in net.state_dict().items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == 2_619_971


def test_amphions_config_gives_the_mel_and_the_schedule(case):
    config = {
        "preprocess": {"n_mel": 20, "sample_rate": 16000, "n_fft": 1024, "win_size": 800, "fmin": 50, "fmax": 7600},
        "model": {"diffwave": {"noise_schedule_factors": [1e-3, 0.1, 20], "dilation_cycle_length": 3}},
    }
    net = convert("vocoder/diffwave", {"state_dict": case["state_dict"]}, layout="amphion", config=config)
    mel = net.config.mel
    assert (mel.sample_rate, mel.win_length, mel.fmin, mel.fmax, mel.n_mels) == (16000, 800, 50, 7600, 20)
    assert (net.config.steps, net.config.first_noise, net.config.last_noise, net.config.cycle) == (20, 1e-3, 0.1, 3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"noise_schedule": [1e-4, 1e-3, 0.5]}, "noise_schedule is .*, not a list of numbers in equal steps"),
        ({"noise_schedule": "linear"}, "noise_schedule is 'linear', not a list of numbers"),
        ({"noise_schedule_factors": [1, 2]}, "noise_schedule_factors is .*, not a list of first, last and number"),
    ],
)
def test_another_schedule_is_refused(case, config, message):
    with pytest.raises(WeightsError, match=message):
        loaded(case["state_dict"], case["config"] | config)


def test_a_foreign_checkpoint_and_a_missing_tensor_are_reported(case):
    with pytest.raises(WeightsError, match="not a checkpoint of vocoder/diffwave"):
        loaded({"conv_pre.bias": torch.zeros(3)})
    state = dict(case["state_dict"])
    del state["residual_layers.2.output_projection.bias"]
    with pytest.raises(WeightsError, match=r"1 missing: residual_layers\.2\.output_projection\.bias"):
        loaded(state)


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 12), batch=st.integers(1, 3))
def test_every_frame_becomes_one_hop(frames, batch):
    net: Vocoder = amphion.build("vocoder/diffwave", **TINY).for_inference()
    assert net.vocode(torch.zeros(batch, 4, frames), seed=0).shape == (batch, frames * net.config.mel.hop_length)
    assert net.vocode(torch.zeros(batch, 4, 0), seed=0).shape == (batch, 0)


def test_the_seed_draws_the_noise_and_the_schedule_is_a_control():
    net = amphion.build("vocoder/diffwave", **TINY).for_inference()
    mel, calls = torch.rand(1, 4, 20), []
    net.residual_layers[0].register_forward_hook(lambda *_: calls.append(1))
    first = net.vocode(mel, seed=1)
    assert len(calls) == 6 and float(first.abs().max()) <= 1
    assert first.equal(net.vocode(mel, seed=1)) and not first.equal(net.vocode(mel, seed=2))
    calls.clear()
    full = amphion.build("vocoder/diffwave", **TINY | {"steps": 9}).for_inference()
    full.residual_layers[0].register_forward_hook(lambda *_: calls.append(1))
    full.vocode(mel, seed=1, controls=full.controls({"schedule": "full"}))
    assert len(calls) == 9
    with pytest.raises(RecipeError, match="controls of this model: schedule"):
        net.controls({"steps": 6})


def test_a_saved_folder_loads_again(tmp_path):
    net = amphion.build("vocoder/diffwave", **TINY).for_inference()
    mel = torch.rand(1, 4, 9)
    again: Vocoder = amphion.load(weights.save(net, tmp_path / "folder"))
    torch.testing.assert_close(again.vocode(mel, seed=0), net.vocode(mel, seed=0), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_rates": (4, 8)}, r"upsample_rates: product 32 is not mel\.hop_length 16"),
        ({"upsample_rates": (1, 16)}, "upsample_rates: 1 is not an even number"),
    ],
)
def test_a_wrong_config_is_refused_by_name(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("vocoder/diffwave", **TINY | changes)


def test_training_on_four_clips_finds_more_than_half_of_the_noise(four_clips, tmp_path):
    folder, _ = four_clips
    recipe = recipes.check({
        "name": "overfit", "audio": {"preset": "diffwave_22k_80", "n_mels": 20}, "seed": 1,
        "model": {"name": "vocoder/diffwave", "layers": 8, "channels": 16, "cycle": 4},
        "data": {"root": str(folder), "crop": 8192, "budget": 1.6},
        "trainer": {"name": "diffwave", "metrics": ["m_stft"]},
        "optim": {"name": "adam", "lr": 3e-3, "weight_decay": 0},
        "engine": {"steps": 80, "validate_every": 80, "log_every": 10, "device": "cpu", "monitor": "noise"},
    })  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = train(recipe, tmp_path / "run")
    torch.set_num_threads(threads)
    curve = RunFolder(tmp_path / "run").curve()
    scores = curve[-1]
    assert curve[0]["denoiser/noise"] > 0.6
    assert scores["dev/noise"] < BOUND
    assert scores["dev/m_stft"] > 0 and scores["dev/mel"] > 0
    net = amphion.load(found)
    assert net.vocode(torch.zeros(1, 20, 3), seed=0).shape == (1, 3 * 256)


def test_another_vocoder_is_refused():
    recipe = recipes.check({"name": "r", "model": "vocoder/melgan", "trainer": "diffwave"})
    with pytest.raises(RecipeError, match="it trains vocoder/diffwave"):
        build_trainer(recipe)
