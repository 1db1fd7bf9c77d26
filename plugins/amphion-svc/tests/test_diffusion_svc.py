"""DiffWaveNetSVC and DiffCoMoSVC: published sizes and checkpoints, losses, conversion, teacher and student."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.checkpoints.weight_names import check_keys, expected_shapes
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_svc.losses import structural_distance
from amphion_svc.models.consistency import NoiseRange
from amphion_svc.models.denoiser_layout import read_diffcomo, read_diffwavenet
from amphion_svc.models.diffcomo import DiffCoMoSVC
from amphion_svc.models.diffwavenet import DiffWaveNetSVC
from amphion_svc.trainers.diffcomo_svc import (
    DiffCoMoTrainer,
    denoising_distance,
    distillation_distance,
    prior_distance,
)
from amphion_svc.trainers.frame_noise import frame_noise

RANGE = {"mel_min": torch.full((100,), -11.5), "mel_max": torch.full((100,), 2.0)}


@pytest.fixture(scope="module")
def case(golden):
    return golden("svc")


def built(kind, **fields):
    torch.manual_seed(0)
    net = kind(kind.example_config().replace(**fields))
    for parameter in net.parameters():  # the last layer of a new denoiser is 0
        torch.nn.init.normal_(parameter, std=0.1)
    return net.for_inference()


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def meta(shapes, prefix=""):
    return {f"{prefix}{name}": torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_the_published_sizes():
    with torch.device("meta"):
        net = DiffWaveNetSVC(DiffWaveNetSVC.Config())
        assert size(net.denoiser) == 30_288_100
        assert size(DiffWaveNetSVC(DiffWaveNetSVC.Config(channels=512, layers=40)).denoiser) == 100_694_628
        como = DiffCoMoSVC(DiffCoMoSVC.Config())
        assert size(como.encoder) == 10_699_876 and size(como.decoder) == 25_925_860


def test_every_tensor_of_the_published_diffwavenet_is_ours(published_layout):
    shapes = published_layout("svc_diffwavenet")
    state = meta(shapes)
    state["0.loudness_encoder.energy_bins"] = torch.linspace(-30, 0.2, 255).exp()
    fields, tensors = read_diffwavenet(state, RANGE)
    assert (fields["channels"], fields["layers"], fields["cycle"]) == (512, 40, 4)
    check_keys(tensors, expected_shapes(lambda: DiffWaveNetSVC(DiffWaveNetSVC.Config(**fields))), "DiffWaveNetSVC")


@pytest.mark.parametrize("student", [False, True])
def test_every_tensor_of_the_published_diffcomo_is_ours(published_layout, student):
    shapes = published_layout("svc_comosvc")
    state = {name: value for name, value in meta(published_layout("svc_diffwavenet")).items() if name.startswith("0.")}
    state["0.loudness_encoder.energy_bins"] = torch.linspace(-30, 0.2, 255).exp()
    state |= meta(shapes, "1.")
    if student:
        for copied in ("_ema", "_pretrained"):
            state |= meta({name.replace("denoise_fn.", f"denoise_fn{copied}."): one for name, one in shapes.items()
                           if "denoise_fn." in name}, "1.")  # fmt: skip
    fields, tensors = read_diffcomo(state, RANGE)
    assert fields["stage"] == ("student" if student else "teacher")
    assert fields["noise"]["c_skip"] == "edm" and fields["noise"]["noise_mean"] == "cond"
    check_keys(tensors, expected_shapes(lambda: DiffCoMoSVC(DiffCoMoSVC.Config(**fields))), "DiffCoMoSVC")


def published(case, kind):
    """A checkpoint, config and files as they are published."""
    parts = case["state_dict"]
    acoustic = parts["bidilconv"] if kind is DiffWaveNetSVC else parts["como"]
    state = {f"0.{name}": value for name, value in parts["condition"].items()}
    state |= {f"1.{name}": value for name, value in acoustic.items()}
    config = {
        "preprocess": {"sample_rate": 24000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "fmin": 0, "n_mel": 10},
        "model": {
            "diffusion": {"bidilconv": {"dilation_cycle_length": 4}, "scheduler_settings": {"beta_end": 0.02}},
            "comosvc": {"sigma_max": 80},
        },
        "singers": {"opencpop_female1": 1}, "mel_min": torch.full((10,), -11.0), "mel_max": torch.full((10,), 1.0),
    }  # fmt: skip
    return state, config


def imported(case, kind, name):
    pytest.importorskip("transformers", reason="pip install transformers")
    state, config = published(case, kind)
    return amphion.import_model(name, state, layout="amphion", config=config)


def test_a_published_diffwavenet_predicts_the_reference_noise(case):
    net, given = imported(case, DiffWaveNetSVC, "svc/diffwavenet"), case["inputs"]["bidilconv"]
    with torch.no_grad():
        found = net.denoiser(given["x"].mT, torch.tensor(given["t"]), given["c"].mT)
    torch.testing.assert_close(found.mT, case["outputs"]["bidilconv"], atol=1e-5, rtol=0)
    assert net.config.diffusion.clip == "every_step" and net.config.speakers[1] == "opencpop_female1"


class Unmasked(torch.nn.Module):
    """A decoder whose layers see what lies in the padding, as those of the reference do."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder, self.noise = decoder, decoder.noise

    def forward(self, x, sigma, coarse, mask):
        return self.decoder(x, sigma, coarse)


