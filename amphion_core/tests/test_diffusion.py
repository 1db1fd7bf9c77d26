"""Diffusion: reference schedules and steps, the data of the training, and the limits of samplers."""

import itertools

import pytest
import torch

from amphion_core.errors import DataError
from amphion_core.modules.diffusion import Diffusion, sample, scheduler


@pytest.fixture(scope="module")
def sched(golden):
    return golden("sched")


def analytic(x, step):
    return torch.tanh(0.7 * x + 0.3 * torch.sin(step[0].double() / 100).float())


SCALED = {"schedule": "scaled_linear", "clip": "never"}
PUBLISHED = {
    "diffwavenetsvc": Diffusion(),
    "amphion_ldm": Diffusion(first_noise=0.00085, last_noise=0.012, **SCALED),
    "audioldm_orig": Diffusion(first_noise=0.0015, last_noise=0.0195, **SCALED),
}


@pytest.mark.parametrize("model", PUBLISHED)
@pytest.mark.parametrize(
    ("sampler", "name"),
    [("ddim", "DDIMScheduler"), ("pndm", "PNDMScheduler"), ("dpm_solver", "DPMSolverMultistepScheduler")],
)
def test_samplers_take_the_reference_steps(sched, sampler, name, model):
    wanted, diffusion = sched["outputs"][model][name], PUBLISHED[model]
    torch.testing.assert_close(scheduler(sampler, diffusion, wanted["steps"]).timesteps, wanted["timesteps"])
    found = sample(
        analytic, sched["inputs"]["n0"], sampler=sampler, steps=wanted["steps"], diffusion=diffusion,
    )  # fmt: skip
    final = wanted["final"] if diffusion.clip == "never" else wanted["final"].clamp(-1, 1)
    torch.testing.assert_close(found, final, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_noise_of_each_step_is_the_reference_schedule(sched, model):
    wanted, diffusion = sched["outputs"][model], PUBLISHED[model]
    torch.testing.assert_close(diffusion.levels(), wanted["alphas_cumprod"], atol=0, rtol=1e-5)
    torch.testing.assert_close(scheduler("ddpm", diffusion, 2).alphas_cumprod, wanted["alphas_cumprod"])


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


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
def test_training_data_agrees_with_the_sampler(schedule, prediction):
    """A network that predicts what is wanted brings noisy data back in the sampler's steps."""
    diffusion = Diffusion(steps=200, last_noise=0.1, schedule=schedule, prediction=prediction, clip="never")
    levels = diffusion.levels()
    clean = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0)) * 2

    def perfect(x, step):
        level = levels[step].view(-1, 1, 1, 1)
        noise = (x - level.sqrt() * clean) / (1 - level).sqrt()
        return diffusion.wanted(clean, noise, step)

    for sampler in ("ddpm", "ddim", *(["pndm"] if prediction != "sample" else []), "dpm_solver"):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        found = sample(
            perfect, noise, sampler=sampler, steps=40, diffusion=diffusion, generator=torch.Generator().manual_seed(2)
        )
        torch.testing.assert_close(found, clean, atol=0.1, rtol=0)


def test_pndm_is_refused_where_the_network_predicts_the_data():
    with pytest.raises(DataError, match="pndm cannot sample") as error:
        sample(analytic, torch.ones(1, 2, 3), sampler="pndm", steps=5, diffusion=Diffusion(prediction="sample"))
    assert "dpm_solver" in str(error.value.hint)


def test_noise_is_added_as_diffusers_adds_it():
    diffusion = Diffusion(schedule="scaled_linear", first_noise=0.00085, last_noise=0.012, prediction="v_prediction")
    clean, noise = torch.randn(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    source, step = scheduler("ddpm", diffusion, 10), torch.tensor([3, 500, 999])
    wanted = source.add_noise(clean, noise, step)
    torch.testing.assert_close(diffusion.with_noise(clean, noise, step), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        diffusion.wanted(clean, noise, step), source.get_velocity(clean, noise, step), atol=1e-6, rtol=0
    )


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


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "pndm", "dpm_solver"])
@pytest.mark.parametrize("strength", [0.05, 0.4, 1.0])
def test_a_perfect_prediction_leads_back_to_the_data_from_any_strength(sampler, strength):
    """The steps that remain begin with the noise that belongs to them; one step too many or too few misses the data."""
    diffusion = Diffusion(clip="never", schedule="scaled_linear", first_noise=0.00085, last_noise=0.012)
    start, noise = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).unbind(0)
    asked = []

    def predict(x, step):  # the noise that is in x, if the data is that of start
        asked.append(int(step[0]))
        level = diffusion.levels()[step].view(-1, 1, 1)
        return (x - level.sqrt() * start) / (1 - level).sqrt()

    draws = [torch.Generator().manual_seed(item) for item in range(3)]
    made = sample(
        predict, noise, sampler=sampler, steps=20, diffusion=diffusion, generator=draws, start=start, strength=strength,
    )  # fmt: skip
    assert len(set(asked)) == round(20 * strength)
    torch.testing.assert_close(made, start, atol=0.1, rtol=0)  # the last step leaves the noise of step 1


def test_kept_data_stays_and_the_rest_is_made():
    diffusion = Diffusion(clip="never")
    start, noise = torch.randn(2, 1, 4, 6, generator=torch.Generator().manual_seed(0)).unbind(0)
    kept = torch.zeros(1, 4, 6, dtype=torch.bool)
    kept[..., :2] = True
    seen = []

    def predict(x, step):
        seen.append((x[..., :2], diffusion.with_noise(start, noise, step)[..., :2]))
        return analytic(x, step)

    made = sample(predict, noise, sampler="ddim", steps=5, diffusion=diffusion, start=start, kept=kept)
    assert torch.equal(made[kept], start[kept])
    assert not torch.isclose(made[~kept], start[~kept]).any()
    assert len(seen) == 5 and all(torch.equal(found, wanted) for found, wanted in seen)
