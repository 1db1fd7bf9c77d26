"""NaturalSpeech 2: reference numbers, solvers, the switches for published weights, padding, controls."""

import pytest
import torch
from torch import nn

from amphion_tts.models import naturalspeech2_prior as prior
from amphion_tts.models.fastspeech2_variance import spread
from amphion_tts.models.naturalspeech2 import NaturalSpeech2
from amphion_tts.models.naturalspeech2_sde import NoiseSchedule, sample


@pytest.fixture(scope="module")
def case(golden):
    return golden("ns2")


SIZES = {
    "codec": "no/codec", "vocabulary": 100, "latent_channels": 24, "hidden_channels": 32, "prompt_layers": 2,
    "prompt_filter": 64, "prompt_heads": 4, "encoder_layers": 2, "encoder_filter": 64, "encoder_heads": 4,
    "duration_layers": 6, "pitch_layers": 6, "predictor_heads": 4, "n_bins": 64, "denoiser_layers": 6,
    "denoiser_heads": 4, "query_tokens": 4, "query_heads": 4,
    "positional": "batch_index", "time_scale": 1.0, "midpoint": "upstream",
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
    assert {name: found[name] for name in found if found[name] != wanted[name]} == {"codec": "codec/encodec@24khz"}


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
