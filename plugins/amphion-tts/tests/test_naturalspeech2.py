"""NaturalSpeech 2: reference numbers, solvers, the switches for published weights, padding, controls."""

import math
import sys

import pytest
import torch
from torch import nn

import amphion_core as amphion
from amphion_core.api import Prompt
from amphion_core.errors import DataError, MissingPackage, RecipeError, WeightsError
from amphion_tts.models import naturalspeech2_prior as prior
from amphion_tts.models.fastspeech2_variance import spread
from amphion_tts.models.naturalspeech2 import NaturalSpeech2, controlled_f0
from amphion_tts.models.naturalspeech2_denoiser import time_embedding
from amphion_tts.models.naturalspeech2_sde import NoiseSchedule, sample


@pytest.fixture(scope="module")
def case(golden):
    return golden("ns2")


SIZES = {
    "codec": "no/codec", "vocabulary": 100, "latent_channels": 24, "hidden_channels": 32, "prompt_layers": 2,
    "prompt_filter": 64, "prompt_heads": 4, "encoder_layers": 2, "encoder_filter": 64, "encoder_heads": 4,
    "duration_layers": 6, "pitch_layers": 6, "predictor_heads": 4, "n_bins": 64, "denoiser_layers": 6,
    "denoiser_heads": 4, "query_tokens": 4, "query_heads": 4,
    "positional": "batch_index", "time_scale": 1.0, "midpoint": "upstream", "latent_scale": 1.0,
}  # fmt: skip


