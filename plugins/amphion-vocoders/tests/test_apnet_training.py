"""Training of APNet: the reference's losses, and a small network that learns four real clips."""

import math

import pytest
import soundfile
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.data.prepare import prepare
from amphion_core.errors import RecipeError
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder
from amphion_vocoders.models.amplitude_phase import Spectra
from amphion_vocoders.trainers.spectral_losses import amplitude_loss, consistency_loss, part_losses, phase_losses

SMALL = {"name": "vocoder/apnet2", "channels": 48, "inner_channels": 96, "layers": 2}
MPD = {"name": "discriminator/mpd", "channels": 2, "periods": [2, 3]}


@pytest.fixture(scope="module")
def spectra(golden):
    """(case, spectra of the estimate, of the target, complex ones of the target)."""
    case = golden("apnet_losses")
    with torch.device("meta"):
        net = amphion.build("vocoder/apnet@paper")
    net.window = torch.hann_window(320)
    estimate, target = (net.complex_spectra(case["inputs"][name], 1000) for name in ("wav2", "wav"))
    return case, Spectra.of(estimate), Spectra.of(target), target


def test_the_losses_have_the_references_values(spectra):
    case, made, real, complex_real = spectra
    phase, group_delay, time_difference = phase_losses(made.phase, real.phase, "cosine")
    found = {
        "amp": amplitude_loss(made, real), "ip": phase, "gd": group_delay, "ptd": time_difference,
        "consistency": consistency_loss(made, complex_real),
    }  # fmt: skip
    for name, loss in found.items():
        assert loss.tolist() == [pytest.approx(case["outputs"][name], rel=1e-4)], name


def test_the_losses_are_zero_for_the_same_spectra_and_do_not_count_whole_turns(spectra):
    _, made, real, complex_real = spectra
    assert [float(loss) for loss in (*part_losses(real, real), consistency_loss(real, complex_real))] == [0, 0, 0]
    generator = torch.Generator().manual_seed(0)
    turned = real.phase + 2 * math.pi * torch.randint(-3, 4, real.phase.shape, generator=generator)
    for form, lowest in (("absolute", 0.0), ("cosine", -1.0)):
        for loss in phase_losses(turned, real.phase, form):
            assert float(loss) == pytest.approx(lowest, abs=1e-5)
    # phases that know nothing of each other are a quarter of a turn apart, on average
    one, other = (20 * torch.rand(1, 300, 300, generator=generator) for _ in range(2))
    apart = [float(loss) for loss in phase_losses(one, other, "absolute")]
    assert apart == pytest.approx([math.pi / 2] * 3, abs=0.02)
    assert part_losses(made, real)[0].tolist() == [pytest.approx(float((made.real - real.real).abs().mean()))]