def test_a_published_diffcomo_gives_the_reference_losses(case):
    net, given, wanted = imported(case, DiffCoMoSVC, "svc/diffcomo"), case["inputs"]["como"], case["outputs"]["como"]
    mask, mel = given["enc_mask"].mT, given["mel"]
    frames = given["mask"].sum()
    with torch.no_grad():
        coarse = net.encoder(given["enc_x"].mT, mask)
        prior = prior_distance(coarse, mel, mask).sum() / frames
        everywhere = torch.ones_like(mask)
        unmasked = net.encoder.projection(net.encoder.conformer_encoder(given["enc_x"].mT, mask))
        similarity = structural_distance(unmasked, mel, everywhere).sum() / mel.numel()
        sigma = (-1.2 + 1.2 * given["edm_rnd_normal"][:, 0, 0]).exp()
        decoder = Unmasked(net.decoder)
        edm = denoising_distance(decoder, mel, given["cond"], mask, given["edm_noise"], sigma).sum() / frames
        times = net.config.noise.times(18)
        noise = net.config.noise.noise(given["cd_z"], given["cond"])
        index = given["cd_n"]
        distilled = distillation_distance(
            decoder, decoder, decoder, mel, given["cond"], mask, noise, times[index], times[index - 1], "heun"
        )  # fmt: skip
    ssim, published_prior, _ = wanted["compute_loss_ssim_prior_diff"]
    assert float(similarity) == pytest.approx(ssim, rel=1e-4)
    assert float(prior) == pytest.approx(10 * published_prior, rel=1e-4)  # which is divided by its 10 bands twice
    assert float(edm) == pytest.approx(float(wanted["edm_loss"]), rel=1e-4)
    assert float(distilled.sum() / frames) == pytest.approx(float(wanted["cd_loss"]), rel=1e-4)