class RowOfTable(nn.Module):
    """Adds row b of a table to item b, as the published code does."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, x):
        return x + self.table[: len(x)]


def published(case):
    """The parts of the reference as one checkpoint with the published names, and the parts that it lacks made up."""
    draws = torch.Generator().manual_seed(0)
    parts = {"diffusion": "diffusion", "prior": "prior_encoder", "prompt_encoder": "prompt_encoder"}
    state = {
        f"{parts[part]}.{name}": value for part, given in case["state_dict"].items() for name, value in given.items()
    }
    shapes = {
        "query_emb.weight": (4, 32), "query_attn.in_proj_weight": (96, 32), "query_attn.in_proj_bias": (96,),
        "query_attn.out_proj.weight": (32, 32), "query_attn.out_proj.bias": (32,), "prompt_lin.weight": (32, 24),
        "prompt_lin.bias": (32,), "quantizer.vq.layers.0._codebook.embed": (8, 24),
    }  # fmt: skip
    state |= {name: torch.randn(shape, generator=draws) for name, shape in shapes.items()}
    for path in ("prior_encoder.encoder", "prompt_encoder"):  # those of the reference are random numbers
        state[f"{path}.position_emb.pe"] = prior.positions(5000, 32, torch.device("cpu"))[:, None]
    return state


@pytest.fixture(scope="module")
def net(case):
    """The network of the reference numbers, with its tables of positions."""
    stated = case["config"] | {"query_emb": {"head_num": 4}}
    config, state = NaturalSpeech2.import_state_dict(published(case), layout="amphion", config={"model": stated})
    built = NaturalSpeech2(config).eval()
    built.load_state_dict(state)
    built.prompt_encoder.position_emb = RowOfTable(case["state_dict"]["prompt_encoder"]["position_emb.pe"])
    built.prior_encoder.encoder.position_emb = RowOfTable(case["state_dict"]["prior"]["encoder.position_emb.pe"])
    return built


def close(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= tolerance


def test_sizes_of_a_published_checkpoint_are_those_of_its_tensors_and_its_config(net):
    wanted = NaturalSpeech2.Config(**SIZES).model_dump()
    found = net.config.model_dump()
    assert {name: found[name] for name in found if found[name] != wanted[name]} == {"codec": "codec/encodec@24k"}


@pytest.fixture
def unmasked(monkeypatch):
    """In the published code, padding reaches valid positions through convolutions and through the mean of a prompt."""
    monkeypatch.setattr(prior, "masked", lambda x, mask: x)
    monkeypatch.setattr(prior, "mean_over_time", lambda x, mask: x.mean(1, keepdim=True))


@torch.no_grad()
def test_the_prompt_encoder_equals_the_reference(case, net, unmasked):
    x = case["inputs"]
    close(net.prompt_encoder(x["ref"], x["ref_mask"].bool()), case["outputs"]["prompt"])
    alone = net.prompt_encoder(x["ref"][:1], x["ref_mask"][:1].bool())
    close(alone, case["outputs"]["prompt"][:1])


@torch.no_grad()
def test_the_prior_equals_the_reference(case, net, unmasked, monkeypatch):
    x, y, given = case["inputs"], case["outputs"]["prior"], case["outputs"]["prompt"]
    tokens, frames, heard = x["phone_mask"].bool(), x["mask"].bool(), x["ref_mask"].bool()
    states, log_durations = net.prior_encoder.phones(x["phone"], tokens, given, heard)
    spread_states = spread(states, x["dur"], 14)
    log_f0 = net.prior_encoder.pitch_predictor(spread_states, None, given, heard)  # the reference has no mask here
    condition = net.prior_encoder.with_pitch(spread_states, x["pitch"], frames)
    close(log_durations[tokens], y["dur_pred_log"][tokens])
    assert torch.equal(net._durations(log_durations, tokens, None)[tokens], y["dur_pred_round"][tokens])
    close(log_f0[frames], y["pitch_pred_log"][frames])
    close(condition[frames], y["prior_out"][frames])
    losses = case["outputs"]["losses"]
    duration = (log_durations - torch.log1p(x["dur"]))[tokens].abs().mean()
    pitch = (log_f0 - x["pitch"].log())[frames].abs().mean()
    close(torch.stack([duration, pitch]), torch.tensor([losses["dur"], losses["pitch"]]))


@torch.no_grad()
def test_the_denoiser_equals_the_reference(case, net):
    x, frames = case["inputs"], case["inputs"]["mask"].bool()
    found = net.denoiser(x["x"], frames, x["cond"], x["t"], x["q"])
    close(found.mT[frames], case["outputs"]["wavenet"].mT[frames])
    distance = (found - x["x"]).mT[frames].abs().mean()
    assert float(distance) == pytest.approx(case["outputs"]["losses"]["diff"], abs=1e-5)


def test_the_noise_equals_the_reference(case, net):
    x, y = case["inputs"], case["outputs"]
    times = torch.tensor(x["cum_beta_t"])
    close(net.schedule.total(times), y["cum_beta"])
    close(net.schedule.rate(times), y["beta"])
    noisy = net.schedule.noisy(x["x"], x["z"], x["t"])
    close(noisy, y["xt"])
    close(net.schedule.implied_noise(noisy, x["x"], x["t"]), x["z"], 1e-4)
    close(net.schedule.time_of(net.schedule.total(times)), times, 1e-6)


@torch.no_grad()
@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_the_solvers_equal_the_reference(case, net, solver):
    x, frames = case["inputs"], case["inputs"]["mask"].bool()
    found = sample(
        lambda noisy, time: net.denoiser(noisy, frames, x["cond"], time, x["q"]), x["x"], net.schedule, steps=5,
        solver=solver, midpoint="upstream",
    )  # fmt: skip
    close(found.mT[frames], case["outputs"][f"rev_{solver}_5"].mT[frames])


@pytest.mark.parametrize(
    ("solver", "steps", "error"), [("euler", 100, 0.05), ("midpoint", 30, 0.01), ("dpm_solver", 30, 0.01)]
)
def test_every_solver_follows_the_closed_form_of_a_normal_distribution(solver, steps, error):
    """If the data is normal with deviation s, the best denoiser is linear and the solution is the noise times s."""
    pytest.importorskip("diffusers")
    schedule, deviation = NoiseSchedule(), 0.5

    def denoise(noisy, time):
        signal, noise = schedule.levels(time[:, None, None])
        return noisy * signal * deviation**2 / (signal**2 * deviation**2 + noise**2)

    noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    found = sample(denoise, noise, schedule, steps=steps, solver=solver)
    assert float((found - deviation * noise).abs().max()) < error


def test_the_midpoint_in_order_of_time_needs_fewer_steps():
    schedule, deviation = NoiseSchedule(), 0.5

    def denoise(noisy, time):
        signal, noise = schedule.levels(time[:, None, None])
        return noisy * signal * deviation**2 / (signal**2 * deviation**2 + noise**2)

    noise = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    ours, theirs = (
        sample(denoise, noise, schedule, steps=20, solver="midpoint", midpoint=kind)
        for kind in ("half_step", "upstream")
    )
    wanted = deviation * noise
    assert (ours - wanted).abs().max() < 0.4 * (theirs - wanted).abs().max()


def built(**changes):
    """The example network, which always has the same weights; durations of about three frames."""
    torch.manual_seed(0)
    made = NaturalSpeech2(NaturalSpeech2.example_config().replace(**changes))
    nn.init.normal_(made.denoiser.out_proj.weight)
    made.prior_encoder.duration_predictor.linear.bias.data.fill_(1.4)
    return made.for_inference()


IDS, LENGTHS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]]), torch.tensor([5, 3])


def heard(seconds=0.5, items=2):
    wave = torch.randn(items, round(seconds * 8000), generator=torch.Generator().manual_seed(1)) * 0.1
    return Prompt(wave, torch.full((items,), wave.shape[1]))


def speak(net, prompt=None, **controls):
    fields = {"steps": 4} | controls
    return net.synthesize(IDS, LENGTHS, prompt=prompt or heard(), seed=3, controls=net.controls(fields))


def test_an_item_is_the_same_alone_and_in_a_batch_also_in_training():
    net = built(time_scale=10.0)
    inputs = net.example_inputs()
    both = net(**inputs)
    own = {"ids": 3, "durations": 3, "f0": 5, "prompt": 4, "noisy": 5}
    alone = net(**{name: value[1:, ..., : own[name]] if name in own else value[1:] for name, value in inputs.items()})
    close(both.clean[1:, :, :5], alone.clean, 2e-5)
    close(both.log_durations[1:, :3], alone.log_durations, 2e-5)
    close(both.log_f0[1:, :5], alone.log_f0, 2e-5)
    assert both.clean[1, :, 5:].abs().max() == both.log_f0[1, 5:].abs().max() == 0


def test_published_positions_do_not_depend_on_the_place_in_a_batch():
    net = built(positional="batch_index")
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    positioned = net.prompt_encoder.position_emb(x.expand(2, -1, -1)) - x
    close(positioned, torch.tensor([0.0, 1.0] * 4).expand(2, 4, 8))
    moved = built().prompt_encoder.position_emb(x) - x
    assert not torch.allclose(moved[0, 0], moved[0, 1])


def test_the_embedding_of_the_time_follows_the_scale():
    one, other = (time_embedding(torch.tensor([0.2, 0.7]) * scale, 8) for scale in (1.0, 1000.0))
    assert (one[0] - one[1]).abs().max() < 0.5 < (other[0] - other[1]).abs().max()
    assert torch.equal(one, time_embedding(torch.tensor([0.2, 0.7]), 8))


def test_controls_change_durations_steps_noise_and_pitch():
    net = built()
    plain = speak(net)
    assert plain.wave.shape[1] == int(plain.lengths.max()) == 64 * int(plain.durations.sum(1).max())
    slow = speak(net, length_scale=2.0)
    assert abs(int(slow.durations.sum()) - 2 * int(plain.durations.sum())) <= 8
    assert torch.equal(speak(net).wave, plain.wave)
    changed = {"steps": 8}, {"noise_scale": 0.2}, {"pitch": 12.0}, {"solver": "midpoint"}, {"pitch_variation": 3.0}
    for controls in changed:
        assert not torch.equal(speak(net, **controls).wave, plain.wave)
    with pytest.raises(RecipeError, match="steps: input should be greater than or equal to 1"):
        speak(net, steps=0)


def test_the_solver_of_diffusers_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingPackage, match="diffusers"):
        speak(built(), solver="dpm_solver")


def test_pitch_controls_change_the_f0_and_not_its_mean():
    log_f0 = torch.tensor([[5.0, 5.2, 4.8, 9.0]])
    mask, controls = torch.tensor([[True, True, True, False]]), NaturalSpeech2.Controls
    torch.testing.assert_close(controlled_f0(log_f0, mask, controls(pitch=12.0)), 2 * log_f0.exp())
    flat = controlled_f0(log_f0, mask, controls(pitch_variation=0.0))
    torch.testing.assert_close(flat, torch.full((1, 4), 5.0).exp())


def test_the_prompt_changes_the_voice_and_its_padding_does_not():
    net = built()
    one = speak(net).wave
    louder = heard()
    assert not torch.equal(speak(net, Prompt(louder.wave * 4, louder.lengths)).wave, one)
    short = Prompt(heard().wave, torch.tensor([4000, 2000]))
    silent = Prompt(short.wave.clone(), short.lengths)
    silent.wave[1, 2000:] = 0.5
    close(speak(net, silent).wave, speak(net, short).wave, 1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt": None}, "imitates a recording, and none is given"),
        ({"prompt": Prompt(torch.zeros(2, 63), torch.tensor([63, 63]))}, "the prompt has 63 samples"),
        ({"ids": torch.tensor([[1, 2, 3, 4, 5], [-1, 7, 8, 0, 0]])}, "ids from -1 to 8: this NaturalSpeech 2 has 0 to"),
        ({"lengths": torch.tensor([6, 3])}, "each item needs 1 to L tokens"),
    ],
)
def test_what_cannot_be_spoken_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        built().synthesize(**{"ids": IDS, "lengths": LENGTHS, "prompt": heard(), **given})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_codebooks": 3}, "the codec has 8000 Hz, a hop of 64 and 2 codebooks, and the model 8000 Hz, 64 and 3"),
        ({"latent_channels": 6}, "the codec has 8 latent channels, and the model 6"),
    ],
)
def test_a_codec_of_other_sizes_is_refused(changes, message):
    with pytest.raises(WeightsError, match=message):
        net = built(**changes)
        net.codec  # noqa: B018
        net.latents(torch.zeros(1, 2, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_heads": 3}, "encoder_heads: 3 does not divide 8 channels"),
        ({"pitch_kernel": 4}, "pitch_kernel: 4 is not odd"),
        ({"noise_rate": (20.0, 0.05)}, "noise_rate: 20.0 and 0.05 are not two growing numbers"),
        ({"vocabulary": 3}, "vocabulary: 3 rows are too few for"),
        ({"mel": {"padding": "center", "hop_length": 64, "n_fft": 256, "win_length": 256}}, "padding has to be same"),
    ],
)
def test_configs_that_contradict_themselves(changes, message):
    with pytest.raises(RecipeError, match=message):
        amphion.build("tts/naturalspeech2", **NaturalSpeech2.example_config().model_dump() | changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"prior_encoder": {"vocab_size": 99}}}, "vocab_size is 99; in the checkpoint it is 100"),
        ({"model": {"diffusion": {"sigma": 0.5}}}, "sigma is 0.5; only networks with 1 are read"),
    ],
)
def test_a_config_of_another_checkpoint_is_refused(case, change, message):
    with pytest.raises(WeightsError, match=message):
        amphion.import_model("tts/naturalspeech2", published(case), layout="amphion", config=change)


def test_a_checkpoint_of_another_model_or_with_learned_positions_is_refused(case):
    with pytest.raises(WeightsError, match="no NaturalSpeech 2 checkpoint: it begins with w"):
        amphion.import_model("tts/naturalspeech2", {"w": torch.zeros(1)}, layout="amphion", config={"model": {}})
    state = published(case)
    state["prompt_encoder.position_emb.pe"] = state["prompt_encoder.position_emb.pe"] + 0.1
    with pytest.raises(WeightsError, match=r"prompt_encoder\.position_emb\.pe does not hold sines"):
        amphion.import_model("tts/naturalspeech2", state, layout="amphion", config={"model": {}})


def test_the_published_sizes_have_the_published_tensors(published_layout):
    """Names and shapes of all tensors; the reference lacks the projection of the prompt and the queries."""
    with torch.device("meta"):
        net = NaturalSpeech2(NaturalSpeech2.Config(vocabulary=100))
    ours = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    parts = {"diffusion": "denoiser", "prior": "prior_encoder", "prompt_encoder": "prompt_encoder"}
    theirs = {
        f"{parts[part]}.{name.removeprefix('diff_estimator.')}": shape
        for part in parts
        for name, shape in published_layout(f"naturalspeech2_{part}").items()
        if not name.endswith("position_emb.pe") and name != "encoder.enc_emb_tokens.weight"
    }
    assert theirs == {name: shape for name, shape in ours.items() if name.partition(".")[0] in parts.values()}
    assert sum(math.prod(shape) for shape in ours.values()) == 378_210_945