@pytest.fixture(scope="module")
def clips(data_pack, tmp_path_factory):
    """Four clips of one second, prepared; they are validated on as well."""
    root, out = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("prepared")
    for path in sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:4]:
        samples, rate = soundfile.read(path, dtype="float32", frames=30000)
        soundfile.write(root / path.name, samples[-rate:], rate)
    reader = amphion.get("datasets", "folder")
    list(prepare(reader(reader.Config(root=str(root))), root, out, processes=1))
    lines = "".join(path.read_text(encoding="utf-8") for path in sorted(out.glob("*.jsonl")))
    for path in out.glob("*.jsonl"):
        path.unlink()
    for name in ("train", "dev"):
        (out / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return out


def make(clips, steps, audio="hifigan_22k_80", model=SMALL, **trainer):
    return recipes.check({
        "name": "overfit", "audio": audio, "model": model, "seed": 1,
        "data": {"root": str(clips), "crop": 4096, "budget": 0.8},
        "trainer": {"name": "apnet", "phase_form": "absolute"} | trainer,
        "optim": {"lr": 2e-3, "betas": [0.8, 0.9]},
        "engine": {"steps": steps, "validate_every": steps, "log_every": 10, "device": "cpu", "monitor": "mel"},
    })  # fmt: skip


def test_eighty_steps_bring_mel_and_amplitudes_closer(clips, tmp_path):
    recipe = make(
        clips, 80, adversarial="clamped_hinge", feature_weight=1, discriminator_start=41, discriminators=[MPD],
        metrics=["m_stft"],
    )  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = train(recipe, tmp_path / "run")
    torch.set_num_threads(threads)
    curve = RunFolder(tmp_path / "run").curve()
    losses = [line for line in curve if "generator/loss" in line]
    first, last = losses[0], losses[-1]
    assert last["generator/mel"] < 0.75 * first["generator/mel"]  # measured: 0.63
    assert last["generator/amplitude"] < 0.5 * first["generator/amplitude"]  # measured: 0.41
    assert last["generator/group_delay"] < first["generator/group_delay"] - 0.05  # measured: 0.11 less
    assert "discriminator/loss" not in losses[3] and 0.1 < last["discriminator/loss"] < 4.1
    assert curve[-1]["dev/m_stft"] > 0
    net = amphion.load(folder)
    assert net.vocode(torch.zeros(1, 80, 3)).shape == (1, 3 * 256)


def test_the_loss_is_the_stated_sum(clips, tmp_path):
    recipe = make(clips, 1, discriminators=[MPD], phase_form="cosine", model=SMALL | {"layers": 1})
    train(recipe.replace(engine=recipe.engine.replace(log_every=1)), tmp_path / "run")
    line = {name.removeprefix("generator/"): value for name, value in RunFolder(tmp_path / "run").curve()[0].items()}
    wanted = 45 * line["amplitude"] + 100 * (line["phase"] + line["group_delay"] + line["time_difference"])
    wanted += 20 * (line["consistency"] + 2.25 * (line["real"] + line["imaginary"]))
    wanted += line["adversarial"] + 2 * line["feature"] + 45 * line["mel"]
    assert line["loss"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("audio", ["hifigan_22k_80", "apnet2_22k_80"])
@pytest.mark.parametrize("padding", [None, "same", "center"])
def test_frames_of_mel_and_of_output_may_stand_elsewhere(clips, tmp_path, audio, padding):
    """With every combination, the losses of a network that knows the answer would be 0: the frames are the same."""
    recipe = make(clips, 1, audio=audio, model=SMALL | {"layers": 1, "padding": padding})
    trainer = build_trainer(recipe)
    wave = 0.1 * torch.randn(2, 4100)
    seen = []

    def known(mel):
        seen.append(mel.shape[2])
        return Spectra.of(trainer.model.complex_spectra(wave[:, :4096], mel.shape[2]))

    trainer.model.spectra = known
    batch = type("Batch", (dict,), {"totals": {"items": 2}})(wave=wave)
    (update,) = trainer.training_step(batch, 1)
    zero = ("amplitude", "phase", "group_delay", "time_difference", "real", "imaginary")
    assert [float(update.logs[name]) for name in zero] == pytest.approx([0.0] * 6, abs=1e-5)
    assert seen == [16]
    assert float(update.logs["mel"]) < 0.01  # the spectra of all frames give the recording again


def test_another_vocoder_is_refused():
    recipe = recipes.check({"name": "r", "model": "vocoder/vocos", "trainer": "apnet"})
    with pytest.raises(RecipeError, match=r"it trains vocoder/apnet and vocoder/apnet2"):
        build_trainer(recipe)


@pytest.mark.parametrize(("name", "rate"), [("apnet", 16000), ("apnet2", 22050), ("apnet2_small", 22050)])
def test_the_recipes_have_their_authors_losses(name, rate):
    recipe = recipes.read(name)
    assert recipe.model.config.mel.sample_rate == rate
    losses = recipe.trainer.config
    weights = (losses.amplitude_weight, losses.phase_weight, losses.spectrum_weight, losses.part_weight)
    assert weights == (45, 100, 20, 2.25) and losses.mel_weight == 45
    assert losses.phase_form == ("cosine" if name == "apnet" else "absolute")
    assert losses.adversarial == ("lsgan" if name == "apnet" else "clamped_hinge")