@pytest.mark.parametrize("kind", [DiffWaveNetSVC, DiffCoMoSVC])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state, config: config.pop("mel_max"), "mel_max is missing"),
        (lambda state, config: state.update({"2.bias": torch.ones(1)}), "not a checkpoint"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(case, kind, change, words):
    state, config = published(case, kind)
    change(state, config)
    with pytest.raises(WeightsError, match=words):
        kind.import_state_dict(state, layout="amphion", config=config)


def test_another_schedule_of_noise_is_refused(case):
    state, config = published(case, DiffWaveNetSVC)
    config["model"]["diffusion"]["scheduler_settings"]["beta_schedule"] = "squaredcos_cap_v2"
    with pytest.raises(WeightsError, match="squaredcos_cap_v2"):
        read_diffwavenet(state, config)


def converted(net, rows=slice(None), count=None, **more):
    inputs = net.example_inputs()
    features = {name: value[rows, :, :count] for name, value in inputs["features"].items()}
    return net.convert(
        features, inputs["lengths"][rows], inputs["speaker"][rows], f0=inputs["f0"][rows, :count], **more
    ).mel


@pytest.mark.parametrize(
    ("kind", "fields", "controls"),
    [
        (DiffWaveNetSVC, {}, {"sampler": "ddpm", "steps": 5}),
        (DiffWaveNetSVC, {}, {"sampler": "dpm_solver", "steps": 5}),
        (DiffCoMoSVC, {"stage": "teacher"}, {"steps": 4}),
        (DiffCoMoSVC, {"stage": "student"}, {"steps": 3}),
    ],
)
def test_an_item_of_a_batch_is_what_it_is_alone(kind, fields, controls):
    net = built(kind, **fields)
    controls = net.controls(controls)
    both = converted(net, seed=3, controls=controls)
    alone = converted(net, slice(1, 2), 8, seed=4, controls=controls)
    torch.testing.assert_close(both[1:, :, :8], alone, atol=1e-5, rtol=0)
    assert not both[1, :, 8:].any()
    assert not torch.equal(both[:1], converted(net, seed=9, controls=controls)[:1])


def test_more_steps_than_in_training_are_refused():
    net = built(DiffWaveNetSVC)
    with pytest.raises(DataError, match="64 are possible"):
        converted(net, seed=0, controls=net.controls({"sampler": "ddim", "steps": 65}))


@pytest.mark.parametrize(
    ("stage", "steps", "wanted"), [("student", 1, 1), ("student", 4, 4), ("teacher", 5, 9), ("teacher", 1, 1)]
)
def test_the_decoder_is_evaluated_once_a_step_of_a_student_and_twice_of_a_teacher(stage, steps, wanted):
    net, calls = built(DiffCoMoSVC, stage=stage), []
    net.decoder.register_forward_hook(lambda *_: calls.append(1))
    converted(net, seed=0, controls=net.controls({"steps": steps}))
    assert len(calls) == wanted


def test_noise_does_not_depend_on_padding():
    lengths = torch.tensor([5, 3])
    rows = []
    for frames in (5, 9):
        torch.manual_seed(0)
        rows.append(frame_noise(lengths, torch.zeros(2, 4, frames)))
    assert torch.equal(rows[0], rows[1][..., :5]) and not rows[1][0, :, 5:].any() and not rows[0][1, :, 3:].any()
    fixed = frame_noise(lengths, torch.zeros(2, 4, 5), torch.Generator().manual_seed(1))
    assert torch.equal(fixed, frame_noise(lengths, torch.zeros(2, 4, 5), torch.Generator().manual_seed(1)))


def test_gradients_of_a_distillation_reach_the_student_alone():
    nets = [built(DiffCoMoSVC, stage="student").decoder.requires_grad_() for _ in range(3)]
    draw = torch.Generator().manual_seed(0)
    mel, coarse, noise = (torch.randn(2, 8, 6, generator=draw) for _ in range(3))
    times = NoiseRange().times(18)
    distillation_distance(
        *nets, mel, coarse, torch.ones(2, 1, 6), noise, times[[4, 9]], times[[3, 8]], "heun"
    ).sum().backward()
    touched = [any(each.grad is not None for each in net.parameters()) for net in nets]
    assert touched == [True, False, False]


def test_a_teacher_and_a_student_say_what_they_need():
    teacher, student = built(DiffCoMoSVC), built(DiffCoMoSVC, stage="student")
    with pytest.raises(RecipeError, match=r"without trainer\.teacher"):
        DiffCoMoTrainer(DiffCoMoTrainer.example_config(), model=student)
    with pytest.raises(RecipeError, match=r"with trainer\.teacher"):
        DiffCoMoTrainer(DiffCoMoTrainer.Config(teacher="somewhere"), model=teacher)
    with pytest.raises(RecipeError, match="svc/diffcomo"):
        DiffCoMoTrainer(DiffCoMoTrainer.example_config(), model=built(DiffWaveNetSVC))
