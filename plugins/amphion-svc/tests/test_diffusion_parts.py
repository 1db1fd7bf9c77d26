"""Denoiser, samplers and consistency functions: reference numbers, agreement with diffusers, and masks."""

import itertools
from itertools import pairwise

import pytest
import torch

from amphion_core.errors import DataError
from amphion_core.modules.masks import length_mask
from amphion_svc.models.consistency import Decoder, NoiseRange, sample_consistency, sample_edm, solver_step
from amphion_svc.models.dilated_denoiser import DilatedDenoiser
from amphion_svc.models.samplers import Diffusion, sample, scheduler

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


def analytic(x, step):
    return torch.tanh(0.7 * x + 0.3 * torch.sin(step[0].double() / 100).float())


@pytest.mark.parametrize(
    ("sampler", "name"),
    [("ddim", "DDIMScheduler"), ("pndm", "PNDMScheduler"), ("dpm_solver", "DPMSolverMultistepScheduler")],
)
def test_samplers_take_the_reference_steps(sched, sampler, name):
    wanted = sched["outputs"]["diffwavenetsvc"][name]
    torch.testing.assert_close(scheduler(sampler, Diffusion(), wanted["steps"]).timesteps, wanted["timesteps"])
    found = sample(
        analytic, sched["inputs"]["n0"], sampler=sampler, steps=wanted["steps"], diffusion=Diffusion(),
    )  # fmt: skip
    torch.testing.assert_close(found, wanted["final"].clamp(-1, 1), atol=1e-5, rtol=1e-4)


def test_the_noise_of_each_step_is_the_reference_schedule(sched):
    wanted = sched["outputs"]["diffwavenetsvc"]
    torch.testing.assert_close(Diffusion().levels(), wanted["alphas_cumprod"], atol=0, rtol=1e-5)
    torch.testing.assert_close(scheduler("ddpm", Diffusion(), 2).alphas_cumprod, wanted["alphas_cumprod"])


def test_the_last_step_of_ddpm_is_the_reference_step(sched):
    x = sched["inputs"]["n0"]
    source = scheduler("ddpm", Diffusion(), 1000)
    found = source.step(analytic(x, torch.tensor([0])), 0, x).prev_sample
    wanted = sched["outputs"]["diffwavenetsvc"]["ddpm_step"]["0"]
    torch.testing.assert_close(found, wanted.clamp(-1, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("sampler", "most"), [("ddpm", 20), ("ddim", 20), ("pndm", 20), ("dpm_solver", 19)])
def test_any_number_of_steps_works_and_more_than_in_training_are_refused(sampler, most):
    short = Diffusion(steps=20, last_noise=0.5)
    noise = torch.ones(1, 2, 3)
    for steps, clip in itertools.product((1, 2, 3, 4, most), ("final", "every_step")):
        given = {"sampler": sampler, "steps": steps, "diffusion": short.replace(clip=clip)}
        if (sampler, clip) == ("pndm", "every_step") and steps < 4:
            with pytest.raises(DataError, match="Runge-Kutta"):
                sample(analytic, noise, **given)
        else:
            assert sample(analytic, noise, **given).isfinite().all()
    with pytest.raises(DataError, match=f"{most + 1} steps") as error:
        sample(analytic, noise, sampler=sampler, steps=most + 1, diffusion=short)
    assert f"at most {most}" in str(error.value.hint)


def test_ddpm_draws_from_its_generator_only():
    noise = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(1))
    made = [
        sample(
            analytic, noise, sampler="ddpm", steps=5, diffusion=Diffusion(), generator=torch.Generator().manual_seed(n)
        )
        for n in (3, 3, 4)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def exact(x, step):
    """The noise in a sample of normally distributed data of deviation 0.3, in closed form."""
    level = Diffusion().levels()[step][:, None, None]
    return x * (1 - level).sqrt() / (level * 0.09 + 1 - level)


@pytest.mark.parametrize(("sampler", "bound"), [("ddim", 0.02), ("pndm", 0.02), ("dpm_solver", 0.02)])
def test_fifty_steps_give_the_deviation_of_the_data(sampler, bound):
    noise = torch.randn(1, 40, 50, generator=torch.Generator().manual_seed(0))
    made = sample(exact, noise, sampler=sampler, steps=50, diffusion=Diffusion())
    assert float(made.std()) == pytest.approx(0.3, abs=bound)


def test_clipping_each_step_limits_all_the_network_sees_after_the_first():
    seen = []

    def watched(x, step):
        seen.append(float(x.abs().max()))
        return analytic(x, step)

    noise = torch.full((1, 2, 3), 3.0)
    sample(watched, noise, sampler="ddim", steps=4, diffusion=Diffusion(clip="every_step"))
    assert seen[0] == 3 and max(seen[1:]) <= 1


@pytest.mark.parametrize(("sampler", "name"), [("pndm", "PNDMScheduler"), ("ddim", "DDIMScheduler")])
def test_clipping_each_step_is_what_the_published_code_does(sampler, name):
    import diffusers

    noise = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(1))
    source = getattr(diffusers, name)(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    source.set_timesteps(12)
    x = noise
    for step in source.timesteps:
        x = source.step(analytic(x, step.expand(1)), step, x).prev_sample.clamp(-1, 1)
    found = sample(analytic, noise, sampler=sampler, steps=12, diffusion=Diffusion(clip="every_step"))
    torch.testing.assert_close(found, x, atol=1e-6, rtol=0)


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
