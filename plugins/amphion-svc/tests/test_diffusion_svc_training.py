"""Training of DiffWaveNetSVC, and of a teacher and a student of DiffCoMoSVC, on two synthetic singers."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.api import Audio
from amphion_core.errors import RecipeError
from amphion_core.training import checkpoint
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder
from amphion_svc.request import SVCRequest

RATE, BANDS = 24000, 16
SIZES = {
    "condition_channels": 32, "channels": 32, "layers": 4, "cycle": 4, "sinusoids": 32, "hidden": 64, "content": [],
}  # fmt: skip
HEARD = {"validation": {"against_source": ["fpc"], "vocoder": "vocoder/griffin_lim"}}


def glide(f0, fall):
    """A second of a tone that rises from ``f0`` in Hz, with overtones that fall with their number."""
    times = np.arange(RATE) / RATE
    phase = 2 * np.pi * f0 * (times + 0.1 * times**2)
    wave = sum(np.sin(k * phase) / k**fall for k in range(1, 12)) * (1 + 0.5 * np.sin(2 * np.pi * 3 * times))
    return (0.05 * wave).astype(np.float32)


@pytest.fixture
def singers(prepared):
    """Two singers with two clips of a second each; the second singer has weaker overtones."""
    melodies = {"low1": (120.0, 1.0), "high1": (230.0, 2.0), "low2": (130.0, 1.0), "high2": (215.0, 2.0)}
    clips = {name: glide(f0, fall) for name, (f0, fall) in melodies.items()}
    names = {name: "bass" if name.startswith("low") else "soprano" for name in clips}
    return prepared({"train": clips, "dev": {"low1": clips["low1"], "high1": clips["high1"]}}, RATE, speaker=names)


@pytest.fixture
def run(singers, tmp_path):
    """Trains a recipe in a folder and gives the curve."""

    def start(name, model, trainer, **engine):
        recipe = recipes.check({
            "name": name, "audio": {"preset": "amphion_24k_100", "n_mels": BANDS}, "seed": 1,
            "model": SIZES | model, "trainer": trainer, "data": {"root": str(singers), "budget": 4.0},
            "optim": {"name": "adamw", "lr": 3e-3, "clip": 1.0},
            "engine": {"log_every": 10, "device": "cpu"} | engine,
        })  # fmt: skip
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        train(recipe, tmp_path / name)
        torch.set_num_threads(threads)
        return RunFolder(tmp_path / name).curve()

    return start


def test_a_diffusion_model_finds_more_noise_and_makes_a_mel_of_each_singer(run, tmp_path):
    curve = run(
        "diffwavenet", {"name": "svc/diffwavenet"}, {"name": "diffwavenet_svc", "validation_steps": 5}, steps=100,
        validate_every=100, monitor="prediction",
    )  # fmt: skip
    assert curve[0]["model/prediction"] > 0.9  # an untrained network predicts 0, and the noise has the power 1
    assert curve[-1]["dev/prediction"] < 0.8  # measured: 0.685; at the first diffusion step, noise cannot be seen
    assert curve[-1]["dev/mel"] < 2.3  # measured: 1.78, with 5 steps
    net = amphion.load(tmp_path / "diffwavenet")
    assert net.config.speakers == ("bass", "soprano") and len(net.config.mel_lowest) == BANDS
    assert 100 < net.config.speaker_f0[0] < 160 < net.config.speaker_f0[1] < 260


def test_a_student_makes_in_one_step_what_its_teacher_makes_in_many(run, tmp_path):
    teacher = {"name": "svc/diffcomo", "n_layers": 1, "filter_channels": 32, "dropout": 0.0}
    taught = run(
        "teacher", teacher, {"name": "diffcomo_svc", "fast_steps": 10}, steps=100, validate_every=100, monitor="mel"
    )
    assert ["model/diffusion" in row for row in taught if "model/loss" in row] == [False] + 9 * [True]
    assert taught[-1]["dev/coarse"] < 0.4  # measured: 0.21
    assert taught[-1]["dev/mel"] < 1.3  # measured: 0.87
    place = str(tmp_path / "teacher")
    learned = run(
        "student", teacher | {"stage": "student"}, {"name": "diffcomo_svc", "teacher": place, "times": 18} | HEARD,
        steps=40, validate_every=40, monitor="mel", ema={"student": 0.95},
    )  # fmt: skip
    assert learned[-1]["dev/mel"] < 0.8 * taught[-1]["dev/mel"]  # measured: 0.31, after 40 steps
    first, second = amphion.load(place).state_dict(), amphion.load(tmp_path / "student").state_dict()
    changed = {name.partition(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"decoder"}
    assert np.isfinite(learned[-1]["dev/source_fpc"]) and learned[-1]["dev/real_time_factor"] > 0
    task = amphion.task("svc", model=str(tmp_path / "student"), vocoder="vocoder/griffin_lim")
    song = Audio(glide(150.0, 1.0)[: RATE // 2], RATE)
    made = task.generate(SVCRequest(audio=song, singer="soprano", controls={"steps": 2}))
    assert made.duration == song.duration and made.peak > 0.01


def test_the_average_moves_after_the_step_of_the_student(run, tmp_path):
    teacher = {"name": "svc/diffcomo", "n_layers": 1, "filter_channels": 32, "dropout": 0.0}
    run("teacher", teacher, "diffcomo_svc", steps=2)
    place = str(tmp_path / "teacher")
    run(
        "student", teacher | {"stage": "student"}, {"name": "diffcomo_svc", "teacher": place}, steps=1,
        ema={"student": 0.95},
    )  # fmt: skip
    begin = amphion.load(place).decoder.state_dict()
    stored = checkpoint.read(tmp_path / "student" / "checkpoints" / "step-1")[0]
    for name, value in begin.items():
        after, average = stored["networks"][f"student.{name}"], stored["ema"][f"student.{name}"]
        torch.testing.assert_close(average, 0.1 * value + 0.9 * after)  # the first steps count more than 5 %
    assert not torch.equal(stored["networks"]["student.denoise_fn.neural_network.out_proj.2.bias"],
                           begin["denoise_fn.neural_network.out_proj.2.bias"])  # fmt: skip


def test_a_student_without_an_average_or_of_another_teacher_is_refused(run, tmp_path):
    teacher = {"name": "svc/diffcomo", "n_layers": 1, "filter_channels": 32, "dropout": 0.0}
    run("teacher", teacher, "diffcomo_svc", steps=1)
    trainer = {"name": "diffcomo_svc", "teacher": str(tmp_path / "teacher")}
    with pytest.raises(RecipeError, match="average"):
        run("alone", teacher | {"stage": "student"}, trainer, steps=1)
    with pytest.raises(RecipeError, match="another filter_channels"):
        run("other", teacher | {"stage": "student", "filter_channels": 16}, trainer, steps=1, ema={"student": 0.95})
