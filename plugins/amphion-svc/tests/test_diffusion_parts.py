"""Denoiser and consistency functions: reference numbers, agreement with diffusers, and masks."""

from itertools import pairwise

import pytest
import torch

from amphion_core.modules.masks import length_mask
from amphion_svc.models.consistency import Decoder, NoiseRange, sample_consistency, sample_edm, solver_step
from amphion_svc.models.dilated_denoiser import DilatedDenoiser

UPSTREAM = NoiseRange(c_skip="edm", noise_mean="cond")
GAUSS = 0.7  # deviation of the data of a denoiser in closed form


@pytest.fixture(scope="module")
def case(golden):
    return golden("svc")


@pytest.fixture(scope="module")
def sched(golden):
    return golden("sched")


def denoiser(config, state):
    net = DilatedDenoiser(
        bands=config["n_mel"], condition=config["cond"], channels=config["base"], layers=config["n_res"],
        cycle=config["cycle"], sinusoids=config["raw"], hidden=config["hid"],
    )  # fmt: skip
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def plain(case):
    return denoiser(case["config"]["bidilconv"], case["state_dict"]["bidilconv"])


@pytest.fixture(scope="module")
def decoder(case):
    prefix = "decoder.denoise_fn."
    state = {key.removeprefix(prefix): value for key, value in case["state_dict"]["como"].items() if prefix in key}
    return Decoder(denoiser(case["config"]["como"]["bidilconv"], state), UPSTREAM)


def test_the_denoiser_gives_the_reference_numbers(case, plain):
    given = case["inputs"]["bidilconv"]
    found = plain(given["x"].mT, torch.tensor(given["t"]), given["c"].mT)
    torch.testing.assert_close(found.mT, case["outputs"]["bidilconv"], atol=1e-6, rtol=0)


def test_frames_of_padding_change_no_other_frame(case, plain):
    given = case["inputs"]["bidilconv"]
    x, condition, level = given["x"].mT.clone(), given["c"].mT.clone(), torch.tensor(given["t"])
    mask = length_mask(torch.tensor([11, 7]), 11)
    x[1, :, 7:], condition[1, :, 7:] = 100.0, -100.0
    found = plain(x, level, condition, mask)
    alone = plain(x[1:, :, :7], level[1:], condition[1:, :, :7])
    torch.testing.assert_close(found[1:, :, :7], alone, atol=1e-6, rtol=0)
    assert not found[1, :, 7:].any()


def test_an_untrained_denoiser_predicts_nothing():
    net = DilatedDenoiser(bands=4, condition=3, channels=8, layers=2, cycle=2, sinusoids=8, hidden=8)
    assert not net(torch.randn(1, 4, 5), torch.tensor([3]), torch.randn(1, 3, 5)).any()


@pytest.mark.parametrize("count", [2, 5, 18, 41, 51])
def test_times_are_those_of_karras(sched, count):
    times = NoiseRange().times(count)
    torch.testing.assert_close(times, sched["outputs"]["karras"][str(count)].flip(0).float(), atol=0, rtol=1e-4)
    assert float(times[0]) == pytest.approx(0.002, rel=1e-7) and float(times[-1]) == 80


@pytest.mark.parametrize("key", ["10_euler", "10_heun", "18_euler", "18_heun"])
def test_euler_and_heun_take_the_reference_steps(sched, key):
    steps, solver = key.split("_")
    found = sample_edm(
        lambda x, sigma: 0.9 * x / (1 + sigma.reshape(-1, *[1] * (x.ndim - 1)) ** 2),
        sched["inputs"]["n0"].flatten(2), NoiseRange().times(int(steps)), solver,
    )  # fmt: skip
    wanted = sched["outputs"]["edm"][key].flatten(2)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def gaussian(x, sigma):
    return x * GAUSS**2 / (GAUSS**2 + sigma[:, None, None] ** 2)


def test_heun_is_of_second_order_and_euler_of_first():
    start = torch.tensor([[[1.0]]])
    exact = (GAUSS**2 + 0.002**2) ** 0.5 / (GAUSS**2 + 80.0**2) ** 0.5 * 80.0

    def error(count, solver):
        x = start * 80.0
        path = NoiseRange().times(count).flip(0)
        for sigma, to in pairwise(path):
            x = solver_step(gaussian, x, sigma[None], to[None], solver)
        return abs(float(x) - exact)

    assert 1.7 < error(40, "euler") / error(80, "euler") < 2.3
    assert 3.4 < error(40, "heun") / error(80, "heun") < 4.6


def test_euler_agrees_with_diffusers():
    from diffusers import EDMEulerScheduler

    noise = torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(0))
    source = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, num_train_timesteps=1000, rho=7.0)
    source.set_timesteps(12)
    x = noise * 80.0
    for index, step in enumerate(source.timesteps):
        sigma = source.sigmas[index].reshape(1)
        # The scheduler scales input and output of a network itself; this network is chosen so that the result is D.
        source.scale_model_input(x, step)
        skip = 0.25 / (sigma**2 + 0.25)
        out = sigma * 0.5 / (sigma**2 + 0.25).sqrt()
        x = source.step((gaussian(x, sigma) - skip * x) / out, step, x).prev_sample
    found = sample_edm(gaussian, noise, NoiseRange().times(12), "euler")
    torch.testing.assert_close(found, x, atol=1e-4, rtol=1e-4)


def test_the_decoder_gives_the_reference_numbers(case, decoder):
    given, wanted = case["inputs"]["como"], case["outputs"]["como"]
    found = decoder(given["mel"], given["sigma"][:, 0, 0], given["cond"])
    torch.testing.assert_close(found, wanted["precond"], atol=1e-6, rtol=0)


def test_one_and_many_steps_give_the_reference_numbers(case, decoder):
    given, wanted = case["inputs"]["como"], case["outputs"]["como"]

    def denoise(x, sigma):
        return decoder(x, sigma, given["cond"])

    once = sample_consistency(denoise, lambda: given["lat"], UPSTREAM.times(2))
    torch.testing.assert_close(once, wanted["ct_1"], atol=1e-6, rtol=0)
    euler = sample_edm(denoise, given["lat"], UPSTREAM.times(9), "euler")  # the reference takes one step more
    torch.testing.assert_close(euler, wanted["edm_euler_8"], atol=1e-5, rtol=0)


def test_times_are_the_reference_times(case):
    wanted = case["outputs"]["como"]
    torch.testing.assert_close(UPSTREAM.times(18), wanted["t_steps"][1:], atol=0, rtol=1e-4)
    torch.testing.assert_close(UPSTREAM.times(5).flip(0), wanted["get_t_steps_4"], atol=0, rtol=1e-4)


def test_the_boundary_of_a_consistency_model_is_exact(case, decoder):
    given = case["inputs"]["como"]
    ours = Decoder(decoder.denoise_fn, NoiseRange())
    least = torch.full((2,), 0.002)
    torch.testing.assert_close(ours(given["mel"], least, given["cond"]), given["mel"], atol=1e-7, rtol=0)
    assert not torch.equal(decoder(given["mel"], least, given["cond"]), given["mel"])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_network_is_evaluated_as_often_as_asked_for(count):
    seen = []

    def watched(x, sigma):
        seen.append(float(sigma[0]))
        return x * 0.0

    sample_consistency(watched, lambda: torch.ones(1, 2, 3), NoiseRange().times(count + 1))
    assert len(seen) == count and seen[0] == 80 and seen == sorted(seen, reverse=True)
    assert seen[-1] > 0.002
